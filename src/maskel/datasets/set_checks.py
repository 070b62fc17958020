"""Checks that need no joints: the tables of clips, classes and benchmarks."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from jaxtyping import Int64

from maskel.datasets import exemplar_names
from maskel.datasets.base import SPLIT_BY
from maskel.datasets.bodies import recorded_layout
from maskel.datasets.clip_checks import Bearings
from maskel.datasets.counts import BODIES, BODY_FRAMES, EMPTY_FRAMES, FILLED_FRAMES, MISSING_JOINTS, THINNED_FRAMES
from maskel.datasets.duplicates import Duplicates, leaks
from maskel.datasets.faults import Fault
from maskel.datasets.store import SkeletonSet

SHORT_SHARE = 0.25
"""Clips shorter than this share of the median length are short; clips of a single frame always are."""
IMBALANCE = 5.0
"""Largest ratio of the clips of the largest class to those of the smallest."""
FILLED_SHARE = 0.2
"""Largest share of a clip's body-frames that may be filled in."""
MISSING_SHARE = 0.2
"""Largest share of a clip's joints, over all its body-frames, that may be missing."""
LEFT_OUT_SHARE = 0.2
"""Largest share of a recording that may be left out: frames without a body, or body-frames of other people."""

TESTS_NONE = "all"
"""The benchmark for pre-training: it has no test clips, and all its clips may lack a label."""


def equal_clips(dataset: SkeletonSet, duplicates: Duplicates) -> Iterator[Fault]:
    """Yield clips that equal an earlier clip."""
    for clip in np.flatnonzero(duplicates.first != np.arange(len(dataset))).tolist():
        other = int(duplicates.first[clip])
        yield Fault(f"equals {dataset.clips[other].name}{_label(dataset, clip, other)}", 0.0, clip=clip, other=other)


def near_clips(dataset: SkeletonSet, duplicates: Duplicates, bearings: Bearings) -> Iterator[Fault]:
    """Yield clips that nearly equal an earlier clip."""
    for (other, clip), distance in duplicates.near.items():
        value, words = bearings.distance(distance)
        yield Fault(
            f"{words} from {dataset.clips[other].name}{_label(dataset, clip, other)}", value, clip=clip, other=other
        )


def _label(dataset: SkeletonSet, clip: int, other: int) -> str:
    label, other_label = dataset.labels[clip], dataset.labels[other]
    if label == other_label or min(label, other_label) < 0:
        return ""
    return f", but is of class {dataset.classes[label]}, not {dataset.classes[other_label]}"


def leaking_clips(dataset: SkeletonSet, duplicates: Duplicates, bearings: Bearings) -> Iterator[Fault]:
    """Yield test clips that are also in training."""
    for benchmark in dataset.benchmarks:
        found = leaks(duplicates, dataset.split(benchmark, "train"), dataset.split(benchmark, "test"))
        for clip, (other, distance) in found.items():
            value, words = bearings.distance(distance)
            how = f"{words} from" if distance else "equals"
            about = f"{benchmark}: {how} {dataset.clips[other].name} of the training part"
            yield Fault(about, value, clip=clip, other=other, benchmark=benchmark)


def shared_origins(dataset: SkeletonSet) -> Iterator[Fault]:
    """Yield subjects, cameras or setups on both sides of a benchmark that splits clips by them."""
    for benchmark, what in SPLIT_BY.items():
        if benchmark not in dataset.benchmarks:
            continue
        split = dataset.benchmarks[benchmark]
        train, test = (
            Counter(getattr(dataset.clips[clip], what) for clip in part) for part in (split.train, split.test)
        )
        for name in sorted((set(train) & set(test)) - {""}):
            about = f"{benchmark}: {what} {name} has {train[name]} training and {test[name]} test clips"
            yield Fault(about, float(min(train[name], test[name])), benchmark=benchmark)


def short_clips(dataset: SkeletonSet) -> Iterator[Fault]:
    """Yield clips that are much shorter than usual."""
    usual = float(np.median(dataset.valid_frames))
    for clip in np.flatnonzero((dataset.valid_frames < SHORT_SHARE * usual) | (dataset.valid_frames == 1)).tolist():
        frames = int(dataset.valid_frames[clip])
        yield Fault(f"{frames} of usually {usual:g} frames", float(frames), clip=clip)


def unequal_classes(dataset: SkeletonSet) -> Iterator[Fault]:
    """Yield classes without clips, or with far fewer than the largest; clips without a label count for no class."""
    counts = _class_counts(dataset, np.arange(len(dataset)))
    if not counts.any():
        return
    most = int(counts.argmax())
    for label in np.flatnonzero(counts[most] > IMBALANCE * counts).tolist():
        about = f"{dataset.classes[label]} has {counts[label]} clips, {dataset.classes[most]} has {counts[most]}"
        yield Fault(about, float(counts[most] - counts[label]))


def empty_parts(dataset: SkeletonSet) -> Iterator[Fault]:
    """Yield benchmarks without training or test clips, or with a test class that has no training clip."""
    for benchmark in dataset.benchmarks:
        parts = {part: dataset.split(benchmark, part) for part in ("train", "test")}
        empty = [part for part, clips in parts.items() if not len(clips)]
        size = sum(map(len, parts.values()))
        pretrains = benchmark == TESTS_NONE and (size > 0 or len(dataset.benchmarks[benchmark].unlabelled) > 0)
        for part in empty:
            if (part == "train" and size) or not pretrains:
                yield Fault(f"{benchmark}: the {part} part has no clip", float(size), benchmark=benchmark)
        if empty or exemplar_names(dataset.source, benchmark):
            continue
        train, test = (_class_counts(dataset, parts[part]) for part in ("train", "test"))
        for label in np.flatnonzero((test > 0) & (train == 0)).tolist():
            about = f"{benchmark}: {dataset.classes[label]} has {test[label]} test clips and no training clip"
            yield Fault(about, float(test[label]), benchmark=benchmark)


def _class_counts(dataset: SkeletonSet, positions: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " k"]:
    labels = dataset.labels[positions]
    return np.bincount(labels[labels >= 0], minlength=len(dataset.classes))


def counted_faults(dataset: SkeletonSet, body_frames: Int64[np.ndarray, " n"]) -> dict[str, list[Fault]]:
    """Return the clips with large parts filled in, missing or left out when the set was prepared."""
    found: dict[str, list[Fault]] = {"filled": [], "missing": [], "left_out": []}
    joints = len(recorded_layout(dataset) or dataset.layout)
    for clip, counts in dataset.counts.items():
        frames = int(dataset.frames[clip])
        rows = round(int(body_frames[clip]) * (1 + counts.get(THINNED_FRAMES, 0) / frames))  # as recorded
        filled, missing = counts.get(FILLED_FRAMES, 0), counts.get(MISSING_JOINTS, 0)
        empty, others = counts.get(EMPTY_FRAMES, 0), counts.get(BODY_FRAMES, 0)
        if filled > FILLED_SHARE * rows:
            about = f"{filled} of {rows} body-frames are filled in"
            found["filled"].append(Fault(about, filled / rows, clip=clip, frames=filled))
        if missing > MISSING_SHARE * rows * joints:
            share = missing / (rows * joints)
            found["missing"].append(Fault(f"{missing} joints are missing, {share:.0%} of all", share, clip=clip))
        share = max(empty / (frames + empty), others / (rows + others))
        if share > LEFT_OUT_SHARE:
            lost = [f"{what}: {counts[what]}" for what in (EMPTY_FRAMES, BODIES, BODY_FRAMES) if what in counts]
            found["left_out"].append(Fault(f"{', '.join(lost)}; {frames} frames are kept", share, clip=clip))
    return found
