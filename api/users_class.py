"""Surface 2, the users class: users as @syncano/core manages them with an admin's token."""

from collections.abc import Collection
from typing import Any
from urllib.parse import quote, urlencode

from flask import Blueprint, Response, request

from api.answers import json_answer
from api.exchanges import recognised
from api.json_body import parse_object, read_members
from api.proxies import TrustedProxies
from api.queries import query
from api.refusals import MissingParametersError, Refusal, Refusals, WrongCredentialsError
from api.routes import add_route, make_surface
from api.schemas import (
    USERS_CLASS_QUERY,
    broken_fields,
    iso_time,
    load_changed_credentials,
    load_credentials,
)
from models import errors
from models.account_rules import B64TOKEN
from models.accounts import UserId
from models.core import Core
from models.credentials import Caller
from models.listing import NameFilter
from models.secret import Secret
from models.sessions import USER_KEY
from models.user import User

_PATHS = ("/v2/instances/<instance>/users/", "/v3/instances/<instance>/users/")
_FIELDS = ("id", "username")
_OPERATORS = ("_eq", "_in")
_MOST_ASKED = 500


class NoApiKeyError(errors.NotAuthenticatedError):
    """``X-Api-Key`` is not an admin's token."""


class UsersClass:
    """The routes, under both versions of the path, whatever the instance is called."""

    def __init__(self, core: Core, proxies: TrustedProxies) -> None:
        self._core = core
        self._proxies = proxies

    def blueprint(self) -> Blueprint:
        blueprint = make_surface("users_class", REFUSALS)
        for path in _PATHS:
            add_route(blueprint, path, GET=self.list_users, POST=self.create_user)
            add_route(blueprint, f"{path}auth/", POST=self.login)
            one = {"GET": self.read_user, "PATCH": self.update_user, "DELETE": self.delete_user}
            add_route(blueprint, f"{path}<user_id>/", **one)
        return blueprint

    def list_users(self) -> Response:
        """List users by name, in pages, or those that ``query`` asks for by their ids or names."""
        self._admin()
        asked = query(USERS_CLASS_QUERY)
        if conditions := _conditions(asked["query"] or ""):
            found = self._core.listing.users_among(ids=conditions.get("id"), user_names=conditions.get("username"))
            return json_answer(200, {"next": None, "prev": None, "objects": [_shown(user) for user in found]})
        page = self._core.listing.users(NameFilter(after=asked["after"]), asked["page_size"])
        following = urlencode({"page_size": asked["page_size"], "after": page.next_after})
        following_page = None if page.next_after is None else f"{quote(request.path)}?{following}"
        return json_answer(
            200, {"next": following_page, "prev": None, "objects": [_shown(user) for user in page.users]}
        )

    def create_user(self) -> Response:
        """Create a user: ``username`` and ``password``. The answer has a user key of its."""
        admin = self._admin()
        user_name, password = load_credentials(read_members())
        user = self._core.accounts.create(admin, user_name, {"password": password})
        return self._with_key(201, Caller(user, admin.client))

    def read_user(self, user_id: str) -> Response:
        """Show a user."""
        self._admin()
        return json_answer(200, _shown(self._ordinary(user_id)))

    def update_user(self, user_id: str) -> Response:
        """Change the ``username``, the ``password`` or both."""
        admin = self._admin()
        changes = load_changed_credentials(read_members())
        user = self._ordinary(user_id)
        return json_answer(200, _shown(self._core.accounts.update(admin, UserId(user.id), changes)))

    def delete_user(self, user_id: str) -> Response:
        """Delete a user."""
        admin = self._admin()
        self._core.accounts.delete(admin, UserId(self._ordinary(user_id).id))
        answer = Response(status=204)
        del answer.headers["Content-Type"]
        return answer

    def login(self) -> Response:
        """Log a user in by ``username`` and ``password``: the answer has a new user key."""
        admin = self._admin()
        user_name, password = load_credentials(read_members())
        try:
            # All of the server's users come from its address: each of them is slowed down by itself.
            caller = self._core.authenticator.password(user_name, password, admin.client, is_vouched=True)
        except errors.NotAuthenticatedError as error:
            raise WrongCredentialsError from error
        return self._with_key(200, caller)

    def _admin(self) -> Caller:
        """Return the admin whose token the request has. Raises ``NoApiKeyError``."""
        token = request.headers.get("X-Api-Key", "")
        if not B64TOKEN.fullmatch(token):
            raise NoApiKeyError
        try:
            caller = recognised(self._core.authenticator.bearer(Secret(token), self._proxies.client(request.environ)))
        except errors.NotAuthenticatedError:
            raise NoApiKeyError from None
        if caller.user.user_group != "admin":
            raise NoApiKeyError
        return caller

    def _ordinary(self, user_id: str) -> User:
        user = self._core.accounts.get(UserId(user_id))
        if user.oauth:
            raise errors.UserNotFoundError
        return user

    def _with_key(self, status: int, caller: Caller) -> Response:
        key, _ = self._core.sessions.begin(caller, USER_KEY, request.user_agent.string)
        return json_answer(status, _shown(caller.user) | {"user_key": key.reveal()})


def _conditions(query: str) -> dict[str, Collection[str]]:
    """Return the values that a query like ``{"id": {"_eq": "…"}}`` asks for, by field; an empty one asks for none.

    Raises ``InvalidParametersError``.
    """
    try:
        asked = parse_object(query.encode())
    except MissingParametersError as error:
        raise errors.InvalidParametersError({"query": [(error.detail or "").replace("body", "query")]}) from error
    return {field: _asked_values(field, condition) for field, condition in asked.items()}


def _asked_values(field: str, condition: Any) -> Collection[str]:
    if field not in _FIELDS:
        raise errors.InvalidParametersError({"query": [f"Users can be asked for by {' and '.join(_FIELDS)} alone."]})
    if not isinstance(condition, dict) or len(condition) != 1 or not condition.keys() <= set(_OPERATORS):
        raise errors.InvalidParametersError({"query": [f"{field}: give one of {' and '.join(_OPERATORS)}."]})
    [(operator, value)] = condition.items()
    values = value if operator == "_in" else [value]
    if not isinstance(values, list) or len(values) > _MOST_ASKED:
        raise errors.InvalidParametersError({"query": [f"{field}: _in takes a list of at most {_MOST_ASKED} values."]})
    return [item for item in values if isinstance(item, str)]  # nobody's id or name is anything else


def _shown(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "username": user.user_name,
        "created_at": iso_time(user.created_at),
        "updated_at": iso_time(user.updated_at),
        "groups": [user.user_group],
    }


def _shape(refusal: Refusal) -> Response:
    return json_answer(refusal.status, {"detail": refusal.detail})


REFUSALS = Refusals(
    _shape,
    {
        NoApiKeyError: lambda _: json_answer(403, {"detail": "No such API Key."}),
        WrongCredentialsError: lambda _: json_answer(401, {"detail": "Invalid username or password."}),
        errors.InvalidParametersError: lambda error: json_answer(400, broken_fields(error)),
        errors.UserExistsError: lambda _: json_answer(400, {"username": ["This field must be unique."]}),
        errors.UserNotFoundError: lambda _: json_answer(404, {"detail": "Not found."}),
    },
)
