"""The actions of the WebSocket, described."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import Schema, fields, validate

from api.description.shapes import Shape, Success, group, moment, text
from api.websocket_actions import UserConversation


class NewData(Shape):
    """Whom to register."""

    username = text("The name to log in with.")
    email = text("An e-mail address that nobody else has.")
    password = text("8 code points to 72 bytes of UTF-8, not a common one.")


class NewAnswer(Shape):
    """Who was registered."""

    user_id = text("The user's id.")
    username = text("The name.")
    email = text("The e-mail address.")


class LoginData(Shape):
    """Whom to log in."""

    username = text("The user's name.")
    password = text("The user's password.")


class LoginAnswer(Shape):
    """A token; and the connection is the user's from now on."""

    token = text("A JSON Web Token (RFC 7519).")


class TokenData(Shape):
    """Who asks, if it is not whose login was made on the connection."""

    token = fields.String(metadata={"description": "A JSON Web Token."})


class DetailsData(TokenData):
    """Whom it is about: one of the two."""

    user_id = fields.String(metadata={"description": "The user's id; it wins over the name."})
    username = fields.String(metadata={"description": "The user's name."})


class DetailsAnswer(Shape):
    """What is public of a user."""

    user_id = text("The user's id.")
    username = text("The user's name.")
    created_at = moment("When the user was made.")
    email = fields.String(metadata={"description": "To the user itself and to admins."}, allow_none=True)


class MeAnswer(Shape):
    """All about the caller."""

    user_id = text("The user's id.")
    username = text("The user's name.")
    email = text("The e-mail address.", allow_none=True)
    name = text("What the user is called.", allow_none=True)
    user_group = group()
    created_at = moment("When the user was made.")
    updated_at = moment("When it was last changed.")


class ErrorAnswer(Shape):
    """What is wrong. None of these ends the connection."""

    action = fields.String(metadata={"description": "The request's, if it had one."})
    error = text("invalid_data, user_exists, email_exists, or a sentence.")
    data = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String()),
        metadata={"description": "With invalid_data: the rules that each field breaks."},
    )
    retry_after = fields.Integer(
        validate=validate.Range(min=1), metadata={"description": "In how many seconds to come again."}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """The ``data`` of a request, and of its answer; ``answers_as`` is the action that the answer names, if another."""

    data: type[Schema] | None = None
    answer: type[Schema] | None = None
    answers_as: str | None = None
    example: Mapping[str, Any] | None = None


ACTIONS: Mapping[Callable[..., Any], Action] = {
    UserConversation.ping: Action(answers_as="pong"),
    UserConversation.new: Action(
        data=NewData,
        answer=NewAnswer,
        example={"username": "joe", "email": "joe@example.com", "password": "a fine long password"},
    ),
    UserConversation.log_in: Action(
        data=LoginData, answer=LoginAnswer, example={"username": "joe", "password": "a fine long password"}
    ),
    UserConversation.log_out: Action(data=TokenData, answer=Success, example={}),
    UserConversation.me: Action(data=TokenData, answer=MeAnswer, example={}),
    UserConversation.details: Action(data=DetailsData, answer=DetailsAnswer, example={"username": "joe"}),
}
