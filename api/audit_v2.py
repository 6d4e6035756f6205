"""Surface 1, the audit trail: ``/api/v2/audit``, for admins."""

from urllib.parse import urlencode

from flask import Blueprint, Response, jsonify, request

from api.audit_queries import AUDIT_QUERY, dump_event, event_filter
from api.auth import HeaderAuth
from api.queries import query
from models import permissions
from models.core import Core
from models.permissions import Action

PATH = "/api/v2/audit"


class AuditV2:
    """The route. Nothing here, or anywhere, changes or removes an event."""

    def __init__(self, core: Core, auth: HeaderAuth) -> None:
        self._core = core
        self._auth = auth

    def blueprint(self) -> Blueprint:
        blueprint = Blueprint("audit_v2", __name__)
        blueprint.add_url_rule(PATH, "list_events", self._auth.login_required(self.list_events), methods=["GET"])
        return blueprint

    def list_events(self) -> Response:
        """List security events, the newest first: a page, whose ``Link`` leads to the next one."""
        permissions.require(self._auth.caller(), Action.AUDIT)
        asked = query(AUDIT_QUERY)
        limit = asked.pop("limit")
        page = self._core.audit.page(event_filter(asked), limit)
        answer = jsonify(events=[dump_event(event) for event in page.events])
        if page.next_after is not None:
            following = urlencode({**request.args, "after": page.next_after})
            answer.headers["Link"] = f'<{PATH}?{following}>; rel="next"'
        return answer
