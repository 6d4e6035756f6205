"""Surface 2, the socket ``user-auth``: register, login, update and delete, as @syncano/client calls them."""

from flask import Blueprint, Response, request

from api.answers import json_answer
from api.exchanges import recognised
from api.json_body import read_members
from api.proxies import TrustedProxies
from api.refusals import Refusal, Refusals, WrongCredentialsError
from api.routes import add_route, make_surface
from api.schemas import broken_fields, load_changed_credentials, load_credentials
from models import errors, names
from models.accounts import UserId
from models.clients import Client
from models.core import Core
from models.credentials import Caller
from models.secret import Secret
from models.sessions import USER_KEY

_PATHS = ("/user-auth", "/v3/instances/<instance>/endpoints/sockets/user-auth")


class NoEmailError(errors.DoormanError):
    """The user name is no e-mail address."""


class UserAuth:
    """The endpoints, under the short path and the client's own long one, whatever the instance is called."""

    def __init__(self, core: Core, proxies: TrustedProxies) -> None:
        self._core = core
        self._proxies = proxies

    def blueprint(self) -> Blueprint:
        blueprint = make_surface("user_auth", REFUSALS)
        for path in _PATHS:
            for view in (self.register, self.login, self.update, self.delete):
                add_route(blueprint, f"{path}/{view.__name__}/", POST=view)
        return blueprint

    def register(self) -> Response:
        """Register: ``username``, an e-mail address, and ``password``; the ``token`` is a user key, as of a login."""
        self._core.registrations.require_open()
        members = read_members()
        if not _is_email(members.get("username")):
            raise NoEmailError
        user_name, password = load_credentials(members)
        return self._logged_in(self._core.registrations.register(self._client(), user_name, password))

    def login(self) -> Response:
        """Log in with ``username`` and ``password``. The ``token`` is a new user key; those from before stay valid."""
        user_name, password = load_credentials(read_members())
        try:
            return self._logged_in(self._core.authenticator.password(user_name, password, self._client()))
        except errors.NotAuthenticatedError as error:
            raise WrongCredentialsError from error

    def update(self) -> Response:
        """Change the ``username``, the ``password`` or both of whoever the user key belongs to."""
        caller = self._caller()
        changes = load_changed_credentials(read_members())
        user_name = changes.get("user_name")
        if user_name is not None and user_name != caller.user.user_name:
            self._core.registrations.require_open()  # else admins give the names, too
            if not _is_email(user_name):
                raise NoEmailError
        self._core.accounts.update(caller, UserId(caller.user.id), changes)
        return json_answer(200, {"msg": f"User with ID {caller.user.id} has been updated!"})

    def delete(self) -> Response:
        """Delete whoever the user key belongs to."""
        caller = self._caller()
        self._core.accounts.delete(caller, UserId(caller.user.id))
        return json_answer(200, {"msg": f"User with ID {caller.user.id} has been deleted!"})

    def _logged_in(self, caller: Caller) -> Response:
        key, _ = self._core.sessions.begin(recognised(caller), USER_KEY, request.user_agent.string)
        return json_answer(200, {"id": caller.user.id, "username": caller.user.user_name, "token": key.reveal()})

    def _caller(self) -> Caller:
        """Return whose user key the request has. Raises ``NotAuthenticatedError``.

        The client sends the key as a parameter, twice; two different ones are nobody's.
        """
        presented = {*request.args.getlist("user_key"), *request.headers.getlist("X-USER-KEY")}
        if len(presented) != 1:
            raise errors.NotAuthenticatedError
        return recognised(self._core.sessions.resume(USER_KEY, Secret(presented.pop()), self._client()))

    def _client(self) -> Client:
        return self._proxies.client(request.environ)


def _is_email(user_name: object) -> bool:
    if not isinstance(user_name, str):
        return False
    try:
        names.email_address(user_name)
        names.user_name(user_name)
    except errors.BrokenRuleError:
        return False
    return True


def _broken_rules(error: errors.InvalidParametersError) -> Response:
    return json_answer(400, {name: " ".join(rules) for name, rules in broken_fields(error).items()})


def _shape(refusal: Refusal) -> Response:
    return json_answer(refusal.status, {"message": refusal.detail})


REFUSALS = Refusals(
    _shape,
    {
        NoEmailError: lambda _: json_answer(400, {"username": "Given email is invalid."}),
        WrongCredentialsError: lambda _: json_answer(400, {"message": "Given credentials are invalid."}),
        errors.InvalidParametersError: _broken_rules,
        errors.NotAuthenticatedError: lambda _: json_answer(401, "Unauthorised"),
        errors.UserNotFoundError: lambda _: json_answer(401, "Unauthorised"),  # deleted since it was recognised
        errors.UserExistsError: lambda _: json_answer(400, {"username": "User already exists."}),
    },
)
