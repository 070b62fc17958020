"""Heading of a table: its lines, and the names that they give to the columns.

* None: the first line is a frame.
* One line of names, or of numbers as pandas writes them: 0, 1, 2, … in order, or 0, 0.1, 0.2, 1, 1.1, … by joint.
* Several lines, one of which names channels (x, y, …) and one joints: DeepLabCut's ``scorer``, maybe ``individuals``,
  ``bodyparts``, ``coords``, and what pandas writes of a table whose columns have several levels.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from maskel.datasets.folder.columns import CHANNELS, JOINTS, PEOPLE, Column, JointNames, listed, squeeze
from maskel.datasets.folder.lines import Line, read_pose_lines
from maskel.errors import BadFileError
from maskel.layouts import Layout

_MOST = 6
"""Lines at the top that may belong to the heading."""
_MISSING = frozenset(("", "nan", "na", "n/a", "null", "none", "<na>", "-", "-nan", "nan(ind)", "-nan(ind)"))
_KINECT = re.compile(r"(joint\d{1,2})_3d([XYZ])")
_BESIDE_KINECT = re.compile(r"joint\d{1,2}_(depth[XY]|color[XY]|orientation[WXYZ]|trackingState)")
_ORDERED = re.compile(r"(v|col|column|c|f|feature|feat|dim|d|value|val|var|field|unnamed)?(\d{1,5})")


@dataclass(frozen=True)
class Table:
    """A table of joints.

    Args:
        path: Its file.
        layout: Joint layout.
        columns: Name of each column; empty if there is no heading.
        lines: The lines below the heading, all of one length.
        heading: Number of the last line of the heading; of the first line if there is no heading.
        ordered: The columns that hold the joints, each joint with all its numbers, if only their order identifies them.
        counts: Counts of skipped columns and lines.
    """

    path: Path
    layout: Layout
    columns: Sequence[Column]
    lines: Sequence[Line]
    heading: int
    ordered: Sequence[int]
    counts: dict[str, int]

    def fault(self, found: str, expected: str, line: int | None = None) -> BadFileError:
        """Return an error about a line, by default the last one of the heading."""
        return BadFileError(self.path, "wrong count", found, expected, line=line or self.heading)


def read_table(path: Path, layout: Layout) -> Table:
    """Read the lines of a table and the names of its columns.

    Raises:
        BadFileError: If it is no table, its lines differ in length, or a heading of several lines is of no known form.
    """
    lines, remarks = read_pose_lines(path)
    count, channels = _heading_lines(lines, layout)
    if count >= len(lines):
        raise BadFileError(path, "empty", "a heading only", "a line a frame")
    heads, below = _alike(path, lines, count)
    number = heads[-1][0] if heads else below[0][0]
    counts = {"remarks above the heading": remarks} if remarks else {}
    if not heads:
        return _without_heading(Table(path, layout, [], below, number, [], counts))
    if channels is not None:
        columns = _leveled(path, heads, channels, layout)
    else:
        columns = [Column(name) for name in heads[0][1]]
        if any(_KINECT.fullmatch(name) for name in heads[0][1]):
            columns, below, counts = _of_kinect(columns, below, counts)
    kept = [c for c, column in enumerate(columns) if column.shown or any(fields[c] for _, fields in below)]
    if len(kept) < len(columns):
        columns, below = [columns[c] for c in kept], [(line, [fields[c] for c in kept]) for line, fields in below]
    ordered = _in_order(columns, layout) if channels is None else []
    return Table(path, layout, columns, below, number, ordered, counts)


def _of_kinect(
    columns: Sequence[Column], lines: Sequence[Line], counts: dict[str, int]
) -> tuple[list[Column], list[Line], dict[str, int]]:
    """Take the positions in space from a table of Kinect v2 as ETRI-Activity3D has it; count what is beside them."""
    kept = [c for c, column in enumerate(columns) if not _BESIDE_KINECT.fullmatch(column.shown)]
    found = [columns[c] for c in kept]
    for place, column in enumerate(found):
        if match := _KINECT.fullmatch(column.shown):
            found[place] = Column(column.shown, match[1], match[2].lower())
    left_out = {"columns not read: Kinect's positions in the images, orientations and states": len(columns) - len(kept)}
    return found, [(line, [fields[c] for c in kept]) for line, fields in lines], counts | left_out


def is_missing(field: str) -> bool:
    """Return True if a field marks a missing number."""
    return field.lower() in _MISSING


def is_number(field: str) -> bool:
    """Return True if a field is a number, or marks a missing number."""
    try:
        float(field)
    except ValueError:
        return is_missing(field)
    return "_" not in field


def counts_up(fields: Sequence[str]) -> bool:
    """Return True if the fields are whole numbers that increase by the same step."""
    if not all(re.fullmatch(r"-?\d{1,15}(\.0+)?", field) for field in fields):
        return False
    numbers = [int(field.partition(".")[0]) for field in fields]
    steps = {after - before for before, after in pairwise(numbers)}
    return not steps or (len(steps) == 1 and min(steps) > 0)


def _heading_lines(lines: Sequence[Line], layout: Layout) -> tuple[int, int | None]:
    """Return the number of lines of the heading, and the line that names channels if there are several."""
    tops = [fields for _, fields in lines[:_MOST]]
    for place, fields in enumerate(tops):
        if not _names_channels(fields):
            continue
        count = max(place + 1, 2)
        while count < len(tops) and _names_the_index(tops[count]):
            count += 1
        if place > 0 or (len(tops) > 1 and _names_joints(tops[1], layout)):
            return count, place
    if not all(map(is_number, tops[0])):
        return 1, None
    left = next((place for place, field in enumerate(tops[0]) if field), 0)
    order = _numbered(tops[0][left:], len(layout))
    return (1 if order and not _goes_on(tops) else 0), None


def _names_channels(fields: Sequence[str]) -> bool:
    names = [field.lower() for field in fields]
    others = [place for place, name in enumerate(names) if name and name not in CHANNELS]
    return names.count("x") > 1 and names.count("y") > 1 and all(place < 3 for place in others)


def _names_joints(fields: Sequence[str], layout: Layout) -> bool:
    joints = JointNames(layout)
    names = [squeeze(field) for field in fields]
    return sum(joints.place(name) is not None or name.isdecimal() for name in names) > len(names) / 2 and not any(
        re.fullmatch(r"-?\d+\.\d*[1-9]\d*", field) for field in fields
    )


def _names_the_index(fields: Sequence[str]) -> bool:
    """Return True for pandas' line with the index's name, below the names of columns: ``frame,,,,``."""
    return len(fields) > 5 and any(fields) and not any(fields[3:]) and not any(map(is_number, filter(None, fields)))


def _goes_on(tops: Sequence[Sequence[str]]) -> bool:
    """Return True if the second line continues the count of the first, as in an array of consecutive numbers."""
    if len(tops) < 2 or len(tops[1]) != len(tops[0]):
        return False
    first, second = ([math.nan if is_missing(f) or not is_number(f) else float(f) for f in top] for top in tops[:2])
    return all(b == a + len(first) for a, b in zip(first, second, strict=True))


def _numbered(names: Sequence[str], joints: int) -> list[int]:
    """Return the order of numbered columns, all numbers of a joint together; empty if they are not numbered.

    Their names are 0, 1, 2, … (or from 1), or repeat each joint's number: 0, 0, 1, 1, …, or as pandas writes repeated
    names: 0, 0.1, 1, 1.1, …
    """
    matches = [match for name in names if (match := re.fullmatch(r"(\d{1,5})(?:\.(\d{1,2}))?", name))]
    if len(names) < 2 * joints or len(names) % joints or len(matches) < len(names):
        return []
    whole = [int(match[1]) for match in matches]
    start = min(whole)
    if start > 1:
        return []
    if whole == list(range(start, start + len(names))) and len({match[2] for match in matches}) == 1:
        return list(range(len(names)))
    keys: dict[tuple[int, int], int] = {}
    for column, (number, match) in enumerate(zip(whole, matches, strict=True)):
        key = (number, int(match[2]) if match[2] else sum(1 for other, _ in keys if other == number))
        if key in keys:
            return []
        keys[key] = column
    each = len(names) // joints
    if set(keys) != {(start + joint, place) for joint in range(joints) for place in range(each)}:
        return []
    return [keys[key] for key in sorted(keys)]


def _in_order(columns: Sequence[Column], layout: Layout) -> list[int]:
    """Return the columns that hold the joints if their names are only numbers: 0, 1, 2, … or V1, V2, and so on."""
    matches = [_ORDERED.fullmatch(column.name) for column in columns]
    for prefix in dict.fromkeys(match[1] for match in matches if match):
        found = [c for c, match in enumerate(matches) if match and match[1] == prefix]
        numbers = [columns[c].shown if prefix is None else match[2] for c in found if (match := matches[c])]
        if order := _numbered(numbers, len(layout)):
            return [found[place] for place in order]
    return []


def _alike(path: Path, lines: Sequence[Line], count: int) -> tuple[list[Line], list[Line]]:
    """Divide the lines into the heading and the rest, all of one length.

    Some programs write a comma at the end of each line: the empty field after it is removed. R writes no name for the
    column that counts the lines: the heading gets an empty name.
    """
    heads, below = list(lines[:count]), list(lines[count:])
    widths = Counter(len(fields) for _, fields in below)
    width = widths.most_common(1)[0][0]  # the first of equally frequent widths
    head = len(heads[-1][1]) if heads else width
    if head != width and widths[width] == 1:
        width = head
    usual = next(line for line, fields in [*heads[-1:], *below] if len(fields) == width)
    for line, fields in below:
        if len(fields) != width:
            raise BadFileError(path, "wrong count", f"{len(fields)} fields", f"{width}, as in line {usual}", line=line)
    if head == width - 1 and not any(fields[-1] for _, fields in below):
        below, width = [(line, fields[:-1]) for line, fields in below], width - 1
    elif head == width - 1 and counts_up([fields[0] for _, fields in below]):
        heads = [(line, ["", *fields]) for line, fields in heads]
    elif head == width + 1 and not heads[-1][1][-1]:
        heads = [(line, fields[:width]) for line, fields in heads]
    for line, fields in heads:
        if len(fields) != width:
            raise BadFileError(
                path, "wrong count", f"{len(fields)} fields", f"{width}, as in line {below[0][0]}", line=line
            )
    return heads, below


def _without_heading(table: Table) -> Table:
    """Set the columns of joints of a table without heading: all but an empty last or a counting first column."""
    width = len(table.lines[0][1])
    over = width % len(table.layout) == 1
    if over and not any(fields[-1] for _, fields in table.lines):
        return replace(table, ordered=range(width - 1))
    if over and len(table.lines) > 1 and counts_up([fields[0] for _, fields in table.lines]):
        counts = table.counts | {"columns not read: the first, which counts lines": 1}
        return replace(table, ordered=range(1, width), counts=counts)
    return replace(table, ordered=range(width))


def _leveled(path: Path, heads: Sequence[Line], channels: int, layout: Layout) -> list[Column]:
    """Return the columns under a heading of several lines; a line that divides them must name people or joints."""
    index = [fields for _, fields in heads if _names_the_index(fields)]
    names = [name.lower() for name in heads[channels][1]]
    joined = [c for c, name in enumerate(names) if name in CHANNELS]
    levels = [
        (line, fields[0], _spread(fields, names))
        for place, (line, fields) in enumerate(heads)
        if place != channels and fields not in index
    ]
    joints = JointNames(layout)

    def known(level: Sequence[str]) -> int:
        return sum(joints.place(squeeze(level[c])) is not None for c in joined)

    if not levels:
        raise BadFileError(path, "wrong count", "a heading of channels only", "one that names joints", line=heads[0][0])
    joint_level = max(range(len(levels)), key=lambda place: (known(levels[place][2]), place))
    person_level: Sequence[str] = [""] * len(names)
    for place, (line, title, level) in enumerate(levels):
        different = {level[c]: None for c in joined}
        if place == joint_level or len(different) == 1:
            continue
        if squeeze(title).removesuffix("s") not in PEOPLE:
            expected = "individuals or person at its start, if it names people"
            raise BadFileError(path, "wrong count", f"a heading line of {listed(different)}", expected, line=line)
        person_level = level
    recorder = any(squeeze(title) == "bodyparts" for _, title, _ in levels)  # DeepLabCut numbers frames without a title
    titles = {squeeze(title) for _, title, level in levels if level is person_level or squeeze(title) in JOINTS}
    columns = []
    for c, name in enumerate(names):
        if c in joined:
            joint = levels[joint_level][2][c]
            columns.append(Column(f"{joint}_{name}", joint, CHANNELS[name], person_level[c]))
        elif indices := [fields[c] for fields in index if fields[c]]:
            columns.append(Column(indices[-1]))
        elif recorder and c + 1 == joined[0]:
            columns.append(Column("frame"))
        else:
            above = (level[c] for _, _, level in levels if level[c])
            columns.append(Column(next((text for text in above if c > 0 or squeeze(text) not in titles), "")))
    return columns


def _spread(fields: Sequence[str], channels: Sequence[str]) -> list[str]:
    """Repeat each name of a level in the empty fields to its right (merged cells) above channels."""
    spread: list[str] = []
    for c, field in enumerate(fields):
        left = spread[-1] if c and channels[c] in CHANNELS and channels[c - 1] in CHANNELS else ""
        spread.append(field or left)
    return spread
