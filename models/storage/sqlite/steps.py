"""Deleting much in SQLite without holding up other writers."""

from collections.abc import Callable

from models.storage.sqlite.database import Database
from models.storage.sqlite.driver import Connection

STEP = 500  # rows in one transaction: a few milliseconds


def in_steps(database: Database, delete: Callable[[Connection], int]) -> int:
    """Delete in one turn after the other, until one has less than ``STEP`` rows to delete; return how many in all.

    ``delete`` deletes at most ``STEP`` rows, and returns how many it did.
    """
    total = 0
    while True:
        with database.writing() as connection:
            deleted = delete(connection)
        total += deleted
        if deleted < STEP:
            return total
