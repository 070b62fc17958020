"""Locks that keep other processes out of a folder."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from maskel.console import notify
from maskel.errors import InputError

LOCK = ".lock"
"""Lock file in a folder; it is removed with the lock. A file left by ``kill -9`` locks nothing."""
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOTTY)
"""Error numbers of file systems without locks."""
_told: list[Path] = []
IN_USE = "{} is in use by another process; wait for it, or stop it first"


@contextmanager
def locked(folder: Path, refusal: str = IN_USE) -> Iterator[None]:
    """Keep other processes out of an existing folder, if its file system supports locks.

    The operating system holds the lock and releases it when the process ends, in whatever way.

    Args:
        folder: The folder; it may be removed within.
        refusal: The sentence if another process holds it, with ``{}`` for the folder.

    Raises:
        InputError: If another process holds it.
        OSError: If no file can be made in it.
    """
    lock = FileLock(folder / LOCK, timeout=0, fallback_to_soft=False)
    try:
        lock.acquire()
    except (Timeout, BlockingIOError) as fault:
        raise InputError(refusal.format(folder)) from fault
    except OSError as fault:
        if fault.errno not in _NO_LOCKS:
            raise
        if not _told:
            _told.append(folder)
            notify(f"the file system of {folder} has no locks: nothing keeps a second process from writing there")
    try:
        yield
    finally:
        with suppress(OSError):  # before the lock is released: a waiting process then sees a file without a name
            (folder / LOCK).unlink(missing_ok=True)
        lock.release()
