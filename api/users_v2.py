"""Surface 1: ``/api/v2/users``. Each view's docstring is its documentation."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import unquote_to_bytes, urlencode

from flask import Blueprint, Response, jsonify, request
from marshmallow import Schema

from api.auth import HeaderAuth
from api.foresight import foreseen
from api.json_body import read_object
from api.schemas import LIST_QUERY, USER_QUERY, dump_user, load_query, load_user_fields
from models import permissions
from models.accounts import Precondition
from models.core import Core
from models.credentials import Caller
from models.errors import InvalidParametersError
from models.listing import NameFilter
from models.permissions import Action
from models.user import OAuth, User

PREFIX = "/api/v2/users"


class UsersV2:
    """The routes. The order of their checks is the contract's: 401, 403 access, 415, 400, 403 exists, 412, 409."""

    def __init__(self, core: Core, auth: HeaderAuth) -> None:
        self._core = core
        self._auth = auth

    def blueprint(self) -> Blueprint:
        blueprint = Blueprint("users_v2", __name__, url_prefix=PREFIX)

        def route(path: str, view: Callable[..., Any], *methods: str) -> None:
            blueprint.add_url_rule(path, view.__name__, self._auth.login_required(view), methods=methods)

        route("", self.list_users, "GET")
        route("/<user_name>", self.read_user, "GET")
        route("/<user_name>", self.create_user, "POST")
        route("/<user_name>", self.delete_user, "DELETE")
        route("/<user_name>/update", self.update_user, "PUT", "PATCH")
        route("/<user_name>/refresh", self.refresh_token, "POST")
        return blueprint

    def list_users(self) -> Response:
        """List names in order: all of them, streamed, or with ``limit`` a page whose ``Link`` leads to the next."""
        permissions.require(self._auth.caller(), Action.LIST)
        query = _query(LIST_QUERY)
        limit = query.pop("limit")
        wanted = NameFilter(**query)
        if limit is None:
            return Response(_json_chunks(self._core.listing.stream(wanted)), content_type="application/json")
        page = self._core.listing.page(wanted, limit)
        answer = jsonify(users=page.names)
        if page.next_after is not None:
            following = urlencode({**request.args, "after": page.next_after})
            answer.headers["Link"] = f'<{PREFIX}?{following}>; rel="next"'
        return answer

    def read_user(self, user_name: str) -> Response:
        """Show a user: its name and the bcrypt hashes of its password and token, which a manager sees as ``null``."""
        caller = self._enter(Action.READ, user_name)
        return _shown(caller, self._core.accounts.get(user_name, _oauth(), caller=caller, foreseen=foreseen()))

    def create_user(self, user_name: str) -> Response:
        """Create a user: ``password``, and optionally ``token``, ``name``, ``email``, ``user_group``, ``disabled``."""
        caller = self._enter(Action.CREATE, user_name)
        fields = load_user_fields(read_object())
        return _shown(caller, self._core.accounts.create(caller, user_name, fields, _oauth()))

    def update_user(self, user_name: str) -> Response:
        """Change any of the fields that create takes, at least one; only an admin may name ``user_group``."""
        caller = self._enter(Action.UPDATE, user_name)
        members = read_object()
        if "user_group" in members:
            permissions.require_group_change(caller)
        changes = load_user_fields(members)
        user = self._core.accounts.update(caller, user_name, changes, _oauth(), _if_match())
        return _shown(caller, user, with_id=True)

    def refresh_token(self, user_name: str) -> Response:
        """Give the user a new random token, and return it: the only time that a raw token is shown."""
        caller = self._enter(Action.REFRESH, user_name)
        return jsonify(token=self._core.accounts.refresh(caller, user_name, _oauth()).reveal())

    def delete_user(self, user_name: str) -> Response:
        """Delete a user."""
        caller = self._enter(Action.DELETE, user_name)
        self._core.accounts.delete(caller, user_name, _oauth(), _if_match())
        return jsonify({})

    def _enter(self, action: Action, user_name: str) -> Caller:
        """Return the caller, if it may do ``action`` to the user that the request names."""
        caller = self._auth.caller()
        with suppress(InvalidParametersError):
            permissions.require(caller, action, user_name, _oauth())
            return caller
        # Access is decided before the query's faults are told, and a faulty one names nobody: not oneself either.
        permissions.require(caller, action)
        return caller


def _query(schema: Schema) -> dict[str, Any]:
    """Return the checked query. Raises ``InvalidParametersError``; werkzeug would keep what is no UTF-8 as it is."""
    try:
        unquote_to_bytes(request.query_string).decode()
    except UnicodeDecodeError as error:
        raise InvalidParametersError({"query": ["It must be UTF-8."]}) from error
    return load_query(schema, request.args.to_dict(flat=False))


def _oauth() -> OAuth:
    """Return which kind of user the request names: the one reading of it, for access and for what is done."""
    if not request.query_string:
        return 0
    oauth: OAuth = _query(USER_QUERY)["oauth"]
    return oauth


def revision_tag(user: User) -> str:
    """Return the entity tag of a user: of its id and revision, never of its content."""
    return f"{user.id}-{user.revision}"


def _if_match() -> Precondition | None:
    """Return what the request's ``If-Match`` demands (RFC 9110, 13.1.1); one that cannot be read is never met."""
    if "If-Match" not in request.headers:
        return None
    tags = request.if_match
    return lambda user: tags.contains(revision_tag(user))


def _shown(caller: Caller, user: User, *, with_id: bool = False) -> Response:
    hashes = permissions.may_see_hashes(caller, user.id)
    answer = jsonify(dump_user(user, hashes=hashes, with_id=with_id))
    answer.set_etag(revision_tag(user))
    return answer


def _json_chunks(pages: Iterator[list[str]]) -> Iterator[str]:
    """Turn pages of names into the pieces of one JSON document."""
    yield '{"users":['
    comma = ""
    for names in pages:
        yield comma + json.dumps(names, separators=(",", ":"))[1:-1]
        comma = ","
    yield "]}\n"
