"""Surface 1, sessions: ``/api/v2/users/<user_name>/sessions``. Each view's docstring is its documentation."""

from flask import Blueprint, Response, jsonify

from api.auth import HeaderAuth
from api.queries import query
from api.schemas import SESSIONS_QUERY, dump_session
from api.v2_requests import enter, named_oauth
from models.core import Core
from models.credentials import Caller
from models.permissions import Action
from models.user import User


class SessionsV2:
    """The routes: for oneself, and for admins. The ids that they show name a session, and open nothing."""

    def __init__(self, core: Core, auth: HeaderAuth) -> None:
        self._core = core
        self._auth = auth

    def blueprint(self) -> Blueprint:
        blueprint = Blueprint("sessions_v2", __name__, url_prefix="/api/v2/users/<user_name>/sessions")
        for path, view, method in (
            ("", self.list_sessions, "GET"),
            ("", self.revoke_sessions, "DELETE"),
            ("/<session_id>", self.read_session, "GET"),
            ("/<session_id>", self.revoke_session, "DELETE"),
        ):
            blueprint.add_url_rule(path, view.__name__, self._auth.login_required(view), methods=[method])
        return blueprint

    def list_sessions(self, user_name: str) -> Response:
        """List the sessions that open a user, the one that began last first: at most 100 of each kind."""
        _, user = self._entered(user_name)
        return jsonify(sessions=[dump_session(session) for session in self._core.sessions.of(user)])

    def read_session(self, user_name: str, session_id: str) -> Response:
        """Show one session."""
        _, user = self._entered(user_name)
        return jsonify(dump_session(self._core.sessions.find(user, session_id)))

    def revoke_session(self, user_name: str, session_id: str) -> Response:
        """End one session."""
        caller, user = self._entered(user_name)
        self._core.sessions.revoke(caller, user, session_id)
        return jsonify({})

    def revoke_sessions(self, user_name: str) -> Response:
        """End all sessions of a user, or with ``except`` all others than that one; ``revoked`` tells how many."""
        caller = enter(self._auth, Action.SESSIONS, user_name, SESSIONS_QUERY)
        asked = query(SESSIONS_QUERY)
        user = self._core.accounts.get(user_name, asked["oauth"], caller=caller)
        return jsonify(revoked=self._core.sessions.revoke_all(caller, user, asked["but"]))

    def _entered(self, user_name: str) -> tuple[Caller, User]:
        caller = enter(self._auth, Action.SESSIONS, user_name)
        return caller, self._core.accounts.get(user_name, named_oauth(), caller=caller)
