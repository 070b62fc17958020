"""Several prepared sets as one to pre-train on: joints by name, and for each clip which joints its set has."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64

from maskel.conversion import conversion
from maskel.datasets.base import Provenance
from maskel.datasets.provenance import provenance_of
from maskel.datasets.store import SkeletonSet, names_hash
from maskel.errors import InputError
from maskel.layouts import Layout, layout_named
from maskel.sequence import Channels, Clip, SingleBody, SkeletonBatch, SkeletonPart
from maskel.transforms import ViewFrames


class JoinedSets:
    """Clips of several prepared sets in one joint layout; clip i of a set stands behind all of the sets before it.

    A joint of the layout that a set has, under the same or another name, is taken as it is. One that it lacks is
    never seen: batches say so (`SkeletonBatch.parts`).

    Args:
        paths: The sets' folders.
        benchmark: Name of the benchmark in each, or one for each with commas between them.
        to_layout: Name of the layout; that of the first set by default.

    Attributes:
        sets: The sets.
        names: Name of the benchmark of each.
        layout: Joint layout of all batches.
        channels: Names of the numbers of a joint, the same in all sets.
        max_bodies: Most bodies of any clip.
        valid_frames: (N,) valid length of each clip.
        there: For each set the joints of the layout that it has, by index.
        path: The folders, for messages.

    Raises:
        InputError: If a set cannot be read or is there twice, channels differ, or joints do not convert.
    """

    def __init__(self, paths: Sequence[Path], benchmark: str, to_layout: str | None = None) -> None:
        self.sets = tuple(map(SkeletonSet.open, paths))
        resolved = [path.resolve() for path in paths]
        if twice := [str(path) for path, place in zip(paths, resolved, strict=True) if resolved.count(place) > 1]:
            raise InputError(f"data: found {twice[0]} twice; name each set once")
        names = tuple(benchmark.split(","))
        self.names = names * len(paths) if len(names) == 1 else names
        if len(self.names) != len(paths):
            raise InputError(
                f"benchmark: found {len(names)} names for {len(paths)} sets; give one for all, or one for each with "
                "commas between them"
            )
        first = self.sets[0]
        for other in self.sets:
            if other.channels != first.channels:
                raise InputError(
                    f"{first.path} has channels {', '.join(first.channels)}, but {other.path} has "
                    f"{', '.join(other.channels)}; sets with different channels cannot be mixed"
                )
        self.layout: Layout = first.layout if to_layout is None else layout_named(to_layout)
        self.channels: Channels = first.channels
        self.path = ", ".join(str(member.path) for member in self.sets)
        self.max_bodies = max(member.max_bodies for member in self.sets)
        self.valid_frames = np.concatenate([member.valid_frames for member in self.sets])
        made = [conversion(member.layout, self.layout) for member in self.sets]
        self._from = [torch.tensor([sources[0] for sources in member.sources]) for member in made]  # a joint near each
        self.there = tuple(member.copied for member in made)
        self._starts = np.cumsum([0, *map(len, self.sets)])

    def __len__(self) -> int:
        """Number of clips N of all sets."""
        return int(self._starts[-1])

    @property
    def provenance(self) -> Provenance | None:
        """Preparation of the first set, if it has the common layout; else None."""
        return provenance_of(self.sets[0]) if self.sets[0].layout == self.layout else None

    @cached_property
    def clips(self) -> tuple[Clip, ...]:
        """Name, label and origin of each clip."""
        return tuple(clip for member in self.sets for clip in member.clips)

    def among_all(self, parts: Sequence[Int64[np.ndarray, " _"]]) -> Int64[np.ndarray, " n"]:
        """Return positions among all clips for positions in each set."""
        return np.concatenate([start + part for start, part in zip(self._starts, parts, strict=False)])

    def names_hash(self, positions: Int64[np.ndarray, " n"]) -> str:
        """Hash that stands for the clips at ``positions`` among all: that of the hashes of each set's clips."""
        owners = self._owners(positions)
        return names_hash(
            [member.names_hash(positions[owners == at] - self._starts[at]) for at, member in enumerate(self.sets)]
        )

    @property
    def joint_bytes(self) -> int:
        """Memory that all joints take, on the disk and on a device."""
        return sum(member.joint_bytes for member in self.sets)

    def _owners(self, positions: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Return the index of each clip's set."""
        return np.asarray(np.searchsorted(self._starts, positions, "right") - 1)

    def keep_on(self, device: torch.device) -> None:
        """Copy all joints to ``device``, see `SkeletonSet.keep_on`."""
        for member in self.sets:
            member.keep_on(device)

    def gather(
        self,
        positions: Int64[np.ndarray, " b"],
        single_body: SingleBody,
        frames: ViewFrames,
        seen: Sequence[Sequence[int]],
    ) -> SkeletonBatch:
        """Return a batch of clips seen in a view, in the common layout.

        Args:
            positions: (B,) clips, by position among all.
            single_body: Filling of the second body slot of a clip with one body: ``zero`` or ``copy``.
            frames: The (B, W) frames of the view.
            seen: For each set the joints of the layout that may be seen, of those that are there.
        """
        owners = self._owners(positions)
        rows = [np.flatnonzero(owners == number) for number in range(len(self.sets))]
        parts = []
        for number, rows_of_set in enumerate(rows):
            if len(rows_of_set):
                where = torch.from_numpy(rows_of_set)
                view = ViewFrames(frames.before[where], frames.after[where], frames.weight[where])
                batch = self.sets[number].gather(
                    positions[rows_of_set] - self._starts[number], self.max_bodies, single_body, view
                )
                joints = batch.joints.index_select(3, self._from[number].to(batch.joints.device))
                parts.append((where, batch.with_joints(joints), tuple(seen[number])))
        device = parts[0][1].joints.device
        order = torch.cat([where for where, _, _ in parts]).argsort().to(device)

        def together(field: str) -> torch.Tensor:
            return torch.cat([getattr(batch, field) for _, batch, _ in parts])[order]

        whole = all(len(there) == len(self.layout) for there in seen)
        return SkeletonBatch(
            joints=together("joints"),
            lengths=together("lengths"),
            present=together("present"),
            labels=together("labels"),
            clips=torch.from_numpy(positions.copy()).to(device),
            channels=self.channels,
            parts=() if whole else tuple(SkeletonPart(where.to(device), there) for where, _, there in parts),
        )
