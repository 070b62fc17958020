"""Signals that ask a command to stop."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_seen: list[int] = []


@contextmanager
def handled(by: Callable[[int, FrameType | None], object], *signals: signal.Signals) -> Iterator[None]:
    """Handle signals by a function inside the block only; outside the main thread nothing changes.

    Args:
        by: The function; see `signal.signal`.
        signals: The signals to handle.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, by) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Handle a signal like Ctrl-C in Python, and remember it."""
    _seen.append(number)
    raise KeyboardInterrupt


def interrupted() -> bool:
    """Return True if `interrupt` has handled a signal since the last call, whatever modules of others made of it."""
    seen = bool(_seen)
    _seen.clear()
    return seen
