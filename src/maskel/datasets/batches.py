"""Batches of a set's clips, put together on the CPU or on a GPU from one table of all bodies in all frames."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64

from maskel.sequence import Channels, SingleBody, SkeletonBatch, move
from maskel.transforms import ViewFrames, blend

_ROWS_AT_A_TIME = 65_536  # copied to a device: about 20 MB of NTU's joints


@dataclass
class ClipRows:
    """Joints of a set, one row per existing body and frame, and the place of each clip's rows.

    Args:
        joints: (R, V, C) float32 rows; `keep_on` replaces them by a copy on a device.
        segments: (S, 4) runs of consecutive frames of one body: clip, body, first frame, number of frames; sorted.
        bodies: (N,) bodies of each clip.
        valid_frames: (N,) valid length of each clip.
        labels: (N,) class of each clip.
        channels: Names of the C numbers of a joint.
        refuse: Raises an error for the clip at a position, which holds a coordinate that is not finite.

    Attributes:
        rows: (S,) first row of each segment.
        bounds: (N + 1,) the segments of clip i are those from ``bounds[i]`` to before ``bounds[i + 1]``.
    """

    joints: Float32[torch.Tensor, "r v c"]
    segments: Int64[np.ndarray, "s 4"]
    bodies: Int64[np.ndarray, " n"]
    valid_frames: Int64[np.ndarray, " n"]
    labels: Int64[np.ndarray, " n"]
    channels: Channels
    refuse: Callable[[int], NoReturn]

    def __post_init__(self) -> None:
        self.rows = np.cumsum(self.segments[:, 3]) - self.segments[:, 3]
        self.bounds = np.searchsorted(self.segments[:, 0], np.arange(len(self.bodies) + 1))

    def gather(
        self,
        positions: Int64[np.ndarray, " b"],
        bodies: int,
        single_body: SingleBody,
        frames: ViewFrames | None,
    ) -> SkeletonBatch:
        """See `maskel.datasets.store.SkeletonSet.gather`."""
        if bodies < 1:
            raise ValueError(f"found {bodies} bodies, expected at least 1")
        if len(positions) and not 0 <= positions.min() <= positions.max() < len(self.labels):
            raise IndexError(f"found a position outside 0 to {len(self.labels) - 1}")
        lengths = self.valid_frames[positions]
        if frames is None:
            wanted = np.broadcast_to(np.arange(lengths.max(initial=0)), (len(positions), lengths.max(initial=0)))
        else:
            wanted = torch.stack((frames.before, frames.after), 2).flatten(1).numpy()
        rows, exists, present = self._rows_of(positions, wanted, bodies, single_body)
        if frames is None:
            joints = self._whole(rows, exists)
        else:
            joints = self._between(rows, exists, frames.weight.numpy())
            lengths = np.full(len(positions), joints.shape[2])
        device = self.joints.device
        if device.type == "cpu" and not (finite := np.isfinite(joints.numpy())).all():  # opening a set does not look
            self.refuse(int(positions[~finite.all(axis=(1, 2, 3, 4))][0]))
        return SkeletonBatch(
            joints=joints,
            lengths=move(torch.from_numpy(lengths), device),
            present=move(torch.from_numpy(present), device),
            labels=move(torch.from_numpy(self.labels[positions]), device),
            clips=move(torch.from_numpy(positions.copy()), device),
            channels=self.channels,
            bodies=move(torch.from_numpy(np.flatnonzero(present)), device),
        )

    def keep_on(self, device: torch.device) -> None:
        """See `maskel.datasets.store.SkeletonSet.keep_on`.

        Raises:
            torch.OutOfMemoryError: If the joints do not fit.
        """
        kept = torch.empty(self.joints.shape, device=device)
        for start in range(0, len(kept), _ROWS_AT_A_TIME):
            chunk = self.joints[start : start + _ROWS_AT_A_TIME].cpu().numpy()
            if not np.isfinite(chunk).all():
                bad = start + int(np.flatnonzero(~np.isfinite(chunk).all(axis=(1, 2)))[0])
                self.refuse(int(self.segments[np.searchsorted(self.rows, bad, "right") - 1, 0]))
            kept[start : start + len(chunk)] = self.joints[start : start + len(chunk)]
        self.joints = kept

    def _rows_of(
        self,
        positions: Int64[np.ndarray, " b"],
        frames: Int64[np.ndarray, "b f"],
        bodies: int,
        single_body: SingleBody,
    ) -> tuple[Int64[np.ndarray, "b m f"], Bool[np.ndarray, "b m f"], Bool[np.ndarray, "b m"]]:
        """Return the row of every body in these frames, its existence, and the presence of each body in the clip.

        Absent bodies point to the clip's first row (weight 0), so no other clip's data is ever read.
        """
        begin, end = self.bounds[positions], self.bounds[positions + 1]
        counts = end - begin
        slots = np.repeat(np.arange(len(positions)), counts)
        segments = np.arange(len(slots)) + np.repeat(begin - (np.cumsum(counts) - counts), counts)
        _, body, first, length = self.segments[segments].T
        last = np.minimum(first + length, self.valid_frames[positions][slots])
        kept = np.flatnonzero((body < bodies) & (last > first))
        place = (slots * bodies + body)[kept]
        rows = np.repeat(self.rows[begin], bodies * frames.shape[1]).reshape(-1, frames.shape[1])
        exists = np.zeros(rows.shape, dtype=bool)
        present = np.zeros((len(positions), bodies), dtype=bool)
        present.flat[place] = True
        present[:, 0] |= ~present.any(axis=1)
        # the first segment of every body at once, then the second of bodies with a gap, and so on
        order = np.arange(len(place))
        nth = order - np.maximum.accumulate(np.where(np.diff(place, prepend=-1) != 0, order, 0))
        for turn in range(int(nth.max(initial=-1)) + 1):
            current, where = kept[nth == turn], place[nth == turn]
            at = frames[slots[current]]
            inside = (at >= first[current, None]) & (at < last[current, None])
            row = at + (self.rows[segments[current]] - first[current])[:, None]
            rows[where] = np.where(inside, row, rows[where])
            exists[where] |= inside
        shape = (len(positions), bodies, frames.shape[1])
        rows, exists = rows.reshape(shape), exists.reshape(shape)
        if single_body == "copy" and bodies >= 2:
            alone = self.bodies[positions] == 1
            rows[alone, 1], exists[alone, 1] = rows[alone, 0], exists[alone, 0]
        return rows, exists, present

    def _whole(
        self, rows: Int64[np.ndarray, "b m t"], exists: Bool[np.ndarray, "b m t"]
    ) -> Float32[torch.Tensor, "b m t v c"]:
        """Return every frame, with zeros for absent bodies."""
        there = torch.from_numpy(exists).to(self.joints.device)
        joints = self.joints.new_zeros((*rows.shape, *self.joints.shape[1:]))
        joints[there] = self.joints[torch.from_numpy(rows[exists]).to(self.joints.device)]
        return joints

    def _between(
        self,
        rows: Int64[np.ndarray, "b m pairs"],
        exists: Bool[np.ndarray, "b m pairs"],
        weight: Float32[np.ndarray, "b w"],
    ) -> Float32[torch.Tensor, "b m w v c"]:
        """Interpolate the frames of a view between the two rows around each; an absent row counts as zero."""
        shares = np.stack((1 - weight, weight), 2).reshape(len(weight), 1, -1) * exists
        pairs = (*rows.shape[:2], -1, 2)
        device = self.joints.device
        return blend(
            self.joints,
            move(torch.from_numpy(rows), device).view(pairs),
            move(torch.from_numpy(shares), device).view(pairs),
        )
