"""FastAPI with PyMongo's asynchronous client and a memory of checked credentials: the strongest rival that we know.

It runs in the peers' environment. The user is read at each request, and its password is checked by bcrypt when that
password has not been seen with that stored hash before.
"""

import asyncio
import hmac
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import bcrypt
import orjson
from fastapi import Depends, FastAPI, HTTPException, Response
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from pymongo import AsyncMongoClient

_key = secrets.token_bytes(32)
_remembered: set[bytes] = set()
_basic = HTTPBasic()


@asynccontextmanager
async def _lifespan(started: FastAPI) -> AsyncIterator[None]:
    async with AsyncMongoClient[dict[str, Any]](os.environ["BENCH_MONGODB"]) as client:
        started.state.users = client[os.environ["BENCH_DATABASE"]]["users"]
        yield


app = FastAPI(lifespan=_lifespan, openapi_url=None)


async def caller(credentials: Annotated[HTTPBasicCredentials, Depends(_basic)]) -> dict[str, Any]:
    user: dict[str, Any] | None = await app.state.users.find_one({"user_name": credentials.username})
    if user is None:
        raise HTTPException(401)
    seen = hmac.digest(_key, f"{user['password']}\0{credentials.password}".encode(), "sha256")
    if seen not in _remembered:
        right = await asyncio.to_thread(bcrypt.checkpw, credentials.password.encode(), user["password"].encode())
        if not right:
            raise HTTPException(401)
        _remembered.add(seen)
    return user


@app.get("/users/{user_name}")
async def read_user(user_name: str, user: Annotated[dict[str, Any], Depends(caller)]) -> Response:
    if user_name != user["user_name"]:
        raise HTTPException(403)
    del user["_id"]
    return Response(orjson.dumps(user), media_type="application/json")
