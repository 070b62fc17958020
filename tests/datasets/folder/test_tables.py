"""Tables as tools and spreadsheets write them: what a line is, is found from their columns, or refused and named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import own
from maskel.datasets.base import RawFile
from maskel.datasets.folder.rows import UNTRACKED_ROWS
from maskel.errors import BadFileError, InputError
from maskel.layouts import COCO17, MEDIAPIPE33, NTU25
from maskel.sequence import SkeletonSequence

BODY = own.motion()
LINES = BODY.reshape(12, -1).tolist()
FLAT = own.motion(coordinates=2)
FLAT_LINES = FLAT.reshape(12, -1).tolist()
OTHER = own.motion(seed=9) + np.array([3.0, 0, 0])
FLAT_OTHER = own.motion(coordinates=2, seed=9) + np.array([3.0, 0])
NAMES = [f"{joint}_{axis}" for joint in COCO17.joints for axis in "xyz"]
FLAT_NAMES = [f"{joint}_{axis}" for joint in COCO17.joints for axis in "xy"]


def read(folder: Path, rows: Any, layout: str = "coco17", delimiter: str = ",", **options: Any) -> SkeletonSequence:
    """The clip of a table, without centring."""
    text = rows if isinstance(rows, str) else own.table(rows, delimiter)
    return own.read(own.write(folder / "a.csv", text), layout, centre=False, **options)


def is_body(sequence: SkeletonSequence, *bodies: np.ndarray) -> bool:
    expected = np.stack(bodies)
    return sequence.joints.shape == expected.shape and np.allclose(sequence.joints, expected, atol=1e-6)


def refused(folder: Path, message: str, rows: Any, layout: str = "coco17", delimiter: str = ",") -> None:
    with pytest.raises(BadFileError, match=message) as caught:
        read(folder, rows, layout, delimiter)
    assert "\n" not in str(caught.value)


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
    sequence = read(tmp_path, rows)
    assert is_body(sequence, BODY)
    assert {what: number for what, number in sequence.counts.items() if number} == counts


def test_frames_that_count_by_themselves_are_no_heading(tmp_path: Path) -> None:
    counted = np.arange(3 * 17 * 2).reshape(3, -1)
    assert read(tmp_path, counted.tolist(), scale=0.01).joints.shape == (1, 3, 17, 2)
    refused(tmp_path, "a heading only", [list(range(51))])


def decimal(lines: list[list[float]], delimiter: str, digits: int = 4) -> str:
    return own.table([[f"{number:.{digits}f}".replace(".", ",") for number in line] for line in lines], delimiter)


@pytest.mark.parametrize("delimiter", [";", "\t", " ", "  "])
@pytest.mark.parametrize("heading", [True, False])
def test_decimal_commas(delimiter: str, heading: bool, tmp_path: Path) -> None:
    above = own.table([NAMES], delimiter) if heading else ""
    assert is_body(read(tmp_path, above + decimal(LINES, delimiter)), BODY)
    quoted = [[f'"{field}"' for field in line.split(";")] for line in decimal(LINES, ";").splitlines()]
    assert is_body(read(tmp_path, [*([NAMES] if heading else []), *quoted]), BODY)


def test_commas_that_may_mean_two_things_are_refused(tmp_path: Path) -> None:
    refused(tmp_path, "as if their commas were decimal commas.*semicolons", decimal(FLAT_LINES, ","))
    small = [[number / 10 for number in line] for line in FLAT_LINES]
    refused(tmp_path, "as if their commas were decimal commas.*semicolons", decimal(small, ",", 5))
    thousands = own.table([["1,234"] * 34] * 3, ";")
    refused(tmp_path, "1,234, whose comma may be a decimal comma or separate thousands", thousands)
    both = decimal(FLAT_LINES, ";") + own.table([["0.5"] * 34], ";")
    refused(tmp_path, r"both decimal commas \(0,.*\) and decimal points \(0.5\)", both)


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
    assert is_body(read(tmp_path, one), FLAT)
    assert np.allclose(read(tmp_path, one, scores=True).joints[..., 2], 0.9)
    two = dlc(["ann", "bo"], np.hstack((scored(FLAT), scored(FLAT_OTHER))).tolist())
    assert is_body(read(tmp_path, two), FLAT, FLAT_OTHER)
    assert is_body(read(tmp_path, two, actor="bo", bodies=1), FLAT_OTHER)
    filtered = [line for place, line in enumerate(one) if place != 6]  # frame 3 is not there
    assert read(tmp_path, filtered).counts["frames filled in"] == 1
    images = [*one[:3], *([f"labeled-data/a/img{number:03}.png", *line[1:]] for number, line in enumerate(one[3:]))]
    assert is_body(read(tmp_path, images), FLAT)


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
    assert is_body(read(tmp_path, rows), BODY)


def test_headings_of_several_lines_that_leave_something_open_are_refused(tmp_path: Path) -> None:
    first = ["", *["cam1"] * 51, *["cam2"] * 51]
    rows = [first, ["", *[name for name in COCO17.joints for _ in "xyz"] * 2], ["", *["x", "y", "z"] * 34]]
    rows += numbered(np.hstack((LINES, LINES)).tolist())
    refused(tmp_path, "line 1: .*a heading line of cam1, cam2, expected individuals or person", rows)
    refused(tmp_path, "line 1: wrong count: found 2 fields, expected 51, as in line 2", [["Take", "a"], NAMES, *LINES])
    refused(tmp_path, r"line 2: .*'nose_x'", [NAMES, NAMES, *LINES])


def two_people(column: str, who: Any = ("0", "1"), frames: str = "") -> list[list[object]]:
    """A line a frame and person."""
    heading = [column, *([frames] if frames else []), *FLAT_NAMES]
    lines = [
        [who[person], *([number] if frames else []), *body[number].ravel().tolist()]
        for number in range(12)
        for person, body in enumerate((FLAT, FLAT_OTHER))
    ]
    return [heading, *lines]


PEOPLE = (
    "person person_id PersonID personIdx Person.Index body bodyID skeleton_id track TrackID tracker_id tracking_id "
    "instance instance_id individual id idx pid person_idx object_id player user_id pose_index human individuals"
).split()


@pytest.mark.parametrize("column", PEOPLE)
def test_people_are_told_apart_or_the_column_is_named(column: str, tmp_path: Path) -> None:
    assert is_body(read(tmp_path, two_people(column, frames="frame")), FLAT, FLAT_OTHER)
    message = rf"line 1: .*column {column}, which tells people apart \(0, 1\), but none that counts frames"
    refused(tmp_path, message, two_people(column))
    alone = [line for line in two_people(column) if line[0] != "1"]
    assert is_body(read(tmp_path, alone), FLAT)


FRAMES = (
    "frame Frame frame_idx frame_no frameNumber FrameID frame_index Frame# frame_num image_idx video_frame framecount"
).split()


@pytest.mark.parametrize("column", FRAMES)
def test_frames_are_counted_from_anywhere_and_in_steps(column: str, tmp_path: Path) -> None:
    def rows(number: Any) -> list[list[object]]:
        return [[column, *FLAT_NAMES], *([number(place), *line] for place, line in enumerate(FLAT_LINES))]

    assert is_body(read(tmp_path, rows(lambda place: place + 4711)), FLAT)
    assert is_body(read(tmp_path, rows(lambda place: place - 5)), FLAT)
    stepped = read(tmp_path, rows(lambda place: f"{25 * place}.0"))
    assert is_body(stepped, FLAT)
    assert stepped.counts["frame numbers in steps of 25"] == 12
    assert is_body(read(tmp_path, rows(lambda place: place)[:1] + rows(lambda place: place)[:0:-1]), FLAT)
    gap = read(tmp_path, [line for line in rows(lambda place: 5 * place) if line[0] != 15])
    assert (gap.counts["frames filled in"], gap.counts["frame numbers in steps of 5"]) == (1, 11)
    refused(tmp_path, r"line 3: .*found frame 3 twice.* one line a frame and person", rows(lambda place: 3))


@pytest.mark.parametrize("column", ["image", "image_id", "image_name", "filename", "img"])
def test_images_count_frames(column: str, tmp_path: Path) -> None:
    rows = two_people("track", frames=column)
    for line in rows[1:]:
        line[1] = f"clip1/frame_{5 * int(str(line[1])):05}.jpg"
    sequence = read(tmp_path, rows)
    assert is_body(sequence, FLAT, FLAT_OTHER)
    assert sequence.counts["frame numbers in steps of 5"] == 12
    for line in rows[1:]:
        line[1] = "clip1.mp4"
    refused(tmp_path, "column track, which tells people apart", rows)


def sleap(tracks: tuple[str, str]) -> list[list[object]]:
    heading = ["track", "frame_idx", "instance.score"]
    heading += [f"{joint}.{part}" for joint in COCO17.joints for part in ("x", "y", "score")]
    lines = [
        [track, number, 0.9, *scored(body)[number].tolist()]
        for track, body in zip(tracks, (FLAT, FLAT_OTHER), strict=True)
        for number in range(12)
    ]
    return [heading, *lines]


def test_tracks_of_sleap(tmp_path: Path) -> None:
    sequence = read(tmp_path, sleap(("track_0", "track_1")))
    assert is_body(sequence, FLAT, FLAT_OTHER)
    assert sequence.counts["columns not read: instance.score"] == 1
    assert is_body(read(tmp_path, sleap(("track_0", "track_1")), actor="track_1", bodies=1), FLAT_OTHER)


@pytest.mark.parametrize("nobody", ["", "nan", "-1", "None"])
def test_lines_without_a_track_are_left_out_or_refused(nobody: str, tmp_path: Path) -> None:
    partly = read(tmp_path, sleap(("track_0", nobody)))
    assert is_body(partly, FLAT)
    assert partly.counts[UNTRACKED_ROWS] == 12
    refused(tmp_path, "frame 0 twice", sleap((nobody, nobody)))
    assert is_body(read(tmp_path, sleap((nobody, nobody))[:13]), FLAT)  # nobody else


def test_columns_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    rows = two_people("person", frames="frame")
    both = [["instance", *rows[0]], *([place % 5, *line] for place, line in enumerate(rows[1:]))]
    refused(tmp_path, "columns instance, person, which both tell people apart", both)
    same = [["instance", *rows[0]], *([f"p{line[0]}", *line] for line in rows[1:])]
    assert is_body(read(tmp_path, same), FLAT, FLAT_OTHER)
    tracked = [["track_id", *rows[0]], *([line[0], *line] for line in rows[1:])]
    for place, line in enumerate(tracked[1:]):
        line[1] = (place + place // 2) % 2  # in which order they were detected
    assert is_body(read(tmp_path, tracked), FLAT, FLAT_OTHER)
    frames = [["image_idx", *rows[0]], *([place, *line] for place, line in enumerate(rows[1:]))]
    refused(tmp_path, "columns image_idx, frame, which count frames differently", frames)
    each = [["person", *rows[0][1:]], *([place, *line[1:]] for place, line in enumerate(rows[1:]))]
    refused(tmp_path, "column person, which differs from line to line", each)


def test_what_a_frame_has_beside_is_nobody(tmp_path: Path) -> None:
    rows = [["frame", "detection", "people", *FLAT_NAMES]]
    rows += [[place, 0.5 + place % 2 / 4, 1 + place % 3, *line] for place, line in enumerate(FLAT_LINES)]
    sequence = read(tmp_path, rows)
    assert is_body(sequence, FLAT)
    assert sequence.counts["columns not read: detection, people"] == 2


def beside(column: str, values: Any) -> list[list[object]]:
    return [[column, *FLAT_NAMES], *([value, *line] for value, line in zip(values, FLAT_LINES, strict=True))]


ADDITIONAL = {
    "label": ["wave"] * 12,
    "video": ["ann.mp4"] * 12,
    "fps": [30] * 12,
    "timestamp_ms": [33.3 * n for n in range(12)],
    "Time": [f"2024-05-01T12:00:{n:02}" for n in range(12)],
    "bbox_x": [n % 3 for n in range(12)],
    "confidence": [0.9] * 12,
    "elbow_angle": [0.5 * (n % 4) for n in range(12)],
    "operator": ["bo"] * 12,
    "LeftWristState": [n % 3 for n in range(12)],
    "notes": ["", "", "bows"] * 4,
    "left_wrist_presence": [1] * 12,
    "index": [5 * n for n in range(12)],
    "id": range(100, 112),
    "file": ["ann.mp4"] * 12,
}


@pytest.mark.parametrize(("column", "values"), ADDITIONAL.items(), ids=ADDITIONAL)
def test_additional_columns_are_counted_by_name(column: str, values: Any, tmp_path: Path) -> None:
    sequence = read(tmp_path, beside(column, values))
    assert is_body(sequence, FLAT)
    assert sequence.counts[f"columns not read: {column}"] == 1


DECIDING = {
    "who": (["ann", "bo"] * 6, "column who, which tells people apart"),
    "name": (["ann", "bo"] * 6, "column name, whose 2 values may tell people or recordings apart"),
    "people": ([1, 2] * 6, "column people, whose 2 values may tell"),
    "group": ([1, 2, 3] * 4, "column group, whose 3 values may tell people or recordings apart"),
    "index": ([*range(6), *range(6)], "column index, which counts neither the lines nor frames"),
    "": ([*range(6), *range(7, 13)], "column one without a name, which counts neither"),
    "video": (["a.mp4"] * 6 + ["b.mp4"] * 6, r"column video with 2 values \(a.mp4, b.mp4\), expected one recording"),
    "subject": ([1] * 6 + [2] * 6, "column subject with 2 values"),
    "time": ([*range(6), *range(6)], r"line 8: .*a time that goes back \(column time\)"),
    "timestamp": ([n // 2 for n in range(12)], r"line 3: .*a time that stands still"),
    "tail_x": ([0.5] * 12, "columns tail_x, which look like joints that layout coco17 lacks"),
    "tailX": ([0.5] * 12, "columns tailX, which look like joints that layout coco17 lacks"),
    "x_18": ([0.5] * 12, "columns x_18, which look like joints that layout coco17 lacks"),
    "left_pinky_x": (
        [0.5] * 12,
        "columns left_pinky_x, which look like joints that layout coco17 lacks.*mediapipe33, which has",
    ),
}


@pytest.mark.parametrize(("column", "values", "message"), [(c, *rest) for c, rest in DECIDING.items()], ids=DECIDING)
def test_columns_that_may_decide_what_a_line_is_are_refused(
    column: str, values: Any, message: str, tmp_path: Path
) -> None:
    refused(tmp_path, message, beside(column, values))


def test_labels_that_change_and_times_that_jump_are_counted(tmp_path: Path) -> None:
    sequence = read(tmp_path, beside("label", ["sit"] * 5 + ["stand"] * 7))
    assert sequence.counts["changes of column label, which is not read"] == 1
    times = [n * 33.3 + 500 * (n > 6) for n in range(12)]
    sequence = read(tmp_path, beside("timestamp", times))
    assert is_body(sequence, FLAT)
    assert sequence.counts["longer steps of column timestamp, read as one frame"] == 1


def test_times_that_people_share_tell_frames_apart(tmp_path: Path) -> None:
    rows = two_people("body_id", ("72057594037944340", "72057594037944341"), frames="timestamp")
    for line in rows[1:]:
        line[1] = 63_000_000 + 333_333 * int(str(line[1]))
    sequence = read(tmp_path, rows)
    assert is_body(sequence, FLAT, FLAT_OTHER)
    assert sequence.counts["frames told apart by column timestamp"] == 12
    for place, line in enumerate(rows[1:]):
        line[1] = place
    refused(tmp_path, "column body_id, which tells people apart", rows)


def test_mediapipe_with_an_index_and_texts(tmp_path: Path) -> None:
    body = own.motion(joints=33)
    heading = ["", "label", "video", *(f"{joint.upper()}_{axis}" for joint in MEDIAPIPE33.joints for axis in "xyzv")]
    values = np.concatenate((body, np.full((12, 33, 1), 0.9)), -1).reshape(12, -1).tolist()
    rows = [heading, *([place, "wave", "ann 1.mp4", *line] for place, line in enumerate(values))]
    sequence = read(tmp_path, rows, "mediapipe33")
    assert is_body(sequence, body)
    assert sequence.counts["columns not read: one without a name, label, video"] == 3
    refused(
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
    assert is_body(read(tmp_path, [heading, *body.reshape(12, -1).tolist()], "ntu25"), body)
    short = [name.replace("left_", "L").replace("right_", "R").title() for name in COCO17.joints]
    assert is_body(read(tmp_path, [[f"{name}.{axis}" for name in short for axis in "xyz"], *LINES]), BODY)


def long(frames: str, joints: Any, body: np.ndarray = BODY) -> list[list[object]]:
    lines = [[number, joints[j], *body[number, j].tolist()] for number in range(12) for j in range(17)]
    return [[frames, "joint", "x", "y", "z"], *lines]


def test_long_tables_count_joints_frames_and_people(tmp_path: Path) -> None:
    assert is_body(read(tmp_path, long("timestamp", COCO17.joints)), BODY)
    assert is_body(read(tmp_path, long("FrameNo", [f"kp_{j}" for j in range(17)])), BODY)
    refused(tmp_path, "line 1: .*frame, joint, x and y among them", long("value", COCO17.joints))
    unsure = [line for line in long("frame", range(17)) if line[1] != 0]
    refused(tmp_path, "joints numbered 1 to 16, from 0 or from 1", unsure)
    rows = long("frame", COCO17.joints)
    people = [["track", "colorX", *rows[0]], *([0, 0.5, *line] for line in rows[1:])]
    people += [[1, 0.5, *line] for line in long("frame", COCO17.joints, OTHER)[1:]]
    sequence = read(tmp_path, people)
    assert is_body(sequence, BODY, OTHER)
    assert sequence.counts["columns not read: colorX"] == 1
    refused(
        tmp_path,
        r"joint nose of frame 0 twice; columns that are not read: other,",
        [["other", *people[0][1:]], *people[1:]],
    )


def test_other_tables_are_refused_by_their_columns(tmp_path: Path) -> None:
    refused(
        tmp_path,
        "no column for x of joint nose .*among columns name, class, keypoints",
        [["name", "class", "keypoints"], ["person", 0, "0.5"]],
    )
    refused(
        tmp_path,
        "found 53 columns without a heading.*the first line begins 0, 7, ",
        [[number, 7, *line] for number, line in enumerate(LINES)],
    )


def test_files_in_any_case_are_read_and_others_are_counted(tmp_path: Path) -> None:
    for name in ("a.npy", "B.NPY"):
        with (tmp_path / name).open("wb") as stream:
            np.save(stream, BODY)
    own.write(tmp_path / "C.CSV", own.table(LINES))
    own.write(tmp_path / "D.Json", BODY.tolist())
    for name in ("d.txt", "e.TXT", "README", "video.mp4", ".DS_Store"):
        own.write(tmp_path / name, "nothing")
    source = own.found(tmp_path / "a.npy")
    assert [file.path.name for file in source.find([tmp_path])] == ["B.NPY", "C.CSV", "D.Json", "a.npy"]
    assert source.notes() == {
        "files not read (.txt)": 2,
        "files not read (.mp4)": 1,
        "files not read (without ending)": 1,
    }
    for name in ("B.NPY", "C.CSV", "D.Json"):
        assert is_body(own.read(tmp_path / name, centre=False), BODY)
    own.write(tmp_path / "a.csv", own.table(LINES))
    with pytest.raises(InputError, match=r"a\.csv and a\.npy would be one clip"):
        own.found(tmp_path / "a.npy")


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
