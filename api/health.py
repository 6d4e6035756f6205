"""Whether this process lives, and whether it can serve: for load balancers and container health checks."""

from flask import Blueprint

from models.storage import Store


def health_blueprint(store: Store) -> Blueprint:
    """Make ``GET /healthz/live`` (the process answers) and ``GET /healthz/ready`` (and its store does: else 503)."""
    blueprint = Blueprint("health", __name__, url_prefix="/healthz")

    @blueprint.get("/live")
    def live() -> dict[str, str]:
        return {"status": "ok"}

    @blueprint.get("/ready")
    def ready() -> dict[str, str]:
        store.ping()
        return {"status": "ok"}

    return blueprint
