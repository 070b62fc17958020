"""Missing joints in every code that tools write, and what looks like one but is a position."""

from typing import Any

import numpy as np
import pytest

import own
from maskel.datasets.folder.missing import missing_joints

PIXELS = own.motion(20, coordinates=2) * 300 + [800, 300]
METRES = own.motion(20) + np.array([0, 1, 2.5])
CODES: dict[str, tuple[np.ndarray, Any]] = {
    "NaN": (PIXELS, [np.nan, 400]),
    "zero in pixels": (PIXELS, 0),
    "zero in metres": (METRES, 0),
    "-1 in pixels": (PIXELS, -1),
    "-1 in fractions": (PIXELS / 1920, -1),
    "-1 in an image from -1 to 1": (PIXELS / 960 - 1, -1),
    "-1 in metres": (METRES, -1),
    "left of and above the image": (PIXELS, [-5, -12]),
}


def found(joints: np.ndarray, scores: np.ndarray | None = None, **options: Any) -> list[list[int]]:
    """Places (frame, joint) of the missing joints of one body."""
    missing = missing_joints(joints[None].astype(float), None if scores is None else scores[None], **options)
    return np.argwhere(missing[0]).tolist()


@pytest.mark.parametrize(("joints", "code"), CODES.values(), ids=CODES)
def test_codes_of_missing_joints(joints: np.ndarray, code: Any) -> None:
    assert found(joints) == []
    changed = joints.copy()
    changed[3, 4] = changed[5:7, 9] = code
    assert found(changed) == [[3, 4], [5, 9], [6, 9]]


def test_what_may_be_a_position_is_none() -> None:
    centred = PIXELS / 960 - 1
    centred[3, 4] = [-0.5, -0.6]
    beyond = PIXELS.copy()
    beyond[3, 4], beyond[4, 5, 0] = [-5, -12], -3  # another joint leaves the image on one side
    whole = np.round(own.motion(20, coordinates=2) * 9 - 5)
    whole[3, 4] = -1
    whole[whole.any(-1) == 0] = 1
    for joints in (centred, beyond, whole):
        assert found(joints) == []


def test_a_score_of_zero_is_certain_where_scores_are_given() -> None:
    scores = np.full(PIXELS.shape[:2], 0.8)
    scores[3, 4], scores[5, 6] = 0, -0.1
    assert found(PIXELS, scores) == [[3, 4], [5, 6]]
    assert found(PIXELS, scores * 0) == []  # nobody filled them in
    assert found(PIXELS, scores, occlusion=True) == []  # MediaPipe's visibility
    scores[7, 8] = 0.3
    assert found(PIXELS, scores, min_score=0.5) == [[3, 4], [5, 6], [7, 8]]
    scores[7, 8] = np.nan
    assert found(PIXELS, scores) == [[3, 4], [5, 6]]


@pytest.mark.parametrize("joints", [METRES, PIXELS / 1920, PIXELS], ids=["metres", "fractions", "pixels"])
def test_one_joint_at_zero_is_the_origin_if_the_body_is_around_it(joints: np.ndarray) -> None:
    assert found(joints - joints[:, 11:12]) == []
    never_found = joints.copy()
    never_found[:, 11] = 0
    assert found(never_found) == [[frame, 11] for frame in range(20)]
    absent = joints - joints[:, 11:12]
    absent[4:6] = 0
    assert found(absent) == [[frame, joint] for frame in (4, 5) for joint in range(17)]
    absent[9, 3] = 0  # another joint is missing, too
    assert [9, 3] in found(absent)


def test_a_joint_that_the_origin_was_moved_to_in_one_frame_is_there() -> None:
    moved = METRES - METRES[:1, 11:12]
    assert (moved[0, 11] == 0).all()
    assert found(moved) == []
    quick = moved + np.minimum(np.arange(20), 1)[:, None, None]  # far from zero in the next frame
    assert found(quick) == []
    quick[7, 11] = 0
    assert [7, 11] in found(quick)
