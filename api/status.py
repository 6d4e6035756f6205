"""``GET /api/v2/status``: what is running, and whether its store answers, for admins."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime

from flask import Blueprint, Response, jsonify

from api.auth import HeaderAuth
from api.launch import Launch
from api.schemas import iso_time
from models import permissions
from models.permissions import Action
from models.storage import Store

PATH = "/api/v2/status"


class Status:
    """The route. ``about`` are the members that stay the same for as long as the service runs."""

    def __init__(self, store: Store, auth: HeaderAuth, launch: Launch, about: Mapping[str, object]) -> None:
        self._store = store
        self._auth = auth
        self._launch = launch
        self._about = about

    def blueprint(self) -> Blueprint:
        blueprint = Blueprint("status", __name__)
        blueprint.add_url_rule(PATH, "status", self._auth.login_required(self.show), methods=["GET"])
        return blueprint

    def show(self) -> Response:
        """Show the service. A store that does not answer is a 503, as everywhere: nobody can be let in without it."""
        permissions.require(self._auth.caller(), Action.STATUS)
        began = time.perf_counter()
        self._store.ping()
        answered = round((time.perf_counter() - began) * 1000, 2)
        started_at = self._launch.started_at
        store = {
            "kind": self._store.kind,
            "schema_version": self._store.schema_version,
            "answers": True,
            "answered_in_ms": answered,
        }
        return jsonify(
            **self._about,
            started_at=iso_time(started_at),
            uptime_seconds=int((datetime.now(UTC) - started_at).total_seconds()),
            store=store,
        )
