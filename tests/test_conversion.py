"""Conversions between layouts: what is copied stays exact, middles are right, and nothing is made up in silence."""

from itertools import permutations

import numpy as np
import pytest
import torch

from maskel.conversion import Conversion, conversion, trunk_middle
from maskel.errors import InputError
from maskel.layouts import COCO17, H36M17, KINECT20, LAYOUTS, MEDIAPIPE33, NTU25, OPENPOSE18, OPENPOSE25, SMPL24, Layout

PAIRS = [pytest.param(*pair, id=f"{pair[0].name} to {pair[1].name}") for pair in permutations(LAYOUTS.values(), 2)]
every_pair = pytest.mark.parametrize(("source", "target"), PAIRS)


def random_joints(layout: Layout, seed: int = 0) -> np.ndarray:
    joints = np.random.default_rng(seed).normal(size=(2, 5, len(layout), 3)).astype(np.float32)
    joints[1, 2:] = 0  # a body that leaves
    return joints


def sides(layout: Layout) -> dict[str, list[int]]:
    return {"left": [left for left, _ in layout.mirror], "right": [right for _, right in layout.mirror]}


def origin(made: Conversion, joint: str) -> list[str]:
    return [made.source.joints[place] for place in made.sources[made.target.index(joint)]]


@every_pair
def test_copied_joints_come_back_exactly(source: Layout, target: Layout) -> None:
    there, back = conversion(source, target), conversion(target, source)
    joints = random_joints(source)
    returned = back.apply(there.apply(joints))
    copied_twice = [joint for joint in back.copied if back.sources[joint][0] in there.copied]
    assert np.array_equal(returned[:, :, copied_twice], joints[:, :, copied_twice])
    limbs = {f"{side}_{limb}" for side in ("left", "right") for limb in ("shoulder", "elbow", "wrist", "hip", "knee")}
    assert limbs <= {source.joints[joint] for joint in copied_twice}


@every_pair
def test_a_conversion_is_a_weighted_mean_that_keeps_sides_and_absence(source: Layout, target: Layout) -> None:
    made = conversion(source, target)
    assert np.allclose(made.matrix.sum(1), 1)
    assert [set(np.flatnonzero(row)) for row in made.matrix] == [set(joints) for joints in made.sources]
    assert not made.apply(random_joints(source))[1, 2:].any()
    for left, right in target.mirror:
        share = {side: sum(made.matrix[left, side_joints]) for side, side_joints in sides(source).items()}
        assert share["left"] >= share["right"]
        mirrored = dict((*source.mirror, *((right, left) for left, right in source.mirror)))
        assert {mirrored.get(joint, joint) for joint in made.sources[left]} == set(made.sources[right])


@every_pair
def test_numpy_and_torch_agree(source: Layout, target: Layout) -> None:
    made, joints = conversion(source, target), random_joints(source)
    converted = made.apply(torch.from_numpy(joints))
    assert converted.dtype == torch.float32
    assert np.allclose(converted.numpy(), made.apply(joints), atol=1e-6)


@every_pair
def test_every_joint_is_copied_a_mean_or_named_as_invented(source: Layout, target: Layout) -> None:
    made = conversion(source, target)
    text = made.describe()
    invented = text.partition("invented: ")[2].partition(";")[0]
    for joint, name in enumerate(target.joints):
        assert (joint in made.invented) == (f"{name} (at " in invented)
        assert (joint in made.copied) == (f"{name} (" not in text)
    lost = text.partition("lost: ")[2].split(", ") if made.lost else []
    assert lost == [source.joints[joint] for joint in made.lost]


def test_kinect_v1_to_v2() -> None:
    made = conversion(KINECT20, NTU25)
    same = {joint: joint for joint in (0, 1, *range(3, 20))} | {20: 2}
    assert {joint: made.sources[joint] for joint in made.copied} == {joint: (old,) for joint, old in same.items()}
    joints = random_joints(KINECT20)
    neck = made.apply(joints)[..., NTU25.index("neck"), :]
    assert np.allclose(neck, (joints[..., 2, :] + joints[..., 3, :]) / 2, atol=1e-6)
    assert origin(made, "left_hand_tip") == origin(made, "left_thumb") == ["left_hand"]
    assert {NTU25.joints[joint] for joint in made.invented} == {
        f"{side}_{part}" for side in ("left", "right") for part in ("hand_tip", "thumb")
    }
    assert made.lost == ()
    assert conversion(NTU25, KINECT20).invented == ()


@pytest.mark.parametrize("layout", [COCO17, MEDIAPIPE33], ids=["coco17", "mediapipe33"])
def test_the_trunk_of_a_layout_without_one_lies_between_hips_and_shoulders(layout: Layout) -> None:
    joints = random_joints(layout)
    part = {name: joints[..., place, :] for place, name in enumerate(layout.joints)}
    hips = (part["left_hip"] + part["right_hip"]) / 2
    shoulders = (part["left_shoulder"] + part["right_shoulder"]) / 2
    head = (part["left_ear"] + part["right_ear"]) / 2
    converted = conversion(layout, NTU25).apply(joints)
    expected = {
        "spine_base": hips,
        "spine_mid": (hips + shoulders) / 2,
        "spine_shoulder": shoulders,
        "neck": (shoulders + head) / 2,
        "head": head,
    }
    for name, place in expected.items():
        assert np.allclose(converted[..., NTU25.index(name), :], place, atol=1e-6), name


def test_necks_of_one_name_are_not_one_joint() -> None:
    assert origin(conversion(OPENPOSE25, NTU25), "spine_shoulder") == ["neck"]
    assert set(origin(conversion(OPENPOSE18, NTU25), "neck")) == {"neck", "left_ear", "right_ear"}
    assert origin(conversion(NTU25, OPENPOSE18), "neck") == ["spine_shoulder"]
    assert origin(conversion(NTU25, SMPL24), "neck") == ["neck"]
    assert origin(conversion(NTU25, H36M17), "thorax") == ["spine_shoulder"]


def test_fingers_and_toes() -> None:
    made = conversion(MEDIAPIPE33, NTU25)
    assert set(origin(made, "left_hand")) == {"left_wrist", "left_index", "left_pinky"}
    assert origin(made, "left_thumb") == ["left_thumb"]
    assert origin(made, "left_foot") == ["left_foot_index"]
    assert set(origin(conversion(OPENPOSE25, NTU25), "left_foot")) == {"left_big_toe", "left_small_toe"}
    coco = conversion(COCO17, NTU25)
    assert origin(coco, "left_hand") == origin(coco, "left_hand_tip") == ["left_wrist"]
    assert origin(coco, "right_foot") == ["right_ankle"]
    assert {"right_hand", "right_foot"} <= {NTU25.joints[joint] for joint in coco.invented}


def test_to_itself_nothing_changes() -> None:
    for layout in LAYOUTS.values():
        made = conversion(layout, layout)
        assert np.array_equal(made.matrix, np.eye(len(layout)))
        assert (made.invented, made.lost) == ((), ())


def test_the_middle_of_the_trunk() -> None:
    assert np.flatnonzero(trunk_middle(NTU25)).tolist() == [NTU25.index("spine_mid")]
    assert np.flatnonzero(trunk_middle(KINECT20)).tolist() == [KINECT20.index("spine")]
    weights = dict(zip(COCO17.joints, trunk_middle(COCO17), strict=True))
    assert {name for name, weight in weights.items() if weight == 0.25} == set(COCO17.roots)


def test_a_layout_that_fits_no_other_is_refused() -> None:
    plant = Layout("plant", ("stem", "leaf"), (-1, 0))
    with pytest.raises(InputError, match="joint stem of layout plant"):
        conversion(NTU25, plant)
    with pytest.raises(InputError, match="layout plant has no middle"):
        trunk_middle(plant)
