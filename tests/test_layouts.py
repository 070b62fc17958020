"""The layout tables: names, trees and sides belong together, and HA-CM's groups follow one rule."""

import pytest

from maskel.errors import InputError
from maskel.layouts import LAYOUTS, NTU25, SMPL22, SMPL24, Layout
from maskel.transforms import TrainView

every_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


def test_number_of_joints_is_that_in_the_name() -> None:
    assert len(LAYOUTS) == 15
    assert all(name.endswith(str(len(layout))) for name, layout in LAYOUTS.items())


def _other_side(joint: str) -> str:
    return "right".join("left".join(part.split("right")) for part in joint.split("left"))


@every_layout
def test_mirror_pairs_are_all_joints_that_have_a_side(layout: Layout) -> None:
    pairs = {(layout.joints[left], layout.joints[right]) for left, right in layout.mirror}
    assert pairs == {(joint, _other_side(joint)) for joint in layout.joints if "left" in joint}


def test_the_joints_that_ha_cm_keeps_of_ntu25_are_the_published_ones() -> None:
    assert NTU25.group("kept") == (2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15, 17, 18, 19, 21, 22, 23, 24)
    assert NTU25.group("roots") == (0, 1, 4, 8, 12, 16, 20)


def test_a_side_without_its_counterpart_cannot_be_mirrored() -> None:
    with pytest.raises(InputError, match="layout arm: left_hand has no counterpart right_hand"):
        TrainView(mirror=True).require_fit(Layout("arm", ("hip", "left_hand"), (-1, 0)))


@every_layout
def test_tree_is_its_own_mirror_image(layout: Layout) -> None:
    mirrored = {joint: joint for joint in range(-1, len(layout))}
    mirrored |= {left: right for left, right in layout.mirror} | {right: left for left, right in layout.mirror}
    assert all(layout.parents[mirrored[joint]] == mirrored[parent] for joint, parent in enumerate(layout.parents))


@every_layout
def test_groups_of_hacm_cover_the_skeleton(layout: Layout) -> None:
    kept, roots = layout.kept, layout.roots
    assert set(kept) | set(roots) == set(layout.joints)
    assert {joint for joint in layout.joints if joint.endswith(("_shoulder", "_hip"))} <= set(roots)
    limbs = ("elbow", "wrist", "hand", "thumb", "knee", "ankle", "foot", "toe", "heel", "eye", "ear", "head", "nose")
    assert {joint for joint in layout.joints if any(limb in joint for limb in limbs)} <= set(kept)


@every_layout
def test_a_limb_hangs_on_the_limb_before_it(layout: Layout) -> None:
    for side in ("left", "right"):
        for joint, before in (("elbow", "shoulder"), ("wrist", "elbow"), ("knee", "hip"), ("ankle", "knee")):
            assert layout.parents[layout.index(f"{side}_{joint}")] == layout.index(f"{side}_{before}")


def test_smpl22_is_smpl24_without_hands() -> None:
    assert SMPL24.joints == (*SMPL22.joints, "left_hand", "right_hand")
    assert SMPL22.kept == tuple(joint for joint in SMPL24.kept if not joint.endswith("_hand"))
