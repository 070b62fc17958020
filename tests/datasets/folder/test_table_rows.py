"""Which frame and whose a line of a table is, by its columns, or refused with one named; which files are clips."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import own
from maskel.commands.prepare import prepare
from maskel.datasets.folder import Folder
from maskel.datasets.folder.rows import UNTRACKED_ROWS
from maskel.errors import InputError
from maskel.layouts import COCO17

BODY = own.motion()
LINES = BODY.reshape(12, -1).tolist()
OTHER = own.motion(seed=9) + np.array([3.0, 0, 0])
FLAT = own.motion(coordinates=2)
FLAT_OTHER = own.motion(coordinates=2, seed=9) + np.array([3.0, 0])
FLAT_LINES = FLAT.reshape(12, -1).tolist()
FLAT_NAMES = [f"{joint}_{axis}" for joint in COCO17.joints for axis in "xy"]


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
    assert own.holds(own.clip(tmp_path, two_people(column, frames="frame")), FLAT, FLAT_OTHER)
    message = rf"line 1: .*column {column}, which tells people apart \(0, 1\), but none that counts frames"
    own.refuses(tmp_path, message, two_people(column))
    alone = [line for line in two_people(column) if line[0] != "1"]
    assert own.holds(own.clip(tmp_path, alone), FLAT)


FRAMES = (
    "frame Frame frame_idx frame_no frameNumber FrameID frame_index Frame# frame_num image_idx video_frame framecount"
).split()


@pytest.mark.parametrize("column", FRAMES)
def test_frames_are_counted_from_anywhere_and_in_steps(column: str, tmp_path: Path) -> None:
    def rows(number: Any) -> list[list[object]]:
        return [[column, *FLAT_NAMES], *([number(place), *line] for place, line in enumerate(FLAT_LINES))]

    assert own.holds(own.clip(tmp_path, rows(lambda place: place + 4711)), FLAT)
    assert own.holds(own.clip(tmp_path, rows(lambda place: place - 5)), FLAT)
    stepped = own.clip(tmp_path, rows(lambda place: f"{25 * place}.0"))
    assert own.holds(stepped, FLAT)
    assert stepped.counts["frame numbers in steps of 25"] == 12
    assert own.holds(own.clip(tmp_path, rows(lambda place: place)[:1] + rows(lambda place: place)[:0:-1]), FLAT)
    gap = own.clip(tmp_path, [line for line in rows(lambda place: 5 * place) if line[0] != 15])
    assert (gap.counts["frames filled in"], gap.counts["frame numbers in steps of 5"]) == (1, 11)
    own.refuses(tmp_path, r"line 3: .*found frame 3 twice.* one line a frame and person", rows(lambda place: 3))


@pytest.mark.parametrize("column", ["image", "image_id", "image_name", "filename", "img"])
def test_images_count_frames(column: str, tmp_path: Path) -> None:
    rows = two_people("track", frames=column)
    for line in rows[1:]:
        line[1] = f"clip1/frame_{5 * int(str(line[1])):05}.jpg"
    sequence = own.clip(tmp_path, rows)
    assert own.holds(sequence, FLAT, FLAT_OTHER)
    assert sequence.counts["frame numbers in steps of 5"] == 12
    for line in rows[1:]:
        line[1] = "clip1.mp4"
    own.refuses(tmp_path, "column track, which tells people apart", rows)


def sleap(tracks: tuple[str, str]) -> list[list[object]]:
    heading = ["track", "frame_idx", "instance.score"]
    heading += [f"{joint}.{part}" for joint in COCO17.joints for part in ("x", "y", "score")]
    lines = [
        [track, number, 0.9, *own.flat(body[number])]
        for track, body in zip(tracks, (FLAT, FLAT_OTHER), strict=True)
        for number in range(12)
    ]
    return [heading, *lines]


def test_tracks_of_sleap(tmp_path: Path) -> None:
    sequence = own.clip(tmp_path, sleap(("track_0", "track_1")))
    assert own.holds(sequence, FLAT, FLAT_OTHER)
    assert sequence.counts["columns not read: instance.score"] == 1
    assert own.holds(own.clip(tmp_path, sleap(("track_0", "track_1")), actor="track_1", bodies=1), FLAT_OTHER)


@pytest.mark.parametrize("nobody", ["", "nan", "-1", "None"])
def test_lines_without_a_track_are_left_out_or_refused(nobody: str, tmp_path: Path) -> None:
    partly = own.clip(tmp_path, sleap(("track_0", nobody)))
    assert own.holds(partly, FLAT)
    assert partly.counts[UNTRACKED_ROWS] == 12
    own.refuses(tmp_path, "frame 0 twice", sleap((nobody, nobody)))
    assert own.holds(own.clip(tmp_path, sleap((nobody, nobody))[:13]), FLAT)  # nobody else


def test_columns_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    rows = two_people("person", frames="frame")
    both = [["instance", *rows[0]], *([place % 5, *line] for place, line in enumerate(rows[1:]))]
    own.refuses(tmp_path, "columns instance, person, which both tell people apart", both)
    same = [["instance", *rows[0]], *([f"p{line[0]}", *line] for line in rows[1:])]
    assert own.holds(own.clip(tmp_path, same), FLAT, FLAT_OTHER)
    tracked = [["track_id", *rows[0]], *([line[0], *line] for line in rows[1:])]
    for place, line in enumerate(tracked[1:]):
        line[1] = (place + place // 2) % 2  # in which order they were detected
    assert own.holds(own.clip(tmp_path, tracked), FLAT, FLAT_OTHER)
    frames = [["image_idx", *rows[0]], *([place, *line] for place, line in enumerate(rows[1:]))]
    own.refuses(tmp_path, "columns image_idx, frame, which count frames differently", frames)
    each = [["person", *rows[0][1:]], *([place, *line[1:]] for place, line in enumerate(rows[1:]))]
    own.refuses(tmp_path, "column person, which differs from line to line", each)


def test_what_a_frame_has_beside_is_nobody(tmp_path: Path) -> None:
    rows = [["frame", "detection", "people", *FLAT_NAMES]]
    rows += [[place, 0.5 + place % 2 / 4, 1 + place % 3, *line] for place, line in enumerate(FLAT_LINES)]
    sequence = own.clip(tmp_path, rows)
    assert own.holds(sequence, FLAT)
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
    sequence = own.clip(tmp_path, beside(column, values))
    assert own.holds(sequence, FLAT)
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
    own.refuses(tmp_path, message, beside(column, values))


def test_labels_that_change_and_times_that_jump_are_counted(tmp_path: Path) -> None:
    sequence = own.clip(tmp_path, beside("label", ["sit"] * 5 + ["stand"] * 7))
    assert sequence.counts["changes of column label, which is not read"] == 1
    times = [n * 33.3 + 500 * (n > 6) for n in range(12)]
    sequence = own.clip(tmp_path, beside("timestamp", times))
    assert own.holds(sequence, FLAT)
    assert sequence.counts["longer steps of column timestamp, read as one frame"] == 1


def test_times_that_people_share_tell_frames_apart(tmp_path: Path) -> None:
    rows = two_people("body_id", ("72057594037944340", "72057594037944341"), frames="timestamp")
    for line in rows[1:]:
        line[1] = 63_000_000 + 333_333 * int(str(line[1]))
    sequence = own.clip(tmp_path, rows)
    assert own.holds(sequence, FLAT, FLAT_OTHER)
    assert sequence.counts["frames told apart by column timestamp"] == 12
    for place, line in enumerate(rows[1:]):
        line[1] = place
    own.refuses(tmp_path, "column body_id, which tells people apart", rows)


def long(frames: str, joints: Any, body: np.ndarray = BODY) -> list[list[object]]:
    lines = [[number, joints[j], *body[number, j].tolist()] for number in range(12) for j in range(17)]
    return [[frames, "joint", "x", "y", "z"], *lines]


def test_long_tables_count_joints_frames_and_people(tmp_path: Path) -> None:
    assert own.holds(own.clip(tmp_path, long("timestamp", COCO17.joints)), BODY)
    assert own.holds(own.clip(tmp_path, long("FrameNo", [f"kp_{j}" for j in range(17)])), BODY)
    own.refuses(tmp_path, "line 1: .*frame, joint, x and y among them", long("value", COCO17.joints))
    unsure = [line for line in long("frame", range(17)) if line[1] != 0]
    own.refuses(tmp_path, "joints numbered 1 to 16, from 0 or from 1", unsure)
    rows = long("frame", COCO17.joints)
    people = [["track", "colorX", *rows[0]], *([0, 0.5, *line] for line in rows[1:])]
    people += [[1, 0.5, *line] for line in long("frame", COCO17.joints, OTHER)[1:]]
    sequence = own.clip(tmp_path, people)
    assert own.holds(sequence, BODY, OTHER)
    assert sequence.counts["columns not read: colorX"] == 1
    own.refuses(
        tmp_path,
        r"joint nose of frame 0 twice; columns that are not read: other,",
        [["other", *people[0][1:]], *people[1:]],
    )


def test_files_in_any_case_are_read_and_others_are_counted(tmp_path: Path) -> None:
    for name in ("a.npy", "B.NPY"):
        with (tmp_path / name).open("wb") as stream:
            np.save(stream, BODY)
    own.write(tmp_path / "C.CSV", own.table(LINES))
    own.write(tmp_path / "D.Json", BODY.tolist())
    for name in ("d.txt", "e.TXT", "README", "video.mp4", ".DS_Store", "sub/labels.csv"):
        own.write(tmp_path / name, "nothing")
    source = own.found(tmp_path / "a.npy")
    assert [file.path.name for file in source.find([tmp_path])] == ["B.NPY", "C.CSV", "D.Json", "a.npy"]
    assert source.notes() == {
        "files not read (.txt)": 2,
        "files not read (.mp4)": 1,
        "files not read (without ending)": 1,
        "tables of labels not read (labels.csv in sub)": 1,
    }
    for name in ("B.NPY", "C.CSV", "D.Json"):
        assert own.holds(own.read(tmp_path / name, centre=False), BODY)
    own.write(tmp_path / "a.csv", own.table(LINES))
    with pytest.raises(InputError, match=r"two raw files give a clip called a; .*files that differ in their ending"):
        prepare(Folder("coco17"), [tmp_path], tmp_path.with_name("set"), workers=1)
