"""The two forms of a log line: JSON for programs, text for terminals. Neither can be forged by what clients send."""

import json
import logging
import time
from typing import Any

from api.crashes import trace_of
from api.exchanges import current_fields

# Clients choose parts of messages (a path, for one), which must not fill the disk.
_MOST_CHARACTERS = 4096
_MOST_OF_TRACE = 32_768


def fields(**known: object) -> dict[str, Any]:
    """Return the ``extra`` of a log call: members of the line beside its message. What is ``None`` is left out."""
    return {"doorman": {name: value for name, value in known.items() if value is not None}}


class JsonLines(logging.Formatter):
    """One JSON object a line, in ASCII: what is no printable character of it is escaped."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
            "process": record.process,
        }
        line |= current_fields() | getattr(record, "doorman", {})
        if (trace := _trace(self, record)) is not None:
            line["exception"] = trace
        return json.dumps(line)


class TextLines(logging.Formatter):
    """A line to read, with what is known beside the message at its end; traces follow, indented."""

    def format(self, record: logging.LogRecord) -> str:
        known = current_fields() | getattr(record, "doorman", {})
        message = printable(_message(record))
        beside = "".join(f" {name}={_word(value)}" for name, value in known.items())
        line = f"{_time(record)} {record.levelname:<8} {record.name}: {message}{beside}"
        trace = _trace(self, record) or ""
        return "\n".join([line, *(f"    {printable(part)}" for part in trace.split("\n") if part)])


def printable(text: str) -> str:
    """Escape what moves the cursor, ends a line, or turns the direction of what follows."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _message(record: logging.LogRecord) -> str:
    text = record.getMessage()
    if record.name == "asyncio":  # in its further lines it shows tasks, with the messages of what ended them
        text = text.partition("\n")[0]
    return _cut(text, _MOST_CHARACTERS)


def _time(record: logging.LogRecord) -> str:
    """Return the time in UTC (RFC 3339)."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"


def _word(value: object) -> str:
    """Return a value as one word, so that a space in it does not begin another name."""
    text = str(value)
    return text if text.isprintable() and not set(text) & set(' "=') and text else json.dumps(text)


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str | None:
    parts = [trace_of(record.exc_info[1])] if record.exc_info and record.exc_info[1] else []
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return _cut("\n".join(parts), _MOST_OF_TRACE) if parts else None


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"
