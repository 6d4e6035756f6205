"""What is counted of requests, and the list of all that a worker counts."""

from models.meter import CORE_METRICS, Counter, Gauge, Histogram, Metric

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD = "other"

REQUESTS = Counter(
    "doorman_http_requests_total",
    "Requests that were answered, by the rule that their path met (unmatched: none) and the status.",
    ("method", "route", "status"),
)
REQUEST_TIME = Histogram(
    "doorman_http_request_seconds",
    "How long requests took, from their head to the last byte of the answer that was handed to the server.",
    ("route",),
    bounds=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0),
)
IN_PROGRESS = Gauge("doorman_http_requests_in_progress", "Requests that have not been answered yet.")
REFUSALS = Counter(
    "doorman_refusals_total",
    "Requests and WebSocket messages that were refused.",
    ("reason",),
    begun=(("crash",), ("not_authenticated",), ("too_many_attempts",), ("unavailable",)),  # what alerts ask for
)
WEBSOCKETS_OPEN = Gauge("doorman_websockets_open", "WebSockets that are open.")
WEBSOCKET_MESSAGES = Counter(
    "doorman_websocket_messages_total",
    "WebSocket messages that were answered, by the action (other: none that there is) and what came of it.",
    ("action", "outcome"),
)
WORKER_STARTS = Counter("doorman_worker_starts_total", "Workers that were started, in the place of others too.")

METRICS: tuple[Metric, ...] = (
    REQUESTS,
    REQUEST_TIME,
    IN_PROGRESS,
    REFUSALS,
    WEBSOCKETS_OPEN,
    WEBSOCKET_MESSAGES,
    WORKER_STARTS,
    *CORE_METRICS,
)
