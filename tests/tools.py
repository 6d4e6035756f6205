"""Programs that tests need: where one is missing, a test is skipped, and fails under CI."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skip the test for want of something; under CI nothing may be wanting."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} (under CI nothing may be missing)")
    pytest.skip(what)


def program(name: str) -> Path:
    """Return the program of that name; some are where only root's PATH leads."""
    found = shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin")
    return Path(found) if found else missing(f"{name} is not installed")
