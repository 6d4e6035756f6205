"""The shapes of the socket and of the users class."""

from marshmallow import fields, validate

from api.description.shapes import Shape, moment, new_password, text
from api.value_shapes import EMAIL, NEW_PASSWORD, USER_NAME
from models.user import USER_GROUPS


class SocketRegistration(Shape):
    """What one registers with; other members mean nothing."""

    username = text("An e-mail address.", EMAIL)
    password = new_password()


class ChangedSocketCredentials(Shape):
    """What a user changes of itself, one member at least."""

    username = fields.String(metadata={"description": "An e-mail address, if it is a new one.", **EMAIL})
    password = fields.String(metadata={"description": "A new password.", **NEW_PASSWORD})


class NewClassUser(Shape):
    """A user to be made."""

    username = text("The name to log in with.", USER_NAME)
    password = new_password()


class ChangedClassUser(Shape):
    """What is changed of a user, one member at least."""

    username = fields.String(metadata={"description": "The name to log in with.", **USER_NAME})
    password = fields.String(metadata={"description": "A new password.", **NEW_PASSWORD})


class Message(Shape):
    """What is wrong, in a sentence."""

    message = text("What is wrong.")


class Detail(Shape):
    """What is wrong, in a sentence."""

    detail = text("What is wrong.")


class KeyedUser(Shape):
    """A user that has logged in."""

    id = text("The user's id.")
    username = text("The user's name.")
    token = text("A user key: 40 hex digits.")


class Done(Shape):
    """What has been done."""

    msg = text("What has been done, in a sentence.")


class ClassUser(Shape):
    """A user, as the users class shows it."""

    id = text("The user's id.")
    username = text("The user's name.")
    created_at = moment("When the user was made.")
    updated_at = moment("When it was last changed.")
    groups = fields.List(fields.String(validate=validate.OneOf(USER_GROUPS)), required=True)


class ClassUserWithKey(ClassUser):
    """A user that was made, or has logged in."""

    user_key = text("A new user key: 40 hex digits.")


class ClassUsers(Shape):
    """A page of users."""

    next = text("The path and query of the next page, if there is one.", allow_none=True)
    prev = text("Always null: pages lead forward.", allow_none=True)
    objects = fields.List(fields.Nested(ClassUser), required=True)
