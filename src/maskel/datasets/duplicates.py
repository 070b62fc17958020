"""Search for equal and nearly equal clips of a set, without comparing every clip with every other."""

import hashlib
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from maskel.datasets.store import BodyFrames, SkeletonSet

NEAR_METRES = 0.001
"""Clips with a smaller mean joint distance, both centred, are near duplicates."""
NEAR_SIZES = 0.0005
"""The same limit for bodies that are not in metres, as a share of the usual size of the set's bodies."""
MOST_PAIRS = 100_000
"""Near pairs after which the search ends: a set with more is one clip many times."""

_KEYS = 8
_SLACK = 1.001  # keys are sums in float64; their rounding must not hide a pair


@dataclass(frozen=True)
class Duplicates:
    """Duplicate clips of a set.

    Args:
        first: (N,) position of the first clip with the same coordinates; a clip's own position if there is none.
        near: Pairs of clips (i, j), i < j, that are nearly equal, and their mean joint distance in the set's unit. Of
            clips with the same coordinates only the first is in a pair.
        complete: False if the search for near pairs ended at `MOST_PAIRS`.
    """

    first: Int64[np.ndarray, " n"]
    near: dict[tuple[int, int], float]
    complete: bool


class Fingerprints:
    """Collector of digests and keys that tell clips apart, filled while a set is read once.

    A clip's digest stands for every coordinate. Its keys bound distances from below: each is the mean over joints and
    frames of the centred joint's component along a direction that depends on the joint. The mean of lengths is at
    least the length of the mean, so two clips with the same frames are at least as far apart, in mean joint distance,
    as any of their keys. Clips whose keys differ by more than ``near`` are no near duplicates; all others are
    compared joint by joint. So no pair of the same length is missed.

    Args:
        dataset: The set.
        near: Clips that differ by less are near duplicates; in the set's unit.
    """

    def __init__(self, dataset: SkeletonSet, near: float = NEAR_METRES) -> None:
        self.data = dataset
        self._near = near
        self._seen: dict[bytes, int] = {}
        self._first = np.arange(len(dataset))
        self._rows = np.zeros(len(dataset), dtype=np.int64)
        self._keys = np.full((len(dataset), _KEYS), np.nan)
        shape = (_KEYS, len(dataset.layout), dataset.coordinates)
        directions = np.random.default_rng(0).normal(size=shape)
        self._directions = directions / np.linalg.norm(directions, axis=2, keepdims=True)

    def add(self, rows: BodyFrames) -> None:
        """Add the clips of ``rows``; each clip must be whole, and clips must come in order."""
        clips, starts, counts = np.unique(rows.clip, return_index=True, return_counts=True)
        pose = np.add.reduceat(rows.joints, starts, axis=0, dtype=np.float64) / counts[:, None, None]
        pose -= pose.mean(axis=1, keepdims=True)
        self._keys[clips] = np.einsum("nvc,kvc->nk", pose, self._directions) / pose.shape[1]
        self._rows[clips] = counts
        for clip, start, count in zip(clips.tolist(), starts.tolist(), counts.tolist(), strict=True):
            digest = hashlib.blake2b(f"{self.data.bodies[clip]} {self.data.frames[clip]}".encode(), digest_size=16)
            for values in (rows.body, rows.frame, rows.joints):
                digest.update(np.ascontiguousarray(values[start : start + count]).data)
            self._first[clip] = self._seen.setdefault(digest.digest(), clip)

    def duplicates(self) -> Duplicates:
        """Compare the added clips."""
        candidates, complete = self._candidates()
        pairs = {}
        for first, second in candidates.tolist():
            distance = self._distance(first, second)
            if distance < self._near:
                pairs[first, second] = distance
        return Duplicates(self._first, pairs, complete)

    def _candidates(self) -> tuple[Int64[np.ndarray, "p 2"], bool]:
        """Return the pairs of clips with nearly equal keys, and whether the list is complete."""
        only = np.flatnonzero((self._first == np.arange(len(self._first))) & np.isfinite(self._keys).all(axis=1))
        order = only[np.lexsort((self._keys[only, 0], self._rows[only], self.data.frames[only]))]
        size = np.stack((self.data.frames[order], self._rows[order]), axis=1)
        keys = self._keys[order]
        found, count = [np.zeros((0, 2), dtype=np.int64)], 0
        for step in range(1, len(order)):
            near: Bool[np.ndarray, " p"] = keys[step:, 0] - keys[:-step, 0] <= _SLACK * self._near
            near &= (size[step:] == size[:-step]).all(axis=1)
            at = np.flatnonzero(near)
            if not len(at):
                break
            at = at[(np.abs(keys[at + step] - keys[at]) <= _SLACK * self._near).all(axis=1)]
            found.append(np.sort(np.stack((order[at], order[at + step]), axis=1), axis=1))
            count += len(at)
            if count > MOST_PAIRS:
                return np.concatenate(found)[:MOST_PAIRS], False
        pairs = np.concatenate(found)
        return pairs[np.lexsort(pairs.T[::-1])], True

    def _distance(self, first: int, second: int) -> float:
        """Return the mean joint distance of two centred clips; infinite if they differ in bodies or frames."""
        a, b = self.data.body_frames(first, first + 1), self.data.body_frames(second, second + 1)
        if not (np.array_equal(a.body, b.body) and np.array_equal(a.frame, b.frame)):
            return float("inf")
        apart: Float64[np.ndarray, "r v c"] = np.subtract(a.joints, b.joints, dtype=np.float64)
        return float(np.linalg.norm(apart - apart.mean(axis=(0, 1)), axis=2).mean())


def leaks(
    duplicates: Duplicates, train: Int64[np.ndarray, " n"], test: Int64[np.ndarray, " m"]
) -> dict[int, tuple[int, float]]:
    """Find test clips that are also in training: clip -> (training clip, mean joint distance; 0 if equal)."""
    of_class = dict(zip(duplicates.first[train][::-1].tolist(), train[::-1].tolist(), strict=True))
    near: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for (first, second), distance in duplicates.near.items():
        for here, there in ((first, second), (second, first)):
            if there in of_class:
                near[here].append((distance, of_class[there]))
    found = {}
    for clip, first in zip(test.tolist(), duplicates.first[test].tolist(), strict=True):
        if first in of_class:
            found[clip] = (of_class[first], 0.0)
        elif first in near:
            distance, twin = min(near[first])
            found[clip] = (twin, distance)
    return found
