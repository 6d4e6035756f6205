"""The shapes of ``/users``: what goes in, wrapped, and what comes out."""

from marshmallow import fields, validate

from api.description.shapes import Shape, group, new_password, text
from api.value_shapes import DISPLAY_NAME, USER_NAME
from models.user import USER_GROUPS

_NAME = USER_NAME | {"maxLength": 70}
_NOT_BLANK = {"pattern": r"\S"}


class NewUser(Shape):
    """A user to be made."""

    username = text("The name to log in with: 1 to 70 characters.", _NAME)
    name = text("What the user is called: letters, marks, spaces and .'-, 1 to 70 characters.", DISPLAY_NAME)
    password = new_password()


class NewUserBody(Shape):
    """A user to be made, wrapped."""

    user = fields.Nested(NewUser, required=True)


class Login(Shape):
    """A user name and its password."""

    username = text("The user's name.", _NOT_BLANK)
    password = text("The user's password.", _NOT_BLANK)


class LoginBody(Shape):
    """A user name and its password, wrapped."""

    user = fields.Nested(Login, required=True)


class OAuthLogin(Shape):
    """An OAuth user."""

    netid = text("The user's name, to the letter.", _NAME)
    name = fields.String(
        metadata={"description": "What a new user is called; a known one keeps its name.", "format": "display-name"},
        allow_none=True,
    )
    id_token = fields.String(
        metadata={"description": "An ID token of the issuer's; without one, an admin vouches."}, allow_none=True
    )


class OAuthLoginBody(Shape):
    """An OAuth user, wrapped."""

    user = fields.Nested(OAuthLogin, required=True)


class OAuthLoginInfo(Shape):
    """The same in the other wrapper."""

    info = fields.Nested(OAuthLogin, required=True)


def new_group() -> fields.String:
    return text("The new group.", validate=validate.OneOf(USER_GROUPS))


class NamedUser(Shape):
    """A user, by its name and kind."""

    username = text("The user's name.", USER_NAME)
    oauth = fields.Integer(
        required=True,
        validate=validate.OneOf((0, 1)),
        metadata={"description": "1 for an OAuth user, 0 for an ordinary one."},
    )


class GroupChange(NamedUser):
    """A user and its new group."""

    permission = new_group()


class MisspeltGroupChange(NamedUser):
    """The same, as the original spells it."""

    permissoin = new_group()


class GroupChangeBody(Shape):
    """A user and its new group, wrapped."""

    user = fields.Nested(GroupChange, required=True)


class MisspeltGroupChangeBody(Shape):
    """The same, as the original spells it."""

    user = fields.Nested(MisspeltGroupChange, required=True)


class TokenUserFields(Shape):
    """A user, as ``/users`` shows it."""

    username = text("The user's name.")
    name = text("What the user is called.", allow_none=True)
    oauth = fields.Integer(required=True, validate=validate.OneOf((0, 1)))
    user_group = group()


class TokenUser(Shape):
    """A user, wrapped."""

    user = fields.Nested(TokenUserFields, required=True)


class LoggedInFields(TokenUserFields):
    """A user with a token."""

    token = text("A JSON Web Token (RFC 7519), signed with one of the keys at /.well-known/jwks.json.")


class LoggedIn(Shape):
    """A user with a token, wrapped."""

    user = fields.Nested(LoggedInFields, required=True)


class PublicKey(Shape):
    """A public key (RFC 7517)."""

    kty = text("The kind of key.", validate=validate.Equal("EC"))
    crv = text("The curve.", validate=validate.Equal("P-256"))
    x = text("A coordinate, base64url.")
    y = text("A coordinate, base64url.")
    kid = text("What tokens name the key by.")
    use = text("What it is for: signatures.", validate=validate.Equal("sig"))
    alg = text("The algorithm.", validate=validate.Equal("ES256"))


class PublicKeys(Shape):
    """A set of public keys (RFC 7517)."""

    keys = fields.List(fields.Nested(PublicKey), required=True)


class CallbackQuery(Shape):
    """What the issuer sends a browser back with."""

    state = text("What the login was begun with.")
    code = fields.String(metadata={"description": "What the issuer gives the user's identity for."})
    iss = fields.String(metadata={"description": "Who the issuer is (RFC 9207)."})
    error = fields.String(metadata={"description": "Why the issuer does not."})
