import json

import numpy as np
import pytest
import torch

from maskel.draws import clip_keys
from maskel.errors import InputError
from maskel.layouts import KINECT20, NTU25
from maskel.sequence import SkeletonBatch
from maskel.transforms import (
    TrainView,
    joint_to_bone,
    joint_to_motion,
    random_crop,
    resample,
    rotate,
    rotation_matrices,
    test_view,
    to_stream,
)
from released import golden


def golden_clips() -> tuple[dict[str, np.ndarray], SkeletonBatch]:
    arrays, _ = golden("views")
    joints = torch.from_numpy(arrays["x"].reshape(8, 300, 2, 25, 3)).transpose(1, 2).contiguous()
    lengths = (joints.sum((1, 3, 4)) != 0).sum(1)
    clips = torch.arange(8)
    return arrays, SkeletonBatch(joints, lengths, torch.ones(8, 2, dtype=torch.bool), clips, clips)


def published(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array.transpose(0, 4, 2, 3, 1)))


@pytest.mark.parametrize("window", [120, 72])
def test_the_test_view_equals_the_published_feeder(window: int) -> None:
    arrays, batch = golden_clips()
    view = test_view(batch, window)
    torch.testing.assert_close(view.joints, published(arrays[f"test_{window}"]), rtol=0, atol=1e-6)
    assert view.lengths.tolist() == [window] * 8


@pytest.mark.parametrize("window", [120, 72])
def test_the_train_view_equals_the_published_feeder_for_its_draws(window: int) -> None:
    arrays, batch = golden_clips()
    draws = json.loads(str(arrays[f"draws_{window}"]))
    start = torch.tensor([draw["start"] for draw in draws])
    length = torch.tensor([draw["length"] for draw in draws])
    assert batch.lengths.tolist() == [draw["valid"] for draw in draws]
    shares = torch.tensor([[draw["u"], 0.0] for draw in draws], dtype=torch.float64)
    assert torch.equal(random_crop(batch.lengths, shares, 0.5, 1.0, 64)[1], length)
    angles = torch.tensor([draw["angles"] for draw in draws], dtype=torch.float32)
    joints = rotate(resample(batch.joints, start, length, window), rotation_matrices(angles))
    torch.testing.assert_close(joints, published(arrays[f"train_{window}"]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("stream", ["bone", "motion"])
def test_streams_equal_the_published_feeder(stream: str) -> None:
    arrays, batch = golden_clips()
    joints = to_stream(test_view(batch, 72).joints, stream, NTU25)
    torch.testing.assert_close(joints, published(arrays[f"test_72_{stream}"]), rtol=0, atol=1e-6)


def test_bone_motion_is_the_motion_of_bones() -> None:
    joints = torch.randn(2, 1, 8, 20, 3)
    expected = joint_to_motion(joint_to_bone(joints, KINECT20))
    assert torch.equal(to_stream(joints, "bone_motion", KINECT20), expected)


def test_train_view_depends_on_seed_epoch_and_clip_only() -> None:
    _, batch = golden_clips()
    view = TrainView()
    whole = view.apply(batch, clip_keys(3, 5, batch.clips), 30).joints
    part = SkeletonBatch(batch.joints[4:6], batch.lengths[4:6], batch.present[4:6], batch.labels[4:6], batch.clips[4:6])
    assert torch.equal(view.apply(part, clip_keys(3, 5, part.clips), 30).joints, whole[4:6])
    assert not torch.equal(view.apply(part, clip_keys(3, 6, part.clips), 30).joints, whole[4:6])
    assert not torch.equal(view.apply(part, clip_keys(4, 5, part.clips), 30).joints, whole[4:6])


def test_random_crops_fit_and_reach_their_bounds() -> None:
    lengths = torch.arange(1, 301)
    for draws in (torch.zeros(300, 2), torch.full((300, 2), 1 - 2.0**-24), torch.rand(300, 2)):
        start, length = random_crop(lengths, draws, 0.5, 1.0, 64)
        assert (start >= 0).all()
        assert (start + length <= lengths).all()
        assert (length >= torch.minimum(lengths, torch.tensor(64))).all()
        assert (length >= (lengths // 2).clamp(min=1)).all()


def test_rotation_keeps_bone_lengths() -> None:
    joints = torch.randn(4, 2, 6, 25, 3)
    turned = rotate(joints, rotation_matrices(torch.randn(4, 3)))
    torch.testing.assert_close(joint_to_bone(turned, NTU25).norm(dim=-1), joint_to_bone(joints, NTU25).norm(dim=-1))


def test_a_single_frame_can_be_resampled() -> None:
    joints = torch.randn(1, 1, 3, 25, 3)
    out = resample(joints, torch.tensor([1]), torch.tensor([1]), 12)
    assert torch.equal(out, joints[:, :, 1:2].expand_as(out))


def test_rotation_of_2d_joints_is_refused() -> None:
    batch = SkeletonBatch(
        torch.zeros(1, 1, 4, 25, 2), torch.tensor([4]), torch.ones(1, 1).bool(), torch.tensor([0]), torch.tensor([0])
    )
    with pytest.raises(InputError, match="rotation needs 3"):
        TrainView().apply(batch, clip_keys(0, 0, batch.clips), 4)
    assert TrainView(max_angle=0.0).apply(batch, clip_keys(0, 0, batch.clips), 4).joints.shape == (1, 1, 4, 25, 2)


def test_an_impossible_crop_is_refused() -> None:
    with pytest.raises(InputError, match="p_min"):
        TrainView(p_min=0.9, p_max=0.5)
