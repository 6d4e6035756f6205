"""Cells of CSV that spreadsheets would take for formulas, and how they are told from others."""

import re

# What begins like this is computed by spreadsheets (OWASP: CSV Injection). An apostrophe before it says that it is
# text. One is put before such cells, and before those that would be taken for one which had it put before them.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def safe_cell(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text


def plain_cell(cell: str) -> str:
    """Return the text that ``safe_cell`` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
