"""Tables as tools and spreadsheets write them: what stands between fields, headings, and names of joints."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import own
from maskel.datasets.base import RawFile
from maskel.errors import BadFileError
from maskel.layouts import COCO17, MEDIAPIPE33, NTU25

BODY = own.motion()
LINES = BODY.reshape(12, -1).tolist()
FLAT = own.motion(coordinates=2)
FLAT_LINES = FLAT.reshape(12, -1).tolist()
FLAT_OTHER = own.motion(coordinates=2, seed=9) + np.array([3.0, 0])
NAMES = [f"{joint}_{axis}" for joint in COCO17.joints for axis in "xyz"]


def numbered(lines: list[list[float]], start: int = 0) -> list[list[object]]:
    return [[number, *line] for number, line in enumerate(lines, start)]


NO_NAME = "columns not read: one without a name"
MANGLED = ["0", "0.1", "0.2", *(f"{joint}{end}" for joint in range(1, 17) for end in ("", ".1", ".2"))]
NUMBERS = {
    "pandas": ([list(range(51)), *LINES], {}),
    "pandas with index": ([["", *range(51)], *numbered(LINES)], {NO_NAME: 1}),
    "index read back": ([["Unnamed: 0", *range(51)], *numbered(LINES)], {"columns not read: Unnamed: 0": 1}),
    "from 1": ([list(range(1, 52)), *LINES], {}),
    "floats": ([[f"{number}.0" for number in range(51)], *LINES], {}),
    "joints, told apart by pandas": ([MANGLED, *LINES], {}),
    "joints, repeated": ([[joint for joint in range(17) for _ in "xyz"], *LINES], {}),
    "all x before all y": (
        [[name for axis in range(3) for name in MANGLED[axis::3]], *BODY.swapaxes(1, 2).reshape(12, -1).tolist()],
        {},
    ),
    "R": ([[f"V{number}" for number in range(1, 52)], *LINES], {}),
    "R with names of rows": (
        own.table([[f"V{number}" for number in range(1, 52)], *numbered(LINES, 1)]),
        {NO_NAME: 1},
    ),
    "numbers beside text": (
        [[*range(51), "label", "subject"], *([*line, "wave", "ann"] for line in LINES)],
        {"columns not read: label, subject": 2},
    ),
    "frames beside numbers": ([["frame", *range(51)], *numbered(LINES, 700)], {}),
    "index without heading": (numbered(LINES), {"columns not read: the first, which counts lines": 1}),
    "frames without heading": (
        [[25 * number, *line] for number, line in enumerate(LINES)],
        {"columns not read: the first, which counts lines": 1},
    ),
    "a comma at each end": ([[*line, ""] for line in LINES], {}),
    "a comma at each end but the heading's": ([NAMES, *([*line, ""] for line in LINES)], {}),
    "R's missing numbers": ([NAMES, *LINES, ["NA"] * 51], {"frames without a body": 1}),
    "numpy's remarks": ("# made by a camera\n# " + own.table([NAMES, *LINES]), {"remarks above the heading": 1}),
    "numpy": ("\n".join(" ".join(f"{number:.18e}" for number in line) for line in LINES), {}),
    "Excel": ("sep=;\n" + own.table([NAMES, *LINES], ";"), {}),
}


@pytest.mark.parametrize(("rows", "counts"), NUMBERS.values(), ids=NUMBERS)
def test_a_heading_of_numbers_is_no_frame_and_a_count_no_joint(rows: Any, counts: dict, tmp_path: Path) -> None:
    sequence = own.clip(tmp_path, rows)
    assert own.holds(sequence, BODY)
    assert {what: number for what, number in sequence.counts.items() if number} == counts


def test_frames_that_count_by_themselves_are_no_heading(tmp_path: Path) -> None:
    counted = np.arange(3 * 17 * 2).reshape(3, -1)
    assert own.clip(tmp_path, counted.tolist(), scale=0.01).joints.shape == (1, 3, 17, 2)
    own.refuses(tmp_path, "a heading only", [list(range(51))])


def decimal(lines: list[list[float]], delimiter: str, digits: int = 4) -> str:
    return own.table([[f"{number:.{digits}f}".replace(".", ",") for number in line] for line in lines], delimiter)


@pytest.mark.parametrize("delimiter", [";", "\t", " ", "  "])
@pytest.mark.parametrize("heading", [True, False])
def test_decimal_commas(delimiter: str, heading: bool, tmp_path: Path) -> None:
    above = own.table([NAMES], delimiter) if heading else ""
    assert own.holds(own.clip(tmp_path, above + decimal(LINES, delimiter)), BODY)
    quoted = [[f'"{field}"' for field in line.split(";")] for line in decimal(LINES, ";").splitlines()]
    assert own.holds(own.clip(tmp_path, [*([NAMES] if heading else []), *quoted]), BODY)


def test_commas_that_may_mean_two_things_are_refused(tmp_path: Path) -> None:
    own.refuses(tmp_path, "as if their commas were decimal commas.*semicolons", decimal(FLAT_LINES, ","))
    small = [[number / 10 for number in line] for line in FLAT_LINES]
    own.refuses(tmp_path, "as if their commas were decimal commas.*semicolons", decimal(small, ",", 5))
    thousands = own.table([["1,234"] * 34] * 3, ";")
    own.refuses(tmp_path, "1,234, whose comma may be a decimal comma or separate thousands", thousands)
    both = decimal(FLAT_LINES, ";") + own.table([["0.5"] * 34], ";")
    own.refuses(tmp_path, r"both decimal commas \(0,.*\) and decimal points \(0.5\)", both)


def dlc(people: list[str], wide: list[list[float]]) -> list[list[object]]:
    joints = [
        (person, joint, coord) for person in people for joint in COCO17.joints for coord in ("x", "y", "likelihood")
    ]
    heads: list[list[object]] = [["scorer", *("DLC_resnet50" for _ in joints)]]
    heads += [["individuals", *(person for person, _, _ in joints)]] if len(people) > 1 else []
    heads += [["bodyparts", *(joint for _, joint, _ in joints)], ["coords", *(coord for _, _, coord in joints)]]
    return [*heads, *numbered(wide)]


def scored(body: np.ndarray, score: float = 0.9) -> np.ndarray:
    return np.concatenate((body, np.full((*body.shape[:2], 1), score)), -1).reshape(len(body), -1)


def test_headings_of_deeplabcut(tmp_path: Path) -> None:
    one = dlc([""], scored(FLAT).tolist())
    assert own.holds(own.clip(tmp_path, one), FLAT)
    assert np.allclose(own.clip(tmp_path, one, scores=True).joints[..., 2], 0.9)
    two = dlc(["ann", "bo"], np.hstack((scored(FLAT), scored(FLAT_OTHER))).tolist())
    assert own.holds(own.clip(tmp_path, two), FLAT, FLAT_OTHER)
    assert own.holds(own.clip(tmp_path, two, actor="bo", bodies=1), FLAT_OTHER)
    tracked = [[*line, ""] for line in two]
    tracked[2][-1] = "track"
    for who in ("a", ""):  # beside a heading that names two
        tracked[4:] = [[*line[:-1], who if place else "b"] for place, line in enumerate(tracked[4:])]
        own.refuses(tmp_path, "a line of the heading and a column that both tell people apart", tracked)
    filtered = [line for place, line in enumerate(one) if place != 6]  # frame 3 is not there
    assert own.clip(tmp_path, filtered).counts["frames filled in"] == 1
    images = [*one[:3], *([f"labeled-data/a/img{number:03}.png", *line[1:]] for number, line in enumerate(one[3:]))]
    assert own.holds(own.clip(tmp_path, images), FLAT)


LEVELS = {
    "without index": [[name for name in COCO17.joints for _ in "xyz"], ["x", "y", "z"] * 17, *LINES],
    "with index": [
        ["", *(name for name in COCO17.joints for _ in "xyz")],
        ["", *["x", "y", "z"] * 17],
        *numbered(LINES),
    ],
    "with names of levels and index": [
        ["joint", *(name for name in COCO17.joints for _ in "xyz")],
        ["axis", *["X", "Y", "Z"] * 17],
        ["frame", *[""] * 51],
        *numbered(LINES, 5),
    ],
    "numbers of joints": [["", *(n for n in range(17) for _ in "xyz")], ["", *["x", "y", "z"] * 17], *numbered(LINES)],
    "pivot": [
        ["", *(axis for axis in "xyz" for _ in range(17))],
        ["joint", *[*range(1, 18)] * 3],
        ["frame", *[""] * 51],
        *numbered(BODY.swapaxes(1, 2).reshape(12, -1).tolist()),
    ],
    "merged cells": [
        [cell for name in COCO17.joints for cell in (name, "", "")],
        ["x", "y", "z"] * 17,
        *LINES,
    ],
    "a label": [
        [*(name for name in COCO17.joints for _ in "xyz"), "label"],
        [*["x", "y", "z"] * 17, ""],
        *([*line, "wave"] for line in LINES),
    ],
}


@pytest.mark.parametrize("rows", LEVELS.values(), ids=LEVELS)
def test_headings_of_several_lines(rows: Any, tmp_path: Path) -> None:
    assert own.holds(own.clip(tmp_path, rows), BODY)


def test_headings_of_several_lines_that_leave_something_open_are_refused(tmp_path: Path) -> None:
    first = ["", *["cam1"] * 51, *["cam2"] * 51]
    rows = [first, ["", *[name for name in COCO17.joints for _ in "xyz"] * 2], ["", *["x", "y", "z"] * 34]]
    rows += numbered(np.hstack((LINES, LINES)).tolist())
    own.refuses(tmp_path, "line 1: .*a heading line of cam1, cam2, expected individuals or person", rows)
    own.refuses(
        tmp_path, "line 1: wrong count: found 2 fields, expected 51, as in line 2", [["Take", "a"], NAMES, *LINES]
    )
    own.refuses(tmp_path, r"line 2: .*'nose_x'", [NAMES, NAMES, *LINES])


def test_mediapipe_with_an_index_and_texts(tmp_path: Path) -> None:
    body = own.motion(joints=33)
    heading = ["", "label", "video", *(f"{joint.upper()}_{axis}" for joint in MEDIAPIPE33.joints for axis in "xyzv")]
    values = np.concatenate((body, np.full((12, 33, 1), 0.9)), -1).reshape(12, -1).tolist()
    rows = [heading, *([place, "wave", "ann 1.mp4", *line] for place, line in enumerate(values))]
    sequence = own.clip(tmp_path, rows, "mediapipe33")
    assert own.holds(sequence, body)
    assert sequence.counts["columns not read: one without a name, label, video"] == 3
    own.refuses(
        tmp_path,
        "which look like joints that layout coco17 lacks, expected .* --layout mediapipe33, which has them",
        rows,
    )


def test_joints_as_kinect_and_openpose_call_them(tmp_path: Path) -> None:
    body = own.motion(joints=25)
    called = {name: name.title().replace("_", "") for name in NTU25.joints}
    for name in NTU25.joints:
        for side in ("left", "right"):
            if name.startswith(side):
                called[name] = name.removeprefix(f"{side}_").title().replace("_", "") + side.title()
    heading = [f"{called[name]}_{axis}" for name in NTU25.joints for axis in "XYZ"]
    assert "HandTipLeft_X" in heading
    assert own.holds(own.clip(tmp_path, [heading, *body.reshape(12, -1).tolist()], "ntu25"), body)
    short = [name.replace("left_", "L").replace("right_", "R").title() for name in COCO17.joints]
    assert own.holds(own.clip(tmp_path, [[f"{name}.{axis}" for name in short for axis in "xyz"], *LINES]), BODY)


def test_other_tables_are_refused_by_their_columns(tmp_path: Path) -> None:
    own.refuses(
        tmp_path,
        "no column for x of joint nose .*among columns name, class, keypoints",
        [["name", "class", "keypoints"], ["person", 0, "0.5"]],
    )
    own.refuses(
        tmp_path,
        "found 53 columns without a heading.*the first line begins 0, 7, ",
        [[number, 7, *line] for number, line in enumerate(LINES)],
    )


WORDS = (
    *(
        "frame",
        "track",
        "id",
        "time",
        "image",
        "joint",
        "video",
        "label",
        "scorer",
        "bodyparts",
        "coords",
        "individuals",
    ),
    *(
        "x",
        "y",
        "nose",
        "nose_x",
        "x16",
        "x17",
        "0",
        "1",
        "-1",
        "0.5",
        "0,5",
        "1,234",
        "5",
        "img_3",
        "nan",
        "",
        "#",
        "12:30",
    ),
)


@given(
    above=st.lists(st.lists(st.sampled_from(WORDS), max_size=36), max_size=4),
    lines=st.integers(0, 4),
    index=st.sampled_from(["", "5", "a", "img3.png"]),
    delimiter=st.sampled_from([",", ";", "\t", " "]),
)
@settings(max_examples=60, deadline=None)
def test_any_heading_is_read_or_refused(
    above: list[list[str]], lines: int, index: str, delimiter: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = [*above, *([index, *line] for line in FLAT_LINES[:lines])]
    path = own.write(tmp_path_factory.getbasetemp() / "any_heading" / "a.csv", own.table(rows, delimiter))
    try:
        sequences = own.found(path).read(RawFile(path))
    except BadFileError:
        return
    for sequence in sequences:
        assert sequence.joints.shape[2] == 17
        assert np.isfinite(sequence.joints).all()
