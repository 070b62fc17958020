"""Every equation against loops that anyone can read, in float64."""

import math

import numpy as np
import pytest
import torch

from maskel.draws import Purpose, clip_keys, epoch_order, uniform
from maskel.layouts import LAYOUTS, Layout
from maskel.losses import masked_mean_squared_error
from maskel.masking import MotionAwareMasking, RandomMasking
from maskel.models.patches import put_tokens, take_tokens, to_patches
from maskel.targets import JointTarget, MotionTarget
from maskel.training.optim import AdamWConfig, SGDConfig
from maskel.transforms import joint_to_bone, joint_to_motion, resample, rotate, rotation_matrices


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def kept_by_loops(joints: np.ndarray, draws: np.ndarray, u: int, ratio: float, tau: float) -> set[int]:
    """Motion-aware masking of one body (T, V, C), as the paper and its release state it."""
    frames, count, coordinates = joints.shape
    steps = frames // u
    motion = np.zeros((steps, count))
    for t in range(steps):
        now, before = (t, t - 1) if t > 0 else (1, 0)
        for v in range(count):
            for i in range(u):
                for c in range(coordinates):
                    motion[t, v] += abs(joints[now * u + i, v, c] - joints[before * u + i, v, c])
            motion[t, v] /= u * coordinates
    amount = [motion[t, v] / (motion.max() * tau + 1e-10) for t in range(steps) for v in range(count)]
    total = sum(math.exp(value) for value in amount)
    scores = []
    for token, value in enumerate(amount):
        gumbel = -math.log(-math.log(draws[token] + 1e-10) + 1e-10)
        scores.append(math.log(math.exp(value) / total) + gumbel)
    kept = int(len(scores) * (1 - ratio))
    return set(sorted(range(len(scores)), key=scores.__getitem__)[:kept])


@pytest.mark.parametrize("tau", [0.1, 0.8, 3.0])
@pytest.mark.parametrize("ratio", [0.3, 0.75, 0.9])
def test_motion_aware_masking(tau: float, ratio: float) -> None:
    joints = random(3, 12, 5, 3)
    joints[1] *= 1e-3  # only what moves more than the rest counts, not how much all of it moves
    draws = torch.rand(3, 20, generator=torch.Generator().manual_seed(1))
    mask = MotionAwareMasking(ratio, tau)(to_patches(torch.from_numpy(joints), 3), draws)
    for body in range(3):
        expected = kept_by_loops(joints[body].astype(np.float64), draws[body].double().numpy(), 3, ratio, tau)
        assert set(mask.keep[body].tolist()) == expected


def test_moving_tokens_are_hidden_more_often() -> None:
    patches = torch.zeros(1, 4, 6, 12)
    patches[:, 1::2, 2] = 1.0  # joint 2 jumps between any two patches, joint 4 half as far
    patches[:, 1::2, 4] = 0.5
    draws = uniform(clip_keys(0, 0, torch.arange(4000)), Purpose.MASK, 24)
    hidden = MotionAwareMasking(0.5, 0.4)(patches.expand(4000, -1, -1, -1), draws).hidden
    often = hidden.float().mean(0).view(4, 6).mean(0)  # of each joint
    assert often[2] > often[4] + 0.05
    assert often[4] > often[[0, 1, 3, 5]].max() + 0.05
    assert (often[[0, 1, 3, 5]] - often[0]).abs().max() < 0.03  # what stands still is hidden equally often


@pytest.mark.parametrize("masking", [RandomMasking(0.75), MotionAwareMasking(0.75, tau=0.0)], ids=["random", "tau0"])
def test_uniform_masking_is_uniform(masking: RandomMasking | MotionAwareMasking) -> None:
    clips = 4000
    patches = torch.from_numpy(random(1, 4, 5, 12)).expand(clips, -1, -1, -1)
    hidden = masking(patches, uniform(clip_keys(2, 1, torch.arange(clips)), Purpose.MASK, 20)).hidden.double()
    deviation = math.sqrt(0.75 * 0.25 / clips)
    assert ((hidden.mean(0) - 0.75).abs() < 5 * deviation).all()
    together = (hidden[:, :, None] * hidden[:, None, :]).mean(0)  # of two tokens: 15/20 · 14/19 without replacement
    off_diagonal = together[~torch.eye(20, dtype=torch.bool)]
    assert ((off_diagonal - 0.75 * 14 / 19).abs() < 5 * math.sqrt(0.25 / clips)).all()


def test_draws_are_uniform_and_independent_between_purposes_epochs_and_clips() -> None:
    clips = torch.arange(20000)
    columns = [
        uniform(clip_keys(0, 0, clips), Purpose.MASK, 2),
        uniform(clip_keys(0, 0, clips), Purpose.VIEW, 1),
        uniform(clip_keys(0, 1, clips), Purpose.MASK, 1),
        uniform(clip_keys(1, 0, clips), Purpose.MASK, 1),
        uniform(clip_keys(0, 0, clips + 1), Purpose.MASK, 1),
    ]
    table = torch.cat(columns, 1).double()
    assert table.min() >= 0
    assert table.max() < 1
    for column in table.T:
        counts = torch.bincount((column * 20).long(), minlength=20).double()
        assert ((counts - 1000) ** 2 / 1000).sum() < 55  # chi-square, 19 degrees: 1 in 40 000
    correlation = torch.corrcoef(table.T) - torch.eye(6, dtype=torch.float64)
    assert correlation.abs().max() < 0.035


def test_an_epoch_visits_every_clip_once_in_an_order_of_its_own() -> None:
    clips = np.array([5, 3, 99, 12, 7, 8])
    orders = [epoch_order(seed, epoch, clips).tolist() for seed in range(3) for epoch in range(3)]
    assert all(sorted(order) == sorted(clips.tolist()) for order in orders)
    assert len({tuple(order) for order in orders}) > 6
    assert epoch_order(0, 1, clips).tolist() == orders[1]


def test_patches_are_ordered_frame_joint_coordinate() -> None:
    joints = random(2, 6, 4, 3)
    patches = to_patches(torch.from_numpy(joints), 3, 2).numpy()
    assert patches.shape == (2, 2, 2, 18)
    for t in range(2):
        for v in range(2):
            expected = [joints[1, t * 3 + i, v * 2 + j, c] for i in range(3) for j in range(2) for c in range(3)]
            assert patches[1, t, v].tolist() == expected


def test_tokens_return_to_their_places() -> None:
    tokens = torch.from_numpy(random(2, 10, 4))
    order = torch.stack([torch.randperm(10), torch.randperm(10)])
    keep, rest = order[:, :3], order[:, 3:]
    grid = put_tokens(torch.zeros_like(tokens), keep, take_tokens(tokens, keep))
    assert torch.equal(put_tokens(grid, rest, take_tokens(tokens, rest)), tokens)
    assert (
        not put_tokens(torch.zeros_like(tokens), keep, take_tokens(tokens, keep))
        .gather(1, rest[:, :, None].expand(-1, -1, 4))
        .any()
    )


@pytest.mark.parametrize("stride", [1, 2, 5])
def test_motion(stride: int) -> None:
    joints = random(2, 7, 4, 3)
    expected = np.zeros_like(joints)
    for t in range(7 - stride):
        expected[:, t] = joints[:, t + stride] - joints[:, t]
    assert np.array_equal(joint_to_motion(torch.from_numpy(joints), stride).numpy(), expected)


@pytest.mark.parametrize("stride", [8, 9, 50])
def test_motion_over_more_frames_than_there_are_is_zero(stride: int) -> None:
    assert not joint_to_motion(torch.ones(1, 8, 4, 3).cumsum(1), stride).any()


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_bones(layout: Layout) -> None:
    joints = random(2, 3, len(layout), 3)
    bones = joint_to_bone(torch.from_numpy(joints), layout).numpy()
    for joint, parent in enumerate(layout.parents):
        start = layout.published_bones.get(joint, joint if parent == -1 else parent)
        assert np.array_equal(bones[:, :, joint], joints[:, :, joint] - joints[:, :, start])


@pytest.mark.parametrize("kind", [JointTarget, MotionTarget])
def test_normalised_target(kind: type[JointTarget] | type[MotionTarget]) -> None:
    joints = random(1, 8, 3, 3)
    target = kind()(torch.from_numpy(joints), 4, 1)[0].numpy()
    signal = joints[0].astype(np.float64)
    if kind is MotionTarget:
        signal = np.concatenate((signal[1:] - signal[:-1], np.zeros_like(signal[:1])))
    for t in range(2):
        for v in range(3):
            values = [signal[t * 4 + i, v, c] for i in range(4) for c in range(3)]
            mean = sum(values) / 12
            variance = sum((value - mean) ** 2 for value in values) / 11
            expected = [(value - mean) / math.sqrt(variance + 1e-6) for value in values]
            np.testing.assert_allclose(target[t * 3 + v], expected, rtol=1e-5, atol=1e-6)


def test_masked_loss() -> None:
    predicted, target = random(2, 10, 6), random(2, 10, 6, seed=1)
    hidden = np.zeros((2, 10), dtype=bool)
    hidden[0, [0, 3, 9]] = hidden[1, [2, 4, 5]] = True
    total, count = 0.0, 0
    for body in range(2):
        for token in range(10):
            if hidden[body, token]:
                gaps = [float(predicted[body, token, i]) - float(target[body, token, i]) for i in range(6)]
                total += sum(gap**2 for gap in gaps) / 6
                count += 1
    masked = torch.from_numpy(np.stack([np.flatnonzero(row) for row in hidden]))
    loss = masked_mean_squared_error(
        take_tokens(torch.from_numpy(predicted), masked), take_tokens(torch.from_numpy(target), masked)
    )
    assert loss.item() == pytest.approx(total / count, rel=1e-6)


def test_rotation() -> None:
    angles, joints = random(3, 3), random(3, 2, 4, 5, 3)
    turned = rotate(torch.from_numpy(joints), rotation_matrices(torch.from_numpy(angles))).numpy()
    for clip in range(3):
        a, b, c = (float(angle) for angle in angles[clip])
        rx = np.array([[1, 0, 0], [0, math.cos(a), math.sin(a)], [0, -math.sin(a), math.cos(a)]])
        ry = np.array([[math.cos(b), 0, -math.sin(b)], [0, 1, 0], [math.sin(b), 0, math.cos(b)]])
        rz = np.array([[math.cos(c), math.sin(c), 0], [-math.sin(c), math.cos(c), 0], [0, 0, 1]])
        matrix = rz @ ry @ rx
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
        for m in range(2):
            for t in range(4):
                for v in range(5):
                    np.testing.assert_allclose(turned[clip, m, t, v], matrix @ joints[clip, m, t, v], atol=1e-5)


@pytest.mark.parametrize("window", [1, 4, 9, 30])
def test_resampling(window: int) -> None:
    joints = random(4, 2, 12, 3, 3)
    starts, lengths = [0, 3, 11, 2], [12, 5, 1, 9]
    found = resample(torch.from_numpy(joints), torch.tensor(starts), torch.tensor(lengths), window).numpy()
    for clip in range(4):
        for w in range(window):
            place = min(max((w + 0.5) * lengths[clip] / window - 0.5, 0.0), lengths[clip] - 1.0)
            before = math.floor(place)
            after = min(before + 1, lengths[clip] - 1)
            first, second = (joints[clip, :, starts[clip] + frame].astype(np.float64) for frame in (before, after))
            expected = first + (second - first) * (place - before)
            np.testing.assert_allclose(found[clip, :, w], expected, atol=2e-5)


def test_learning_rate() -> None:
    training = AdamWConfig()
    for step in range(400 * 10):
        epoch = step / 10
        if epoch < 20:
            expected = 1e-3 * epoch / 20
        else:
            expected = 5e-4 + (1e-3 - 5e-4) * (1 + math.cos(math.pi * (epoch - 20) / 380)) / 2
        assert training.learning_rate(epoch) == pytest.approx(expected, rel=1e-12)
    assert training.learning_rate(0.0) == 0
    assert training.learning_rate(20.0) == 1e-3
    assert training.learning_rate(400 - 1e-4) == pytest.approx(5e-4, rel=1e-6)
    probe = SGDConfig()
    assert probe.learning_rate(0.0) == 0.1
    assert probe.learning_rate(50.0) == pytest.approx(0.05)
    assert probe.learning_rate(100 - 1e-4) == pytest.approx(0, abs=1e-9)
