"""Motion capture as points: joints by their names, units that the file says, and refusals."""

from pathlib import Path

import numpy as np
import pytest

import own
from captured import c3d
from maskel.datasets.folder.c3d import BESIDE
from maskel.errors import BadFileError
from maskel.layouts import COCO17

BODY = own.motion(6)
NAMES = [f"ann:{joint.replace('left_', 'L').replace('right_', 'R')}" for joint in COCO17.joints]
WHOLE = c3d(BODY, NAMES, "m")


def refused(path: Path, content: bytes, message: str, layout: str = "coco17") -> None:
    with pytest.raises(BadFileError, match=message) as caught:
        own.read(own.write(path / "a.c3d", content), layout)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scale", [-1.0, 0.1], ids=["real numbers", "whole numbers"])
def test_points_called_like_joints(scale: float, tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(17)
    points = 1000 * np.concatenate((BODY[:, order], np.ones((6, 1, 3))), 1)
    points[3, 2] = np.nan
    file = own.write(tmp_path / "a.c3d", c3d(points, [*(NAMES[joint] for joint in order), "ann:T10"], scale=scale))
    clip = own.read(file, centre=False)
    body = BODY.copy()
    body[3, order[2]] = (BODY[2, order[2]] + BODY[4, order[2]]) / 2
    assert np.allclose(clip.joints[0], body, atol=1e-3)
    assert clip.counts[BESIDE] == 1
    assert clip.counts["missing joints"] == 1
    assert clip.counts["points in mm, as the file says, brought to metres"] == 1


def test_the_frame_rate_of_the_file(tmp_path: Path) -> None:
    file = own.write(tmp_path / "a.c3d", WHOLE)  # 100 a second
    assert np.allclose(own.raw(file, fps=50.0)[0], BODY[::2], atol=1e-5)


def test_markers_are_no_joints(tmp_path: Path) -> None:
    markers = [*"LASI RASI LPSI RPSI LTHI LKNE LTIB LANK LHEE LTOE C7 T10 CLAV STRN LFHD RFHD LBHD".split()]
    refused(tmp_path, c3d(BODY, markers), "no point for nose, left_eye.*among LASI, RASI.*markers on the skin")
    refused(tmp_path, c3d(BODY, [*NAMES[:16], "bo:Rwrist"]), "points ann:Rwrist and bo:Rwrist, both for right_wrist")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (c3d(BODY, NAMES, "inch"), "wrong unit: found POINT:UNITS 'inch', expected one of m, dm, cm, mm"),
        (c3d(BODY, NAMES, processor=85), "processor type 85, expected type 84"),
        (WHOLE[:-400], "truncated: found 4 frames, expected 6"),
        (b"ab" + WHOLE[2:], "no header of C3D"),
        (WHOLE[:2] + b"\0\0" + WHOLE[4:], "frames of 0 points"),
        (b"\xff" + WHOLE[1:], "parameters in block 255"),
        (WHOLE[:600], "no header of C3D"),
    ],
)
def test_bad_files_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    refused(tmp_path, content, message)
