"""What the collection does, in this order: it makes users of its own, tries every operation, and deletes them again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ADMIN = {"user_name": "{{name}}"}
MIKE = {"username": "{{name}}-noob", "name": "Mike Wazowski", "password": "{{newPassword}}"}
JOE = {"username": "{{plainName}}", "password": "{{newPassword}}"}
JOHN = {"username": "{{name}}@example.com", "password": "{{newPassword}}"}
OTHER = {"password": "{{newPassword}}-changed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One request: an operation of the document, with what differs from the document's example of it.

    ``statuses`` are the right ones; ``saves`` maps variables to where in the answer their values are, in JavaScript.
    """

    operation: str
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    scheme: str | None = None
    statuses: tuple[int, ...] = (200,)
    saves: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


def step(operation: str, **more: Any) -> Step:
    return Step(operation=operation, **more)


def _socket(number: str, john: dict[str, str]) -> list[Step]:
    path = {"instance": "any"} if number else {}
    key = {"userKey": "body.token"}
    return [
        step(f"socket_register{number}", path=path, body=john, saves=key),
        step(f"socket_update{number}", path=path, body=OTHER),
        step(f"socket_login{number}", path=path, body=john | OTHER, saves=key),
        step(f"socket_delete{number}", path=path, scheme="userKeyHeader"),
    ]


def _users_class(number: str, jane: dict[str, str]) -> list[Step]:
    path = {"instance": "any"}
    one = path | {"user_id": "{{userId}}"}
    return [
        step(f"users_class_create_user{number}", path=path, body=jane, statuses=(201,), saves={"userId": "body.id"}),
        step(f"users_class_read_user{number}", path=one),
        step(f"users_class_list_users{number}", path=path, query={"page_size": "10"}),
        step(f"users_class_update_user{number}", path=one, body=OTHER),
        step(f"users_class_login{number}", path=path, body=jane | OTHER),
        step(f"users_class_delete_user{number}", path=one, statuses=(204,)),
    ]


SCENARIO: Mapping[str, list[Step]] = {
    "Health and documents": [
        step("health_live"),
        step("health_ready"),
        step("documents_openapi"),
        step("documents_asyncapi"),
    ],
    "service": [
        step("service_verify"),
        step("service_verify", query={"group": "admin"}, note=", of one group"),
        step("service_show"),
    ],
    "v2: users": [
        step("v2_list_users", query={"limit": "10"}),
        step("v2_create_user", path=ADMIN, body={"password": "{{newPassword}}", "user_group": "admin"}),
        step("v2_create_user", path=ADMIN, statuses=(403,), note=", whose name is taken"),
        step("v2_read_user", path=ADMIN),
        step("v2_update_user", path=ADMIN, body={"name": "Postman"}),
        step("v2_update_user_2", path=ADMIN, body={"email": None}),
        step("v2_refresh_token", path=ADMIN, saves={"token": "body.token"}),
        step("v2_read_user", path=ADMIN, scheme="bearer", note=", by its own token"),
    ],
    "classic": [
        step("classic_create_user", body=JOE),
        step("classic_login", body=JOE, saves={"session": "body.id"}),
        step("classic_logout"),
    ],
    "v2: sessions": [
        step("classic_login", body=JOE, note=", so that there is a session"),
        step("v2_list_sessions", path={"user_name": "{{plainName}}"}, saves={"sessionId": "body.sessions[0].id"}),
        step("v2_read_session", path={"user_name": "{{plainName}}", "session_id": "{{sessionId}}"}),
        step("v2_revoke_session", path={"user_name": "{{plainName}}", "session_id": "{{sessionId}}"}),
        step("v2_revoke_sessions", path={"user_name": "{{plainName}}"}),
    ],
    "v2: the audit trail": [
        step("v2_list_events", query={"limit": "10"}),
        step("v2_list_events", query={"subject": "{{name}}", "kind": "user_created"}, note=", of one user"),
    ],
    "socket": [*_socket("", JOHN), *_socket("_2", JOHN | {"username": "{{name}}-2@example.com"})],
    "users class": [
        *_users_class("", {"username": "{{name}}-jane", "password": "{{newPassword}}"}),
        *_users_class("_2", {"username": "{{name}}-june", "password": "{{newPassword}}"}),
    ],
    "jwt": [
        step("jwt_list_keys"),
        *(
            step(
                f"jwt_create_user_{group}",
                body={"user": MIKE | {"username": f"{{{{name}}}}-{group}"}},
                scheme="basic",
                note=f", {group}",
            )
            for group in ("noob", "manager", "admin")
        ),
        step(
            "jwt_login",
            body={"user": {"username": "{{name}}-admin", "password": "{{newPassword}}"}},
            saves={"jwt": "body.user.token"},
        ),
        step("jwt_change_group", body={"user": {"username": "{{name}}-noob", "oauth": 0, "permission": "manager"}}),
        step("jwt_login_by_oauth", body={"user": {"netid": "{{name}}-oauth", "name": "Hye Young"}}, scheme="basic"),
        step("jwt_begin_oauth", statuses=(303, 400)),
        step("jwt_finish_oauth", query={"state": "nobodys"}, statuses=(400, 401)),
    ],
    "v2: the users of this run are deleted": [
        *(
            step("v2_delete_user", path={"user_name": name})
            for name in ("{{plainName}}", "{{name}}-noob", "{{name}}-manager", "{{name}}-admin", "{{name}}")
        ),
        step("v2_delete_user", path={"user_name": "{{name}}-oauth"}, query={"oauth": "1"}),
        step("v2_read_user", path=ADMIN, statuses=(403,), note=", who is gone"),
    ],
}
