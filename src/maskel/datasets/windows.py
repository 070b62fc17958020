"""Windows over long recordings: each is a clip of its own, cut and prepared as one that a table of labels cuts out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64

from maskel.conversion import trunk_middle
from maskel.datasets.counts import Counts
from maskel.errors import InputError
from maskel.layouts import Layout
from maskel.sequence import SkeletonSequence

STEPS = 4
"""Steps that a window is long, where no step is given: every frame is seen by this many windows."""


@dataclass(frozen=True)
class Extent:
    """A length of time: that of a window, or since a recording's frame 0.

    Args:
        value: Frames of a recording, or seconds; 0 or more.
        seconds: True for seconds, False for frames.

    Examples:
        >>> Extent(2.5, seconds=True).frames(rate=30.0)
        75
    """

    value: float
    seconds: bool = False

    def frames(self, rate: float | None) -> int:
        """Return the number of frames, 1 or more.

        Args:
            rate: Frames a second; needed for seconds.
        """
        return max(1, round(self.value * rate if self.seconds and rate else self.value))


@dataclass(frozen=True)
class Windows:
    """Windows that slide over recordings.

    Args:
        length: Length of a window.
        step: From the start of a window to that of the next, at most ``length``; by default a quarter of it.
        per_body: Each person by windows of its own; else all people of a recording together.
        rate: Frames a second of recordings that do not say it themselves.

    Examples:
        >>> seen = np.array([False] + [True] * 10)
        >>> Windows(Extent(4.0), Extent(3.0)).spans(seen, rate=None)  # the last one ends where the recording does
        [(1, 5), (4, 8), (7, 11)]
    """

    length: Extent
    step: Extent | None = None
    per_body: bool = False
    rate: float | None = None

    def frames(self, rate: float | None, name: object = "") -> tuple[int, int]:
        """Return length and step in frames of a recording.

        Args:
            rate: Its frames a second; None where unknown.
            name: Name of the recording, for messages.

        Raises:
            InputError: If seconds are given and no rate is known, or the step is longer than the window.
        """
        if rate is None and any(extent and extent.seconds for extent in (self.length, self.step)):
            raise InputError(f"{name}: no frame rate is known, and windows are in seconds; say it with --source-fps")
        length = self.length.frames(rate)
        step = self.step.frames(rate) if self.step else max(1, length // STEPS)
        if step > length:
            raise InputError(
                f"step: found {step} frames, expected at most the {length} of a window, so that every frame is seen"
            )
        return length, step

    def spans(
        self, exists: Bool[np.ndarray, " t"], rate: float | None, max_gap: int = 0, name: object = ""
    ) -> list[tuple[int, int]]:
        """Return the first frame of each window, and the one after its last.

        Windows never cross a stretch in which nobody is seen. A stretch with somebody that is shorter than a window is
        one window; else the last window ends where the stretch does.

        Args:
            exists: (T,) whether anybody is seen.
            rate: Frames a second of the recording; None where unknown.
            max_gap: Frames without anybody that do not count as such a stretch.
            name: Name of the recording, for messages.

        Raises:
            InputError: See `frames`.
        """
        length, step = self.frames(rate, name)
        found = []
        for first, end in stretches(exists, max_gap):
            starts = [*range(first, max(end - length, first) + 1, step)]
            if end - length > starts[-1]:
                starts.append(end - length)
            found += [(start, min(start + length, end)) for start in starts]
        return found


def stretches(exists: Bool[np.ndarray, " t"], max_gap: int = 0) -> list[tuple[int, int]]:
    """Find runs of True, those at most ``max_gap`` apart joined: first place, and the one after the last.

    Examples:
        >>> stretches(np.array([1, 1, 0, 1, 0, 0, 1], bool), max_gap=1)
        [(0, 4), (6, 7)]
    """
    places = np.flatnonzero(exists)
    if not len(places):
        return []
    breaks = np.flatnonzero(np.diff(places) > max_gap + 1)
    firsts, lasts = places[np.append(0, breaks + 1)], places[np.append(breaks, len(places) - 1)]
    return [(first, last + 1) for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True)]


def cut_windows(
    sequence: SkeletonSequence, windows: Windows, coordinates: int, centred: bool, may_miss: bool
) -> list[SkeletonSequence]:
    """Cut a clip that is prepared already into windows; ``first_frame`` and ``end_frame`` count its own frames.

    Args:
        sequence: The clip.
        windows: Length and step of the windows, and frames a second of the clip.
        coordinates: Coordinates of a joint, 2 or 3; a score behind them stays.
        centred: Move each window as its set's clips are: to the middle of the first body's trunk in the first frame.
        may_miss: A joint at zero is missing, and stays there.

    Returns:
        Clips with ``recording`` set to the clip's name, and ``subject`` to the number of the person from 1, or empty.

    Raises:
        InputError: See `Windows.frames`.
    """
    found = []
    clip, joints = sequence.clip, sequence.joints
    groups = [(str(body + 1), joints[body : body + 1]) for body in range(len(joints))]
    for person, seen in groups if windows.per_body else [("", joints)]:
        for first, end in windows.spans(np.asarray(seen.any((0, 2, 3))), windows.rate, name=clip.name):
            part = seen[:, first:end]
            part = part[part.any((1, 2, 3))]
            if centred:
                part = _centred(part, sequence.layout, coordinates, may_miss)
            about = replace(clip, recording=clip.name, subject=person, first_frame=first, end_frame=end)
            found.append(SkeletonSequence(about, part, sequence.layout))
    return counted_once(found, sequence.counts)


def counted_once(windows: Sequence[SkeletonSequence], counts: Counts) -> list[SkeletonSequence]:
    """Give the first window of a recording all its counts: windows share frames."""
    return [replace(window, counts=counts if number == 0 else {}) for number, window in enumerate(windows)]


def _centred(
    joints: Float32[np.ndarray, "m t v c"], layout: Layout, coordinates: int, may_miss: bool
) -> Float32[np.ndarray, "m t v c"]:
    exists = np.asarray(joints.any(-1))
    if not may_miss:
        exists |= exists.any(-1, keepdims=True)
    moved = joints.copy()
    middle = first_trunk(joints[..., :coordinates], exists, layout)
    moved[..., :coordinates] -= np.where(exists[..., None], middle, 0).astype(np.float32)
    return moved


def first_trunk(
    joints: Float[np.ndarray, "m t v d"], seen: Bool[np.ndarray, "m t v"], layout: Layout
) -> Float64[np.ndarray, " d"]:
    """Return the middle of the first body's trunk, in the first frame in which its joints are seen; 0 without one."""
    weights = trunk_middle(layout)
    used = weights > 0
    for body, there in zip(joints, seen, strict=True):
        whole = there[:, used].all(1)
        if whole.any():
            return np.asarray(weights[used] @ body[whole.argmax()][used])
    return np.zeros(joints.shape[-1])
