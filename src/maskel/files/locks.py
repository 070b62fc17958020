"""Locks that keep other processes out of a folder."""

import errno
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from filelock import FileLock, Timeout

from maskel.console import notify
from maskel.errors import InputError
from maskel.files.leftovers import LOCK

_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOTTY)
"""Error numbers of file systems without locks."""
_told: list[Path] = []
IN_USE = "{} is in use by another process; wait for it, or stop it first"
_own: dict[Path, int] = {}
"""Folders that running commands of this process hold, and the thread of each."""
_command: ContextVar[ExitStack | None] = ContextVar("command", default=None)


@contextmanager
def locked(folder: Path, refusal: str = IN_USE) -> Iterator[None]:
    """Keep other processes out of an existing folder, if its file system supports locks.

    The operating system holds the lock and releases it when the process ends, in whatever way. Nothing is left to do
    for a folder that the running command has `held` already.

    Args:
        folder: The folder; it may be removed within.
        refusal: The sentence if another process holds it, with ``{}`` for the folder.

    Raises:
        InputError: If another process holds it.
        OSError: If no file can be made in it.
    """
    if _own.get(folder.resolve()) == threading.get_ident():
        yield
        return
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


@contextmanager
def holding_locks() -> Iterator[None]:
    """Have every folder that is `held` inside the block stay locked until the block ends."""
    with ExitStack() as stack:
        token = _command.set(stack)
        try:
            yield
        finally:
            _command.reset(token)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Lock a folder, as `locked`, until the command that runs ends; outside a command, until the block ends."""
    if (command := _command.get()) is None:
        with locked(folder):
            yield
    else:
        command.enter_context(locked(folder))
        if (place := folder.resolve()) not in _own:
            _own[place] = threading.get_ident()
            command.callback(_own.pop, place)
        yield
