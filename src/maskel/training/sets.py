"""Pre-training on several sets at once: which clips each epoch sees, and what the result says of the sets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from maskel import distributed
from maskel.datasets.joined import JoinedSets
from maskel.datasets.provenance import differences, provenance_of
from maskel.datasets.store import SkeletonSet, names_hash
from maskel.draws import Purpose, order_drawn
from maskel.errors import InputError
from maskel.layouts import Layout
from maskel.masking import Masking
from maskel.methods.masked import MaskedMethod
from maskel.sequence import UNLABELLED, SingleBody, SkeletonBatch
from maskel.training.labelled import Positions
from maskel.training.loading import Batches, ClipBatches, pretraining_positions
from maskel.transforms import TrainView, ViewFrames

Shares = Literal["size", "sqrt", "equal"]
"""Clips of each set in an epoch: as many as it has, in proportion to the root of that, or equally many of all."""


@dataclass(frozen=True)
class PretrainingSets:
    """Data of pre-training: one set as it is, or several joined.

    Args:
        dataset: The set, or the sets as one.
        sets: The sets.
        names: Name of the benchmark of each.
        parts: For each set the positions in it of the clips to learn from: its training part, and clips without a label
            beside it.
        shares: Clips of each set in an epoch.
    """

    dataset: SkeletonSet | JoinedSets
    sets: tuple[SkeletonSet, ...]
    names: tuple[str, ...]
    parts: tuple[Positions, ...]
    shares: Shares

    @classmethod
    def open(
        cls, data: Path | Sequence[Path], benchmark: str, to_layout: str | None = None, shares: Shares = "size"
    ) -> "PretrainingSets":
        """Open the sets in some folders; say how they differ, and which test clips training sees.

        A clip that tests in another of the sets (one of the same name, frames and bodies) is left out, and a line
        counts such clips.

        Raises:
            InputError: If a set cannot be read, they cannot be joined, or one has no such benchmark or clip.
        """
        paths = [data] if isinstance(data, Path) else list(data)
        if len(paths) == 1 and shares != "size":
            raise InputError(f"shares: found {shares} for one set; it says how several are mixed, so leave it out")
        joined = None if len(paths) == 1 and to_layout is None else JoinedSets(paths, benchmark, to_layout)
        sets = (SkeletonSet.open(paths[0]),) if joined is None else joined.sets
        names = (benchmark,) if joined is None else joined.names
        parts = [pretraining_positions(member, name) for member, name in zip(sets, names, strict=True)]
        _leave_out_tests(sets, names, parts)
        for member, name, part in zip(sets, names, parts, strict=True):
            _say_what_is_seen(member, name, part)
        _say_differing(sets)
        return cls(sets[0] if joined is None else joined, sets, names, tuple(parts), shares)

    @property
    def size(self) -> int:
        """Clips to learn from, of all sets."""
        return sum(map(len, self.parts))

    def batches(
        self,
        batch_size: int,
        seed: int,
        window: int,
        view: TrainView,
        single_body: SingleBody,
        device: torch.device,
    ) -> Batches:
        """Batches of a run; see `ClipBatches` and `SetBatches`."""
        if isinstance(self.dataset, SkeletonSet):
            return ClipBatches(self.dataset, self.parts[0], batch_size, seed, window, view, single_body, device)
        return SetBatches(self.dataset, self.parts, self.shares, batch_size, seed, window, view, single_body, device)

    def require_joints(self, name: str, method: MaskedMethod, view: TrainView) -> None:
        """Refuse sets that lack joints which a method needs, and name those that are masked.

        Args:
            name: The method's.
            method: Built for the common layout.
            view: The random view.

        Raises:
            InputError: If the method cannot leave joints out, or too few are left of a set.
        """
        if isinstance(self.dataset, SkeletonSet):
            return
        layout = self.dataset.layout
        for member, has in zip(self.sets, self.dataset.there, strict=True):
            there = joints_seen(layout, has, view)
            lacking = [joint for place, joint in enumerate(layout.joints) if place not in there]
            if not lacking:
                continue
            if not method.may_lack_joints:
                raise InputError(
                    f"{member.path} lacks {', '.join(lacking)} of layout {layout.name}, and {name} needs all joints; "
                    "choose a --to-layout whose joints all sets have, or another method"
                )
            columns = method.encoder.columns(there)
            if not columns:
                raise InputError(f"{member.path} has no whole token of layout {layout.name}; leave it out")
            masking = getattr(method, "masking", None)
            if isinstance(masking, Masking):
                masking.num_kept(method.encoder.grid[0] * len(columns))
            distributed.notify(
                f"{member.path} ({member.layout.name}) lacks {len(lacking)} of {len(layout)} joints of {layout.name}, "
                f"which are masked in its clips: {', '.join(lacking)}"
            )

    def describe(self) -> dict[str, Any]:
        """Describe the data of a result, as `describe` does; of several sets also each."""
        each = []
        for member, name, part in zip(self.sets, self.names, self.parts, strict=True):
            unlabelled = int((member.labels[part] == UNLABELLED).sum())
            clips = {"labelled": len(part) - unlabelled, "unlabelled": unlabelled, "hash": member.names_hash(part)}
            each.append({**describe(member, name), "clips": clips})
        if isinstance(self.dataset, SkeletonSet):
            return each[0]
        sizes = {part: sum(member["split"][part]["size"] for member in each) for part in ("train", "test")}
        hashes = {part: names_hash([member["split"][part]["hash"] for member in each]) for part in sizes}
        return {
            "data": {
                "path": self.dataset.path,
                "source": " + ".join(dict.fromkeys(member.source for member in self.sets)),
                "options": {},
                "layout": self.dataset.layout.name,
            },
            "benchmark": self.names[0] if len(set(self.names)) == 1 else ",".join(self.names),
            "split": {part: {"size": sizes[part], "hash": hashes[part]} for part in sizes},
            "clips": {name: sum(member["clips"][name] for member in each) for name in ("labelled", "unlabelled")}
            | {"hash": self.dataset.names_hash(self.dataset.among_all(self.parts))},
            "shares": self.shares,
            "sets": each,
        }


def describe(dataset: SkeletonSet, benchmark: str) -> dict[str, Any]:
    """Describe the data of a result: source, options, benchmark, and size and hash of each part."""
    parts = {
        part: {"size": len(dataset.split(benchmark, part)), "hash": dataset.split_hash(benchmark, part)}
        for part in ("train", "test")
    }
    data = {
        "path": str(dataset.path),
        "source": dataset.source,
        "options": dataset.options,
        "layout": dataset.layout.name,
    }
    return {"data": data, "benchmark": benchmark, "split": parts}


def _leave_out_tests(sets: Sequence[SkeletonSet], names: Sequence[str], parts: list[Positions]) -> None:
    """Leave out of each part what tests in another set, and say how many clips that are.

    Raises:
        InputError: If nothing is left of a set.
    """

    def known(member: SkeletonSet, positions: Positions) -> list[tuple[str, int, int]]:
        return [(member.clips[at].name, int(member.frames[at]), int(member.bodies[at])) for at in positions.tolist()]

    if len(sets) == 1:
        return
    tested = [set(known(member, member.split(name, "test"))) for member, name in zip(sets, names, strict=True)]
    for number, member in enumerate(sets):
        elsewhere = set().union(*tested[:number], *tested[number + 1 :])
        stays = np.array([clip not in elsewhere for clip in known(member, parts[number])])
        if stays.all():
            continue
        if not stays.any():
            raise InputError(f"{member.path}: all of its training clips test in another of the sets; leave it out")
        out = int((~stays).sum())
        distributed.notify(f"{out:,} training clips of {member.path} test in another of the sets, and are left out")
        parts[number] = parts[number][stays]


def _say_what_is_seen(dataset: SkeletonSet, benchmark: str, positions: Positions) -> None:
    """Warn of other benchmarks whose test clips are trained on: right answers there are not on unseen clips."""
    seen = [
        name
        for name in dataset.benchmarks
        if name != benchmark and np.isin(dataset.split(name, "test"), positions).any()
    ]
    if seen and not len(dataset.split(benchmark, "test")):
        distributed.notify(
            f"benchmark {benchmark} trains on test clips of {', '.join(seen)}; do not count answers there"
        )


def _say_differing(sets: Sequence[SkeletonSet]) -> None:
    """Say how sets were prepared otherwise than the first."""
    first = provenance_of(sets[0])
    for other in sets[1:]:
        made = provenance_of(other)
        if first and made and (how := differences(made, first, other.coordinates)):
            distributed.notify(
                f"{other.path} was prepared with {how}, as {sets[0].path} was; learning from both may be of little use "
                "where that changes unit, origin or frame rate"
            )


class SetBatches(ClipBatches):
    """Clips of several sets through the training view.

    A clip may come several times in an epoch, where its set is small: its n-th time, from 0, is at position
    n·N + i, which decides its draws, so that no two times are alike.

    Args:
        dataset: The sets.
        parts: For each set the positions of its training clips in it.
        shares: Clips of each set in an epoch; all epochs have as many as the parts together.
        batch_size: As for `ClipBatches`, like all that follow.
        seed: The run's seed.
        window: Frames of the view.
        view: The random view.
        single_body: Filling of the second body slot of a clip with one body.
        device: Where batches go.

    Raises:
        InputError: If there are fewer clips than one batch, or the view asks more of the layout than it has.
    """

    dataset: JoinedSets

    def __init__(
        self,
        dataset: JoinedSets,
        parts: Sequence[Positions],
        shares: Shares,
        batch_size: int,
        seed: int,
        window: int,
        view: TrainView,
        single_body: SingleBody,
        device: torch.device,
    ) -> None:
        super().__init__(dataset, dataset.among_all(parts), batch_size, seed, window, view, single_body, device)
        sizes = [len(part) for part in parts]
        self.counts = clips_of_epoch(sizes, shares)
        self.seen = [joints_seen(dataset.layout, there, view) for there in dataset.there]
        self.in_parts = any(len(seen) < len(dataset.layout) for seen in self.seen)
        self._parts = np.split(self.positions, np.cumsum(sizes)[:-1])

    def names(self, positions: Positions) -> list[str]:
        """Names of the clips at these positions, whichever time of theirs it is."""
        return super().names(positions % len(self.dataset))

    def epoch_clips(self, epoch: int) -> Positions:
        """Repeat each set's clips as often as they fit whole, and draw the rest for the epoch."""
        chosen = []
        for part, count in zip(self._parts, self.counts, strict=True):
            times, rest = divmod(count, len(part))
            chosen += [part + time * len(self.dataset) for time in range(times)]
            if rest:
                drawn = part[order_drawn(self.seed, epoch, part, Purpose.SHARES)[:rest]]
                chosen.append(np.sort(drawn) + times * len(self.dataset))
        return np.concatenate(chosen)

    def _gather(self, positions: Positions, frames: ViewFrames) -> SkeletonBatch:
        batch = self.dataset.gather(positions % len(self.dataset), self.single_body, frames, self.seen)
        return replace(batch, clips=torch.from_numpy(positions.copy()))


def clips_of_epoch(sizes: Sequence[int], shares: Shares) -> list[int]:
    """Divide an epoch of as many clips as all sets have among them; each gets one or more.

    Examples:
        >>> from maskel.training.sets import clips_of_epoch
        >>> [clips_of_epoch([900, 100], shares) for shares in ("size", "sqrt", "equal")]
        [[900, 100], [750, 250], [500, 500]]
    """
    weights = np.array(sizes, dtype=np.float64) ** {"size": 1.0, "sqrt": 0.5, "equal": 0.0}[shares]
    exact = weights / weights.sum() * sum(sizes)
    ends = np.rint(np.cumsum(exact)).astype(np.int64)  # of the sum, so that nothing is lost
    counts: list[int] = np.maximum(np.diff(ends, prepend=0), 1).tolist()
    return counts


def joints_seen(layout: Layout, there: tuple[int, ...], view: TrainView) -> tuple[int, ...]:
    """The joints of a set that training may see; where clips are mirrored, both of a pair or none."""
    pairs = dict(layout.mirror) | {other: one for one, other in layout.mirror} if view.mirror else {}
    return tuple(joint for joint in there if pairs.get(joint, joint) in there)
