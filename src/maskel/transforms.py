"""Views of clips: temporal crop, resampling, rotation and streams, for whole batches on their device.

Order and arithmetic are those of the field's feeder (CTR-GCN, MAMP), so that numbers compare: crop the valid frames,
resample linearly to the window, rotate, then derive the stream.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from maskel.draws import Purpose, uniform
from maskel.errors import InputError
from maskel.layouts import Layout
from maskel.sequence import SkeletonBatch, num_coordinates

Stream = Literal["joint", "bone", "motion", "bone_motion"]
"""What a network reads: positions, bones (joint minus its neighbour), or the forward difference of either."""


def centre_crop(lengths: Int64[Tensor, " b"], share: float) -> tuple[Int64[Tensor, " b"], Int64[Tensor, " b"]]:
    """Start and length of the middle ``share`` of each clip's valid frames: the test view's crop."""
    start = ((1 - share) * lengths.to(torch.float64) / 2).floor().to(torch.int64)
    return start, lengths - 2 * start


def random_crop(
    lengths: Int64[Tensor, " b"],
    draws: Float32[Tensor, "b 2"] | Float64[Tensor, "b 2"],
    p_min: float,
    p_max: float,
    min_frames: int,
) -> tuple[Int64[Tensor, " b"], Int64[Tensor, " b"]]:
    """Start and length of a random crop: the training view's.

    Args:
        lengths: (B,) valid frames n.
        draws: (B, 2) uniform on [0, 1): the first sets the length floor(n·p), p between ``p_min`` and ``p_max``; the
            second the start, uniform over what fits.
        p_min: Smallest share of the valid frames, in (0, 1].
        p_max: Largest share.
        min_frames: Crops are at least this long, or the whole clip.
    """
    share = p_min + (p_max - p_min) * draws[:, 0].to(torch.float64)
    length = (lengths * share).floor().to(torch.int64).clamp(min=min_frames).minimum(lengths)
    start = ((lengths - length + 1) * draws[:, 1].to(torch.float64)).floor().to(torch.int64)
    return start, length


def resample(
    joints: Float32[Tensor, "b m t v c"], start: Int64[Tensor, " b"], length: Int64[Tensor, " b"], window: int
) -> Float32[Tensor, "b m w v c"]:
    """Frames [start, start + length) of each clip, linearly resampled to ``window`` frames.

    Same as bilinear interpolation without aligned corners; positions are computed in float32 in the feeder's order of
    operations, which matters in the sixth digit.
    """
    last = (length - 1)[:, None]
    scale = length.to(torch.float32) / torch.tensor(window, dtype=torch.float32, device=joints.device)
    steps = torch.arange(window, dtype=torch.float32, device=joints.device)
    source = ((steps + 0.5) * scale[:, None] - 0.5).clamp(min=0).minimum(last.to(torch.float32))  # (B, W)
    before = source.floor().to(torch.int64)
    after = (before + 1).minimum(last)
    weight = (source - before)[:, None, :, None, None]
    clip = torch.arange(len(joints), device=joints.device)[:, None]
    frames = joints.transpose(1, 2)  # (B, T, M, V, C): one gather for all bodies
    first = frames[clip, start[:, None] + before].transpose(1, 2)
    second = frames[clip, start[:, None] + after].transpose(1, 2)
    return first * (1 - weight) + second * weight


def rotation_matrices(angles: Float32[Tensor, "b 3"]) -> Float32[Tensor, "b 3 3"]:
    """Rz·Ry·Rx for angles (a, b, c) in radians, with the sign convention of the field's feeder."""
    (cos_a, cos_b, cos_c), (sin_a, sin_b, sin_c) = angles.cos().unbind(1), angles.sin().unbind(1)
    one, zero = torch.ones_like(cos_a), torch.zeros_like(cos_a)
    rx = torch.stack((one, zero, zero, zero, cos_a, sin_a, zero, -sin_a, cos_a), 1).view(-1, 3, 3)
    ry = torch.stack((cos_b, zero, -sin_b, zero, one, zero, sin_b, zero, cos_b), 1).view(-1, 3, 3)
    rz = torch.stack((cos_c, sin_c, zero, -sin_c, cos_c, zero, zero, zero, one), 1).view(-1, 3, 3)
    return rz @ ry @ rx


def rotate(joints: Float32[Tensor, "b m t v c"], matrices: Float32[Tensor, "b d d"]) -> Float32[Tensor, "b m t v c"]:
    """Every point of a clip turned by its matrix: point' = R·point; channels behind the coordinates stay."""
    count = matrices.shape[1]
    turned = torch.einsum("bij,bmtvj->bmtvi", matrices, joints[..., :count])
    return turned if joints.shape[-1] == count else torch.cat((turned, joints[..., count:]), -1)


def joint_to_motion(joints: Float32[Tensor, "*b t v c"], stride: int = 1) -> Float32[Tensor, "*b t v c"]:
    """Forward difference x[t + stride] - x[t]; the last ``stride`` frames are 0."""
    motion = torch.zeros_like(joints)
    motion[..., :-stride, :, :] = joints[..., stride:, :, :] - joints[..., :-stride, :, :]
    return motion


def joint_to_bone(joints: Float32[Tensor, "*b t v c"], layout: Layout) -> Float32[Tensor, "*b t v c"]:
    """Each joint minus its neighbour (the field's bone stream); the root's bone is 0."""
    return joints - joints[..., list(layout.neighbours), :]


def to_stream(
    joints: Float32[Tensor, "*b t v c"], stream: Stream, layout: Layout, scored: bool = False
) -> Float32[Tensor, "*b t v c"]:
    """The stream a network reads, from joint positions.

    Args:
        joints: (..., T, V, C) positions.
        stream: Which.
        layout: Says which bones there are.
        scored: The last channel is a score. It is never subtracted: a bone's is the mean of its two joints' scores, a
            motion's that of its two frames (0 in the last frame, which has no motion), as in PYSKL.
    """
    if stream in ("bone", "bone_motion"):
        bones = joint_to_bone(joints, layout)
        joints = _with_score(bones, joints, joints[..., list(layout.neighbours), :]) if scored else bones
    if stream in ("motion", "bone_motion"):
        motion = joint_to_motion(joints)
        if scored:
            motion[..., :-1, :, :] = _with_score(motion[..., :-1, :, :], joints[..., :-1, :, :], joints[..., 1:, :, :])
        joints = motion
    return joints


def _with_score(
    differences: Float32[Tensor, "*b t v c"], one: Float32[Tensor, "*b t v c"], other: Float32[Tensor, "*b t v c"]
) -> Float32[Tensor, "*b t v c"]:
    """The differences, with the mean of both ends' scores as the last channel."""
    return torch.cat((differences[..., :-1], (one[..., -1:] + other[..., -1:]) / 2), -1)


@dataclass(frozen=True)
class TrainView:
    """The random view of training: crop, resample, rotate.

    Args:
        p_min: Smallest share of the valid frames to crop, in (0, 1].
        p_max: Largest share, in (0, 1].
        min_frames: Crops are at least this long, or the whole clip.
        max_angle: Rotation angles are uniform on [-max_angle, max_angle] radians about each axis; 0 for none. Joints
            in 2D turn in their plane only, by the third angle.
    """

    p_min: float = 0.5
    p_max: float = 1.0
    min_frames: int = 64
    max_angle: float = 0.3

    def __post_init__(self) -> None:
        if not 0 < self.p_min <= self.p_max <= 1:
            raise InputError(f"view: found p_min {self.p_min} and p_max {self.p_max}, expected 0 < p_min <= p_max <= 1")
        if self.min_frames < 1 or self.max_angle < 0:
            raise InputError("view: expected min_frames of 1 or more and max_angle of 0 or more")

    def apply(self, batch: SkeletonBatch, keys: Int64[Tensor, " b"], window: int) -> SkeletonBatch:
        """The view of ``batch`` that the clips' ``keys`` draw, ``window`` frames long; scores are never rotated."""
        draws = uniform(keys, Purpose.VIEW, 5)
        start, length = random_crop(batch.lengths, draws[:, :2], self.p_min, self.p_max, self.min_frames)
        joints = resample(batch.joints, start, length, window)
        if self.max_angle > 0:
            count = num_coordinates(batch.channels)
            angles = (2 * draws[:, 2:] - 1) * self.max_angle
            if count == 2:  # without the turns about x and y, Rz·Ry·Rx is Rz
                angles = torch.cat((torch.zeros_like(angles[:, :2]), angles[:, 2:]), 1)
            joints = rotate(joints, rotation_matrices(angles)[:, :count, :count])
        return batch.with_joints(joints)


def test_view(batch: SkeletonBatch, window: int) -> SkeletonBatch:
    """The deterministic view of evaluation: the middle 95 % of the valid frames, resampled to ``window``."""
    return batch.with_joints(resample(batch.joints, *centre_crop(batch.lengths, 0.95), window))


test_view.__test__ = False  # type: ignore[attr-defined]  # its name is the field's; pytest must not collect it
