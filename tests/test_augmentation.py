"""Mirror, speed, joint dropout and noise of the training view."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from maskel.augmentation import add_noise, drop_joints, mirror
from maskel.draws import Purpose, clip_keys, normal, uniform
from maskel.errors import InputError
from maskel.layouts import COCO17, LAYOUTS, NTU25, Layout
from maskel.sequence import CHANNELS, Channels, SkeletonBatch, num_coordinates
from maskel.training.loading import ClipBatches
from maskel.training.run import RunFolder
from maskel.transforms import TrainView, played_frames, read_frames, resample

EXTRAS: dict[str, Any] = {"mirror": True, "speed": 0.5, "joint_dropout": 0.2, "noise": 0.01}


def some_clips(layout: Layout = NTU25, channels: Channels = CHANNELS[0], clips: int = 16) -> SkeletonBatch:
    """Clips of 40 frames of which every second has one body."""
    draws = torch.Generator().manual_seed(0)
    joints = torch.rand(clips, 2, 40, len(layout), len(channels), generator=draws) + 0.1
    joints[::2, 1] = 0
    numbers = torch.arange(clips)
    return SkeletonBatch(joints, torch.full((clips,), 40), joints.flatten(2).any(2), numbers, numbers, channels)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_mirrored_twice_is_the_clip_itself(layout: Layout) -> None:
    joints, chosen = some_clips(layout).joints, torch.arange(16) < 9
    once = mirror(joints, layout, chosen)
    assert torch.equal(mirror(once, layout, chosen), joints)
    assert torch.equal(once[9:], joints[9:])
    for left, right in layout.mirror:
        assert torch.equal(once[:9, ..., left, 0], -joints[:9, ..., right, 0])
        assert torch.equal(once[:9, ..., left, 1:], joints[:9, ..., right, 1:])
    paired = {joint for pair in layout.mirror for joint in pair}
    alone = next(joint for joint in range(len(layout)) if joint not in paired)
    assert torch.equal(once[:9, ..., alone, 0], -joints[:9, ..., alone, 0])
    named = [(layout.joints[left], layout.joints[right]) for left, right in layout.mirror]
    assert all(left.replace("left", "right") == right for left, right in named)
    assert {name for name in layout.joints if "left" in name} == {left for left, _ in named}


@pytest.mark.parametrize("channels", CHANNELS, ids=" ".join)
def test_scores_go_with_their_joints(channels: Channels) -> None:
    batch = some_clips(COCO17, channels)
    keys = clip_keys(0, 0, batch.clips)
    count = num_coordinates(channels)
    view = TrainView(p_min=1.0, max_angle=0.0, mirror=True)
    half = uniform(keys, Purpose.MIRROR, 1)[:, 0] < 0.5
    assert 4 < half.sum() < 12
    seen = tiny.seen(view, batch, keys, 40, COCO17)
    torch.testing.assert_close(seen.joints, mirror(batch.joints, COCO17, half))
    noisy = tiny.seen(replace(view, mirror=False, noise=0.1), batch, keys, 40, COCO17).joints
    torch.testing.assert_close(noisy[..., count:], batch.joints[..., count:])
    lacking = tiny.seen(replace(view, mirror=False, joint_dropout=0.5), batch, keys, 40, COCO17).joints
    if count < len(channels):
        dropped = (uniform(keys, Purpose.JOINT_DROPOUT, 17) < 0.5)[:, None, None] & batch.present[:, :, None, None]
        dropped[..., COCO17.root] = False
        assert torch.equal(lacking[..., -1] == 0, (dropped | ~batch.present[:, :, None, None]).expand(16, 2, 40, 17))


def test_a_dropped_joint_stands_at_the_nearest_one_towards_the_root() -> None:
    joints = some_clips().joints
    names = ("right_wrist", "right_hand", "right_hand_tip", "spine_shoulder", "left_knee")
    dropped = torch.zeros(16, 25, dtype=torch.bool)
    dropped[:8, [NTU25.index(name) for name in names]] = True
    lacking = drop_joints(joints, NTU25, dropped)
    assert torch.equal(lacking[8:], joints[8:])
    elbow, hip = (joints[:8, ..., NTU25.index(name), :] for name in ("right_elbow", "left_hip"))
    for name in names[:3]:
        assert torch.equal(lacking[:8, ..., NTU25.index(name), :], elbow)
    assert torch.equal(lacking[:8, ..., NTU25.index("left_knee"), :], hip)
    assert torch.equal(lacking[:8, ..., NTU25.root, :], joints[:8, ..., NTU25.root, :])
    everything = drop_joints(joints, NTU25, torch.ones(16, 25, dtype=torch.bool))
    assert torch.equal(everything, joints[..., [NTU25.root], :].expand_as(joints))


def test_noise_has_its_size_and_leaves_what_is_absent() -> None:
    batch = some_clips(clips=64)
    batch.joints[:, 0, :, 3] = 0  # a joint that is missing
    noisy = add_noise(batch.joints, clip_keys(0, 0, batch.clips), 0.02, 3)
    noise = noisy - batch.joints
    assert not noise[::2, 1].any()
    assert not noise[:, 0, :, 3].any()
    there = noise[:, 0][:, :, [joint for joint in range(25) if joint != 3]]
    assert there.std().item() == pytest.approx(0.02, rel=0.01)
    assert abs(there.mean().item()) < 0.0002
    torch.testing.assert_close(noise[1::2, 0, :, :3], noise[1::2, 1, :, :3])  # a copy stays one
    draws = normal(torch.arange(400), Purpose.NOISE, 500)
    assert draws.isfinite().all()
    assert (draws.abs() < 1).float().mean().item() == pytest.approx(0.6827, abs=0.005)


def test_speed_plays_more_or_fewer_frames_about_the_middle() -> None:
    joints = torch.arange(100.0)[None, None, :, None, None].expand(3, 1, 100, 2, 3)  # each frame holds its number
    start, length, lengths = (torch.tensor([number] * 3) for number in (40, 20, 100))
    factors = torch.tensor([1.0, 2.0, 0.5])
    view = read_frames(joints, played_frames(start, length, lengths, 20, factors))[:, 0, :, 0, 0]
    torch.testing.assert_close(view[0], torch.arange(40.0, 60))
    torch.testing.assert_close(view[1], torch.arange(30.5, 70, 2))
    torch.testing.assert_close(view[2], torch.arange(44.75, 54.5, 0.5))
    whole = read_frames(joints, played_frames(start * 0, lengths, lengths, 100, factors))[:, 0, :, 0, 0]
    assert whole[1, :25].max() == 0  # the first pose is held, and the last
    assert whole[1, 75:].min() == 99
    keys = clip_keys(0, 0, torch.arange(500))
    spans = TrainView(p_min=1.0, speed=0.5).frames(torch.full((500,), 400), keys, 11)
    positions = spans.before + spans.weight
    factor = (positions[:, 6] - positions[:, 5]) / (400 / 11)
    assert 1 / 1.5 - 1e-3 < factor.min() < 0.7
    assert 1.45 < factor.max() < 1.5 + 1e-3


def test_off_is_the_view_as_it_was_and_each_draws_for_itself() -> None:
    batch = some_clips()
    keys = clip_keys(3, 1, batch.clips)
    plain = TrainView(min_frames=8)
    assert not plain.extras
    was = plain.turn(batch.with_joints(resample(batch.joints, *plain.crop(batch.lengths, keys), 24)), keys)
    assert torch.equal(tiny.seen(plain, batch, keys, 24).joints, was.joints)
    for name, value in EXTRAS.items():
        alone = replace(plain, **{name: value})
        assert alone.extras == (name,)
        assert not torch.equal(tiny.seen(alone, batch, keys, 24, NTU25).joints, was.joints)
    # the joints that are dropped, the clips mirrored and the crops are those of one change alone
    together = replace(plain, max_angle=0.0, mirror=True, noise=1e-9, joint_dropout=0.2)
    one = tiny.seen(replace(together, noise=0.0), batch, keys, 24, NTU25).joints
    torch.testing.assert_close(tiny.seen(together, batch, keys, 24, NTU25).joints, one, rtol=0, atol=1e-6)
    for purpose in (Purpose.MIRROR, Purpose.SPEED, Purpose.JOINT_DROPOUT, Purpose.NOISE):
        assert not torch.equal(uniform(keys, purpose, 5), uniform(keys, Purpose.VIEW, 5))


def test_changes_follow_seed_epoch_and_clip_whatever_else_is_in_the_batch() -> None:
    batch = some_clips()
    view = TrainView(min_frames=8, **EXTRAS)
    whole = tiny.seen(view, batch, clip_keys(3, 5, batch.clips), 24, NTU25).joints
    rows = [11, 2, 7]
    fields = (batch.joints, batch.lengths, batch.present, batch.labels, batch.clips)
    part = SkeletonBatch(*(field[rows] for field in fields))
    assert torch.equal(tiny.seen(view, part, clip_keys(3, 5, part.clips), 24, NTU25).joints, whole[rows])
    for other in (clip_keys(3, 6, part.clips), clip_keys(4, 5, part.clips)):
        assert not torch.equal(tiny.seen(view, part, other, 24, NTU25).joints, whole[rows])


@pytest.mark.parametrize(
    "options", [{"speed": -0.1}, {"speed": 10.0}, {"joint_dropout": 1.0}, {"noise": -1.0}, {"noise": float("nan")}]
)
def test_impossible_changes_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        TrainView(**options)  # type: ignore[arg-type]


def test_a_layout_without_left_and_right_cannot_be_mirrored() -> None:
    with pytest.raises(InputError, match="layout bare has no pairs of left and right joints"):
        TrainView(mirror=True).require_fit(Layout("bare", ("hip", "head"), (-1, 0)))


def test_batches_of_a_set_are_changed(tiny_set: Any) -> None:
    positions, view = np.arange(8), TrainView(min_frames=8, **EXTRAS)
    batches = ClipBatches(tiny_set, positions, 8, 0, 12, view, "zero", tiny.ALONE.device)
    expected = tiny.seen(view, tiny_set.gather(positions, 2), clip_keys(0, 4, torch.arange(8)), 12, NTU25)
    torch.testing.assert_close(batches.load(4, positions).joints, expected.joints)


@pytest.mark.parametrize("command", ["pretrain", "linear", "finetune"])
def test_every_command_that_trains_takes_them(
    command: str, run: Any, prepared: Path, pretrained: RunFolder, tmp_path: Path
) -> None:
    sizes = ["--encoder.window=8", "--encoder.dim=16", "--encoder.depth=1", "--encoder.num_heads=2"]
    encoder = {"pretrain": [*sizes, "--mamp.decoder_dim=16", "--mamp.decoder_depth=1"]}
    encoder |= {"linear": ["--encoder", pretrained.path], "finetune": [*sizes, "--head_dim=4"]}
    words = [command, "--data", prepared, *encoder[command], "--training.epochs=1", "--training.batch_size=8"]
    extras = ["--view.mirror", "--view.speed=0.2", "--view.joint-dropout=0.1", "--view.noise=0.01", "--device=cpu"]
    assert run(*words, *extras, "--out", tmp_path / "run")[0] == 0
    view = RunFolder(tmp_path / "run").read_config()["view"]
    assert {name: view[name] for name in EXTRAS} == {"mirror": True, "speed": 0.2, "joint_dropout": 0.1, "noise": 0.01}
    if command == "linear":
        code, text = run(*words, *extras, "--augment=false", "--out", tmp_path / "other")
        assert (code, "view.mirror: without the random view it does nothing" in text) == (2, True)
