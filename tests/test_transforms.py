import json
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch.nn import functional

import tiny
from maskel.draws import Purpose, clip_keys, uniform
from maskel.errors import InputError
from maskel.layouts import COCO17, KINECT20, NTU25
from maskel.sequence import CHANNELS, Channels, SkeletonBatch, num_coordinates
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
    view_frames,
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
    whole = tiny.seen(view, batch, clip_keys(3, 5, batch.clips), 30).joints
    part = SkeletonBatch(batch.joints[4:6], batch.lengths[4:6], batch.present[4:6], batch.labels[4:6], batch.clips[4:6])
    assert torch.equal(tiny.seen(view, part, clip_keys(3, 5, part.clips), 30).joints, whole[4:6])
    assert not torch.equal(tiny.seen(view, part, clip_keys(3, 6, part.clips), 30).joints, whole[4:6])
    assert not torch.equal(tiny.seen(view, part, clip_keys(4, 5, part.clips), 30).joints, whole[4:6])


def test_random_crops_fit_and_reach_their_bounds() -> None:
    lengths = torch.arange(1, 301)
    for draws in (torch.zeros(300, 2), torch.full((300, 2), 1 - 2.0**-24), torch.rand(300, 2)):
        start, length = random_crop(lengths, draws, 0.5, 1.0, 64)
        assert (start >= 0).all()
        assert (start + length <= lengths).all()
        assert (length >= torch.minimum(lengths, torch.tensor(64))).all()
        assert (length >= (lengths // 2).clamp(min=1)).all()


@pytest.mark.parametrize("window", [120, 72, 60, 48])
def test_the_source_of_a_frame_is_rounded_once(window: int) -> None:
    lengths = torch.arange(1, 301)
    frames = view_frames(torch.zeros_like(lengths), lengths, window)
    for length, before, weights in zip(lengths.tolist(), frames.before, frames.weight, strict=True):
        scale = Fraction(float(np.float32(length) / np.float32(window)))
        exact = [(2 * step + 1) * scale / 2 - Fraction(1, 2) for step in range(window)]  # dyadic, so float() is exact
        source = np.clip(np.array([float(position) for position in exact]).astype(np.float32), 0, length - 1)
        assert before.tolist() == np.floor(source).tolist()
        assert np.array_equal(weights.numpy(), source - np.floor(source))


@pytest.mark.parametrize("length", [65, 103, 300])
def test_weights_are_those_of_interpolation(length: int) -> None:
    frames = torch.eye(length)[None, None, :, :, None]  # each is 1 in its own place, so a view holds the weights
    view = resample(frames, torch.tensor([0]), torch.tensor([length]), 120)[0, 0, ..., 0]
    expected = functional.interpolate(torch.eye(length)[None, None], size=(length, 120), mode="bilinear")[0, 0].T
    torch.testing.assert_close(view, expected, rtol=0, atol=length * 2.0**-23)  # processors without fused operations


def test_rotation_keeps_bone_lengths() -> None:
    joints = torch.randn(4, 2, 6, 25, 3)
    turned = rotate(joints, rotation_matrices(torch.randn(4, 3)))
    torch.testing.assert_close(joint_to_bone(turned, NTU25).norm(dim=-1), joint_to_bone(joints, NTU25).norm(dim=-1))


def test_a_single_frame_can_be_resampled() -> None:
    joints = torch.randn(1, 1, 3, 25, 3)
    out = resample(joints, torch.tensor([1]), torch.tensor([1]), 12)
    assert torch.equal(out, joints[:, :, 1:2].expand_as(out))


@pytest.mark.parametrize("channels", CHANNELS, ids=" ".join)
def test_a_view_turns_coordinates_and_leaves_scores(channels: Channels) -> None:
    joints = torch.rand(3, 2, 9, 17, len(channels), generator=torch.Generator().manual_seed(1))
    numbers = torch.arange(3)
    batch = SkeletonBatch(joints, torch.full((3,), 9), torch.ones(3, 2).bool(), numbers, numbers, channels)
    keys = clip_keys(0, 0, numbers)
    still = tiny.seen(TrainView(max_angle=0.0), batch, keys, 9).joints
    turned = tiny.seen(TrainView(), batch, keys, 9)
    assert turned.channels == batch.to("cpu").channels == channels
    count = num_coordinates(channels)
    torch.testing.assert_close(turned.joints[..., :count].norm(dim=-1), still[..., :count].norm(dim=-1))
    assert not torch.equal(turned.joints[..., :count], still[..., :count])
    assert torch.equal(turned.joints[..., count:], still[..., count:])
    angle = (2 * uniform(keys, Purpose.VIEW, 5)[:, 4] - 1) * 0.3
    if count == 2:  # x' = x cos c + y sin c, as the third of the feeder's turns
        expected = still[..., 0] * angle.cos()[:, None, None, None] + still[..., 1] * angle.sin()[:, None, None, None]
        torch.testing.assert_close(turned.joints[..., 0], expected)


def test_streams_average_scores_and_subtract_coordinates() -> None:
    joints = torch.rand(2, 5, 17, 3)
    scores, neighbours = joints[..., 2], list(COCO17.neighbours)
    bones = to_stream(joints, "bone", COCO17, scored=True)
    assert torch.equal(bones[..., :2], joint_to_bone(joints, COCO17)[..., :2])
    torch.testing.assert_close(bones[..., 2], (scores + scores[..., neighbours]) / 2)
    motion = to_stream(joints, "motion", COCO17, scored=True)
    assert torch.equal(motion[..., :2], joint_to_motion(joints)[..., :2])
    torch.testing.assert_close(motion[:, :-1, :, 2], (scores[:, 1:] + scores[:, :-1]) / 2)
    assert not motion[:, -1].any()
    both = to_stream(joints, "bone_motion", COCO17, scored=True)
    assert torch.equal(both, to_stream(bones, "motion", COCO17, scored=True))
    assert torch.equal(to_stream(joints, "joint", COCO17, scored=True), joints)


def test_an_impossible_crop_is_refused() -> None:
    with pytest.raises(InputError, match="p_min"):
        TrainView(p_min=0.9, p_max=0.5)
