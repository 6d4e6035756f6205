"""Values that a caller names, and what it is told by a refusal: that somebody else has them."""

from collections.abc import Iterator
from contextlib import contextmanager

from models.account_rules import Changes
from models.credentials import Caller
from models.errors import EmailInUseError, InvalidParametersError, TokenInUseError, UserExistsError
from models.login_limiter import LoginLimiter


class ToldValues:
    """Turns the store's word that a value is another's into the field's rule; it does not say whose.

    Whoever is told something by that has failed to log in, and has to wait as long.
    """

    def __init__(self, limiter: LoginLimiter) -> None:
        self._limiter = limiter

    @contextmanager
    def named(self, caller: Caller | None, changes: Changes) -> Iterator[None]:
        """Let ``caller`` name the values of ``changes`` inside. Raises ``InvalidParametersError``."""
        guesser = caller if caller is not None and _tells_something(caller, changes) else None
        if guesser is not None:
            self._limiter.admit(guesser.client, f"id {guesser.user.id}", is_vouched=True)
        try:
            yield
        except EmailInUseError as error:
            raise InvalidParametersError({"email": ["It is in use."]}) from error
        except (TokenInUseError, UserExistsError) as error:
            if guesser is not None:
                self._limiter.failed(guesser.client, f"id {guesser.user.id}", is_vouched=True)
            if isinstance(error, UserExistsError):
                raise
            raise InvalidParametersError({"token": ["It cannot be taken; choose another."]}) from error


def _tells_something(caller: Caller, changes: Changes) -> bool:
    """Tell whether a refusal tells a credential (the token is another's), or that there is a user (the name is)."""
    return "token" in changes or ("user_name" in changes and caller.user.user_group != "admin")
