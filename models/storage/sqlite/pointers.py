"""Where the pointers of a SQLite database, and the users that they lead to, do not agree."""

from collections.abc import Iterator

from models.findings import Tally

_LOST_EMAILS = """
SELECT users.id FROM users LEFT JOIN emails ON emails.email_key = users.email_key
WHERE users.email_key IS NOT NULL AND emails.user_id IS NOT users.id
"""
_STALE_EMAILS = """
SELECT emails.user_id FROM emails LEFT JOIN users ON users.id = emails.user_id
WHERE users.email_key IS NOT emails.email_key
"""
# What is no list has been told of already, as a user that is not as Doorman writes users.
_DIGESTS = "json_each(iif(json_valid(token_digests) AND json_type(token_digests) = 'array', token_digests, '[]'))"
_LOST_TOKENS = f"""
SELECT users.id FROM users, {_DIGESTS} AS held LEFT JOIN tokens ON tokens.digest = held.value
WHERE tokens.user_id IS NOT users.id
"""
_STALE_TOKENS = f"""
SELECT tokens.user_id FROM tokens LEFT JOIN users ON users.id = tokens.user_id
WHERE users.id IS NULL OR NOT EXISTS (SELECT 1 FROM {_DIGESTS} AS held WHERE held.value = tokens.digest)
"""


def tallies() -> Iterator[tuple[Tally, str]]:
    """Yield what is to be counted, and the query that finds it: the ids of users, one a row."""
    remedy = "Another program has changed users: set the user's {0} anew, which mends it."
    free = "Nobody gets in by them, and Doorman takes one away when somebody else asks for what it holds."
    yield (
        Tally(
            "lost_emails",
            "warning",
            "Users whose e-mail address leads to nobody, or to another user.",
            remedy.format("e-mail address"),
        ),
        _LOST_EMAILS,
    )
    yield (
        Tally("stale_emails", "warning", "Pointers of e-mail addresses lead to users who do not have them.", free),
        _STALE_EMAILS,
    )
    yield (
        Tally(
            "lost_tokens",
            "warning",
            "Users whose API token leads to nobody, or to another user.",
            remedy.format("token"),
        ),
        _LOST_TOKENS,
    )
    yield (
        Tally("stale_tokens", "warning", "Pointers of API tokens lead to users who do not have them.", free),
        _STALE_TOKENS,
    )
