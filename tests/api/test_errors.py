"""The one table of errors: every error of the core has its answer, and each answer its shape."""

import logging

import pytest

from api.logs import Rarely
from api.refusals import REFUSALS
from models import errors
from tests.api.conftest import Api
from tests.databases import ADMIN_TOKEN

# What never gets to a client: the rule of one value becomes a field's; the stores' words become the core's; the rest is
# for the operator at start.
INTERNAL = {
    errors.DoormanError,
    errors.BrokenRuleError,
    errors.EmailInUseError,
    errors.TokenInUseError,
    errors.RevisionMismatchError,
    errors.RecordExistsError,
    errors.SetupError,
}
EXAMPLES = [
    (errors.InvalidParametersError({"name": ["A rule."]}), 400, {"invalid_parameters": {"name": ["A rule."]}}),
    (errors.NotAuthenticatedError(), 401, None),
    (errors.UnknownUserError(), 401, None),
    (errors.AccessDeniedError(), 403, {"access_allowed": False}),
    (errors.UserExistsError(), 403, {"user_exists": True}),
    (errors.UserNotFoundError(), 403, {"user_exists": False}),
    (errors.LastAdminError(), 409, None),
    (errors.PreconditionFailedError(), 412, None),
    (errors.TooManyAttemptsError(7), 429, None),
    (errors.TooManyRegistrationsError(7), 429, None),
    (errors.TooManyChangesError(7), 429, None),
    (errors.RegistrationClosedError(), 403, None),
    (errors.SessionNotFoundError(), 404, None),
    (errors.CorruptRecordError("canary-id"), 500, None),
    (errors.UnavailableError("canary-reason", retry_after=7), 503, None),
]


def test_every_error_of_the_core_has_an_answer() -> None:
    """Whatever the core may raise is in the table, or is known to stay inside."""
    raised = {
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.DoormanError)
    }
    assert raised - INTERNAL == {type(error) for error, _, _ in EXAMPLES}
    assert raised - INTERNAL <= REFUSALS.keys()


@pytest.mark.parametrize(("error", "status", "body"), EXAMPLES)
def test_each_answer(sqlite_api: Api, error: errors.DoormanError, status: int, body: dict[str, object] | None) -> None:
    """An error that leaves a view is answered as the contract has it, or as problem details that leak nothing."""

    def view() -> str:
        raise error

    sqlite_api.app.add_url_rule("/raises", view_func=view)
    answer = sqlite_api.call("GET", "/raises", None)
    assert answer.status_code == status
    assert answer.headers["Cache-Control"] == "no-store"
    if body is not None:
        assert (answer.content_type, answer.get_json()) == ("application/json", body)
    else:
        assert answer.content_type == "application/problem+json"
        assert answer.get_json().keys() == {"type", "title", "status", "detail"}
        assert "canary" not in answer.text
    assert answer.headers.get("Retry-After") == ("7" if status in {429, 503} else None)


SURFACES = {
    "classic": ("/login.json", "error"),
    "socket": ("/v3/instances/i/endpoints/sockets/user-auth/login/", "message"),
    "users class": ("/v2/instances/i/users/auth/", "detail"),
    "jwt": ("/users/login", ""),  # whose errors are a JSON string
}
# What differs from the status that the table has.
OWN: dict[tuple[str, type[Exception]], tuple[int, dict[str, object]]] = {
    ("classic", errors.UserExistsError): (409, {"error": "User already exists"}),
    ("classic", errors.UnknownUserError): (409, {"error": "User does not exist"}),
    ("classic", errors.NotAuthenticatedError): (401, {"error": "Invalid password"}),
    ("classic", errors.InvalidParametersError): (400, {"error": "name: A rule."}),
    ("socket", errors.UserExistsError): (400, {"username": "User already exists."}),
    ("socket", errors.UnknownUserError): (400, {"message": "Given credentials are invalid."}),
    ("socket", errors.NotAuthenticatedError): (400, {"message": "Given credentials are invalid."}),
    ("socket", errors.UserNotFoundError): (401, {}),
    ("socket", errors.InvalidParametersError): (400, {"name": "A rule."}),
    ("users class", errors.UserExistsError): (400, {"username": ["This field must be unique."]}),
    ("users class", errors.UnknownUserError): (401, {"detail": "Invalid username or password."}),
    ("users class", errors.NotAuthenticatedError): (401, {"detail": "Invalid username or password."}),
    ("users class", errors.UserNotFoundError): (404, {"detail": "Not found."}),
    ("users class", errors.InvalidParametersError): (400, {"name": ["A rule."]}),
    ("jwt", errors.UserExistsError): (422, {}),
    ("jwt", errors.UnknownUserError): (422, {}),
    ("jwt", errors.NotAuthenticatedError): (422, {}),
    ("jwt", errors.UserNotFoundError): (400, {}),
    ("jwt", errors.InvalidParametersError): (422, {}),
}


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("error", [*(error for error, _, _ in EXAMPLES), RuntimeError("canary-crash")], ids=repr)
def test_each_surface_answers_each_error_in_its_shape(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch, surface: str, error: Exception
) -> None:
    """Whatever the core raises has the contract's answer, or a sentence in the surface's shape, and leaks nothing."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(sqlite_api.core.authenticator, "password", fail)
    sqlite_api.is_described = False  # a login raises few of these
    path, member = SURFACES[surface]
    body = {"username": "joe", "password": "supersecure"}
    answer = sqlite_api.ask(path, body | {"user": body}, headers={"X-Api-Key": ADMIN_TOKEN})
    told = REFUSALS[type(error)](error) if isinstance(error, errors.DoormanError) else None
    status, expected = OWN.get((surface, type(error)), (told.status if told else 500, {}))
    assert (answer.status_code, answer.content_type) == (status, "application/json")
    if expected:
        assert answer.get_json() == expected
    elif surface == "jwt":
        assert isinstance(answer.get_json(), str)
    elif answer.get_json() != "Unauthorised":
        assert answer.get_json().keys() == {member}
    assert "canary" not in answer.text
    assert answer.headers.get("Retry-After") == ("7" if status in {429, 503} else None)
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_flood_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Of a thousand warnings of a kind within seconds one is logged, and the next line says how many there were."""
    warnings = Rarely(logging.getLogger("test"), seconds=3600)
    for _ in range(1000):
        warnings.warning("It happened")
    assert [record.getMessage() for record in caplog.records] == ["It happened"]
    warnings._silent_until = 0.0
    warnings.warning("It happened")
    assert caplog.records[-1].getMessage() == "It happened (and 999 times the like before)"
