"""The two forms of a log line: each is one line, says what it has to, and cannot be forged."""

import json
import logging
import sys
from typing import Any

import pytest

from api.access_log import AccessLog
from api.exchanges import Exchange, RunningFor
from api.log_lines import JsonLines, TextLines, fields
from api.proxies import TrustedProxies
from api.setting_values import networks
from api.trace_context import continued

FORGED = "x\n2026-11-20T00:00:00.000Z CRITICAL api: forged\r\x1b[2K\x00\x85\u2028\u202e\ud800"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def record(message: str, *values: object, trace: Any = None, **known: object) -> logging.LogRecord:
    made = logging.LogRecord("api.test", logging.WARNING, __file__, 1, message, values, trace)
    vars(made).update(fields(**known))
    return made


def exchange(proxies: str = "", **headers: str) -> Exchange:
    found = Exchange()
    environ = {"REMOTE_ADDR": "10.0.0.1"} | {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    found.read(environ, TrustedProxies(networks(proxies)))
    return found


def raised(message: str) -> Any:
    try:
        int(message)
    except ValueError:
        return sys.exc_info()


def test_a_json_line_is_one_object() -> None:
    """It has the time in UTC, the level, the logger, the message, the process, and what is known beside."""
    made = record("%s was %d", "it", 3, status=200, nothing=None)
    made.created, made.msecs = 1_700_000_000.5, 500
    line = json.loads(JsonLines().format(made))
    assert line == {
        "time": "2023-11-14T22:13:20.500Z",
        "level": "warning",
        "logger": "api.test",
        "message": "it was 3",
        "process": made.process,
        "status": 200,
    }


@pytest.mark.parametrize("form", [JsonLines, TextLines])
def test_nobody_forges_a_line(form: type[logging.Formatter]) -> None:
    """Whatever stands in the message, beside it or in a trace: it is one line, and nothing in it moves the cursor."""
    written = form().format(record("%s", FORGED, client=FORGED, trace=raised(FORGED)))
    head, *trace = written.split("\n")
    assert "forged" in head
    assert all(part.startswith("    ") for part in trace)
    assert all(part.isprintable() for part in (head, *trace))
    assert form is TextLines or json.loads(written)["message"] == json.loads(written)["client"] == FORGED


def test_a_value_in_text_is_one_word() -> None:
    """A space or a quotation mark in a value does not begin another name."""
    assert TextLines().format(record("m", client='a "b" status=200')).endswith(r' client="a \"b\" status=200"')


@pytest.mark.parametrize("form", [JsonLines, TextLines])
def test_a_line_has_a_limit(form: type[logging.Formatter]) -> None:
    """What a client makes as long as it can is cut, and its length is told."""
    written = form().format(record("%s", "x" * 60_000))
    assert len(written) < 5000
    assert "(60000 characters)" in written


@pytest.mark.parametrize("form", [JsonLines, TextLines])
def test_lines_name_their_request(form: type[logging.Formatter]) -> None:
    """What is logged while a request runs has its id and its trace, and what is logged afterwards has not."""
    found = exchange(traceparent=f"00-{TRACE}-{PARENT}-01")
    with RunningFor(found):
        during = form().format(record("m"))
    assert found.request_id in during
    assert TRACE in during
    assert PARENT in during
    assert found.request_id not in form().format(record("m"))


def test_spans_are_new_and_stay() -> None:
    """All lines of a request have one span id, which is neither the caller's nor another request's."""
    header = f"00-{TRACE}-{PARENT}-01"
    first, second = exchange(traceparent=header), exchange(traceparent=header)
    assert first.fields() == first.fields() == first.follow_up("websocket").fields()
    assert len({first.fields()["span_id"], second.fields()["span_id"], PARENT}) == 3


@pytest.mark.parametrize(
    ("header", "is_valid"),
    [
        (f"00-{TRACE}-{PARENT}-01", True),
        (f"00-{TRACE}-{PARENT}-00", True),
        (f"cc-{TRACE}-{PARENT}-01", True),
        (f"cc-{TRACE}-{PARENT}-01-what-will-be", True),
        (f"cc-{TRACE}-{PARENT}-01.what-will-be", False),
        (f"00-{TRACE}-{PARENT}-01-what-will-be", False),
        (f"00-{TRACE}-{PARENT}-01-", False),
        (f"ff-{TRACE}-{PARENT}-01", False),
        (f"00-{'0' * 32}-{PARENT}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-{PARENT}-01", False),
        (f"00-{TRACE}-{PARENT}-1", False),
        (f"00-{TRACE[1:]}-{PARENT}-01", False),
        (f"0-{TRACE}-{PARENT}-01", False),
        (f"00-{TRACE}-{PARENT}-01,00-{TRACE}-{PARENT}-01", False),
        (f"00-{TRACE}-{PARENT}-01\n", False),
        (f"00-{TRACE}-{PARENT.replace('b', 'g')}-01", False),
        ("", False),
    ],
)
def test_a_traceparent_is_read_strictly(header: str, is_valid: bool) -> None:  # noqa: FBT001 - a column of the table
    """Version 00 has exactly four fields; zeros, version ff, capitals and several headers are as good as none."""
    found = continued(header)
    assert (found is not None) == is_valid
    assert found is None or (found.trace_id, found.parent_id) == (TRACE, PARENT)


@pytest.mark.parametrize(
    ("given", "proxies", "is_taken"),
    [
        ("a-proxys.id:1/+=@_", "10.0.0.0/8", True),
        ("a" * 128, "10.0.0.0/8", True),
        ("a" * 129, "10.0.0.0/8", False),
        ("", "10.0.0.0/8", False),
        ("-a", "10.0.0.0/8", False),
        ("a b", "10.0.0.0/8", False),
        ("a\n", "10.0.0.0/8", False),
        ("a\x1b[2K", "10.0.0.0/8", False),
        ("aé", "10.0.0.0/8", False),
        ("one,two", "10.0.0.0/8", False),
        ("a-proxys.id", "10.0.0.2/32", False),
        ("a-proxys.id", "", False),
    ],
)
def test_whose_request_id_is_taken(given: str, proxies: str, is_taken: bool) -> None:  # noqa: FBT001 - a column of the table
    """A trusted proxy's, if it is well-formed; anything else is one of our own, each another."""
    found = exchange(proxies, x_request_id=given)
    assert (found.request_id == given) == is_taken
    assert is_taken or len(found.request_id) == 24
    assert is_taken or exchange(proxies, x_request_id=given).request_id != found.request_id


def test_a_flood_does_not_fill_the_disk(caplog: pytest.LogCaptureFixture) -> None:
    """Of refused requests a worker writes 100 lines a second, all others have theirs, and it says what it left out."""
    caplog.set_level(logging.INFO, "api.access_log")
    now = 1000.0
    log = AccessLog(lambda: now)

    def note(status: int) -> None:
        found = Exchange()
        log.note(found, {"method": "GET"}, "/x", status, 0.001)

    for _ in range(1000):
        note(401)
    assert len(caplog.records) == 100
    note(200)
    now += 1
    note(401)
    assert len(caplog.records) == 102
    known = [vars(line)["doorman"] for line in caplog.records]
    assert [line.get("left_out") for line in known[-3:]] == [None, 900, None]


def test_a_path_has_a_limit_in_the_access_log(caplog: pytest.LogCaptureFixture) -> None:
    """A path of 60,000 characters takes some hundred of them in the log."""
    caplog.set_level(logging.INFO, "api.access_log")
    AccessLog().note(Exchange(), {"method": "GET"}, "/" + "x" * 60_000, 404, 0.001)
    assert len(caplog.text) < 1000
