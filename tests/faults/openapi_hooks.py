"""What Schemathesis is taught of Doorman (``SCHEMATHESIS_HOOKS``): who calls, what is a good name, what may be refused.

``CALLER`` in its environment is a group, or empty for nobody; the rest of it names the store, as for the server.
"""

import os
from typing import Any
from urllib.parse import quote

import schemathesis
from schemathesis import AuthContext, Case, HookContext

from api.serving import HEADER_BYTES
from api.settings import Settings
from app import create_core
from tests.faults import openapi_contracts, openapi_strategies
from tests.faults.openapi_callers import KeptUser, Presented
from tests.running import SOURCES

_OF_TEXTS = ("minLength", "maxLength", "pattern", "format")

openapi_strategies.register()
openapi_contracts.register()


if group := os.environ.get("CALLER"):
    kept = KeptUser(create_core(Settings.from_env(os.environ), with_first_admin=False), group)

    @schemathesis.auth(refresh_interval=None)
    class Caller:
        """Presents a credential that the operation takes, another kind at each call."""

        def get(self, case: "Case[Any]", _: AuthContext) -> Presented | None:
            wanted: list[dict[str, Any]] = case.operation.definition.raw.get("security", [])
            schemes = tuple(scheme for one in wanted for scheme in one)
            return kept.presented(schemes) if schemes else None

        def set(self, case: "Case[Any]", data: Presented, _: AuthContext) -> None:
            where, name, value = data
            container = getattr(case, where)
            container[name] = value


@schemathesis.hook
def before_load_schema(_: HookContext, schema: dict[str, Any]) -> None:
    """Part texts from null: Schemathesis has null break a format, which is about texts alone (JSON Schema)."""
    part_null(schema)


def part_null(schema: object) -> None:
    """Have each text with a format that may be null be a text or null, which means the same."""
    if isinstance(schema, list):
        for one in schema:
            part_null(one)
    elif isinstance(schema, dict):
        for one in schema.values():
            part_null(one)
        if "format" in schema and schema.get("type") == ["string", "null"]:
            text = {name: schema.pop(name) for name in _OF_TEXTS if name in schema}
            del schema["type"]
            schema["anyOf"] = [{"type": "string", **text}, {"type": "null"}]


@schemathesis.hook
def filter_case(_: HookContext, case: "Case[Any]") -> bool:
    """Leave out what is longer than the server reads, whose answer has no body (test_server_http.py)."""
    head = (case.path_parameters, case.query, case.headers, case.cookies)
    return sum(len(quote(str(part))) for part in head) < HEADER_BYTES


@schemathesis.hook
def before_call(_: HookContext, case: "Case[Any]", __: dict[str, Any]) -> None:
    """Have each call come from an address of its own, which limits on failed logins and registrations count by."""
    case.headers["X-Forwarded-For"] = next(SOURCES)
