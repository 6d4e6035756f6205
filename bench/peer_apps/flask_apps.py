"""Flask under Doorman's own server and adapter: one look-up without authentication, and what most people would write.

``python -m bench.peer_apps.flask_apps bare|naive`` serves one of them, with the settings of ``doorman serve``: that
many workers and threads, and the same bounds.
"""

import os
import sys
from typing import Any

import bcrypt
from flask import Flask, Response, abort, jsonify
from flask_httpauth import HTTPBasicAuth
from pymongo import MongoClient
from pymongo.collection import Collection

from api.guards import MAX_BODY_BYTES
from api.limits import Limits
from api.server import AsgiApplication
from api.serving import serve

Users = Collection[dict[str, Any]]


class Peer(Flask):
    """A Flask application that owns its client, as the adapter wants it."""

    conversations = None

    def __init__(self) -> None:
        super().__init__("peer", static_folder=None)
        self.threads = int(os.environ["BENCH_THREADS"])
        self.client = MongoClient[dict[str, Any]](os.environ["BENCH_MONGODB"])
        self.users: Users = self.client[os.environ["BENCH_DATABASE"]]["users"]

    def foresee(self, _: dict[str, Any]) -> bool:
        """Know nothing of what a request needs, as a plain application does."""
        return False

    def read_ahead(self) -> None:
        """Read nothing."""

    def close(self) -> None:
        self.client.close()


def build_bare() -> Peer:
    app = Peer()

    @app.get("/users/<user_name>")
    def read_user(user_name: str) -> Response:
        return jsonify(_found(app.users, user_name))

    return app


def build_naive() -> Peer:
    app = Peer()
    auth = HTTPBasicAuth()

    @auth.verify_password
    def verify_password(user_name: str, password: str) -> str | None:
        user = app.users.find_one({"user_name": user_name})
        if user and bcrypt.checkpw(password.encode(), user["password"].encode()):
            return user_name
        return None

    @app.get("/users/<user_name>")
    @auth.login_required
    def read_user(user_name: str) -> Response:
        return jsonify(_found(app.users, user_name))

    return app


def _found(users: Users, user_name: str) -> dict[str, Any]:
    user = users.find_one({"user_name": user_name}) or abort(404)
    del user["_id"]
    return user


_limits = Limits(body_bytes=MAX_BODY_BYTES)
bare = AsgiApplication(build_bare, limits=_limits)
naive = AsgiApplication(build_naive, limits=_limits)


def main() -> None:
    serve(
        target=f"bench.peer_apps.flask_apps:{sys.argv[1]}",
        host="127.0.0.1",
        port=int(os.environ["BENCH_PORT"]),
        workers=int(os.environ["BENCH_WORKERS"]),
        tls_cert=None,
        tls_key=None,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
