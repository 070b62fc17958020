"""Checks that look at joints: each looks for one kind of fault in a few clips at a time.

Thresholds are constants, with their units. Those in metres are for bodies in metres. In other sets a body's own size
replaces the metre. It is measured in every frame, so that a person who walks towards a camera does not seem to grow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

from maskel.datasets.bodies import (
    LARGEST_METRES,
    SMALLEST_METRES,
    Sample,
    Up,
    body_extents,
    body_sizes,
    columns_of,
    head_over_feet,
    missing_joints,
    upward,
    usual_size,
)
from maskel.datasets.duplicates import NEAR_METRES, NEAR_SIZES
from maskel.datasets.faults import Fault
from maskel.datasets.store import BodyFrames, SkeletonSet
from maskel.datasets.windows import stretches

FROZEN_FRAMES = 5
"""Exactly equal frames in a row from which a body counts as frozen; a sensor's noise never repeats."""
JUMP_METRES, JUMP_SIZES = 0.5, 0.3
"""Largest step of a joint from one frame to the next; 15 m/s at 30 frames a second."""
BONE_CHANGE = 0.5
"""Largest change of a bone's length within a clip, from the 5th to the 95th percentile, as a share of its median."""
BONE_METRES, BONE_SIZES = 0.25, 0.2
"""Changes of a bone's length up to this are noise: sensors guess hidden joints. In an image most bones are shorter than
this, and bones that turn towards the camera change by less."""
SWAP_METRES, SWAP_SIZES = 0.2, 0.12
"""Mean joint distance between two frames from which two bodies may have exchanged their places."""
SWAP_RATIO = 3.0
"""A swap is reported if exchanging the two bodies would shorten their path by this factor."""
SMALLEST_IN_IMAGE, LARGEST_IN_IMAGE = 0.02, 4.0
"""Smallest and largest size of a body in 2D, in halves of the image."""
FLAT_SHARE = 0.01
"""A body is flat, without depth, if its extent along one axis is below this share of its size."""
HEAD_DOWN = 0.25
"""A body whose head is lower than its feet by this share of its size is upside down."""


@dataclass(frozen=True)
class Bearings:
    """Facts that hold for all bodies of a set.

    Args:
        metric: Whether the bodies are in 3D, with sizes that bodies in metres have.
        size: The usual size of a body, in the set's unit.
        up: The upward direction.
    """

    metric: bool
    size: float
    up: Up

    @classmethod
    def of(cls, dataset: SkeletonSet) -> "Bearings":
        """Measure a set by a sample of its clips."""
        sample = Sample.of(dataset)
        size = usual_size(sample)
        metric = dataset.coordinates == 3 and SMALLEST_METRES <= size <= LARGEST_METRES
        return cls(metric, size, upward(dataset, sample))

    @property
    def near(self) -> float:
        """Largest distance of near duplicates, in the set's unit."""
        return NEAR_METRES if self.metric else NEAR_SIZES * self.size

    def distance(self, value: float) -> tuple[float, str]:
        """Return a small distance in the checks' unit, and as text."""
        if self.metric:
            return value, f"{1000 * value:.2f} mm"
        share = value / self.size if self.size else 0.0
        return share, f"{100 * share:.3f} % of the body's size"


@dataclass(frozen=True)
class Seen:
    """Clips with the measures that the checks need.

    Args:
        dataset: The set.
        rows: All bodies of the clips in all frames in which they exist.
        bearings: Facts of the set.
        columns: (C, V, R) their coordinates, the longest axis last.
        missing: (V, R) True for missing joints; None where none are missing.
        extents: (C, R) extent of each body along each axis.
        sizes: (R,) the size of each body, in the set's unit.
    """

    dataset: SkeletonSet
    rows: BodyFrames
    bearings: Bearings
    columns: Float32[np.ndarray, "c v r"]
    missing: Bool[np.ndarray, "v r"] | None
    extents: Float32[np.ndarray, "c r"]
    sizes: Float32[np.ndarray, " r"]

    @classmethod
    def of(cls, dataset: SkeletonSet, start: int, stop: int, bearings: Bearings) -> "Seen":
        """Measure the clips from position ``start`` to before ``stop``."""
        rows = dataset.body_frames(start, stop)
        columns = columns_of(rows.joints)
        missing = missing_joints(columns, dataset)
        extents = body_extents(columns, missing)
        return cls(dataset, rows, bearings, columns, missing, extents, body_sizes(extents))

    @cached_property
    def units(self) -> Float32[np.ndarray, " r"]:
        """(R,) length that counts as 1 for each body: a metre, or its size."""
        if self.bearings.metric:
            return np.ones_like(self.sizes)
        return np.where(self.sizes > 0, self.sizes, np.float32(np.inf))

    @property
    def unit(self) -> str:
        """Name of that unit, to stand after a number."""
        return "m" if self.bearings.metric else "body sizes"

    def limit(self, metres: float, sizes: float) -> float:
        """Choose the threshold in metres, or the one in body sizes."""
        return metres if self.bearings.metric else sizes

    def worst(
        self,
        where: Int64[np.ndarray, " n"],
        values: Float[np.ndarray, " n"],
        about: Callable[[int], str],
        frames: Int64[np.ndarray, " n"] | None = None,
    ) -> list[Fault]:
        """Return one fault for each clip that has any: the worst.

        Args:
            where: Rows with a fault.
            values: Severity of each.
            about: Describes the fault at a place in ``where``.
            frames: Number of frames of each; by default one.
        """
        rows, clips = self.rows, self.rows.clip[where]
        order = np.lexsort((-values, clips))
        _, starts = np.unique(clips[order], return_index=True)
        sizes = np.ones(len(where), dtype=np.int64) if frames is None else frames
        sums = np.add.reduceat(sizes[order], starts) if len(order) else sizes
        found = []
        for place, count in zip(order[starts].tolist(), sums.tolist(), strict=True):
            clip, body, frame = (int(column[where[place]]) for column in (rows.clip, rows.body, rows.frame))
            found.append(Fault(about(place), float(values[place]), clip, body, frame, count))
        return found

    def worst_in_most_frames(
        self, bad: Bool[np.ndarray, " r"], values: Float[np.ndarray, " r"], about: Callable[[int], str]
    ) -> list[Fault]:
        """Return the worst fault of each clip in which more than half of the body-frames are bad."""
        if not bad.any():
            return []
        clips = self.rows.clip - self.rows.clip[0]
        most = np.bincount(clips, weights=bad) * 2 > np.bincount(clips)
        where = np.flatnonzero(bad & most[clips])
        return self.worst(where, values[where], lambda at: about(int(where[at])))


def _follows(rows: BodyFrames) -> Bool[np.ndarray, " p"]:
    """Return True for each row but the last if the next row is the same body in the next frame."""
    same = (np.diff(rows.clip) == 0) & (np.diff(rows.body) == 0)
    return same & (np.diff(rows.frame) == 1)


def _lengths(vectors: Float32[np.ndarray, "c v r"]) -> Float32[np.ndarray, "v r"]:
    return np.sqrt(np.square(vectors).sum(axis=0))


def _not_finite(seen: Seen) -> list[Fault]:
    rows = seen.rows
    counts = (~np.isfinite(rows.joints)).sum(axis=(1, 2))
    where = np.flatnonzero(counts)
    bad = counts[where]
    return seen.worst(where, bad.astype(np.float64), lambda at: f"{bad[at]} coordinates not finite")


def _absent(seen: Seen) -> list[Fault]:
    rows = seen.rows
    exists = rows.joints.any(axis=(1, 2))
    clips, place = np.unique(rows.clip, return_inverse=True)
    shown = np.unique((place << 32 | rows.frame)[exists])  # frames with a body, by clip
    starts = np.searchsorted(shown >> 32, np.arange(len(clips)))
    counts = np.diff(starts, append=len(shown))
    found = []
    for clip, start, count in zip(clips.tolist(), starts.tolist(), counts.tolist(), strict=True):
        total = int(seen.dataset.frames[clip])
        if count < total:
            frames = shown[start : start + count] & (2**32 - 1)
            late = np.flatnonzero(frames != np.arange(count))
            first = int(late[0]) if len(late) else count
            lacking = total - count
            about = f"{lacking} of {total} frames have no body"
            found.append(Fault(about, float(lacking), clip=clip, frame=first, frames=lacking))
    return found


def _frozen(seen: Seen) -> list[Fault]:
    rows = seen.rows
    same = _follows(rows) & (rows.joints[1:] == rows.joints[:-1]).all(axis=(1, 2))
    runs = np.array(stretches(same), dtype=np.int64).reshape(-1, 2)
    starts, lengths = runs[:, 0], runs[:, 1] - runs[:, 0] + 1
    long = lengths >= FROZEN_FRAMES
    starts, lengths = starts[long], lengths[long]
    return seen.worst(starts, lengths.astype(np.float64), lambda at: f"{lengths[at]} equal frames in a row", lengths)


def _jumps(seen: Seen) -> list[Fault]:
    moved = _lengths(np.diff(seen.columns, axis=2))  # (V, R - 1)
    if seen.missing is not None:
        moved[seen.missing[:, 1:] | seen.missing[:, :-1]] = 0
    farthest = moved.max(axis=0) / np.maximum(seen.units[1:], seen.units[:-1])
    before = np.flatnonzero(_follows(seen.rows) & (farthest > seen.limit(JUMP_METRES, JUMP_SIZES)))

    def about(at: int) -> str:
        joint = seen.dataset.layout.joints[int(moved[:, before[at]].argmax())]
        return f"{joint} moves {farthest[before[at]]:.2f} {seen.unit} in one frame"

    return seen.worst(before + 1, farthest[before], about)


def _bones(seen: Seen) -> list[Fault]:
    rows, layout = seen.rows, seen.dataset.layout
    if not layout.edges:
        return []
    parents, joints = np.array(layout.edges).T
    lengths = _lengths(seen.columns[:, joints] - seen.columns[:, parents]) / seen.units  # (bones, R)
    changes = (np.diff(rows.clip) != 0) | (np.diff(rows.body) != 0)
    starts = np.concatenate(([0], np.flatnonzero(changes) + 1))
    counts = np.diff(starts, append=len(rows.clip))
    present = np.broadcast_to(counts, (len(lengths), len(counts)))  # (bones, bodies)
    if seen.missing is not None:
        unknown = seen.missing[joints] | seen.missing[parents]
        lengths[unknown] = np.nan  # sorted after all numbers
        present = present - np.add.reduceat(unknown, starts, axis=1, dtype=np.int64)
    ordered = _sorted_in_runs(lengths, counts)
    low, usual, high = (  # (bones, bodies)
        np.take_along_axis(
            ordered, starts + np.floor(share * np.maximum(present - 1, 0) + 0.5).astype(np.int64), axis=1
        )
        for share in (0.05, 0.5, 0.95)
    )
    change = high - low
    bad = (change > BONE_CHANGE * usual) & (change > seen.limit(BONE_METRES, BONE_SIZES))
    worst = np.where(bad, change, 0.0)
    bones = worst.argmax(axis=0)
    bodies = np.flatnonzero(worst.max(axis=0))
    where, frames = np.zeros_like(bodies), np.zeros_like(bodies)
    for place, body in enumerate(bodies.tolist()):
        bone, start = bones[body], starts[body]
        off = np.nan_to_num(np.abs(lengths[bone, start : start + counts[body]] - usual[bone, body]))
        where[place] = start + off.argmax()
        frames[place] = np.count_nonzero(off > BONE_CHANGE / 2 * usual[bone, body])

    def about(at: int) -> str:
        body = bodies[at]
        bone = bones[body]
        ends = f"{layout.joints[parents[bone]]} to {layout.joints[joints[bone]]}"
        span = f"{low[bone, body]:.2f} to {high[bone, body]:.2f} {seen.unit}"
        return f"{ends} is {span} long, median {usual[bone, body]:.2f}"

    return seen.worst(where, worst.max(axis=0)[bodies], about, frames)


def _sorted_in_runs(values: Float32[np.ndarray, "n r"], counts: Int64[np.ndarray, " k"]) -> Float32[np.ndarray, "n r"]:
    """Sort every row's runs of ``counts`` values, each run in its place; values are 0 or more."""
    run = np.repeat(np.arange(len(counts), dtype=np.uint64), counts) << np.uint64(32)
    keys = run | np.ascontiguousarray(values).view(np.uint32)  # floats >= 0 have the order of their bits
    keys.sort(axis=1)
    return keys.astype(np.uint32).view(np.float32)


def _swaps(seen: Seen) -> list[Fault]:
    rows = seen.rows
    follows = np.append(_follows(rows), False)
    order = np.lexsort((rows.body, rows.frame, rows.clip))
    where: list[Int64[np.ndarray, " n"]] = []
    values: list[Float[np.ndarray, " n"]] = []
    texts: list[str] = []
    for step in range(1, len(order)):  # bodies of one frame are neighbours
        first, second = order[:-step], order[step:]
        together = (rows.clip[first] == rows.clip[second]) & (rows.frame[first] == rows.frame[second])
        if not together.any():
            break
        pairs = np.flatnonzero(together & follows[first] & follows[second])
        first, second = first[pairs], second[pairs]
        units = np.maximum(seen.units[first], seen.units[second])
        kept = (_apart(seen, first, first + 1) + _apart(seen, second, second + 1)) / (2 * units)
        swapped = (_apart(seen, first, second + 1) + _apart(seen, second, first + 1)) / (2 * units)
        bad = np.flatnonzero((kept > seen.limit(SWAP_METRES, SWAP_SIZES)) & (kept > SWAP_RATIO * swapped))
        where.append(first[bad] + 1)
        values.append(kept[bad])
        for at in bad:
            bodies = f"bodies {rows.body[first[at]]} and {rows.body[second[at]]}"
            texts.append(f"{bodies} move {kept[at]:.2f} {seen.unit}, exchanged {swapped[at]:.2f}")
    if not texts:
        return []
    return seen.worst(np.concatenate(where), np.concatenate(values), texts.__getitem__)


def _apart(seen: Seen, first: Int64[np.ndarray, " n"], second: Int64[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return the mean joint distance of rows, over the joints that both have; 0 without common joints."""
    distances = _lengths(seen.columns[:, :, first] - seen.columns[:, :, second])
    if seen.missing is None:
        return distances.mean(axis=0)
    both = ~(seen.missing[:, first] | seen.missing[:, second])
    return (distances * both).sum(axis=0) / np.maximum(both.sum(axis=0), 1)


def _units(seen: Seen) -> list[Fault]:
    image = seen.dataset.coordinates == 2
    least, most = (SMALLEST_IN_IMAGE, LARGEST_IN_IMAGE) if image else (SMALLEST_METRES, LARGEST_METRES)
    unit = "halves of the image" if image else "metres"
    with np.errstate(divide="ignore"):
        times = np.maximum(seen.sizes / most, least / seen.sizes)

    def about(row: int) -> str:
        return f"the body's size is {seen.sizes[row]:.3g}, not {least:g} to {most:g} {unit}"

    return seen.worst_in_most_frames(times > 1, times, about)


def _flat(seen: Seen) -> list[Fault]:
    if seen.dataset.coordinates == 2:
        return []
    thin = seen.extents.min(axis=0)
    axes = seen.extents.argmin(axis=0)
    return seen.worst_in_most_frames(
        thin < FLAT_SHARE * seen.sizes,
        1 - thin / np.where(seen.sizes > 0, seen.sizes, 1),
        lambda row: f"{'xyz'[axes[row]]} spans {thin[row]:.3g} over the body, whose size is {seen.sizes[row]:.3g}",
    )


def _upside_down(seen: Seen) -> list[Fault]:
    up = seen.bearings.up
    above = up.sign * head_over_feet(seen.columns[[up.axis]], seen.missing, seen.dataset.layout)[0]
    below = -above / np.where(seen.sizes > 0, seen.sizes, np.inf)
    return seen.worst_in_most_frames(
        below > HEAD_DOWN, below, lambda row: f"the head is {below[row]:.2f} body sizes below the feet"
    )


CLIP_CHECKS: dict[str, Callable[[Seen], list[Fault]]] = {
    "not_finite": _not_finite,
    "absent": _absent,
    "units": _units,
    "flat": _flat,
    "upside_down": _upside_down,
    "frozen": _frozen,
    "jumps": _jumps,
    "bones": _bones,
    "swaps": _swaps,
}
