"""What is found beside a SQLite database, and of its files, without opening any of them."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from models.findings import Finding
from models.storage.sqlite.file import file_size, log_path
from models.storage.sqlite.lock import WriterQueue

_COMPANIONS = ("", "-wal", "-shm", ".lock")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_LEAST_FREE = 256 << 20  # bytes


def surroundings(path: Path) -> Iterator[Finding]:
    """Yield what is wrong with the files of the database at ``path``, which is there."""
    files = [file for file in (Path(f"{path}{name}") for name in _COMPANIONS) if file.exists()]
    yield from _rights(path, files)
    yield from _space(path)
    inode, size = path.stat().st_ino, file_size(str(path))
    if (lock := Path(f"{path}.lock")).exists() and os.access(lock, os.R_OK | os.W_OK):
        left = WriterQueue(lock).recorded_size(inode)
        if size < left:
            yield Finding(
                code="shorter_file",
                severity="warning",
                message=f"{path} has {size} bytes, and had {left} when Doorman wrote to it.",
                remedy="If nobody has vacuumed it or put a copy there, restore one. The next start reads all of it.",
            )
    orphans = sorted(path.parent.glob(f"{path.name}-wal.orphaned-*"))
    if orphans:
        yield Finding(
            code="orphaned_logs",
            severity="warning",
            message=f"Logs of a former file at this path were kept: {', '.join(orphan.name for orphan in orphans)}.",
            remedy="They hold what was written after the copy that was restored: delete them when nobody misses that.",
        )


def is_idle(path: Path) -> bool:
    """Tell whether nobody has the database open, and no crash has left a log."""
    return not Path(log_path(str(path))).exists()


def _rights(path: Path, files: list[Path]) -> Iterator[Finding]:
    wanting = [str(file) for file in files if not os.access(file, os.R_OK | os.W_OK)]
    if not os.access(path.parent, os.R_OK | os.W_OK | os.X_OK):
        wanting.append(str(path.parent))
    if wanting:
        yield Finding(
            code="no_rights",
            severity="problem",
            message=f"This user (id {os.geteuid()}) may not write to {', '.join(wanting)}.",
            remedy="Run this as the user that Doorman runs as. If this is that one, make it the files' owner.",
        )
    owners = {file.stat().st_uid for file in files}
    if len(owners) > 1:
        yield Finding(
            code="several_owners",
            severity="warning",
            message=f"The database, its -wal, -shm and .lock belong to several users (ids {sorted(owners)}).",
            remedy="Somebody else has opened it: make Doorman's user the owner of all of them.",
        )
    readable = [str(file) for file in files if file.stat().st_mode & _OTHERS]
    if readable and path.parent.stat().st_mode & _OTHERS:
        yield Finding(
            code="open_files",
            severity="warning",
            message=f"Other users of this machine may open {', '.join(readable)}, with everybody's hashes in it.",
            remedy=f"chmod 600 {' '.join(readable)}",
        )


def _space(path: Path) -> Iterator[Finding]:
    free, needed = shutil.disk_usage(path.parent).free, max(_LEAST_FREE, file_size(str(path)))
    if free < needed:
        yield Finding(
            code="little_space",
            severity="warning",
            message=f"The disk of {path.parent} has {free >> 20} MiB left; a copy before an upgrade takes up to"
            f" {needed >> 20} MiB.",
            remedy="Free some: on a full disk every write is refused.",
        )
