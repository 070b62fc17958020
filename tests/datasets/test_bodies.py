from pathlib import Path

import numpy as np
import pytest

from maskel.datasets.base import Split
from maskel.datasets.bodies import Sample, Up, upward, usual_size
from maskel.datasets.store import SkeletonSet
from maskel.datasets.store_writer import SetWriter
from maskel.layouts import COCO17, H36M17, KINECT20, LAYOUTS, MEDIAPIPE33, NTU25, Layout
from maskel.sequence import Clip, SkeletonSequence


def standing(layout: Layout, up: tuple[float, ...]) -> np.ndarray:
    """Bodies (4, T, V, C) of random joints, heads 2 above the feet in direction ``up``; some lean, one stays zero."""
    draws = np.random.default_rng(5)
    joints = draws.normal(size=(4, 6, len(layout), len(up))) * 0.2 + 1
    joints[:, :, list(layout.head)] += np.float32(up)
    joints[:, :, list(layout.feet)] -= np.float32(up)
    joints[3, 2] = 0
    return joints.astype(np.float32)


def prepared(out: Path, layout: Layout, joints: np.ndarray, options: dict[str, object] | None = None) -> SkeletonSet:
    channels = ("x", "y", "z")[: joints.shape[3]]
    with SetWriter(out, layout, ("a",), "folder", options or {}, channels) as writer:
        for number, body in enumerate(joints):
            writer.add(SkeletonSequence(Clip(f"clip{number}", 0), body[None], layout))
        writer.finish({"all": Split((0, 1, 2, 3), ())})
    return SkeletonSet.open(out)


@pytest.mark.parametrize(
    ("layout", "up", "found", "why"),
    [
        (NTU25, (0, 1, 0), "y", "as in ntu25"),
        (KINECT20, (0, 1, 0), "y", "as in kinect20"),
        (MEDIAPIPE33, (0, -1, 0), "-y", "as in mediapipe33"),
        (COCO17, (0, -1), "-y", "images count y downwards"),
        (NTU25, (0, -1), "-y", "images count y downwards"),
        (H36M17, (0, 0, 1), "z", "a guess: heads are on this side of the feet in 100% of frames"),
        (H36M17, (0, -1, 0), "-y", "a guess: heads are on this side of the feet in 100% of frames"),
        (H36M17, (0, 0, 0), "y", "a guess: heads and feet do not tell"),
        (NTU25, (0, 0, 0), "y", "as in ntu25"),
    ],
)
def test_layouts_and_images_know_which_way_is_up_and_bodies_show_it(
    layout: Layout, up: tuple[float, ...], found: str, why: str, tmp_path: Path
) -> None:
    one = upward(prepared(tmp_path / "set", layout, standing(layout, up)))
    assert (str(one), one.why, one.doubt) == (found, why, "")


@pytest.mark.parametrize(
    ("layout", "up", "found", "doubt"),
    [
        (NTU25, (0, -1, 0), "-y", "100% of heads point along -y, but expected y (as in ntu25)"),
        (MEDIAPIPE33, (0, 1, 0), "y", "100% of heads point along y, but expected -y (as in mediapipe33)"),
        (COCO17, (0, 1), "y", "100% of heads point along y, but expected -y (images count y downwards)"),
        (COCO17, (-1, 0), "-x", "100% of heads point along -x, but expected -y (images count y downwards)"),
    ],
)
def test_bodies_that_contradict_are_believed_and_it_is_said(
    layout: Layout, up: tuple[float, ...], found: str, doubt: str, tmp_path: Path
) -> None:
    one = upward(prepared(tmp_path / "set", layout, standing(layout, up)))
    assert (str(one), one.doubt) == (found, doubt)


@pytest.mark.parametrize(("options", "found"), [({"layout": "mediapipe33"}, "-y"), ({}, "-y"), ({"layout": ""}, "-y")])
def test_a_converted_set_has_the_axes_of_the_layout_it_came_from(
    options: dict[str, object], found: str, tmp_path: Path
) -> None:
    joints = standing(NTU25, (0, -1, 0))
    one = upward(prepared(tmp_path / "set", NTU25, joints, options | {"to_layout": "ntu25"}))
    assert (str(one), one.doubt) == (found, "")


def test_missing_joints_tell_neither_size_nor_direction(tmp_path: Path) -> None:
    joints = standing(COCO17, (0, -1))
    whole = usual_size(Sample.of(prepared(tmp_path / "whole", COCO17, joints)))
    joints[:, :, list(COCO17.feet)[:1]] = 0
    joints[:, ::2, list(COCO17.feet)] = 0
    data = prepared(tmp_path / "set", COCO17, joints - np.float32(0))
    assert str(upward(data)) == "-y"
    assert usual_size(Sample.of(data)) < whole


def test_a_damaged_set_has_a_size_and_a_direction(tmp_path: Path) -> None:
    prepared(tmp_path / "set", H36M17, standing(H36M17, (0, 0, 1)))
    stored = np.lib.format.open_memmap(tmp_path / "set" / "joints.npy", mode="r+")
    stored[:] = np.nan
    stored.flush()
    data = SkeletonSet.open(tmp_path / "set")
    assert usual_size(Sample.of(data)) == 0
    assert upward(data).why == "a guess: heads and feet do not tell"


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("sign", [1, -1])
def test_turned_points_have_up_in_their_second_place(axis: int, sign: int) -> None:
    points = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    turned = Up(axis, sign, "").turn(points)
    np.testing.assert_array_equal(turned[..., 1], sign * points[..., axis])
    assert sorted(map(abs, turned[0, 0].tolist())) == [0, 1, 2]
    assert points[0, 0, axis] == axis  # not changed
    if axis < 2:
        assert Up(axis, sign, "").turn(points[..., :2]).shape == (2, 4, 2)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_has_a_head_and_two_feet(layout: Layout) -> None:
    assert layout.head
    assert {layout.joints[joint].split("_")[0] for joint in layout.feet} == {"left", "right"}
    assert not set(layout.head) & set(layout.feet)
    assert all("shoulder" not in layout.joints[joint] for joint in layout.head)
