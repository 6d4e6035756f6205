"""Whether this process lives, and whether it can serve: for load balancers and container health checks."""

from flask import Blueprint

from models.storage import Store


class Health:
    """The routes, which need no credentials."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def blueprint(self) -> Blueprint:
        blueprint = Blueprint("health", __name__, url_prefix="/healthz")
        blueprint.get("/live")(self.live)
        blueprint.get("/ready")(self.ready)
        return blueprint

    def live(self) -> dict[str, str]:
        """Tell that the process answers."""
        return {"status": "ok"}

    def ready(self) -> dict[str, str]:
        """Tell that the process answers, and that its store does."""
        self._store.ping()
        return {"status": "ok"}
