"""What a caller of a store must keep to, whichever store it is."""

from models.user import User

# How many users one ``insert`` should carry at the most: 500 keep SQLite's other writers waiting for 30 to 60 ms, and
# the promise is that nobody does so for over 50.
INSERT_BATCH = 200


def require_first_admin(user: User) -> None:
    if not user.is_guarding_admin:
        raise ValueError("the first admin must be an enabled ordinary admin with a password")


def require_same_identity(before: User, after: User) -> None:
    if (before.id, before.oauth) != (after.id, after.oauth):
        raise ValueError("a user's id and kind never change")
