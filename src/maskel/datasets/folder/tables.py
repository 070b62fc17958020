"""Own recordings as text tables (``.csv``; comma, semicolon, tab or spaces between fields).

* In order: a line a frame, the joints in the layout's order, each with its channels: what ``reshape(T, -1)`` gives.
  There is no heading, or one of numbers.
* Wide: a line a frame, a column for each joint and channel: ``left_wrist_x``, ``x_15``, ``x16`` (numbers from 0 or 1),
  or a heading of several lines, as DeepLabCut and pandas write it.
* Long: a line a frame and joint, with columns that say which (``frame``, ``joint``), ``x``, ``y``, maybe ``z``.

Other columns identify frame and person of a line (`maskel.datasets.folder.rows`); their names are in
`maskel.datasets.folder.columns`. Columns that are not read are counted; coordinates of a joint that the layout lacks
are refused. An empty field, ``nan``, ``NA`` or the like is a missing joint.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from maskel.datasets.folder.arrays import to_pose
from maskel.datasets.folder.columns import (
    CHANNELS,
    COORDINATES,
    JOINTS,
    JointNames,
    layouts_with,
    listed,
    squeeze,
    unknown_joint,
)
from maskel.datasets.folder.headings import Table, is_missing, is_number, read_table
from maskel.datasets.folder.pose import ArrayChannels, Form, Pose, check_numbers
from maskel.datasets.folder.rows import RowReader, Rows
from maskel.errors import BadFileError

_ORDER = (*COORDINATES, "score")


def read_csv(path: Path, form: Form) -> Pose:
    """Read the bodies of a table in any of the forms above.

    Raises:
        BadFileError: If columns, joints or frames are missing or have no known meaning, or a field is no number.
    """
    table = read_table(path, form.layout)
    if table.ordered:
        return _in_order(table, form.channels)
    names = [column.name for column in table.columns]
    if {"x", "y"} <= set(names) and any(name in JOINTS for name in names):
        return _long(table)
    return _wide(table)


def _in_order(table: Table, channels: ArrayChannels) -> Pose:
    layout, width = table.layout, len(table.ordered)
    if width % len(layout):
        expected = f"a multiple of {len(layout)} joints (layout {layout.name}); the first line begins "
        expected += ", ".join(field[:20] for field in table.lines[0][1][:3])
        raise BadFileError(table.path, "wrong count", f"{width} columns without a heading", expected)
    taken = set(table.ordered)
    rows = RowReader(table, [c for c in range(len(table.columns)) if c not in taken]).read()
    pose = to_pose(table.path, _fill(table, rows, {"": table.ordered}), layout, channels)
    return replace(pose, counts=table.counts | rows.counts, names=rows.names(), first_frame=rows.start, step=rows.step)


def _wide(table: Table) -> Pose:
    people, used = _joint_columns(table)
    taken = {column for columns in people.values() for column in columns}
    others = [c for c in range(len(table.columns)) if c not in taken]
    joints = JointNames(table.layout)
    rows = RowReader(table, others, additional=[c for c in others if joints.begins(table.columns[c].name)]).read()
    if len(people) > 1 and rows.names():
        raise table.fault("a line of the heading and a column that both tell people apart", "one of them")
    names = rows.names() or tuple((person,) for person in people if person)
    return _pose(_fill(table, rows, people), "score" in used, table, rows, names)


def _joint_columns(table: Table) -> tuple[dict[str, list[int]], list[str]]:
    """Return the columns of all joints and channels, each once, for each person in the heading; and the channels."""
    layout, joints = table.layout, JointNames(table.layout)
    parts = [
        (squeeze(column.joint), column.channel) if column.channel else joints.split(column.name)
        for column in table.columns
    ]
    base = 0 if any(part and joints.number(part[0]) == 0 for part in parts) else 1
    found: dict[tuple[str, int, str], int] = {}
    beyond: list[str] = []
    for c, (column, part) in enumerate(zip(table.columns, parts, strict=True)):
        place = _place(joints, part[0], base) if part else None
        channel = CHANNELS.get(part[1]) if part else None
        if part is None or place is None:
            stray = unknown_joint(column.shown) is not None and any(is_number(fields[c]) for _, fields in table.lines)
            if (part is not None and channel in COORDINATES) or (part is None and stray):
                beyond.append(column.shown)
        elif channel is not None:
            key = (column.person, place, channel)
            if key in found:
                raise table.fault(f"two columns for {channel} of joint {layout.joints[place]}", "one")
            found[key] = c
    used = [channel for channel in _ORDER if any(name == channel for _, _, name in found)]
    used = used if {"x", "y"} <= set(used) else ["x", "y"]
    people = list(dict.fromkeys(person for person, _, _ in found)) or [""]
    if beyond and found:
        raise _beyond(table, beyond)
    for person in people:
        for place, joint in enumerate(layout.joints):
            for channel in used:
                if (person, place, channel) not in found:
                    whose = f" of {person[:40]}" if person else ""
                    what = (
                        f"no column for {channel} of joint {joint}{whose} (layout {layout.name}) among columns "
                        f"{listed(column.shown for column in table.columns)}"
                    )
                    raise table.fault(what, f"one such as {joint}_{channel}")
    order = {
        person: [found[person, place, channel] for place in range(len(layout)) for channel in used] for person in people
    }
    return order, used


def _beyond(table: Table, beyond: Sequence[str]) -> BadFileError:
    """Return the error about columns of joints that the layout lacks, beside joints that it has."""
    layout = table.layout
    every = [column.shown for column in table.columns if JointNames(layout).split(column.name)]
    other = [name for name in layouts_with([*every, *beyond]) if name != layout.name]
    expected = f"its {len(layout)} joints and no others"
    if other:
        expected += f", or --layout {' or '.join(other)}, which has them"
    return table.fault(f"columns {listed(beyond)}, which look like joints that layout {layout.name} lacks", expected)


def _long(table: Table) -> Pose:
    layout, names = table.layout, [column.name for column in table.columns]
    columns: dict[str, int] = {}
    for c, name in enumerate(names):
        if channel := CHANNELS.get(name):
            if channel in columns:
                found = f"two columns for {channel} ({listed(table.columns[k].shown for k in (columns[channel], c))})"
                raise table.fault(found, "one")
            columns[channel] = c
    used = [channel for channel in _ORDER if channel in columns]
    named = [c for c, name in enumerate(names) if name in JOINTS]
    places, joint = _joints_of_lines(table, named)
    others = [c for c in range(len(names)) if c not in {*columns.values(), joint}]
    rows = RowReader(table, others, [layout.joints[place] for place in places]).read()
    bodies, length = rows.extent(table)
    values = np.full((len(bodies), length, len(layout), len(used)), np.nan)
    for line, fields, frame, who, place in rows.entries(table, places):
        values[bodies[who], frame, place] = [_to_float(table.path, line, fields[columns[name]]) for name in used]
    return _pose(values, "score" in used, table, rows, rows.names())


def _joints_of_lines(table: Table, named: Sequence[int]) -> tuple[list[int], int]:
    """Return the joint of each line, and its column, one of ``named``; names are preferred to numbers."""
    layout, joints = table.layout, JointNames(table.layout)
    joint = next(
        (c for c in named if any(joints.place(squeeze(fields[c])) is not None for _, fields in table.lines)), named[0]
    )
    called = [squeeze(fields[joint]) for _, fields in table.lines]
    numbers = {number for name in called if (number := joints.number(name)) is not None}
    if numbers and 0 not in numbers and len(layout) not in numbers:
        found = f"joints numbered {min(numbers)} to {max(numbers)}, from 0 or from 1"
        expected = f"joint 0, or joint {len(layout)}, in some line, so that one can tell"
        if max(numbers) < len(layout):
            raise table.fault(found, expected)
    base = 0 if 0 in numbers else 1
    places = []
    for (line, fields), name in zip(table.lines, called, strict=True):
        place = _place(joints, name, base)
        if place is None:
            expected = f"a joint of layout {layout.name}, by name or number"
            raise table.fault(f"joint {fields[joint][:40]!r}", expected, line)
        places.append(place)
    return places, joint


def _place(joints: JointNames, name: str, base: int) -> int | None:
    """Return the joint of a name or number; None if the layout does not have it."""
    place = joints.place(name)
    if place is not None:
        return place
    number = joints.number(name)
    return number - base if number is not None and 0 <= number - base < len(joints.layout) else None


def _fill(table: Table, rows: Rows, people: Mapping[str, Sequence[int]]) -> np.ndarray:
    """Fill an array (M, T, V, C) from a table with a line for each frame, and for each person of the heading columns.

    ``people`` has the columns of all joints and channels in turn.
    """
    (bodies, length), joints = rows.extent(table), len(table.layout)
    each = len(next(iter(people.values()))) // joints
    values = np.full((len(bodies) * len(people), length, joints, each), np.nan)
    for line, fields, frame, who, _ in rows.entries(table):
        for place, order in enumerate(people.values()):
            numbers = [_to_float(table.path, line, fields[column]) for column in order]
            values[bodies[who] * len(people) + place, frame] = np.reshape(numbers, (joints, each))
    return values


def _pose(values: np.ndarray, scored: bool, table: Table, rows: Rows, names: tuple[tuple[str, ...], ...]) -> Pose:
    check_numbers(table.path, values)
    joints, scores = (values[..., :-1], values[..., -1]) if scored else (values, None)
    return Pose(joints, scores, table.counts | rows.counts, names, rows.start, rows.step)


def _to_float(path: Path, line: int, field: str) -> float:
    try:
        if "_" not in field:
            return float(field)
    except ValueError:
        if is_missing(field):
            return math.nan
    raise BadFileError(path, "not a number", f"{field[:40]!r}", "a number, empty where missing", line=line)
