"""Variables whose names are like a setting's and are none: what they were meant to set would stay as it is, unsaid.

The environment belongs to others too, so a likeness alone is a warning. It stops the start where nothing else can be
meant: the value is one of a setting that stands open by default, and that setting itself is absent.
"""

from collections.abc import Mapping
from difflib import get_close_matches

from api.options import OPTIONS

# Of 1. What people mistype is above it; HOSTNAME, LOGNAME, DATABASE_PORT and METRICS_PATH are below it.
_LIKENESS = 0.85
_OPEN_BY_DEFAULT = ("REGISTRATION", "SURFACES")
_FILE = "_FILE"
_KNOWN = {name: name for name in OPTIONS} | {f"{name}{_FILE}": name for name in OPTIONS if OPTIONS[name].in_file}


def misspellings(environ: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return what must not be passed over, and what deserves a warning: a sentence each, with both names, no value."""
    wrong, unwise = [], []
    for name, text in sorted(environ.items()):
        if not text or name in _KNOWN:
            continue
        meant = _meant(name)
        if meant is None or any(environ.get(given) for given, setting in _KNOWN.items() if setting == _KNOWN[meant]):
            continue
        if meant in _OPEN_BY_DEFAULT and _is_of(meant, text):
            wrong.append(f"{name} is no setting, and has a value of {meant}, which is absent: write {meant}.")
        elif name == f"{meant}{_FILE}":
            unwise.append(f"{name} is no setting, and is not looked at: {meant} cannot be given in a file.")
        elif name != f"{meant}S":  # others have lists of such things: PORTS, HOSTS, LOG_LEVELS
            unwise.append(f"{name} is no setting, and is not looked at. If it is meant for Doorman, write {meant}.")
    return wrong, unwise


def _meant(name: str) -> str | None:
    """Return the setting that ``name`` is like, if it is like one."""
    upper = name.upper()
    if upper.removesuffix(_FILE) in OPTIONS:
        return upper if upper in _KNOWN else upper.removesuffix(_FILE)
    return next(iter(get_close_matches(upper, _KNOWN, n=1, cutoff=_LIKENESS)), None)


def _is_of(name: str, text: str) -> bool:
    """Tell whether ``text`` would be a value of the setting, and another one than its default."""
    try:
        return bool(OPTIONS[name].read(text) != OPTIONS[name].read(OPTIONS[name].default))
    except ValueError:
        return False
