"""Random changes of training clips beyond crop and rotation; each is off unless asked for, as in published recipes.

All act on whole batches on their device. What is drawn is a function of the clip's key alone, each change by draws of
its own, so that switching one on leaves the others as they were.
"""

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from maskel.draws import Purpose, normal, uniform
from maskel.layouts import Layout
from maskel.sequence import move


def mirror(
    joints: Float32[Tensor, "b m t v c"], layout: Layout, chosen: Bool[Tensor, " b"]
) -> Float32[Tensor, "b m t v c"]:
    """The chosen clips as a mirror shows them: x changes its sign, left and right joints change places.

    Args:
        joints: (B, M, T, V, C) whose x runs from side to side, with 0 in the middle: of the body, or of the image.
        layout: Has the pairs of left and right joints.
        chosen: (B,) which clips.
    """
    order = list(range(len(layout)))
    for left, right in layout.mirror:
        order[left], order[right] = right, left
    signs = torch.ones(joints.shape[-1], device=joints.device)
    signs[0] = -1
    mirrored = joints.index_select(3, move(torch.tensor(order), joints.device))
    return torch.where(chosen[:, None, None, None, None], mirrored * signs, joints)


def drop_joints(
    joints: Float32[Tensor, "b m t v c"], layout: Layout, dropped: Bool[Tensor, "b v"], scored: bool = False
) -> Float32[Tensor, "b m t v c"]:
    """Clips of which some joints were never seen.

    Such a joint stands where the nearest one towards the root stands that was seen, which is where `maskel prepare`
    puts one, too. The root is never dropped.

    Args:
        joints: (B, M, T, V, C) positions.
        layout: The tree.
        dropped: (B, V) which joints, in all bodies and frames of the clip.
        scored: The last channel is a score: 0 for dropped joints.
    """
    own = torch.arange(len(layout), device=joints.device)
    parents = move(torch.tensor(layout.parents), joints.device)
    dropped = dropped & (parents >= 0)
    place = torch.where(dropped, parents, own)  # (B, V)
    for _ in range(len(layout).bit_length()):  # each pass doubles the way to the root
        place = place.gather(1, place)
    moved = joints.gather(3, place[:, None, None, :, None].expand(joints.shape))
    if scored:
        moved[..., -1] = moved[..., -1] * ~dropped[:, None, None]
    return moved


def add_noise(
    joints: Float32[Tensor, "b m t v c"], keys: Int64[Tensor, " b"], std: float, coordinates: int
) -> Float32[Tensor, "b m t v c"]:
    """Clips with Gaussian noise on every coordinate; what is all zero (no body, no joint) stays so, and scores do.

    All bodies of a clip get the same noise, so that a copy of a body remains one.

    Args:
        joints: (B, M, T, V, C) positions.
        keys: (B,) the clips' keys.
        std: Standard deviation, in the unit of the coordinates.
        coordinates: How many channels are coordinates.
    """
    count, _, *shape, _ = joints.shape
    points = joints[..., :coordinates]
    draws = normal(keys, Purpose.NOISE, points[0, 0].numel()).view(count, 1, *shape, coordinates)
    noisy = points + std * draws * points.any(-1, keepdim=True)
    return torch.cat((noisy, joints[..., coordinates:]), -1)


def half(keys: Int64[Tensor, " b"]) -> Bool[Tensor, " b"]:
    """Which clips are mirrored: each with probability 1/2."""
    return uniform(keys, Purpose.MIRROR, 1)[:, 0] < 0.5


def speeds(keys: Int64[Tensor, " b"], most: float) -> Float32[Tensor, " b"]:
    """How fast each clip is played: (B,) factors from 1 / (1 + most) to 1 + most, uniform in their logarithm."""
    return (1 + most) ** (2 * uniform(keys, Purpose.SPEED, 1)[:, 0] - 1)
