"""Own recordings as text tables (``.csv``; comma, semicolon or tab between fields).

* No heading: a line a frame, the joints in the layout's order, each with its channels: what ``reshape(T, -1)`` gives.
* Wide: a line a frame, a column for each joint and channel: ``left_wrist_x``, ``x_15``, ``x16`` (numbers from 0 or 1).
* Long: a line a frame and joint, with columns ``frame``, ``joint`` (name or number), ``x``, ``y``, maybe ``z``.

Wide and long tables may have columns ``frame`` and ``person`` and scores (``visibility``, ``score`` or the like); other
columns are not read. An empty field or ``nan`` is a missing joint.
"""

import csv
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from maskel.datasets.folder.arrays import ArrayChannels, to_pose
from maskel.datasets.folder.pose import Pose, check_numbers, check_size, read_bytes
from maskel.errors import BadFileError
from maskel.layouts import Layout

_FRAME = ("frame", "frame_id", "frame_number", "frame_index", "frame_num")
_PERSON = ("person", "person_id", "body", "body_id", "track_id")
_JOINT = ("joint", "joint_id", "joint_name", "landmark", "landmark_id", "landmark_name", "keypoint", "keypoint_id")
_CHANNELS = {"x": "x", "y": "y", "z": "z"} | dict.fromkeys(
    ("v", "vis", "visibility", "c", "conf", "confidence", "s", "score"), "score"
)
_CHANNEL = "|".join(sorted(_CHANNELS, key=len, reverse=True))
_COLUMN = re.compile(rf"(?P<joint>.+?)[_. -](?P<channel>{_CHANNEL})|(?P<first>{_CHANNEL})[_. -]?(?P<second>\d+|.+)")

Line = tuple[int, list[str]]
"""A line's number and its fields."""


def read_lines(path: Path) -> list[Line]:
    """The lines of a table that hold anything, one at least.

    Raises:
        BadFileError: If the file is no table of UTF-8 text.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = read_bytes(path)[: error.start].count(b"\n") + 1
        raise BadFileError(path, "not text", "another encoding", "UTF-8 text", line=line) from error
    heading = text.partition("\n")[0]
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=heading.count), strict=True)
    try:
        found = [
            (lines.line_num, [field.strip() for field in fields]) for fields in lines if any(map(str.strip, fields))
        ]
    except csv.Error as error:
        raise BadFileError(path, "not text", str(error), "a table", line=lines.line_num) from error
    if not found:
        raise BadFileError(path, "empty", "no line with anything in it", "a table")
    return found


def read_csv(path: Path, layout: Layout, channels: ArrayChannels) -> Pose:
    """The bodies of a table of any of the forms above.

    Args:
        path: The file.
        layout: Its joints.
        channels: What the numbers of each joint are where there is no heading.

    Raises:
        BadFileError: If columns, joints or frames are missing, or a field is no number.
    """
    lines = read_lines(path)
    number, heading = lines[0]
    for line, fields in lines[1:]:
        if len(fields) != len(heading):
            expected = f"{len(heading)}, as in line {number}"
            raise BadFileError(path, "wrong count", f"{len(fields)} fields", expected, line=line)
    if all(_is_number(field) for field in heading):
        return _plain(path, lines, layout, channels)
    names = [re.sub(r"\s+", "_", name.lower()) for name in heading]
    if len(lines) == 1:
        raise BadFileError(path, "empty", "a heading only", "a line a frame")
    if {"x", "y"} <= set(names):
        return _long(path, names, lines[1:], layout)
    return _wide(path, names, lines, layout)


def _plain(path: Path, lines: Sequence[Line], layout: Layout, channels: ArrayChannels) -> Pose:
    width = len(lines[0][1])
    if width % len(layout):
        found = f"{width} columns without a heading"
        raise BadFileError(path, "wrong count", found, f"a multiple of {len(layout)} joints (layout {layout.name})")
    values = np.array([[_to_float(path, line, field) for field in fields] for line, fields in lines])
    return to_pose(path, values.reshape(len(lines), len(layout), -1), layout, channels)


def _wide(path: Path, names: Sequence[str], lines: Sequence[Line], layout: Layout) -> Pose:
    matches = [None if name in (*_FRAME, *_PERSON) else _COLUMN.fullmatch(name) for name in names]
    joints = [match and (match["joint"] or match["second"]) for match in matches]
    numbered = [int(number) for joint in joints if joint and (number := _joint_number(joint, layout)) is not None]
    base = 0 if 0 in numbered else 1
    columns: dict[tuple[int, str], int] = {}
    for column, (match, joint) in enumerate(zip(matches, joints, strict=True)):
        place = _joint_place(joint, layout, base) if joint else None
        if match and place is not None:
            key = (place, _CHANNELS[match["channel"] or match["first"]])
            if key in columns:
                found = f"two columns for {key[1]} of joint {layout.joints[place]}"
                raise BadFileError(path, "wrong count", found, "one", line=lines[0][0])
            columns[key] = column
    used = [channel for channel in ("x", "y", "z", "score") if any(name == channel for _, name in columns)]
    used = used if {"x", "y"} <= set(used) else ["x", "y"]
    for place, joint in enumerate(layout.joints):
        for channel in used:
            if (place, channel) not in columns:
                found = f"no column for {channel} of joint {joint} (layout {layout.name})"
                raise BadFileError(path, "wrong count", found, f"one such as {joint}_{channel}", line=lines[0][0])
    order = [columns[place, channel] for place in range(len(layout)) for channel in used]
    frame, person = _column(names, _FRAME), _column(names, _PERSON)
    if person is not None and frame is None:
        raise BadFileError(path, "wrong count", "a column for persons but none for frames", "both", line=lines[0][0])
    entries = [
        (
            line,
            row if frame is None else _frame(path, line, fields[frame]),
            "" if person is None else fields[person],
            fields,
        )
        for row, (line, fields) in enumerate(lines[1:])
    ]
    bodies, start, shape = _extent(path, entries, layout)
    values = np.full((*shape, len(layout), len(used)), np.nan)
    seen: set[tuple[int, str]] = set()
    for line, row, body, fields in entries:
        if (row, body) in seen:
            raise BadFileError(path, "wrong count", f"frame {row} twice", "one line a frame and person", line=line)
        seen.add((row, body))
        numbers = [_to_float(path, line, fields[column]) for column in order]
        values[bodies[body], row - start] = np.reshape(numbers, (len(layout), len(used)))
    return _pose(path, values, scored="score" in used)


def _long(path: Path, names: Sequence[str], lines: Sequence[Line], layout: Layout) -> Pose:
    heading = lines[0][0] - 1
    frame, joint, person = _column(names, _FRAME), _column(names, _JOINT), _column(names, _PERSON)
    if frame is None or joint is None:
        found = f"columns {', '.join(names)[:80]}"
        raise BadFileError(path, "wrong count", found, "frame, joint, x and y among them", line=heading)
    columns = {_CHANNELS[name]: column for column, name in enumerate(names) if name in _CHANNELS}
    used = [channel for channel in ("x", "y", "z", "score") if channel in columns]
    numbers = [int(field) for _, fields in lines if (field := fields[joint]).isdecimal() and len(field) < 5]
    base = 0 if 0 in numbers else 1
    entries = [
        (line, _frame(path, line, fields[frame]), "" if person is None else fields[person], fields)
        for line, fields in lines
    ]
    bodies, start, shape = _extent(path, entries, layout)
    values = np.full((*shape, len(layout), len(used)), np.nan)
    seen: set[tuple[int, str, int]] = set()
    for line, number, body, fields in entries:
        place = _joint_place(fields[joint].lower(), layout, base)
        if place is None:
            expected = f"a joint of layout {layout.name}, by name or number"
            raise BadFileError(path, "wrong count", f"joint {fields[joint][:40]!r}", expected, line=line)
        if (number, body, place) in seen:
            found = f"joint {layout.joints[place]} of frame {number} twice"
            raise BadFileError(path, "wrong count", found, "one line a joint, frame and person", line=line)
        seen.add((number, body, place))
        values[bodies[body], number - start, place] = [_to_float(path, line, fields[columns[name]]) for name in used]
    return _pose(path, values, scored="score" in used)


def _pose(path: Path, values: np.ndarray, scored: bool) -> Pose:
    check_numbers(path, values)
    return Pose(values[..., :-1], values[..., -1]) if scored else Pose(values)


def _extent(
    path: Path, entries: Sequence[tuple[int, int, str, list[str]]], layout: Layout
) -> tuple[dict[str, int], int, tuple[int, int]]:
    """The place of each body, the first frame, and how many bodies and frames there are."""
    bodies = {name: place for place, name in enumerate(dict.fromkeys(body for _, _, body, _ in entries))}
    frames = [frame for _, frame, _, _ in entries]
    start, length = min(frames), max(frames) - min(frames) + 1
    check_size(path, len(bodies), length, len(layout))
    return bodies, start, (len(bodies), length)


def _column(names: Sequence[str], wanted: Sequence[str]) -> int | None:
    return next((column for column, name in enumerate(names) if name in wanted), None)


def _joint_number(joint: str, layout: Layout) -> str | None:
    """The number in a joint's name such as ``15`` or ``landmark_15``; None where the layout knows the name."""
    if _plain_name(joint) in layout.joints:
        return None
    match = re.fullmatch(r"(?:joint|landmark|keypoint|kp|pose)?_?(\d{1,4})", _plain_name(joint))
    return match[1] if match else None


def _joint_place(joint: str, layout: Layout, base: int) -> int | None:
    """The joint that a name or number stands for; None where it is none of the layout."""
    if _plain_name(joint) in layout.joints:
        return layout.index(_plain_name(joint))
    number = _joint_number(joint, layout)
    place = int(number) - base if number is not None else -1
    return place if 0 <= place < len(layout) else None


def _plain_name(joint: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", joint.lower()).strip("_")


def _frame(path: Path, line: int, field: str) -> int:
    if not re.fullmatch(r"\d{1,15}(\.0*)?", field):
        raise BadFileError(path, "not a number", f"frame {field[:40]!r}", "a whole number", line=line)
    return int(field.partition(".")[0])


def _is_number(field: str) -> bool:
    try:
        float(field or "nan")
    except ValueError:
        return False
    return True


def _to_float(path: Path, line: int, field: str) -> float:
    if not _is_number(field):
        raise BadFileError(path, "not a number", f"{field[:40]!r}", "a number, empty where missing", line=line)
    return float(field) if field else math.nan
