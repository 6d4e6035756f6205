"""What can go wrong, in the domain's own words.

Each error carries data; none knows a status or a sentence for a client. ``api.refusals`` has the one table that
turns them into answers.
"""

from collections.abc import Mapping, Sequence


class DoormanError(Exception):
    """The root of everything that the core raises on purpose."""


class InvalidParametersError(DoormanError):
    """Values that break a rule. ``fields`` maps each field's name to the rules it broke, one sentence each."""

    def __init__(self, fields: Mapping[str, Sequence[str]]) -> None:
        super().__init__(", ".join(sorted(fields)))
        self.fields = {name: list(rules) for name, rules in fields.items()}


class BrokenRuleError(DoormanError):
    """One value breaks one rule; the message is the rule, in a sentence that may be shown to whoever sent the value."""


class UserExistsError(DoormanError):
    """Another user has this ``(name_key, oauth)``."""


class UserNotFoundError(DoormanError):
    """No user has this name, or this id."""


class EmailInUseError(DoormanError):
    """Another user has this mapped e-mail address."""


class TokenInUseError(DoormanError):
    """Another user has this API token."""


class RevisionMismatchError(DoormanError):
    """The user was changed or deleted after it was read: the compare-and-set found another revision."""


class PreconditionFailedError(DoormanError):
    """The caller's ``If-Match`` names another revision than the user's."""


class LastAdminError(DoormanError):
    """The change would leave the store without an enabled admin who has a password."""


class AccessDeniedError(DoormanError):
    """The caller may not do this, whether or not its object exists."""


class NotAuthenticatedError(DoormanError):
    """No credential was given, or it is not one that opens this door."""


class UnknownUserError(NotAuthenticatedError):
    """No user of this name can log in by password. Most surfaces say no more than of a wrong password."""


class SessionNotFoundError(DoormanError):
    """The user has no session of this id."""


class RegistrationClosedError(DoormanError):
    """Only admins make accounts here."""


class TooManyRegistrationsError(DoormanError):
    """So many have registered at this address that the next one has to wait ``retry_after`` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


class TooManyChangesError(DoormanError):
    """So often has this user changed itself that the next change has to wait ``retry_after`` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


class TooManyAttemptsError(DoormanError):
    """Failed logins slow this one down: it was not looked at. ``retry_after`` is in whole seconds, 1 or more."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


class RecordExistsError(DoormanError):
    """An expiring record of this kind and id is there already, and not overdue."""


class UnavailableError(DoormanError):
    """Something that the answer needs (the store, a free thread) cannot be had now; ``retry_after`` is in seconds."""

    def __init__(self, reason: str, retry_after: int = 1) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class CorruptRecordError(DoormanError):
    """What the store holds for this user is not what Doorman writes; ``record_id`` is its id as text."""

    def __init__(self, record_id: str) -> None:
        super().__init__(record_id)
        self.record_id = record_id


class SetupError(DoormanError):
    """Doorman cannot start like this. The message is for the operator: what is wrong, and how to mend it."""
