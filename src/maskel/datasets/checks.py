"""What is wrong with a prepared set: one pass over its clips, a few at a time.

Every threshold is a constant here, with its unit. Checks whose threshold is in metres are left out for sets that are
not in 3D.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

from maskel.datasets.duplicates import NEAR_METRES, Duplicates, Fingerprints, leaks
from maskel.datasets.store import BodyFrames, SkeletonSet
from maskel.sequence import Clip

FROZEN_FRAMES = 5
"""Frames in a row with exactly the same coordinates from which on a body is frozen; a sensor's noise never repeats."""
JUMP_METRES = 0.5
"""How far a joint may move from one frame to the next; 15 m/s at 30 frames a second."""
BONE_CHANGE = 0.5
"""How much a bone's length may change within a clip, as a share of its median; the change is from the 5th to the 95th
percentile."""
BONE_METRES = 0.25
"""Changes of a bone's length up to this are noise: sensors guess joints that they do not see."""
SWAP_METRES = 0.2
"""Mean joint distance that two bodies travel in one frame from which on they may have changed places."""
SWAP_RATIO = 3.0
"""They have if they would have travelled so many times less with their places exchanged."""
SHORT_SHARE = 0.25
"""Clips shorter than this share of the median length are short; clips of a single frame always are."""
IMBALANCE = 5.0
"""How many times more clips the largest class may have than the smallest."""

SAME_SIDE: dict[str, tuple[str, Callable[[Clip], str]]] = {
    "xsub": ("subject", lambda clip: clip.subject),
    "xview": ("camera", lambda clip: clip.camera),
    "xset": ("setup", lambda clip: clip.setup),
}
"""Benchmarks that split at a number: none of it may stand on both sides."""

CHUNK_ROWS = 2**14
"""Body-frames that are looked at together: some 5 MB with 25 joints. A longer clip is looked at whole."""


@dataclass(frozen=True)
class Check:
    """What one check looks for.

    Args:
        title: What it finds.
        threshold: From when on that is a fault, in words.
        unit: Of a fault's value.
        metric: Whether it needs 3D joints in metres.
    """

    title: str
    threshold: str
    unit: str
    metric: bool = False


CHECKS: dict[str, Check] = {
    "leaks": Check(
        "test clips that stand in training too", f"equal, or less than {1000 * NEAR_METRES:g} mm apart", "metres"
    ),
    "shared": Check("subjects, cameras or setups on both sides", "of a benchmark that splits at them", "clips"),
    "duplicates": Check("clips equal to an earlier one", "every coordinate equal", "metres"),
    "near_duplicates": Check(
        "clips nearly equal to an earlier one",
        f"same length, mean joint distance < {1000 * NEAR_METRES:g} mm after centring",
        "metres",
        metric=True,
    ),
    "not_finite": Check("coordinates that are not finite", "any", "coordinates"),
    "absent": Check("frames without a body", "any", "frames"),
    "frozen": Check("frozen bodies", f"{FROZEN_FRAMES} equal frames in a row", "frames"),
    "jumps": Check("jumps", f"a joint moves > {JUMP_METRES:g} m in one frame", "metres", metric=True),
    "bones": Check(
        "implausible bones",
        f"length changes by > {100 * BONE_CHANGE:g} % of its median and > {BONE_METRES:g} m",
        "metres",
        metric=True,
    ),
    "swaps": Check(
        "identity swaps",
        f"two bodies move > {SWAP_METRES:g} m in one frame, {SWAP_RATIO:g} times less if exchanged",
        "metres",
        metric=True,
    ),
    "short": Check("short clips", f"< {100 * SHORT_SHARE:g} % of the median length, or one frame", "frames"),
    "imbalance": Check("class imbalance", f"largest class > {IMBALANCE:g} times the smallest, or empty", "clips"),
}
"""Every check by its name, in the order in which they are shown."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong; of a clip in which it is wrong several times, the worst.

    Args:
        about: What it is, as a sentence's end.
        value: How bad, in the check's unit; the larger the worse, but for duplicates and short clips.
        clip: Position of the clip; None where the fault is the set's.
        body: Which of its bodies.
        frame: The frame, from 0; of a jump or swap the one after it, of frozen bodies the first.
        frames: In how many frames of the clip.
        other: Position of the clip that it equals.
        benchmark: Where the fault is a benchmark's.
    """

    about: str
    value: float
    clip: int | None = None
    body: int | None = None
    frame: int | None = None
    frames: int | None = None
    other: int | None = None
    benchmark: str | None = None


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Args:
        check: Its name in `CHECKS`.
        faults: The worst first.
        note: Why the check was left out, or did not end.
    """

    check: str
    faults: tuple[Fault, ...]
    note: str = ""

    @property
    def clips(self) -> int:
        """Number of clips concerned."""
        return len({fault.clip for fault in self.faults if fault.clip is not None})


def examine(data: SkeletonSet, advance: Callable[[int], None] = lambda clips: None) -> tuple[Finding, ...]:
    """Look for every fault in `CHECKS`; reads the joints once, from the first to the last.

    Args:
        data: The set.
        advance: Called with a number of clips when these are done.
    """
    notes = {}
    if data.coordinates != 3:
        why = f"left out: it needs 3D joints in metres, and the set has {data.coordinates} coordinates"
        notes = {name: why for name, check in CHECKS.items() if check.metric}
    prints = Fingerprints(data)
    faults: dict[str, list[Fault]] = {name: [] for name in CHECKS}
    for start, stop in chunks(data):
        rows = data.body_frames(start, stop)
        with np.errstate(over="ignore", invalid="ignore"):  # damaged coordinates are found, not stumbled over
            prints.add(rows)
            for name, check in _OF_CLIPS.items():
                if name not in notes:
                    faults[name] += check(rows, data)
        advance(stop - start)
    duplicates = prints.duplicates(near="near_duplicates" not in notes)
    if not duplicates.complete:
        notes["near_duplicates"] = "not complete: there are too many to compare all"
    faults["leaks"] = list(_leaks(data, duplicates))
    faults["shared"] = list(_shared(data))
    faults["duplicates"] = list(_equal(data, duplicates))
    faults["near_duplicates"] = list(_near(data, duplicates))
    faults["short"] = list(_short(data))
    faults["imbalance"] = list(_imbalance(data))
    ascending = ("duplicates", "near_duplicates", "leaks", "short")
    return tuple(
        Finding(
            name,
            tuple(sorted(found, key=lambda fault: fault.value, reverse=name not in ascending)),
            notes.get(name, ""),
        )
        for name, found in faults.items()
    )


@dataclass(frozen=True)
class Repeats:
    """Clips that a benchmark has twice.

    Args:
        train: Training clips equal to an earlier training clip.
        test: Test clips equal to an earlier test clip.
        leaks: Test clips equal to a training clip.
        near_leaks: Test clips nearly equal to a training clip.
    """

    train: int
    test: int
    leaks: int
    near_leaks: int

    def __str__(self) -> str:
        near = f", {self.near_leaks:,} nearly" if self.near_leaks else ""
        return f"{self.train:,} in train, {self.test:,} in test; {self.leaks:,} test clips in train{near}"


def count_repeats(data: SkeletonSet, findings: Sequence[Finding]) -> dict[str, Repeats]:
    """What `examine` found twice, for each benchmark."""
    by_name = {finding.check: finding.faults for finding in findings}
    first = np.arange(len(data))
    for fault in by_name["duplicates"]:
        if fault.clip is not None and fault.other is not None:
            first[fault.clip] = fault.other
    found = {}
    for name in data.benchmarks:
        train, test = (data.split(name, part) for part in ("train", "test"))
        leaking = [fault.value > 0 for fault in by_name["leaks"] if fault.benchmark == name]
        found[name] = Repeats(
            train=len(train) - len(np.unique(first[train])),
            test=len(test) - len(np.unique(first[test])),
            leaks=leaking.count(False),
            near_leaks=leaking.count(True),
        )
    return found


FINDING_HEADING = ("check", "a fault when", "found", "the worst")


def summarise(finding: Finding, data: SkeletonSet) -> tuple[str, str, str, str]:
    """A finding as a row of a table under `FINDING_HEADING`."""
    check, faults = CHECKS[finding.check], finding.faults
    clips = "1 clip" if finding.clips == 1 else f"{finding.clips:,} clips"
    found = clips if finding.clips else f"{len(faults):,}" if faults else "none"
    if finding.note:
        found = f"{found}; {finding.note}" if faults else finding.note
    worst = ""
    if faults:
        place = [data.clips[faults[0].clip].name] if faults[0].clip is not None else []
        place += [f"frame {faults[0].frame}"] if faults[0].frame is not None else []
        worst = ": ".join([", ".join(place), faults[0].about] if place else [faults[0].about])
    return check.title, check.threshold, found, worst


def chunks(data: SkeletonSet) -> Iterator[tuple[int, int]]:
    """Runs of clips (first, one after the last) of at most `CHUNK_ROWS` body-frames each, but at least one clip."""
    start, size = 0, 0
    for clip, rows in enumerate((data.bodies * data.frames).tolist()):
        if size and size + rows > CHUNK_ROWS:
            yield start, clip
            start, size = clip, 0
        size += rows
    yield start, len(data)


def _follows(rows: BodyFrames) -> Bool[np.ndarray, " p"]:
    """For each row but the last whether the next one is the same body in the next frame."""
    same = (np.diff(rows.clip) == 0) & (np.diff(rows.body) == 0)
    return same & (np.diff(rows.frame) == 1)


def _norm(vectors: Float32[np.ndarray, "r v c"]) -> Float32[np.ndarray, "r v"]:
    """Lengths; much faster than ``np.linalg.norm`` over so short an axis."""
    return np.sqrt(np.einsum("rvc,rvc->rv", vectors, vectors))


def _worst_of_each_clip(
    rows: BodyFrames,
    where: Int64[np.ndarray, " n"],
    values: Float[np.ndarray, " n"],
    about: Callable[[int], str],
    frames: Int64[np.ndarray, " n"] | None = None,
) -> list[Fault]:
    """One fault for each clip with any.

    Args:
        rows: Some clips.
        where: Rows with a fault.
        values: How bad each is.
        about: What the fault at a place in ``where`` is.
        frames: In how many frames each is; by default one.
    """
    clips = rows.clip[where]
    order = np.lexsort((-values, clips))
    _, starts = np.unique(clips[order], return_index=True)
    sizes = np.ones(len(where), dtype=np.int64) if frames is None else frames
    sums = np.add.reduceat(sizes[order], starts) if len(order) else sizes
    found = []
    for place, count in zip(order[starts].tolist(), sums.tolist(), strict=True):
        row = where[place]
        found.append(
            Fault(
                about=about(place),
                value=float(values[place]),
                clip=int(rows.clip[row]),
                body=int(rows.body[row]),
                frame=int(rows.frame[row]),
                frames=count,
            )
        )
    return found


def _not_finite(rows: BodyFrames, data: SkeletonSet) -> list[Fault]:
    counts = (~np.isfinite(rows.joints)).sum(axis=(1, 2))
    where = np.flatnonzero(counts)
    told = counts[where]
    return _worst_of_each_clip(rows, where, told.astype(np.float64), lambda at: f"{told[at]} coordinates not finite")


def _absent(rows: BodyFrames, data: SkeletonSet) -> list[Fault]:
    exists = rows.joints.any(axis=(1, 2))
    clips, place = np.unique(rows.clip, return_inverse=True)
    shown = np.unique((place << 32 | rows.frame)[exists])  # frames with a body, by clip
    starts = np.searchsorted(shown >> 32, np.arange(len(clips)))
    counts = np.diff(starts, append=len(shown))
    found = []
    for clip, start, count in zip(clips.tolist(), starts.tolist(), counts.tolist(), strict=True):
        total = int(data.frames[clip])
        if count < total:
            frames = shown[start : start + count] & (2**32 - 1)
            late = np.flatnonzero(frames != np.arange(count))
            first = int(late[0]) if len(late) else count
            lacking = total - count
            about = f"{lacking} of {total} frames have no body"
            found.append(Fault(about, float(lacking), clip=clip, frame=first, frames=lacking))
    return found


def _frozen(rows: BodyFrames, data: SkeletonSet) -> list[Fault]:
    same = _follows(rows) & (rows.joints[1:] == rows.joints[:-1]).all(axis=(1, 2))
    edges = np.diff(np.pad(same, 1).astype(np.int8))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    lengths = ends - starts + 1
    long = lengths >= FROZEN_FRAMES
    starts, lengths = starts[long], lengths[long]
    return _worst_of_each_clip(
        rows, starts, lengths.astype(np.float64), lambda at: f"{lengths[at]} equal frames in a row", lengths
    )


def _jumps(rows: BodyFrames, data: SkeletonSet) -> list[Fault]:
    moved = _norm(np.diff(rows.joints, axis=0))  # (R - 1, V)
    farthest = moved.max(axis=1, initial=0.0)
    before = np.flatnonzero(_follows(rows) & (farthest > JUMP_METRES))

    def about(at: int) -> str:
        joint = data.layout.joints[int(moved[before[at]].argmax())]
        return f"{joint} moves {farthest[before[at]]:.2f} m in one frame"

    return _worst_of_each_clip(rows, before + 1, farthest[before], about)


def _bones(rows: BodyFrames, data: SkeletonSet) -> list[Fault]:
    if not data.layout.edges:
        return []
    parents, joints = np.array(data.layout.edges).T
    lengths = _norm(rows.joints[:, joints] - rows.joints[:, parents]).T  # (bones, R)
    changes = (np.diff(rows.clip) != 0) | (np.diff(rows.body) != 0)
    starts = np.concatenate(([0], np.flatnonzero(changes) + 1))
    counts = np.diff(starts, append=len(rows.clip))
    ordered = _sorted_in_runs(lengths, counts)
    low, usual, high = (  # (bones, bodies)
        ordered[:, starts + np.floor(share * (counts - 1) + 0.5).astype(np.int64)] for share in (0.05, 0.5, 0.95)
    )
    change = high - low
    worst = np.where((change > BONE_CHANGE * usual) & (change > BONE_METRES), change, 0.0)
    bones = worst.argmax(axis=0)
    bodies = np.flatnonzero(worst.max(axis=0))
    where, frames = np.zeros_like(bodies), np.zeros_like(bodies)
    for place, body in enumerate(bodies.tolist()):
        bone, start = bones[body], starts[body]
        off = np.abs(lengths[bone, start : start + counts[body]] - usual[bone, body])
        where[place] = start + off.argmax()
        frames[place] = np.count_nonzero(off > BONE_CHANGE / 2 * usual[bone, body])

    def about(at: int) -> str:
        body = bodies[at]
        bone = bones[body]
        ends = f"{data.layout.joints[parents[bone]]} to {data.layout.joints[joints[bone]]}"
        return f"{ends} is {low[bone, body]:.2f} to {high[bone, body]:.2f} m long, median {usual[bone, body]:.2f} m"

    return _worst_of_each_clip(rows, where, worst.max(axis=0)[bodies], about, frames)


def _sorted_in_runs(values: Float32[np.ndarray, "n r"], counts: Int64[np.ndarray, " k"]) -> Float32[np.ndarray, "n r"]:
    """Every row's runs of ``counts`` values sorted, each in its place; values are 0 or more."""
    run = np.repeat(np.arange(len(counts), dtype=np.uint64), counts) << np.uint64(32)
    keys = run | np.ascontiguousarray(values).view(np.uint32)  # floats from 0 on are ordered like their bits
    keys.sort(axis=1)
    return keys.astype(np.uint32).view(np.float32)


def _swaps(rows: BodyFrames, data: SkeletonSet) -> list[Fault]:
    follows = np.append(_follows(rows), False)
    order = np.lexsort((rows.body, rows.frame, rows.clip))
    where: list[Int64[np.ndarray, " n"]] = []
    values: list[Float[np.ndarray, " n"]] = []
    told: list[str] = []
    for step in range(1, len(order)):  # bodies of one frame stand together
        one, other = order[:-step], order[step:]
        together = (rows.clip[one] == rows.clip[other]) & (rows.frame[one] == rows.frame[other])
        if not together.any():
            break
        pairs = np.flatnonzero(together & follows[one] & follows[other])
        one, other = one[pairs], other[pairs]
        kept = (_apart(rows, one, one + 1) + _apart(rows, other, other + 1)) / 2
        swapped = (_apart(rows, one, other + 1) + _apart(rows, other, one + 1)) / 2
        bad = np.flatnonzero((kept > SWAP_METRES) & (kept > SWAP_RATIO * swapped))
        where.append(one[bad] + 1)
        values.append(kept[bad])
        for at in bad:
            bodies = f"bodies {rows.body[one[at]]} and {rows.body[other[at]]}"
            told.append(f"{bodies} move {kept[at]:.2f} m, exchanged {swapped[at]:.2f} m")
    if not told:
        return []
    return _worst_of_each_clip(rows, np.concatenate(where), np.concatenate(values), told.__getitem__)


def _apart(rows: BodyFrames, one: Int64[np.ndarray, " n"], other: Int64[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Mean joint distance of rows."""
    return _norm(rows.joints[one] - rows.joints[other]).mean(axis=1)


_OF_CLIPS: dict[str, Callable[[BodyFrames, SkeletonSet], list[Fault]]] = {
    "not_finite": _not_finite,
    "absent": _absent,
    "frozen": _frozen,
    "jumps": _jumps,
    "bones": _bones,
    "swaps": _swaps,
}


def _equal(data: SkeletonSet, duplicates: Duplicates) -> Iterator[Fault]:
    for clip in np.flatnonzero(duplicates.first != np.arange(len(data))).tolist():
        other = int(duplicates.first[clip])
        yield Fault(f"equals {data.clips[other].name}{_label(data, clip, other)}", 0.0, clip=clip, other=other)


def _near(data: SkeletonSet, duplicates: Duplicates) -> Iterator[Fault]:
    for (other, clip), distance in duplicates.near.items():
        about = f"{1000 * distance:.2f} mm from {data.clips[other].name}{_label(data, clip, other)}"
        yield Fault(about, distance, clip=clip, other=other)


def _label(data: SkeletonSet, clip: int, other: int) -> str:
    one, another = data.labels[clip], data.labels[other]
    if one == another or min(one, another) < 0:  # a clip without a label contradicts none
        return ""
    return f", but is of class {data.classes[one]}, not {data.classes[another]}"


def _leaks(data: SkeletonSet, duplicates: Duplicates) -> Iterator[Fault]:
    for benchmark in data.benchmarks:
        found = leaks(duplicates, data.split(benchmark, "train"), data.split(benchmark, "test"))
        for clip, (other, distance) in found.items():
            how = f"{1000 * distance:.2f} mm from" if distance else "equals"
            about = f"{benchmark}: {how} {data.clips[other].name} of the training part"
            yield Fault(about, distance, clip=clip, other=other, benchmark=benchmark)


def _shared(data: SkeletonSet) -> Iterator[Fault]:
    for benchmark, (what, number) in SAME_SIDE.items():
        if benchmark not in data.benchmarks:
            continue
        split = data.benchmarks[benchmark]
        train, test = (Counter(number(data.clips[clip]) for clip in part) for part in (split.train, split.test))
        for name in sorted((set(train) & set(test)) - {""}):
            about = f"{benchmark}: {what} {name} has {train[name]} training and {test[name]} test clips"
            yield Fault(about, float(min(train[name], test[name])), benchmark=benchmark)


def _short(data: SkeletonSet) -> Iterator[Fault]:
    usual = float(np.median(data.valid_frames))
    for clip in np.flatnonzero((data.valid_frames < SHORT_SHARE * usual) | (data.valid_frames == 1)).tolist():
        frames = int(data.valid_frames[clip])
        yield Fault(f"{frames} of usually {usual:g} frames", float(frames), clip=clip)


def _imbalance(data: SkeletonSet) -> Iterator[Fault]:
    counts = np.bincount(data.labels[data.labels >= 0], minlength=len(data.classes))
    if not len(counts):
        return
    most = int(counts.argmax())
    for label in np.flatnonzero(counts[most] > IMBALANCE * counts).tolist():
        about = f"{data.classes[label]} has {counts[label]} clips, {data.classes[most]} has {counts[most]}"
        yield Fault(about, float(counts[most] - counts[label]))
