"""fastapi-users with JWT and beanie, put together as its documentation's full example is.

It runs in the peers' environment. What is read is ``/users/me``, whose token was had from ``/auth/jwt/login``.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from beanie import Document, PydanticObjectId, init_beanie
from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, schemas
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, JWTStrategy
from fastapi_users_db_beanie import BeanieBaseUser, BeanieUserDatabase, ObjectIDIDMixin
from pymongo import AsyncMongoClient

_SECRET = "a secret of this run, and no other"


class User(BeanieBaseUser, Document):
    pass


class UserRead(schemas.BaseUser[PydanticObjectId]):
    pass


class UserCreate(schemas.BaseUserCreate):
    pass


class UserUpdate(schemas.BaseUserUpdate):
    pass


class UserManager(ObjectIDIDMixin, BaseUserManager[User, PydanticObjectId]):
    reset_password_token_secret = _SECRET
    verification_token_secret = _SECRET


async def user_database() -> AsyncIterator[BeanieUserDatabase[User]]:
    yield BeanieUserDatabase(User)


async def user_manager(
    database: Annotated[BeanieUserDatabase[User], Depends(user_database)],
) -> AsyncIterator[UserManager]:
    yield UserManager(database)


def jwt_strategy() -> JWTStrategy[User, PydanticObjectId]:
    return JWTStrategy(secret=_SECRET, lifetime_seconds=36_000)


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with AsyncMongoClient[dict[str, Any]](os.environ["BENCH_MONGODB"]) as client:
        await init_beanie(database=client[os.environ["BENCH_DATABASE"]], document_models=[User])
        yield


_backend = AuthenticationBackend(
    name="jwt", transport=BearerTransport(tokenUrl="auth/jwt/login"), get_strategy=jwt_strategy
)
_users = FastAPIUsers[User, PydanticObjectId](user_manager, [_backend])
app = FastAPI(lifespan=_lifespan)
app.include_router(_users.get_auth_router(_backend), prefix="/auth/jwt")
app.include_router(_users.get_register_router(UserRead, UserCreate), prefix="/auth")
app.include_router(_users.get_users_router(UserRead, UserUpdate), prefix="/users")
