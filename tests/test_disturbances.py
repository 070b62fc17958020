"""Disturbances of clips, each beside loops over clips, frames and joints."""

import numpy as np
import pytest
import torch

import tiny
from maskel import disturbances
from maskel.datasets.store import SkeletonSet
from maskel.draws import Purpose, clip_keys, normal, uniform
from maskel.layouts import COCO17
from maskel.sequence import SCORE, XYZ, SkeletonBatch

SHARES = (0.0, 0.1, 0.37, 0.5, 0.9, 0.99)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> SkeletonSet:
    """Clips of 17 joints with scores, of 5 to 60 frames."""
    return SkeletonSet.open(tiny.write_set(tmp_path_factory.mktemp("scored") / "set", COCO17, channels=(*XYZ, SCORE)))


@pytest.fixture(scope="module")
def batch(dataset: SkeletonSet) -> SkeletonBatch:
    return dataset.gather(np.arange(12), bodies=2)


@pytest.fixture(scope="module")
def keys(batch: SkeletonBatch) -> torch.Tensor:
    return clip_keys(3, 0, batch.clips)


@pytest.mark.parametrize("share", SHARES)
def test_missing_joints_equal_loops(batch: SkeletonBatch, keys: torch.Tensor, share: float) -> None:
    expected = batch.joints.clone()
    draws = uniform(keys, Purpose.JOINT_DROPOUT, 17)
    for clip in range(len(batch)):
        order = sorted((joint for joint in range(17) if COCO17.parents[joint] >= 0), key=lambda j: draws[clip, j])
        gone = set(order[: round(17 * share)])
        for joint in gone:
            place = joint
            while place in gone:
                place = COCO17.parents[place]
            expected[clip, :, :, joint] = batch.joints[clip, :, :, place]
            expected[clip, :, :, joint, -1] = 0
    changed = disturbances.missing_joints(batch, keys, share, COCO17)
    assert torch.equal(changed.joints, expected)
    assert torch.equal(changed.lengths, batch.lengths)


@pytest.mark.parametrize("share", SHARES)
def test_dropped_frames_equal_loops(batch: SkeletonBatch, keys: torch.Tensor, share: float) -> None:
    expected = torch.zeros_like(batch.joints)
    draws = uniform(keys, Purpose.DROPPED_FRAMES, batch.joints.shape[2])
    lengths = []
    for clip, length in enumerate(batch.lengths.tolist()):
        lengths.append(max(1, length - round(length * share)))
        kept = sorted(sorted(range(length), key=lambda frame: -draws[clip, frame])[: lengths[-1]])
        for place, frame in enumerate(kept):
            expected[clip, :, place] = batch.joints[clip, :, frame]
    changed = disturbances.dropped_frames(batch, keys, share)
    assert changed.lengths.tolist() == lengths
    assert torch.equal(changed.joints, expected)


@pytest.mark.parametrize("share", SHARES)
def test_a_lower_frame_rate_equals_loops(batch: SkeletonBatch, share: float) -> None:
    changed = disturbances.lower_frame_rate(batch, share)
    for clip, length in enumerate(batch.lengths.tolist()):
        times, count = [], 0
        while count / (1 - share) <= length - 1 + 1e-6:
            times.append(count / (1 - share))
            count += 1
        assert changed.lengths[clip] == len(times)
        body = batch.joints[clip, :, :length].double().numpy()
        for place, time in enumerate(times):
            before = min(int(time + 1e-6), length - 1)
            after, weight = min(before + 1, length - 1), time - before
            blended = (1 - weight) * body[:, before] + weight * body[:, after]
            np.testing.assert_allclose(changed.joints[clip, :, place].numpy(), blended, atol=2e-6)
        assert not changed.joints[clip, :, len(times) :].any()


def test_noise_equals_loops(batch: SkeletonBatch, keys: torch.Tensor) -> None:
    changed = disturbances.noise(batch, keys, 0.05)
    for clip in (0, 7):
        draws = normal(keys[clip : clip + 1], Purpose.NOISE, 60 * 17 * 3)[0]
        for frame, joint in ((0, 0), (4, 16)):
            for body in range(2):
                point = batch.joints[clip, body, frame, joint]
                expected = point.clone()
                if point[:3].any():
                    start = (frame * 17 + joint) * 3
                    expected[:3] += 0.05 * draws[start : start + 3]
                torch.testing.assert_close(changed.joints[clip, body, frame, joint], expected)
    assert torch.equal(disturbances.noise(batch, keys, 0.0).joints, batch.joints)


def test_a_clip_is_disturbed_alike_in_any_batch(dataset: SkeletonSet, batch: SkeletonBatch, keys: torch.Tensor) -> None:
    for clip in (0, 5):
        alone, key = dataset.gather(np.array([clip]), bodies=2), keys[clip : clip + 1]
        for disturb in (
            lambda of, by: disturbances.missing_joints(of, by, 0.3, COCO17),
            lambda of, by: disturbances.dropped_frames(of, by, 0.3),
            lambda of, by: disturbances.noise(of, by, 0.3),
            lambda of, by: disturbances.lower_frame_rate(of, 0.3),
        ):
            changed, one = disturb(batch, keys), disturb(alone, key)
            length = int(one.lengths[0])
            assert int(changed.lengths[clip]) == length
            assert torch.equal(changed.joints[clip, :, :length], one.joints[0, :, :length])
