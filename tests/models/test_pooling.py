"""What features are averages of."""

import numpy as np
import pytest
import torch

import tiny
from maskel.errors import InputError
from maskel.layouts import COCO17, LAYOUTS, NTU25, Layout
from maskel.models.encoder import Encoder, EncoderConfig
from maskel.models.pooling import pool_tokens, region_weights

CONFIG = EncoderConfig(window=28, patch_frames=4, dim=16, depth=1, num_heads=2)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_every_joint_is_in_one_region_and_sides_mirror(layout: Layout) -> None:
    assert sorted(joint for joints in layout.regions.values() for joint in joints) == list(range(len(layout)))
    other = {joint: pair[1 - side] for pair in layout.mirror for side, joint in enumerate(pair)}
    for limb in ("arm", "leg"):
        assert len(layout.regions[f"left_{limb}"]) >= 3
        mirrored = sorted(other[joint] for joint in layout.regions[f"left_{limb}"])
        assert mirrored == sorted(layout.regions[f"right_{limb}"])


def test_regions_are_the_parts_that_one_would_name() -> None:
    regions = {name: {COCO17.joints[joint] for joint in joints} for name, joints in COCO17.regions.items()}
    assert regions["trunk"] == {"nose", "left_eye", "right_eye", "left_ear", "right_ear"}
    assert regions["left_arm"] == {"left_shoulder", "left_elbow", "left_wrist"}
    assert regions["right_leg"] == {"right_hip", "right_knee", "right_ankle"}


@pytest.mark.parametrize("kept", ["all", "kept"])
def test_features_equal_naive_means(kept: str) -> None:
    encoder = Encoder(NTU25, EncoderConfig(**CONFIG.__dict__ | {"joints": kept}))
    times, columns = encoder.grid
    tokens = torch.randn(2, times * columns, 16)
    found = {pool: encoder.pooled(tokens, pool) for pool in ("mean", "joints", "regions", "regions_time")}  # type: ignore[arg-type]
    for pool, features in found.items():
        assert features.shape == (2, encoder.num_features(pool))  # type: ignore[arg-type]
    for body in range(2):
        table = tokens[body].view(times, columns, 16).numpy()
        names = [
            next(name for name, joints in NTU25.regions.items() if NTU25.index(joint) in joints)
            for joint in encoder.joints
        ]
        regions = [name for name in NTU25.regions if name in names]
        of = {name: [column for column, region in enumerate(names) if region == name] for name in regions}
        thirds = np.array_split(np.arange(times), 3)
        expected = {
            "mean": [table.mean((0, 1))],
            "joints": [table[:, column].mean(0) for column in range(columns)],
            "regions": [table[:, of[name]].mean((0, 1)) for name in regions],
            "regions_time": [table[some][:, of[name]].mean((0, 1)) for some in thirds for name in regions],
        }
        for pool, parts in expected.items():
            np.testing.assert_allclose(found[pool][body].numpy(), np.concatenate(parts), rtol=1e-4, atol=1e-6)


def test_a_column_of_joints_of_two_regions_counts_to_each_by_its_share() -> None:
    layout = Layout("stick", ("head", "left_hand", "left_elbow", "left_foot"), (-1, 0, 1, 0))
    weights = region_weights(layout, (0, 1, 2, 3), 2)
    torch.testing.assert_close(weights, torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]))  # no right side


def test_too_little_time_for_thirds_is_refused() -> None:
    with pytest.raises(InputError, match="found 2 patches in time, expected 3 or more"):
        pool_tokens(torch.zeros(1, 50, 4), (2, 25), "regions_time", region_weights(NTU25, tuple(range(25)), 1))


def test_encode_keeps_regions_apart_where_it_is_told_to() -> None:
    encoder = Encoder(NTU25, tiny.ENCODER).eval()
    joints = tiny.random_batch(NTU25).joints
    assert encoder.encode(joints, pool="regions").shape == (4, 5 * 16)
    torch.testing.assert_close(encoder.encode(joints), encoder.encode(joints, pool="joints").view(4, 25, 16).mean(1))
