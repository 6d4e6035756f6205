"""What the application is told of a request (PEP 3333)."""

import tracemalloc

from api.wsgi_bridge import Scope, build_environ

MANY, LONG = 100, 60_000


def scope(name: bytes) -> Scope:
    return {
        "method": "GET",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "http_version": "1.1",
        "headers": [(name, b"1")],
    }


def test_long_names_of_headers_are_passed_on_and_forgotten() -> None:
    """Whatever clients call their headers, a worker keeps no more of it than a cache of short names."""
    tracemalloc.start()
    try:
        for number in range(MANY):
            name = b"x-%d-" % number + b"a" * LONG
            assert build_environ(scope(name), None)["HTTP_" + name.decode().upper().replace("-", "_")] == "1"
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < LONG * MANY // 10
