"""What contracts answer to requests of which the document can say the form, but not what they are about.

There is no such user, a name is taken, no issuer is configured, ``If-Match`` names another state: by their contracts,
these operations answer that with a status that Schemathesis takes for the refusal of a form. So it is told to expect
the status, and a check of our own holds that nothing but this is answered so.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, Response
from schemathesis.core.failures import Failure

Refusals = Mapping[int, str]

_SOCKETS = ("/user-auth", "/v3/instances/{instance}/endpoints/sockets/user-auth")
_CLASSES = ("/v2/instances/{instance}/users", "/v3/instances/{instance}/users")
_ONE = "/api/v2/users/{user_name}"
_USUAL = ("2xx", "3xx", "401", "403", "404", "409", "429", "503")
# What no schema can say of a new password.
_PASSWORD = (
    r"(It is required\.|It may not be one character, repeated\.|It is one of the most common passwords\."
    r"|It may not be the user name\.|An OAuth user has no password\."
    r"|It may have at most 72 bytes in UTF-8 \(the limit of bcrypt\)\.)"
)
_WRONG_KEY: Refusals = {400: r'{"message":"Given credentials are invalid\."}'}  # 000
_TAKEN: Refusals = {400: rf'{{"username":"User already exists\."}}|{{"password":"{_PASSWORD}"}}'}  # 000
_NOT_UNIQUE: Refusals = {
    400: rf'{{"username":\["This field must be unique\."\]}}|{{"password":\["{_PASSWORD}"\]}}'
}  # 000
_REGISTERED: Refusals = {422: rf'"Username is already registered"|"Password: {_PASSWORD}"'}  # 003
_NO_ISSUER: Refusals = {400: r'"No issuer is configured here\."'}  # 003
_REFUSED_FIELD = (
    r'("email":\["It is in use\."\]'
    rf'|"token":\["(It cannot be taken; choose another\.|{_PASSWORD})"\]'
    rf'|"password":\["{_PASSWORD}"\])'
)
_IN_USE: Refusals = {400: rf'{{"invalid_parameters":{{{_REFUSED_FIELD}(,{_REFUSED_FIELD})*}}}}'}  # 004
_STATE: Refusals = {412: r".*The user is not in the state that If-Match names\..*"}  # 004

# By operation: the statuses that a good request may be answered, and the whole answers.
REFUSALS: Mapping[str, Refusals] = {
    **{f"POST {at}/login": _WRONG_KEY for at in _SOCKETS},
    **{f"POST {at}/{route}": _TAKEN for at in _SOCKETS for route in ("register", "update")},
    **{f"POST {at}": _NOT_UNIQUE for at in _CLASSES},
    **{f"PATCH {at}/{{user_id}}": _NOT_UNIQUE for at in _CLASSES},
    "POST /users/login": {422: '"E-mail or password is incorrect"'},
    **{f"POST /users/{group}": _REGISTERED for group in ("noob", "manager", "admin")},
    "POST /users/permission": {400: '"User does not exist"'},
    "POST /users/login/oauth": {
        **_NO_ISSUER,
        422: '"(Username or name is too long|Invalid characters used in name|Name cannot be blank[.])"',
    },
    "POST /createuser.json": {400: rf'{{"error":"Invalid password","detail":"{_PASSWORD}"}}'},
    "GET /users/login/oauth": _NO_ISSUER,
    "GET /users/login/oauth/callback": _NO_ISSUER,
    f"POST {_ONE}": _IN_USE,
    f"PUT {_ONE}/update": {**_IN_USE, **_STATE},
    f"PATCH {_ONE}/update": {**_IN_USE, **_STATE},
    f"DELETE {_ONE}": _STATE,
}


class RefusedBeyondContractError(Failure):
    """A good request was refused, and not for what its contract names."""


def configuration() -> str:
    """Return the configuration of Schemathesis (TOML): what it is to expect beside what it does anyway."""
    return "\n".join(_configured())


def _configured() -> Iterator[str]:
    # What is deleted there are the sessions; their list is the user's, and stays.
    yield f'[[operations]]\ninclude-name = "GET {_ONE}/sessions"\nchecks.use_after_free.enabled = false\n'
    for name, refusals in REFUSALS.items():
        expected = json.dumps([*_USUAL, *map(str, refusals)])
        yield f"[[operations]]\ninclude-name = {json.dumps(name)}"
        yield f"checks.positive_data_acceptance.expected-statuses = {expected}\n"


def register() -> None:
    """Have Schemathesis hold this too."""
    schemathesis.check(refused_by_contract_alone)


def refused_by_contract_alone(_: CheckContext, response: Response, case: "Case[Any]") -> bool | None:
    """Hold that a good request is refused with the contract's own answer, if at all."""
    refusals = REFUSALS.get(case.operation.label, {})
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code not in refusals:
        return None
    if not re.fullmatch(refusals[response.status_code], response.text.strip()):
        raise RefusedBeyondContractError(
            operation=case.operation.label, title="Refused, but not as the contract has it", message=response.text
        )
    return None
