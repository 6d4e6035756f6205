"""Files of users, read an entry at a time: JSON Lines, CSV, htpasswd, and lists of objects as other systems export."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BufferedReader
from typing import Any, NoReturn, Self

from api.csv_cells import plain_cell
from models.errors import BrokenRuleError
from models.import_rules import Entry

LONGEST_LINE = 64 << 10  # bytes
_LONGEST_OBJECT = 1 << 20  # characters
_CHUNK = 64 << 10
_LISTS = ("token_digests", "secret_keys")
_FLAGS = {"true": True, "false": False}
_WHOLE = re.compile("[0-9]{1,16}")
_LIST = re.compile(rb'(?:\xef\xbb\xbf)?\s*(?:\{\s*"users"\s*:\s*)?\[')
_BETWEEN = {*" \t\r\n,"}
_NUMBERS = ("oauth", "epoch", "revision")

Read = Callable[[Any], dict[str, Any] | None]


def json_lines(stream: BufferedReader, read: Read | None = None) -> Iterator[Entry]:
    """Yield an entry for each line that is not empty. ``read`` makes fields of an object, or leaves it out."""
    for place, line in _lines(stream):
        if line is None:
            yield _broken(place, f"It has more than {LONGEST_LINE} bytes.")
            continue
        if line.isspace():
            continue
        try:
            text = line.decode("utf-8-sig" if place == 1 else "utf-8")
            yield from _entry(place, _parsed(text), read)
        except UnicodeDecodeError:
            yield _broken(place, "It is not UTF-8.")
        except BrokenRuleError as error:
            yield _broken(place, str(error))


def comma_separated(stream: BufferedReader) -> Iterator[Entry]:
    """Yield an entry for each row after the first, which names the fields; an empty cell is none.

    Where ``password_hash`` is a column, as in exports with hashes, an empty cell of it says that a new user is to have
    no password. From a user who is there it takes none: for that, a cell that somebody forgot to fill is too little.
    Raises ``BrokenRuleError`` for a file without such a row, or that cannot be read on.
    """
    with _text_of(stream) as text:
        yield from _rows(_RowLines(text))


class _RowLines:
    """The lines of a text for ``csv.reader``, which by itself would take a row of any length into memory."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._left = LONGEST_LINE
        self.place = 0

    def begin_row(self) -> None:
        self._left = LONGEST_LINE

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        if not (line := self._text.readline(self._left + 1)):
            raise StopIteration
        self.place += 1
        self._left -= len(line)
        if self._left < 0:
            raise csv.Error(f"a row may have {LONGEST_LINE} characters")
        return line


def _rows(lines: _RowLines) -> Iterator[Entry]:
    rows = csv.reader(lines, strict=True)
    try:
        head: list[str] = next(rows, [])
        if "user_name" not in head or len(set(head)) < len(head):
            raise BrokenRuleError("The first line must name the fields, each once, and user_name among them.")
        lines.begin_row()
        for row in rows:
            if len(row) > len(head):
                yield _broken(lines.place, f"It has {len(row)} cells, and the first line names {len(head)}.")
            elif row:
                yield _row(lines.place, dict(zip(head, row, strict=False)))
            lines.begin_row()
    except csv.Error as error:
        raise BrokenRuleError(f"Line {lines.place} cannot be read as CSV: {error}.") from error


def htpasswd(stream: BufferedReader) -> Iterator[Entry]:
    """Yield an entry for each line of a name, a colon and a hash."""
    for place, line in _lines(stream):
        if line is None or (line.strip() and not line.startswith(b"#")):
            name, colon, hashed = (line or b"").decode("utf-8", "replace").rstrip("\r\n").partition(":")
            if not colon:
                yield _broken(place, "It is not a name, a colon and a hash.")
            else:
                yield Entry(place, {"user_name": name, "password_hash": hashed})


def objects(stream: BufferedReader, read: Read) -> Iterator[Entry]:
    """Yield an entry for each object of a list, be it the file, its member "users" or its lines.

    Places are those in the list, from 1 on, or lines. Raises ``BrokenRuleError`` for what cannot be read on.
    """
    if not (found := _LIST.match(stream.peek())):
        yield from json_lines(stream, read)
        return
    stream.read(found.end())
    with _text_of(stream) as text:
        for place, item in enumerate(_items(text, ""), 1):
            try:
                yield from _entry(place, item, read)
            except BrokenRuleError as error:
                yield _broken(place, str(error))


@contextmanager
def _text_of(stream: BufferedReader) -> Iterator[io.TextIOWrapper]:
    """Lend the stream as text. Bytes that are not UTF-8 become what no text may have: an error of their user alone."""
    text = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")
    try:
        yield text
    finally:
        text.detach()  # or it would close the stream


def _items(text: io.TextIOBase, buffer: str) -> Iterator[Any]:
    """Yield what is in a JSON array, of which ``buffer`` begins with the first element."""
    decode = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode
    at, place, is_whole = 0, 0, False
    while True:
        while buffer[at : at + 1] in _BETWEEN:
            at += 1
        if buffer[at : at + 1] == "]":
            return
        with suppress(RecursionError, ValueError):  # it is not all there yet, or will never be
            item, end = decode(buffer, at)
            if is_whole or end < len(buffer):  # a number at the end may go on in the next part
                yield item
                at, place = end, place + 1
                continue
        more = text.read(_CHUNK) if len(buffer) - at <= _LONGEST_OBJECT else ""
        if is_whole or (not more and at == len(buffer)) or len(buffer) - at > _LONGEST_OBJECT:
            raise BrokenRuleError(f"Item {place + 1} of the list cannot be read as JSON.")
        is_whole = not more
        buffer, at = buffer[at:] + more, 0


def _entry(place: int, item: object, read: Read | None) -> Iterator[Entry]:
    if not isinstance(item, dict):
        raise BrokenRuleError("It is not a JSON object.")
    fields = item if read is None else read(item)
    if fields is not None:
        yield Entry(place, fields)


def _row(place: int, cells: Mapping[str, str]) -> Entry:
    fields: dict[str, object] = {}
    for name, cell in cells.items():
        value = plain_cell(cell)
        if not cell:
            continue
        if name == "disabled":
            fields[name] = _FLAGS.get(value.lower(), value)
        elif name in _LISTS:
            fields[name] = value.split()
        elif name in _NUMBERS:
            fields[name] = int(value) if _WHOLE.fullmatch(value) else value
        else:
            fields[name] = value
    return Entry(place, fields, passwordless=cells.get("password_hash") == "")


def _lines(stream: BufferedReader) -> Iterator[tuple[int, bytes | None]]:
    """Yield each line with its number; ``None`` for one that is too long."""
    place = 0
    while line := stream.readline(LONGEST_LINE + 1):
        place += 1
        if len(line) <= LONGEST_LINE:
            yield place, line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(LONGEST_LINE)
        yield place, None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise BrokenRuleError("It is nested too deeply.") from error
    except ValueError as error:
        raise BrokenRuleError("It is not JSON.") from error


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise BrokenRuleError("It names a member twice.")
    return members


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError


def _broken(place: int, rule: str) -> Entry:
    return Entry(place, {}, {"entry": [rule]})
