"""Motion capture: positions by forward kinematics against another way to them, names of joints, and refusals."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import own
from captured import ANGLES, PLACES, REST, bvh
from maskel.datasets.folder.bvh import BIOVISION, ENDS, MOTIONBUILDER, SPINE
from maskel.errors import BadFileError
from maskel.layouts import SMPL22, Layout


def expected(order: str = "zxy", layout: Layout = SMPL22) -> np.ndarray:
    """The same positions with scipy's rotations, from the leaves up: (T, V, 3)."""
    found = np.zeros((len(ANGLES), len(layout), 3))
    for frame, angles in enumerate(ANGLES):
        for joint in range(len(layout)):
            place, at = np.zeros(3), joint
            while layout.parents[at] != -1:
                parent = layout.parents[at]
                place = Rotation.from_euler(order.upper(), angles[parent], degrees=True).apply(place + REST[at])
                at = parent
            found[frame, joint] = place + PLACES[frame]
    return found


@pytest.mark.parametrize("family", [MOTIONBUILDER, BIOVISION, {}], ids=["MotionBuilder", "Biovision", "the layout's"])
@pytest.mark.parametrize("order", ["zxy", "xyz", "yzx"])
def test_positions_are_those_of_another_way(family: dict[str, str], order: str, tmp_path: Path) -> None:
    clip = own.read(own.write(tmp_path / "a.bvh", bvh(family, order)), "smpl22", centre=False)
    assert np.allclose(clip.joints[0], expected(order), atol=1e-5)
    assert not {SPINE, ENDS} & {what for what, number in clip.counts.items() if number}


def test_mixamos_names_and_units(tmp_path: Path) -> None:
    file = own.write(tmp_path / "a.bvh", bvh(MOTIONBUILDER, prefix="mixamorig:"))
    assert np.allclose(own.raw(file, "smpl22", scale=0.5)[0], 0.5 * expected(), atol=1e-5)
    some = own.raw(file, "lcrnet13")[0]
    assert np.allclose(some[:, 0], expected()[:, SMPL22.index("right_ankle")], atol=1e-5)


def test_the_frame_rate_of_the_file(tmp_path: Path) -> None:
    file = own.write(tmp_path / "a.bvh", bvh(MOTIONBUILDER).replace("0.033333", "0.01"))
    assert np.allclose(own.raw(file, "smpl22", fps=50.0)[0], expected()[::2], atol=1e-5)
    assert len(own.raw(file, "smpl22", fps=50.0, source_fps=25.0)[0]) == 9
    none = own.write(file, bvh(MOTIONBUILDER).replace("0.033333", "0"))
    with pytest.raises(BadFileError, match="no frame rate, expected --source-fps"):
        own.raw(none, "smpl22", fps=50.0)


def test_braces_behind_the_names(tmp_path: Path) -> None:
    text = re.sub(r"\n\t*\{", " {", bvh(MOTIONBUILDER))
    assert np.allclose(own.raw(own.write(tmp_path / "a.bvh", text), "smpl22")[0], expected(), atol=1e-5)


SHORT = Layout(  # one joint in the spine, and legs that end at the ankles
    "short",
    tuple(joint for joint in SMPL22.joints if joint not in ("spine1", "spine3", "left_foot", "right_foot")),
    (-1, 0, 0, 1, 2, 0, 3, 4, 5, 5, 5, 8, 9, 10, 12, 13, 14, 15),
)


def test_other_spines_and_ends_of_legs_are_counted(tmp_path: Path) -> None:
    clip = own.read(own.write(tmp_path / "a.bvh", bvh(BIOVISION, layout=SHORT)), "smpl22", centre=False)
    assert (clip.counts[SPINE], clip.counts[ENDS]) == (1, 2)
    joints = dict(zip(SMPL22.joints, clip.joints[0].swapaxes(0, 1), strict=True))
    straight = expected(layout=SHORT)
    hips, chest, neck = (straight[:, SHORT.index(joint)] for joint in ("pelvis", "spine2", "neck"))
    lengths = np.linalg.norm(chest - hips, axis=1), np.linalg.norm(neck - chest, axis=1)
    first = np.linalg.norm(joints["spine1"] - hips, axis=1)
    assert np.allclose(first, np.add(*lengths) / 4, atol=1e-5)
    assert np.allclose(np.linalg.norm(joints["left_foot"] - joints["left_ankle"], axis=1), 0.1, atol=1e-5)


def test_positions_of_every_joint_stand_for_offsets(tmp_path: Path) -> None:
    text = bvh(MOTIONBUILDER).replace("CHANNELS 3 Z", "CHANNELS 6 Xposition Yposition Zposition Z")
    head, motion = text.split("Frame Time: 0.033333\n")
    columns: list[int] = []

    def visit(joint: int) -> None:
        columns.append(joint)
        for child, parent in enumerate(SMPL22.parents):
            if parent == joint:
                visit(child)

    visit(SMPL22.root)
    for shift in (REST, np.zeros_like(REST)):
        lines = []
        for line in motion.splitlines():
            numbers = line.split()
            rest = zip(columns[1:], np.reshape(numbers[6:], (-1, 3)).tolist(), strict=True)
            lines.append([*numbers[:6], *(value for joint, three in rest for value in (*shift[joint], *three))])
        file = own.write(tmp_path / "a.bvh", f"{head}Frame Time: 0.033333\n{own.table(lines, ' ')}")
        assert np.allclose(own.raw(file, "smpl22")[0], expected(), atol=1e-5)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("HIERARCHY", "SKELETON", "line 1: .*expected a BVH file"),
        ("RightForearm", "RightTail", "no joint for right_elbow among Hips"),
        ("LeftForearm", "LeftElbow2", "no joint for"),
        ("Zrotation", "Wrotation", "channels Xposition"),
        ("Frames: 5", "Frames: 6", "truncated: found 5 frames, expected 6"),
        ("Frames: 5", "Frames: 4", "wrong count: found 5 frames, expected 4"),
        ("Frames: 5", "Frames: 999999999", "999999999 frames of 69 channels"),
        ("MOTION", "ROOT Hips2\n{\nOFFSET 0 0 0\n}\nMOTION", "a second body, Hips2, expected one body"),
        ("MOTION\n", "", "Frames: 5"),
        ("OFFSET 0 0.1 0", "OFFSET 0 up 0", "not a number: found 0 up 0"),
    ],
)
def test_bad_files_are_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    text = bvh(MOTIONBUILDER)
    assert old in text
    with pytest.raises(BadFileError, match=message) as caught:
        own.read(own.write(tmp_path / "a.bvh", text.replace(old, new)), "smpl22")
    assert "\n" not in str(caught.value)
