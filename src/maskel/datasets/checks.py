"""Checks for faults of a prepared set: one pass over its clips, a few at a time.

The checks of joints and their thresholds stand in `maskel.datasets.clip_checks`, those of tables in
`maskel.datasets.set_checks`, near duplicates in `maskel.datasets.duplicates`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from maskel.console import Report
from maskel.datasets import clip_checks, set_checks
from maskel.datasets.bodies import LARGEST_METRES, SMALLEST_METRES
from maskel.datasets.duplicates import NEAR_METRES, NEAR_SIZES, Fingerprints
from maskel.datasets.faults import Fault
from maskel.datasets.store import SkeletonSet

CHUNK_ROWS = 2**14
"""Body-frames per pass: some 5 MB with 25 joints. A longer clip is one pass."""


@dataclass(frozen=True)
class Check:
    """One check: its title and threshold.

    Args:
        title: Name of the fault.
        threshold: The limit, as text; ``{}`` stands for one of ``limits``.
        unit: Unit of a fault's value.
        limits: The limit for bodies in metres, and for all others, if they differ; the unit of those is the size of a
            body, the diagonal of its bounding box.
    """

    title: str
    threshold: str
    unit: str
    limits: tuple[str, str] = ("", "")


_NEAR = (f"{1000 * NEAR_METRES:g} mm", f"{100 * NEAR_SIZES:g} % of a body's size")
_JUMP = (f"{clip_checks.JUMP_METRES:g} m", f"{clip_checks.JUMP_SIZES:g} of the body's size")
_BONE = (f"{clip_checks.BONE_METRES:g} m", f"{clip_checks.BONE_SIZES:g} of the body's size")
_SWAP = (f"{clip_checks.SWAP_METRES:g} m", f"{clip_checks.SWAP_SIZES:g} of their size")

CHECKS: dict[str, Check] = {
    "leaks": Check("test clips that stand in training too", "equal, or less than {} apart", "metres", _NEAR),
    "shared": Check("subjects, cameras or setups on both sides", "of a benchmark that splits at them", "clips"),
    "empty": Check("empty parts of benchmarks", "no training or test clip, or none to train a tested class", "clips"),
    "duplicates": Check("clips equal to an earlier one", "every coordinate equal", "metres"),
    "near_duplicates": Check(
        "clips nearly equal to an earlier one", "same length, mean joint distance < {} after centring", "metres", _NEAR
    ),
    "not_finite": Check("coordinates that are not finite", "any", "coordinates"),
    "units": Check(
        "bodies too large or small",
        f"in most frames not {SMALLEST_METRES:g} to {LARGEST_METRES:g} m; in 2D not "
        f"{clip_checks.SMALLEST_IN_IMAGE:g} to {clip_checks.LARGEST_IN_IMAGE:g} halves of the image",
        "times",
    ),
    "flat": Check(
        "bodies without depth",
        f"one axis spans < {100 * clip_checks.FLAT_SHARE:g} % of the size in most frames",
        "share",
    ),
    "upside_down": Check(
        "bodies upside down",
        f"head > {clip_checks.HEAD_DOWN:g} of the body's size below the feet in most frames",
        "body sizes",
    ),
    "absent": Check("frames without a body", "any", "frames"),
    "filled": Check(
        "frames made up", f"> {100 * set_checks.FILLED_SHARE:g} % of a clip's body-frames are filled in", "share"
    ),
    "missing": Check("missing joints", f"> {100 * set_checks.MISSING_SHARE:g} % of a clip's joints", "share"),
    "left_out": Check(
        "people or frames left out",
        f"> {100 * set_checks.LEFT_OUT_SHARE:g} % of the frames, or of those of all people",
        "share",
    ),
    "frozen": Check("frozen bodies", f"{clip_checks.FROZEN_FRAMES} equal frames in a row", "frames"),
    "jumps": Check("jumps", "a joint moves > {} in one frame", "metres", _JUMP),
    "bones": Check(
        "implausible bones",
        f"length changes by > {100 * clip_checks.BONE_CHANGE:g} % of its median and > {{}}",
        "metres",
        _BONE,
    ),
    "swaps": Check(
        "identity swaps",
        f"two bodies move > {{}} in one frame, {clip_checks.SWAP_RATIO:g} times less if exchanged",
        "metres",
        _SWAP,
    ),
    "short": Check("short clips", f"< {100 * set_checks.SHORT_SHARE:g} % of the median length, or one frame", "frames"),
    "imbalance": Check(
        "class imbalance", f"largest class > {set_checks.IMBALANCE:g} times the smallest, or empty", "clips"
    ),
}
"""All checks by name, in the order of display."""
_ASCENDING = ("duplicates", "near_duplicates", "leaks", "short")  # of these, smaller is worse


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Args:
        check: Its name in `CHECKS`.
        faults: Its faults, the worst first.
        note: The reason if the check stopped early; else empty.
        metric: Whether the set's bodies are in metres.
    """

    check: str
    faults: tuple[Fault, ...]
    note: str = ""
    metric: bool = True

    @property
    def clips(self) -> int:
        """Number of clips concerned."""
        return len({fault.clip for fault in self.faults if fault.clip is not None})

    @property
    def threshold(self) -> str:
        """The limit of this set, as text."""
        check = CHECKS[self.check]
        return check.threshold.format(check.limits[not self.metric])

    @property
    def unit(self) -> str:
        """Unit of a fault's value."""
        check = CHECKS[self.check]
        return "body sizes" if check.limits[1] and not self.metric else check.unit


def examine(dataset: SkeletonSet, report: Report = lambda what, done, total: None) -> tuple[Finding, ...]:
    """Look for every fault in `CHECKS`; reads the joints once, from the first to the last.

    Args:
        dataset: The set.
        report: Takes word of the progress.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # a check reports damaged coordinates
        bearings = clip_checks.Bearings.of(dataset)
        prints = Fingerprints(dataset, bearings.near)
        faults: dict[str, list[Fault]] = {name: [] for name in CHECKS}
        body_frames = np.zeros(len(dataset), dtype=np.int64)
        for start, stop in chunks(dataset):
            seen = clip_checks.Seen.of(dataset, start, stop, bearings)
            prints.add(seen.rows)
            body_frames[start:stop] = np.bincount(seen.rows.clip - start, minlength=stop - start)
            for name, check in clip_checks.CLIP_CHECKS.items():
                faults[name] += check(seen)
            report("clips", stop, len(dataset))
    duplicates = prints.duplicates(report)
    notes = {} if duplicates.complete else {"near_duplicates": "not complete: there are too many to compare all"}
    faults["leaks"] = list(set_checks.leaking_clips(dataset, duplicates, bearings))
    faults["shared"] = list(set_checks.shared_origins(dataset))
    faults["empty"] = list(set_checks.empty_parts(dataset))
    faults["duplicates"] = list(set_checks.equal_clips(dataset, duplicates))
    faults["near_duplicates"] = list(set_checks.near_clips(dataset, duplicates, bearings))
    faults |= set_checks.counted_faults(dataset, body_frames)
    faults["short"] = list(set_checks.short_clips(dataset))
    faults["imbalance"] = list(set_checks.unequal_classes(dataset))
    if bearings.up.doubt:
        faults["upside_down"].insert(0, Fault(f"{bearings.up.doubt}: are axes exchanged or flipped?", float("inf")))
    for name, found in faults.items():
        found.sort(key=lambda fault: fault.value, reverse=name not in _ASCENDING)
    return tuple(Finding(name, tuple(found), notes.get(name, ""), bearings.metric) for name, found in faults.items())


@dataclass(frozen=True)
class Repeats:
    """Counts of clips that occur twice in a benchmark.

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


def count_repeats(dataset: SkeletonSet, findings: Sequence[Finding]) -> dict[str, Repeats]:
    """Count the duplicates of `examine` for each benchmark."""
    by_name = {finding.check: finding.faults for finding in findings}
    first = np.arange(len(dataset))
    for fault in by_name["duplicates"]:
        if fault.clip is not None and fault.other is not None:
            first[fault.clip] = fault.other
    leaking = Counter((fault.benchmark, fault.value > 0) for fault in by_name["leaks"])
    found = {}
    for name in dataset.benchmarks:
        train, test = (dataset.split(name, part) for part in ("train", "test"))
        found[name] = Repeats(
            train=len(train) - len(np.unique(first[train])),
            test=len(test) - len(np.unique(first[test])),
            leaks=leaking[name, False],
            near_leaks=leaking[name, True],
        )
    return found


FINDING_HEADING = ("check", "a fault when", "found", "the worst")


def summarise(finding: Finding, dataset: SkeletonSet) -> tuple[str, str, str, str]:
    """Return a finding as a row of a table under `FINDING_HEADING`."""
    check, faults = CHECKS[finding.check], finding.faults
    clips = "1 clip" if finding.clips == 1 else f"{finding.clips:,} clips"
    found = clips if finding.clips else f"{len(faults):,}" if faults else "none"
    if finding.note:
        found = f"{found}; {finding.note}" if faults else finding.note
    worst = ""
    if faults:
        place = [dataset.clips[faults[0].clip].name] if faults[0].clip is not None else []
        place += [f"frame {faults[0].frame}"] if faults[0].frame is not None else []
        worst = ": ".join([", ".join(place), faults[0].about] if place else [faults[0].about])
    return check.title, finding.threshold, found, worst


def chunks(dataset: SkeletonSet) -> Iterator[tuple[int, int]]:
    """Yield ranges of clips (first, one after the last) of at most `CHUNK_ROWS` body-frames, but at least one clip."""
    start, size = 0, 0
    for clip, rows in enumerate((dataset.bodies * dataset.frames).tolist()):
        if size and size + rows > CHUNK_ROWS:
            yield start, clip
            start, size = clip, 0
        size += rows
    yield start, len(dataset)
