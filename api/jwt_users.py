"""Surface 5: JSON Web Tokens and groups under ``/users``. Each view's docstring is its documentation."""

import unicodedata
from functools import partial
from typing import Any

from flask import Blueprint, Response, jsonify, request

from api.answers import json_answer
from api.exchanges import recognised
from api.json_body import read_members
from api.jwt_auth import JwtAuth
from api.oauth_proofs import NoIssuerError, OAuthProofs
from api.proxies import TrustedProxies
from api.refusals import Refusal, Refusals, WrongCredentialsError
from api.routes import add_route, make_surface
from models import errors
from models.account_rules import Changes
from models.core import Core
from models.credentials import Caller
from models.secret import Secret
from models.user import USER_GROUPS, User, UserGroup

_MOST_CHARACTERS = 70


class BlankFieldsError(errors.DoormanError):
    """Fields that must not be blank are; ``fields`` are their names, capitalised, in the contract's order."""

    def __init__(self, fields: list[str]) -> None:
        super().__init__(*fields)
        self.fields = fields


class BadNameError(errors.DoormanError):
    """A name breaks a rule of this surface; the message is what the contract says of it."""


class BadValueError(errors.DoormanError):
    """A value is none of those that it may be; the message is what the contract says of it."""


class JwtUsers:
    """The routes. Bodies are wrapped, ``{"user": {…}}``, and failures are a JSON string."""

    def __init__(self, core: Core, proxies: TrustedProxies, proofs: OAuthProofs) -> None:
        self._core = core
        self._proxies = proxies
        self._proofs = proofs
        self._auth = JwtAuth(core, proxies)

    def blueprint(self) -> Blueprint:
        blueprint = make_surface("jwt_users", REFUSALS)
        for group in USER_GROUPS:
            add_route(blueprint, f"/users/{group}", POST=partial(self.create_user, group))
        add_route(blueprint, "/users/login", POST=self.login)
        add_route(blueprint, "/users/login/oauth", POST=self.login_by_oauth, GET=self.begin_oauth)
        add_route(blueprint, "/users/login/oauth/callback", GET=self.finish_oauth)
        add_route(blueprint, "/users/permission", POST=self.change_group)
        add_route(blueprint, "/.well-known/jwks.json", GET=self.list_keys)
        return blueprint

    def create_user(self, group: UserGroup) -> Response:
        """Create a user of a group: ``username``, ``name`` and ``password``. For admins."""
        admin = self._auth.admin()
        user_name, name, password = _texts(_wrapped("user"), "username", "name", "password")
        _check_names(user_name, name)
        fields = Changes(password=Secret(password), name=name, user_group=group)
        return json_answer(200, _shown(self._core.accounts.create(admin, user_name, fields)))

    def login(self) -> Response:
        """Log in with ``username`` and ``password``: the answer has a token."""
        user_name, password = _texts(_wrapped("user"), "username", "password")
        try:
            caller = self._core.authenticator.password(
                user_name, Secret(password), self._proxies.client(request.environ)
            )
        except errors.NotAuthenticatedError as error:
            raise WrongCredentialsError from error
        return self._with_token(caller)

    def login_by_oauth(self) -> Response:
        """Log an OAuth user in by ``netid``; an unknown one is made, with ``name``.

        The issuer vouches for it by an ``id_token``, or an admin by the credentials of the request.
        """
        members = _wrapped("user", "info")
        net_id = members.get("netid")
        if not isinstance(net_id, str) or not net_id.strip():
            raise BadValueError("Netid cannot be blank.")
        name = members.get("name")
        if name is not None and not isinstance(name, str):
            raise BlankFieldsError(["Name"])
        if members.get("id_token") is not None:
            return self._with_token(self._proofs.by_id_token(net_id, members["id_token"], name))
        admin = self._auth.voucher()
        return self._with_token(Caller(self._oauth_user(admin, net_id, name), admin.client))

    def begin_oauth(self) -> Response:
        """Send a browser to the issuer, when one is configured."""
        return self._proofs.begin()

    def finish_oauth(self) -> Response:
        """Log the user in whom the issuer sends back, with ``code`` and ``state``: the answer has a token."""
        return self._proofs.forget(self._with_token(self._proofs.finish()))

    def change_group(self) -> Response:
        """Put the user ``username`` of the kind ``oauth`` into the group ``permission``. For admins."""
        admin = self._auth.admin()
        members = _wrapped("user")
        group = members.get("permission", members.get("permissoin"))
        if group not in USER_GROUPS:
            raise BadValueError("Invalid New Permission.")
        oauth = members.get("oauth")
        if type(oauth) is not int or oauth not in (0, 1):  # to Python, true and 1.0 are 1 too
            raise BadValueError("Use 0 and 1 for oauth value.")
        (user_name,) = _texts(members, "username")
        try:
            self._core.accounts.update(admin, user_name, {"user_group": group}, 1 if oauth else 0)
        except errors.InvalidParametersError as error:  # what can be nobody's name
            raise errors.UserNotFoundError from error
        return json_answer(200, "success")

    def list_keys(self) -> Response:
        """List the public keys that tokens can be verified with (RFC 7517)."""
        answer = jsonify(keys=self._core.signing_keys.public())
        answer.headers["Cache-Control"] = "public, max-age=300"
        return answer

    def _oauth_user(self, admin: Caller, net_id: str, name: str | None) -> User:
        """Return the OAuth user of exactly that name, who may have to be made."""
        user = self._core.oauth_logins.known(net_id)
        if user is None:
            if name and not name.strip():
                raise BlankFieldsError(["Name"])
            _check_names(net_id, name or "x")
            fields = Changes(name=name) if name else Changes()
            try:
                return self._core.accounts.create(admin, net_id, fields, 1)
            except errors.UserExistsError:  # by a request that came at the same moment
                user = self._core.oauth_logins.known(net_id)
        if user is None or user.disabled:
            raise errors.NotAuthenticatedError
        return user

    def _with_token(self, caller: Caller) -> Response:
        token = self._core.tokens.issue(recognised(caller), request.user_agent.string)
        shown = _shown(caller.user)
        shown["user"]["token"] = token.reveal()
        return json_answer(200, shown)


def _wrapped(*wrappers: str) -> dict[str, Any]:
    """Return the members of the wrapped body; what is not wrapped has none."""
    members = read_members()
    return next((members[name] for name in wrappers if isinstance(members.get(name), dict)), {})


def _texts(members: dict[str, Any], *names: str) -> list[str]:
    """Return the texts of these names. Raises ``BlankFieldsError``; what is no text is as good as none."""
    texts = [members[name] if isinstance(members.get(name), str) else "" for name in names]
    if blank := [name.capitalize() for name, text in zip(names, texts, strict=True) if not text.strip()]:
        raise BlankFieldsError(blank)
    return texts


def _check_names(user_name: str, name: str) -> None:
    """Raise ``BadNameError`` for names that are too long, or a name that is not made of letters as names are."""
    if len(user_name) > _MOST_CHARACTERS or len(name) > _MOST_CHARACTERS:
        raise BadNameError("Username or name is too long")
    categories = [unicodedata.category(character)[0] for character in name]
    if "L" not in categories or any(
        category not in "LM" and character not in " .'-" for character, category in zip(name, categories, strict=True)
    ):
        raise BadNameError("Invalid characters used in name")


def _shown(user: User) -> dict[str, Any]:
    shown = {"username": user.user_name, "name": user.name, "oauth": user.oauth, "user_group": user.user_group}
    return {"user": shown}


def _broken_rules(error: errors.InvalidParametersError) -> Response:
    told = {"user_name": "Username", "password": "Password", "name": "Name"}
    rules = [f"{told.get(name, name)}: {' '.join(rules)}" for name, rules in error.fields.items()]
    return json_answer(422, " ".join(rules))


def _shape(refusal: Refusal) -> Response:
    return json_answer(refusal.status, refusal.detail)


REFUSALS = Refusals(
    _shape,
    {
        BlankFieldsError: lambda error: json_answer(422, f"{', '.join(error.fields)} cannot be blank."),
        BadNameError: lambda error: json_answer(422, str(error)),
        BadValueError: lambda error: json_answer(400, str(error)),
        WrongCredentialsError: lambda _: json_answer(422, "E-mail or password is incorrect"),
        NoIssuerError: lambda _: json_answer(400, "No issuer is configured here."),
        errors.InvalidParametersError: _broken_rules,
        errors.NotAuthenticatedError: lambda _: json_answer(401, "Unauthorized"),
        errors.AccessDeniedError: lambda _: json_answer(403, "Unauthorized"),
        errors.UserExistsError: lambda _: json_answer(422, "Username is already registered"),
        errors.UserNotFoundError: lambda _: json_answer(400, "User does not exist"),
    },
)
