"""Makes a Doorman that has this folder in its PYTHONPATH crash wherever it is given a secret with "crash" in it.

The secret is in the crash's message, in a local variable and in the crash that led to it, as they are in real ones.
"""

import functools
from collections.abc import Callable
from typing import Any

from models.accounts import Accounts
from models.credentials import Authenticator
from models.form_tokens import FormTokens
from models.id_tokens import IdTokens
from models.oauth_states import OAuthStates
from models.passwords import PasswordPolicy
from models.secret import Secret
from models.sessions import Sessions
from models.tokens import Tokens

WHERE: dict[type, list[str]] = {
    Accounts: ["create", "update"],
    Authenticator: ["basic", "bearer", "password", "foresee_basic", "foresee_bearer"],
    FormTokens: ["is_right"],
    IdTokens: ["verify"],
    OAuthStates: ["finish"],
    PasswordPolicy: ["enforce"],
    Sessions: ["resume"],
    Tokens: ["resume"],
}


def crashing(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def run(*arguments: Any, **named: Any) -> Any:
        given = [*arguments, *named.values()]
        for each in [*given, *(value for one in given if isinstance(one, dict) for value in one.values())]:
            shown = each.reveal() if isinstance(each, Secret) else each
            if isinstance(shown, str) and "crash" in shown:
                try:
                    int(shown)
                except ValueError as error:
                    raise RuntimeError(f"cannot use {shown}") from error
        return method(*arguments, **named)

    return run


for kind, names in WHERE.items():
    for name in names:
        setattr(kind, name, crashing(getattr(kind, name)))
