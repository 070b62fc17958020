"""Poses as returned by every reader of own recordings, options of reading, and limits for every file."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float64

from maskel.datasets.counts import Counts
from maskel.datasets.folder.gaps import MAX_GAP
from maskel.datasets.raw_file import read_raw
from maskel.errors import BadFileError
from maskel.layouts import Layout

ArrayChannels = Literal["auto", "xy", "xyz", "xys", "xyzs"]
"""Meaning of an array's last axis; ``s`` is the score. ``auto``: 2 numbers are xy, 3 xyz, 4 xyzs."""
Missing = Literal["interpolate", "zero"]
"""Treatment of missing joints."""
MAX_BYTES = 64 * 2**20
"""Most bytes of a file, or of all files of one clip: an hour of 33 joints at 30 frames a second."""
LARGEST_FRAME = 2**20
"""Most bytes of a file of one frame."""
MAX_FRAMES = 200_000
"""Most frames of a clip."""
MAX_VALUES = 2**24
"""Most numbers of a clip, four for each joint of each body: an hour of 33 joints, and 700 MiB during reading."""
MAX_MAGNITUDE = 1e9
"""Largest position in any unit."""

MAX_RATE = 10_000
"""Largest frame rate that is believed."""


@dataclass(frozen=True)
class Form:
    """The form of recordings, as far as their files leave it open.

    Args:
        layout: Joint layout.
        channels: Meaning of an array's last axis, and of the third of three numbers of a joint.
        image_size: Width and height of the image in which positions are, or nothing.
        max_gap: Longest absence, in frames, after which a body is continued.
        axes: Order of an array's axes, as stated by the user; empty if it is inferred.
        settled: The orders decided by other arrays of the set.
    """

    layout: Layout
    channels: ArrayChannels = "auto"
    image_size: tuple[int, ...] = ()
    max_gap: int = MAX_GAP
    axes: str = ""
    settled: tuple[str, ...] = ()

    @property
    def in_image(self) -> bool:
        """True to take positions in the image, not those in the world, if there are both."""
        return bool(self.image_size)


@dataclass(frozen=True)
class Pose:
    """The bodies of one clip, as in the file.

    Args:
        joints: (M, T, V, D) coordinates in the file's unit and frame of reference; NaN where a joint is missing.
        scores: (M, T, V) confidence of the detector; None if the file has no scores.
        counts: Counts of dropped, filled-in or guessed items.
        names: Names of each body in the file, such as the number of a track; several if tracks were linked. Empty if
            the file has no names.
        first_frame: Number of the first frame in the file's count; 0 if it does not count frames.
        step: Difference between the numbers of successive frames, 1 or more.
        fps: Frames a second that the file states; None if it does not.
    """

    joints: Float64[np.ndarray, "m t v d"]
    scores: Float64[np.ndarray, "m t v"] | None = None
    counts: Counts = field(default_factory=dict)
    names: tuple[tuple[str, ...], ...] = ()
    first_frame: int = 0
    step: int = 1
    fps: float | None = None

    def cut(self, first: int, end: int, bodies: slice = slice(None)) -> "Pose":
        """Cut out the frames from ``first`` to before ``end`` of some bodies; counts of the whole are left out."""
        scores = None if self.scores is None else self.scores[bodies, first:end]
        joints = self.joints[bodies, first:end]
        return replace(self, joints=joints, scores=scores, counts={}, names=self.names[bodies])


def plausible_rate(fps: float) -> float | None:
    """Return frames a second that a file states, or None if they are none."""
    return fps if 0 < fps < MAX_RATE else None


def read_bytes(path: Path) -> bytes:
    """Read the content of a file.

    Raises:
        BadFileError: If it cannot be read, is empty or larger than `MAX_BYTES`.
    """
    return read_raw(path, MAX_BYTES, "joints", "; cut the recording into clips")


def check_size(path: Path, bodies: int, frames: int, joints: int) -> None:
    """Check that a clip's arrays fit in memory, before they are made.

    Raises:
        BadFileError: If there is no frame, or too many.
    """
    if bodies == 0 or frames == 0:
        raise BadFileError(path, "empty", f"{frames} frames of {bodies} bodies", "at least one of each")
    if frames > MAX_FRAMES or bodies * frames * joints * 4 > MAX_VALUES:
        expected = f"at most {MAX_FRAMES} frames, and {MAX_VALUES // (joints * 4)} over all bodies"
        raise BadFileError(path, "wrong count", f"{frames} frames of {bodies} bodies", expected)


def check_numbers(path: Path, values: Float64[np.ndarray, "..."]) -> None:
    """Check that every number is NaN (missing) or of a plausible size.

    Raises:
        BadFileError: If one is infinite or beyond `MAX_MAGNITUDE`.
    """
    wrong = values[np.abs(values) > MAX_MAGNITUDE]
    if wrong.size:
        raise BadFileError(path, "not a number", f"{wrong[0]}", f"numbers up to {MAX_MAGNITUDE:.0e}, NaN where missing")
