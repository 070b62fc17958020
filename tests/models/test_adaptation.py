from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from maskel.conversion import conversion
from maskel.errors import InputError
from maskel.layouts import KINECT20, LAYOUTS, NTU25, Layout
from maskel.methods.base import build_seeded
from maskel.models.adaptation import adapted
from maskel.models.encoder import Encoder


def encoder(layout: Layout = NTU25, **changes: Any) -> Encoder:
    return build_seeded(lambda: Encoder(layout, replace(tiny.ENCODER, **changes)), 0).eval()


def cubic(values: np.ndarray, count: int) -> np.ndarray:
    """Rows of ``values`` (T, D) resampled by cubic convolution, a = -0.75, pixel centres aligned, edges repeated."""

    def weight(x: float) -> float:
        a, x = -0.75, abs(x)
        if x <= 1:
            return (a + 2) * x**3 - (a + 3) * x**2 + 1
        return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0

    found = np.zeros((count, values.shape[1]))
    for row in range(count):
        place = (row + 0.5) * len(values) / count - 0.5
        for near in range(int(np.floor(place)) - 1, int(np.floor(place)) + 3):
            found[row] += weight(place - near) * values[min(max(near, 0), len(values) - 1)]
    return found


def test_its_own_layout_and_window_change_nothing() -> None:
    old = encoder()
    assert adapted(old, NTU25) is old
    assert adapted(old, NTU25, 8) is old
    assert not old.adapted


@pytest.mark.parametrize("window", [4, 12, 20, 40])
def test_the_time_embedding_is_resized_by_cubic_convolution(window: int) -> None:
    old = encoder(window=16)
    new = adapted(old, NTU25, window)
    assert new.config == replace(old.config, window=window)
    expected = cubic(old.time_embed.detach()[0, :, 0].double().numpy(), window // 4)
    np.testing.assert_allclose(new.time_embed.detach()[0, :, 0].numpy(), expected, rtol=0, atol=1e-7)
    for name, weight in old.state_dict().items():
        if name != "time_embed":
            assert torch.equal(new.state_dict()[name], weight), name
    assert new.adapted == f"time embedding resized from 4 to {window // 4} patches"
    assert not new.training
    assert new(torch.randn(2, window, 25, 3)).shape == (2, window // 4 * 25, 16)


def test_a_joint_keeps_its_embedding_by_name() -> None:
    old = encoder()
    new = adapted(old, KINECT20)
    assert new.layout is KINECT20
    for joint in ("head", "left_knee", "right_hand"):
        assert torch.equal(new.joint_embed[0, 0, KINECT20.index(joint)], old.joint_embed[0, 0, NTU25.index(joint)])
    shoulders = new.joint_embed[0, 0, KINECT20.index("shoulder_centre")]
    assert torch.equal(shoulders, old.joint_embed[0, 0, NTU25.index("spine_shoulder")])
    assert new.adapted == "joint embeddings mapped from ntu25 to kinect20: 20 of 20 copied"
    # so tokens of the joints that both have are those of the old encoder
    joints = torch.randn(2, 8, 25, 3)
    matrix = torch.from_numpy(conversion(NTU25, KINECT20).matrix).float()
    assert torch.equal(new.embed(new.patches(matrix @ joints))[:, 3], old.embed(old.patches(joints))[:, 3])


def test_a_joint_that_is_not_there_has_the_mean_of_others_or_the_nearest() -> None:
    old = encoder(KINECT20)
    new = adapted(old, NTU25)
    own = old.joint_embed.detach()[0, 0]
    found = dict(zip(NTU25.joints, new.joint_embed.detach()[0, 0], strict=True))
    torch.testing.assert_close(found["neck"], (own[2] + own[3]) / 2)
    torch.testing.assert_close(found["left_thumb"], own[KINECT20.index("left_hand")])
    assert new.adapted == (
        "joint embeddings mapped from kinect20 to ntu25: 20 of 25 copied, 1 means of others (neck), "
        "4 the nearest joint's (left_hand_tip, left_thumb, right_hand_tip, right_thumb)"
    )


def test_groups_of_kept_joints_are_mapped_to_each_other() -> None:
    old = build_seeded(lambda: Encoder(NTU25, tiny.encoder_for("hacm")), 0)
    new = adapted(old, KINECT20, 16)
    assert new.joints == KINECT20.kept
    for joint in new.joints:
        mapped, own = new.joint_embed[0, 0, new.joints.index(joint)], old.joint_embed[0, 0, old.joints.index(joint)]
        assert torch.equal(mapped, own)
    assert "13 of 13 copied; time embedding resized from 2 to 4 patches" in new.adapted
    back = adapted(new, NTU25)
    neck, head = (back.joint_embed[0, 0, back.joints.index(joint)] for joint in ("neck", "head"))
    torch.testing.assert_close(neck, head)  # the shoulders' centre, the other half of a neck, is not read


@pytest.mark.parametrize("joints", ["all", "kept"])
@pytest.mark.parametrize("target", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("source", [NTU25, KINECT20, LAYOUTS["coco17"]], ids=lambda layout: layout.name)
def test_every_layout_can_be_read_or_is_refused(source: Layout, target: Layout, joints: Any) -> None:
    old = build_seeded(lambda: Encoder(source, replace(tiny.ENCODER, joints=joints)), 0)
    if source is target:
        assert adapted(old, target) is old
        return
    new = adapted(old, target)
    assert new(torch.randn(1, 8, len(target), 3)).isfinite().all()
    low, high = old.joint_embed.amin(2), old.joint_embed.amax(2)
    assert ((new.joint_embed >= low[:, :, None] - 1e-6) & (new.joint_embed <= high[:, :, None] + 1e-6)).all()


def test_what_cannot_be_adapted_is_refused() -> None:
    with pytest.raises(InputError, match="patches of 5 joints, which cannot be mapped"):
        adapted(encoder(patch_joints=5), KINECT20)
    with pytest.raises(InputError, match="patch_frames 4 does not divide the window of 10"):
        adapted(encoder(), NTU25, 10)
    with pytest.raises(InputError, match="expected 1 to"):
        adapted(encoder(), NTU25, 0)
