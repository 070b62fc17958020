"""Inputs of ``maskel watch``: standard input, a file that grows, a video or a camera."""

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from maskel.errors import InputError
from maskel.files import one_line
from maskel.live.estimator import PoseEstimator
from maskel.live.video import Video

LONGEST = 2**25
"""Bytes of a line: 10,000 people of 133 joints take fewer."""
_PAUSE = 0.05  # seconds between two looks at a file that did not grow


class Line(NamedTuple):
    """A line of JSON.

    Args:
        where: Where it stands, for messages.
        content: Its bytes; of one that is too long as many as fit.
    """

    where: str
    content: bytes


class Seen(NamedTuple):
    """The people in an image.

    Args:
        where: Which image, for messages.
        joints: (P, V, C) coordinates and scores.
        time: Seconds.
    """

    where: str
    joints: Any
    time: float


def typed_lines() -> Iterator[Line]:
    """Yield the lines of standard input."""
    for number, line in enumerate(iter(lambda: sys.stdin.buffer.readline(LONGEST), b""), 1):
        yield Line(f"line {number} of standard input", line)


def followed_lines(file: Path, patience: float | None) -> Iterator[Line]:
    """Yield the lines of a file, and those that are added to it from now on.

    Args:
        file: The file.
        patience: Seconds without a new line after which it is taken for finished; None to wait for ever.

    Raises:
        InputError: If there is no such file, or it shrinks.
    """
    if not file.is_file():
        raise InputError(f"{file}: no such file to follow")
    number, waited, begun = 0, time.monotonic(), b""
    with file.open("rb") as opened:
        while True:
            part = opened.readline(LONGEST - len(begun))
            begun += part
            if begun.endswith(b"\n") or len(begun) == LONGEST:
                number, waited = number + 1, time.monotonic()
                yield Line(f"line {number} of {file}", begun)
                begun = b""
                continue
            if part:
                continue
            if not file.is_file() or file.stat().st_size < opened.tell():
                raise InputError(f"{file} was removed or shortened after line {number:,}, expected it to grow")
            if patience is not None and time.monotonic() - waited >= patience:
                if begun.strip():
                    yield Line(f"line {number + 1} of {file}", begun)
                return
            time.sleep(_PAUSE)


def estimated(video: Video, source: str, estimator: PoseEstimator) -> Iterable[Seen]:
    """Yield the people in each image of a video.

    Args:
        video: The video.
        source: What it is called, for messages.
        estimator: Finds them.

    Raises:
        InputError: If the estimator fails.
    """
    for number, frame in enumerate(video):
        where = f"image {number} of {source}"
        try:
            joints = estimator(frame.image, frame.time)
        except InputError as fault:
            raise InputError(f"{where}: {fault}") from fault
        except Exception as fault:  # other people's code
            raise InputError(f"{where}: the pose estimator fails ({one_line(fault)})") from fault
        yield Seen(where, joints, frame.time)
