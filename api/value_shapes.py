"""What the core demands of values, as far as JSON Schema can say it; a format of Doorman's own stands for the rest.

Nothing is checked by these: they are for who reads the description of the API, and for tools that do.
"""

from typing import Any

from models.account_rules import B64TOKEN, TOKEN_MIN
from models.events import ID_LENGTH
from models.names import DISPLAY_NAME_MAX, EMAIL_MAX, USER_NAME_MAX
from models.passwords import MAX_BYTES

USER_NAME = {"minLength": 1, "maxLength": USER_NAME_MAX, "format": "user-name"}
NEW_PASSWORD = {"minLength": 8, "maxLength": MAX_BYTES, "format": "new-password"}
NEW_TOKEN = {"minLength": TOKEN_MIN, "maxLength": MAX_BYTES, "pattern": f"^{B64TOKEN.pattern}$"}
DISPLAY_NAME = {"minLength": 1, "maxLength": DISPLAY_NAME_MAX, "format": "display-name"}
EMAIL = {"maxLength": EMAIL_MAX, "format": "email"}
EVENT_ID = {"pattern": f"^[0-9a-f]{{{ID_LENGTH}}}$"}
MOMENT = {"anyOf": [{"format": "date"}, {"format": "date-time"}]}

# In a field's metadata: that its text is JSON, and of which schema.
JSON = "x-json"


def _members(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


_CONDITION = {**_members(_eq={}, _in={"type": "array", "maxItems": 500}), "minProperties": 1, "maxProperties": 1}
# The users that a query of the users class asks for.
ASKED_USERS = _members(id=_CONDITION, username=_CONDITION)
