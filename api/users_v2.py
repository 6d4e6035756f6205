"""Surface 1: ``/api/v2/users``. Each view's docstring is its documentation."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, jsonify, request

from api.auth import HeaderAuth
from api.foresight import foreseen
from api.json_body import read_object
from api.queries import query
from api.schemas import LIST_QUERY, dump_user, load_user_fields
from api.v2_requests import enter, named_oauth
from models import permissions
from models.accounts import Precondition
from models.core import Core
from models.credentials import Caller
from models.listing import NameFilter
from models.permissions import Action
from models.user import User

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
        asked = query(LIST_QUERY)
        limit = asked.pop("limit")
        wanted = NameFilter(**asked)
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
        caller = enter(self._auth, Action.READ, user_name)
        return _shown(caller, self._core.accounts.get(user_name, named_oauth(), caller=caller, foreseen=foreseen()))

    def create_user(self, user_name: str) -> Response:
        """Create a user: ``password``, and optionally ``token``, ``name``, ``email``, ``user_group``, ``disabled``."""
        caller = enter(self._auth, Action.CREATE, user_name)
        fields = load_user_fields(read_object())
        return _shown(caller, self._core.accounts.create(caller, user_name, fields, named_oauth()))

    def update_user(self, user_name: str) -> Response:
        """Change any of the fields that create takes, at least one; only an admin may name ``user_group``."""
        caller = enter(self._auth, Action.UPDATE, user_name)
        members = read_object()
        if "user_group" in members:
            permissions.require_group_change(caller)
        changes = load_user_fields(members)
        user = self._core.accounts.update(caller, user_name, changes, named_oauth(), _if_match())
        return _shown(caller, user, with_id=True)

    def refresh_token(self, user_name: str) -> Response:
        """Give the user a new random token, and return it: the only time that a raw token is shown."""
        caller = enter(self._auth, Action.REFRESH, user_name)
        return jsonify(token=self._core.accounts.refresh(caller, user_name, named_oauth()).reveal())

    def delete_user(self, user_name: str) -> Response:
        """Delete a user."""
        caller = enter(self._auth, Action.DELETE, user_name)
        self._core.accounts.delete(caller, user_name, named_oauth(), _if_match())
        return jsonify({})


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
