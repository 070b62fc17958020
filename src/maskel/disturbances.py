"""Clips made worse on purpose: missing joints, dropped frames, noise, fewer frames per second.

All act on whole clips, before a view is taken. A strength of 0 changes nothing. Draws depend on the clip's key alone:
what a weaker disturbance takes away, a stronger one takes away too.
"""

from dataclasses import replace

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from maskel import augmentation
from maskel.draws import Purpose, uniform
from maskel.layouts import Layout
from maskel.sequence import SCORE, SkeletonBatch, num_coordinates
from maskel.transforms import ViewFrames, read_frames


def missing_joints(batch: SkeletonBatch, keys: Int64[Tensor, " b"], share: float, layout: Layout) -> SkeletonBatch:
    """Drop joints from the whole of each clip; each stands at its neighbour, where `maskel prepare` puts it too.

    Args:
        batch: Whole clips.
        keys: (B,) the clips' keys; they choose the joints.
        share: Share of the layout's joints, in [0, 1), rounded to whole joints; the root always stays.
        layout: Layout of the joints.

    Examples:
        >>> from maskel.datasets.store import SkeletonSet
        >>> dataset = SkeletonSet.open("set")
        >>> batch = dataset.gather(dataset.split("xsub", "test")[:2], bodies=1)
        >>> changed = missing_joints(batch, torch.tensor([5, 6]), 0.2, dataset.layout)
        >>> (changed.joints != batch.joints).any(-1).any(2).sum((1, 2))  # 5 of 25
        tensor([5, 5])
    """
    draws = uniform(keys, Purpose.JOINT_DROPOUT, len(layout))
    roots = torch.tensor([parent < 0 for parent in layout.parents], device=keys.device)
    ranks = draws.masked_fill(roots, torch.inf).argsort(dim=1, stable=True).argsort(1)
    dropped = ranks < round(share * len(layout))
    return replace(batch, joints=augmentation.drop_joints(batch.joints, layout, dropped, SCORE in batch.channels))


def dropped_frames(batch: SkeletonBatch, keys: Int64[Tensor, " b"], share: float) -> SkeletonBatch:
    """Drop frames from each clip; those that remain follow one another, so that the motion jumps.

    Args:
        batch: Whole clips.
        keys: (B,) the clips' keys; they choose the frames.
        share: Share of the valid frames, in [0, 1), rounded to whole frames; one frame stays at least.

    Examples:
        >>> from maskel.datasets.store import SkeletonSet
        >>> batch = SkeletonSet.open("set").gather(torch.tensor([0, 1]).numpy(), bodies=2)
        >>> batch.lengths, dropped_frames(batch, torch.tensor([5, 6]), 0.5).lengths
        (tensor([49, 78]), tensor([25, 39]))
    """
    longest = batch.joints.shape[2]
    lengths = (batch.lengths - (batch.lengths.double() * share).round().long()).clamp(min=1)
    steps = torch.arange(longest, device=keys.device)
    draws = uniform(keys, Purpose.DROPPED_FRAMES, longest).masked_fill(steps >= batch.lengths[:, None], -1)
    kept = draws.argsort(dim=1, descending=True, stable=True).argsort(1) < lengths[:, None]
    order = (~kept).long().argsort(dim=1, stable=True)  # frames that stay, in their order, then the others
    joints = batch.joints.gather(2, order[:, None, :, None, None].expand(batch.joints.shape))
    return _cut(batch, joints, lengths)


def noise(batch: SkeletonBatch, keys: Int64[Tensor, " b"], std: float) -> SkeletonBatch:
    """Add Gaussian noise to every coordinate of every frame; what is absent stays zero.

    Args:
        batch: Whole clips.
        keys: (B,) the clips' keys; they draw the noise.
        std: Standard deviation, in the set's unit, 0 or more.

    Examples:
        >>> from maskel.datasets.store import SkeletonSet
        >>> batch = SkeletonSet.open("set").gather(torch.tensor([0, 1]).numpy(), bodies=2)
        >>> changed = noise(batch, torch.tensor([5, 6]), 0.01).joints - batch.joints
        >>> abs(float(changed[changed != 0].std()) - 0.01) < 0.001
        True
    """
    return replace(batch, joints=augmentation.add_noise(batch.joints, keys, std, num_coordinates(batch.channels)))


def lower_frame_rate(batch: SkeletonBatch, share: float) -> SkeletonBatch:
    """Give each clip the frames of a slower camera, from the first frame on; between two frames poses are blended.

    Args:
        batch: Whole clips.
        share: Part of the frame rate that is lost, in [0, 1): 0.5 keeps every second frame.

    Examples:
        >>> from maskel.datasets.store import SkeletonSet
        >>> batch = SkeletonSet.open("set").gather(torch.tensor([0, 1]).numpy(), bodies=2)
        >>> slower = lower_frame_rate(batch, 0.5)
        >>> slower.lengths, torch.equal(slower.joints[1, :, :39], batch.joints[1, :, ::2])
        (tensor([25, 39]), True)
    """
    rate = 1 - share
    last = batch.lengths - 1
    lengths = (last * rate + 1e-9).floor().long() + 1
    steps = torch.arange(int(lengths.max()), dtype=torch.float64, device=last.device)
    times = (steps / rate).expand(len(last), -1).minimum(last[:, None].double())
    before = (times + 1e-9).floor().long()
    frames = ViewFrames(before, (before + 1).minimum(last[:, None]), (times - before).clamp(min=0).float())
    return _cut(batch, read_frames(batch.joints, frames), lengths)


def _cut(batch: SkeletonBatch, joints: Float32[Tensor, "b m t v c"], lengths: Int64[Tensor, " b"]) -> SkeletonBatch:
    """Return the batch with these joints, zero after each clip's length."""
    there = torch.arange(joints.shape[2], device=joints.device) < lengths[:, None]
    return replace(batch, joints=joints * there[:, None, :, None, None], lengths=lengths)
