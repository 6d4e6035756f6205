"""Forms: reading what a browser sends of one, and what is to be said about it when it is shown again."""

from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

from flask import Response, request
from marshmallow import validate

from api.refusals import REFUSALS, MissingParametersError, noted
from api.schemas import Text, UserQuery
from models import errors
from models.secret import Secret
from models.user import USER_GROUPS, User, UserGroup

TOKEN_FIELD = "form_token"  # noqa: S105 - a field's name
_MOST_FIELDS = 20
_STALE = "Somebody has changed this user since you opened the page. Nothing was saved: this is how it is now."

Fields = Mapping[str, str]


class UsersQuery(UserQuery):
    """The query of the list of users, as its form sends it: with every field, filled in or not."""

    prefix = Text(load_default="")
    user_group = Text(load_default="", validate=validate.OneOf(["", *USER_GROUPS], error="It must be a group."))
    after = Text(load_default=None)
    before = Text(load_default=None)


USERS_QUERY = UsersQuery()


class StaleFormError(errors.DoormanError):
    """The form does not come from a page that was shown to this session."""


class WrongOwnPasswordError(errors.DoormanError):
    """What was given as the admin's own password is not it."""


def read_fields() -> Fields:
    """Return the fields of the form that was sent. Raises ``MissingParametersError``."""
    if request.mimetype != "application/x-www-form-urlencoded":
        raise MissingParametersError("What was sent is no form.")
    try:
        text = request.get_data().decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise MissingParametersError("The form cannot be read.") from error
    if len(dict(pairs)) < len(pairs):
        raise MissingParametersError("The form has a field twice.")
    return dict(pairs)


class Form:
    """The fields of one form, and what is wrong with them: ``errors`` by field, and ``problem`` with all of it."""

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self.errors: Mapping[str, list[str]] = {}
        self.problem: str | None = None
        self.status = 200
        self.headers: Mapping[str, str] = {}
        self.is_stale = False

    def __getitem__(self, name: str) -> str:
        return self._fields.get(name, "")

    def secret(self, name: str) -> Secret:
        return Secret(self[name])

    def optional(self, name: str) -> str | None:
        """Return what was filled in, without spaces around it, or ``None``."""
        return self[name].strip() or None

    def group(self) -> UserGroup:
        """Return the group that was chosen. Raises ``InvalidParametersError``."""
        for group in USER_GROUPS:
            if self["user_group"] == group:
                return group
        raise errors.InvalidParametersError({"user_group": ["Choose one."]})

    def is_about(self, user: User) -> bool:
        """Tell whether the user is still as it was when the form was shown."""
        return self["revision"] == str(user.revision)

    def attempt(self, change: Callable[[], Response]) -> Response | None:
        """Return the answer of ``change``, or nothing: then what was refused is noted, to be said of the form."""
        try:
            return noted(change)
        except errors.InvalidParametersError as error:
            self.errors, self.status = error.fields, 400
        except errors.UserExistsError:
            self.errors, self.status = {"user_name": ["A user of this name exists."]}, 409
        except WrongOwnPasswordError:
            self.errors, self.status = {"own_password": ["It is not your password."]}, 403
        except errors.PreconditionFailedError:
            self.problem, self.status, self.is_stale = _STALE, 412, True
        except errors.LastAdminError as error:
            refusal = REFUSALS[errors.LastAdminError](error)
            self.problem, self.status = refusal.detail, refusal.status
        except errors.TooManyAttemptsError as error:
            self.problem, self.status = f"Logins from here have failed. Try again in {error.retry_after} s.", 429
            self.headers = {"Retry-After": str(error.retry_after)}
        return None
