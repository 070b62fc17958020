"""Random changes of training clips beyond crop and rotation; all are off by default, as in published recipes.

All act on whole batches on their device. The draws depend on the clip's key alone. Each change has its own draws, so
that switching one on does not alter any other.
"""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from maskel.draws import Purpose, normal, uniform
from maskel.layouts import Layout
from maskel.sequence import SkeletonBatch, move


def mirror(
    joints: Float32[Tensor, "b m t v c"], layout: Layout, chosen: Bool[Tensor, " b"]
) -> Float32[Tensor, "b m t v c"]:
    """Mirror the chosen clips: x changes its sign, left and right joints change places.

    Args:
        joints: (B, M, T, V, C) with x from side to side and 0 in the middle of the body, or of the image.
        layout: The layout with the pairs of left and right joints.
        chosen: (B,) True for the clips to mirror.

    Examples:
        >>> from maskel.layouts import COCO17
        >>> joints = torch.randn(2, 1, 30, 17, 2)
        >>> mirrored = mirror(joints, COCO17, torch.tensor([True, False]))
        >>> left, right = COCO17.index("left_wrist"), COCO17.index("right_wrist")
        >>> bool((mirrored[0, ..., left, 0] == -joints[0, ..., right, 0]).all())
        True
        >>> torch.equal(mirrored[1], joints[1])
        True
    """
    order = list(range(len(layout)))
    for left, right in layout.mirror:
        order[left], order[right] = right, left
    signs = torch.ones(joints.shape[-1], device=joints.device)
    signs[0] = -1
    mirrored = joints.index_select(3, move(torch.tensor(order), joints.device))
    return torch.where(chosen[:, None, None, None, None], mirrored * signs, joints)


def mirrored(batch: SkeletonBatch, layout: Layout) -> SkeletonBatch:
    """Mirror every clip of a batch; see `mirror`.

    Args:
        batch: Clips of the layout.
        layout: The layout with the pairs of left and right joints.
    """
    every = torch.ones(len(batch.joints), dtype=torch.bool, device=batch.joints.device)
    return replace(batch, joints=mirror(batch.joints, layout, every))


def drop_joints(
    joints: Float32[Tensor, "b m t v c"], layout: Layout, dropped: Bool[Tensor, "b v"], scored: bool = False
) -> Float32[Tensor, "b m t v c"]:
    """Drop joints from clips, as if they were never seen.

    A dropped joint takes the position of the nearest remaining joint towards the root, as in `maskel prepare`. The root
    is never dropped.

    Args:
        joints: (B, M, T, V, C) positions.
        layout: The tree.
        dropped: (B, V) True for the joints to drop, in all bodies and frames of the clip.
        scored: The last channel is a score: 0 for dropped joints.

    Examples:
        >>> from maskel.layouts import COCO17
        >>> joints = torch.randn(1, 1, 30, 17, 2)
        >>> wrist, elbow = COCO17.index("left_wrist"), COCO17.index("left_elbow")
        >>> dropped = torch.zeros(1, 17, dtype=torch.bool)
        >>> dropped[0, wrist] = True
        >>> torch.equal(drop_joints(joints, COCO17, dropped)[..., wrist, :], joints[..., elbow, :])
        True
    """
    kept = torch.arange(len(layout), device=joints.device)
    parents = move(torch.tensor(layout.parents), joints.device)
    dropped = dropped & (parents >= 0)
    place = torch.where(dropped, parents, kept)  # (B, V)
    for _ in range(len(layout).bit_length()):  # each pass doubles the steps towards the root
        place = place.gather(1, place)
    moved = joints.gather(3, place[:, None, None, :, None].expand(joints.shape))
    if scored:
        moved[..., -1] = moved[..., -1] * ~dropped[:, None, None]
    return moved


def add_noise(
    joints: Float32[Tensor, "b m t v c"], keys: Int64[Tensor, " b"], std: float, coordinates: int
) -> Float32[Tensor, "b m t v c"]:
    """Add Gaussian noise to every coordinate; absent (all zero) bodies and joints stay zero, and scores stay.

    All bodies of a clip get the same noise, so that a copy of a body remains one.

    Args:
        joints: (B, M, T, V, C) positions.
        keys: (B,) the clips' keys.
        std: Standard deviation, in the unit of the coordinates.
        coordinates: Number of channels that are coordinates.

    Examples:
        >>> noisy = add_noise(torch.ones(2, 1, 30, 25, 3), keys=torch.tensor([5, 6]), std=0.01, coordinates=3)
        >>> abs(float(noisy.std()) - 0.01) < 0.001
        True
    """
    count, _, *shape, _ = joints.shape
    points = joints[..., :coordinates]
    draws = normal(keys, Purpose.NOISE, points[0, 0].numel()).view(count, 1, *shape, coordinates)
    noisy = points + std * draws * points.any(-1, keepdim=True)
    return torch.cat((noisy, joints[..., coordinates:]), -1)


def half(keys: Int64[Tensor, " b"]) -> Bool[Tensor, " b"]:
    """Draw the clips to mirror: each with probability 1/2.

    Examples:
        >>> int(half(torch.arange(1000)).sum())
        499
    """
    return uniform(keys, Purpose.MIRROR, 1)[:, 0] < 0.5


def speeds(keys: Int64[Tensor, " b"], most: float) -> Float32[Tensor, " b"]:
    """Draw the speed of each clip: (B,) factors from 1 / (1 + most) to 1 + most, uniform in their logarithm.

    Examples:
        >>> factors = speeds(torch.arange(1000), most=0.25)
        >>> bool((factors >= 0.8).all() and (factors <= 1.25).all())
        True
    """
    return (1 + most) ** (2 * uniform(keys, Purpose.SPEED, 1)[:, 0] - 1)
