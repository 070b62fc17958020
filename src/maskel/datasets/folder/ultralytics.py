"""Ultralytics' text files: a file a frame, a line for each person, as ``save_txt`` of a YOLO pose model writes them.

A line holds the class, the box (centre, width, height), x, y and maybe the score of each joint in turn, then maybe the
box's confidence and the number of a track. Positions are fractions of the image. ``walk_12.txt`` is frame 12 of the
recording ``walk``; where names are digits only, the folder is the recording. A frame in which nobody was found has no
file.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from maskel import files
from maskel.datasets.folder.joint_counts import whose_joints
from maskel.datasets.folder.numbering import frame_numbers
from maskel.datasets.folder.people import Person, join_people
from maskel.datasets.folder.pose import LARGEST_FRAME, MAX_BYTES, Form, Pose, check_numbers
from maskel.datasets.folder.units import LARGEST_FRACTION
from maskel.datasets.raw_file import bad_file
from maskel.errors import BadFileError
from maskel.layouts import Layout

ENDING = ".txt"
"""Ending of the files."""
CLASSES = "classes of Ultralytics' detections beyond one, all read as people"
"""Phrase for models that tell several classes apart."""
_NAME = re.compile(r"(?P<recording>.*?)_?(?P<frame>\d+)", re.DOTALL)
_BOX = 5  # numbers of the class and the box


@dataclass(frozen=True)
class _Line:
    """A person: the file, the line's number, the frame's, and all numbers."""

    file: Path
    line: int
    frame: int
    numbers: tuple[float, ...]


def recordings_of(texts: Iterable[Path]) -> dict[Path, list[Path]]:
    """Group text files to recordings.

    Args:
        texts: Files with the ending ``.txt``, in any folders.

    Returns:
        Files of each recording, under the first one's path; files that are no frames of Ultralytics are left out.
    """
    groups: dict[Path, list[Path]] = {}
    for file in sorted(texts):
        if _NAME.fullmatch(file.stem):
            groups.setdefault(name_of(file), []).append(file)
    return {
        group[0]: group
        for group in groups.values()
        if any(map(_is_frame, {group[0], group[len(group) // 2], group[-1]}))
    }


def name_of(clip: Path) -> Path:
    """Return the path that names a clip: of Ultralytics' frames it is that of the recording, of others the clip's own.

    Examples:
        >>> name_of(Path("labels/walk_12.txt")).as_posix(), name_of(Path("walk/0012.txt")).as_posix()
        ('labels/walk', 'walk')
    """
    match = _NAME.fullmatch(clip.stem) if clip.suffix.lower() == ENDING else None
    return clip if match is None else clip.parent / match["recording"]


def read_labels(path: Path, form: Form) -> Pose:
    """Read the bodies of a recording.

    Args:
        path: Any of its files; the others are found beside it.
        form: Form of the recording; without the image's size bodies would lose their proportions.

    Raises:
        BadFileError: If the image's size is not known, a line has other numbers, or all frames are empty.
    """
    if not form.image_size:
        found = "positions as fractions of the image, as Ultralytics writes them"
        expected = "--image-size WIDTH HEIGHT, so that bodies keep their proportions"
        raise BadFileError(path, "wrong unit", found, expected)
    with bad_file(path, "a readable folder"):
        frames = _frames_in(path.parent, path.parent.stat().st_mtime_ns)[name_of(path)]
    if sum(file.stat().st_size for file in frames) > MAX_BYTES:
        raise BadFileError(path, "wrong count", "too many bytes", f"at most {MAX_BYTES}; cut the recording into clips")
    numbers = frame_numbers(path.parent, [file.name for file in frames])
    lines = [line for file, number in zip(frames, numbers, strict=True) for line in _lines(file, number)]
    people: dict[int, list[Person]] = {number: [] for number in sorted(numbers)}
    for line, person in zip(lines, _people(lines, form.layout), strict=True):
        people[line.frame].append(person)
    pose = join_people(name_of(path), list(people.items()), form, 2)
    classes = {line.numbers[0] for line in lines}
    return replace(pose, counts={**pose.counts, CLASSES: max(len(classes) - 1, 0)})


@lru_cache(maxsize=1)
def _frames_in(folder: Path, changed: int) -> dict[Path, list[Path]]:
    """Return the files of each recording in a folder; kept, since a folder of many recordings is listed for each."""
    found: dict[Path, list[Path]] = {}
    for file in folder.iterdir():
        if file.suffix.lower() == ENDING:
            found.setdefault(name_of(file), []).append(file)
    return found


def _lines(file: Path, frame: int) -> list[_Line]:
    """Read the lines of one frame, none if the file is empty."""
    with bad_file(file, "a readable file"):
        text = files.read_text(file, LARGEST_FRAME)
    found: dict[tuple[float, ...], _Line] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            values = tuple(map(float, line.split()))
        except ValueError:
            raise BadFileError(file, "not a number", repr(line[:40]), "numbers only", line=number) from None
        if values in found:
            expected = "each person once; Ultralytics appends to files of an earlier run: predict into a new folder"
            raise BadFileError(file, "wrong count", f"line {found[values].line} again", expected, line=number)
        found[values] = _Line(file, number, frame, values)
    return list(found.values())


def _people(lines: Sequence[_Line], layout: Layout) -> list[Person]:
    """Return the person of each line; a last number is a track's, or a confidence if it is not whole in some line."""
    forms = [_form(line, layout) for line in lines]
    for line, (width, _) in zip(lines, forms, strict=True):
        if width != forms[0][0]:
            found = f"{width} numbers a joint, and {forms[0][0]} in other lines"
            raise BadFileError(line.file, "wrong count", found, "the files of one model", line=line.line)
    last = [line.numbers[-1] for line, (_, more) in zip(lines, forms, strict=True) if more == 1]
    tracked = 2 if any(more == 2 for _, more in forms) or not all(number.is_integer() for number in last) else 1
    people = []
    for line, (width, more) in zip(lines, forms, strict=True):
        joints = np.full((len(layout), 3), np.nan)
        joints[:, :width] = np.array(line.numbers[_BOX : _BOX + width * len(layout)]).reshape(-1, width)
        check_numbers(line.file, joints)
        farthest = float(np.nanmax(np.abs(joints[:, :2]), initial=0.0))
        if farthest > LARGEST_FRACTION:
            found, expected = f"a position of {farthest:.6g}", "fractions of the image, from 0 to 1"
            raise BadFileError(line.file, "wrong unit", found, expected, line=line.line)
        if more == tracked and not line.numbers[-1].is_integer():
            raise BadFileError(line.file, "not a number", f"track {line.numbers[-1]:g}", "a whole one", line=line.line)
        people.append(Person(joints, str(int(line.numbers[-1])) if more == tracked else ""))
    return people


def _form(line: _Line, layout: Layout) -> tuple[int, int]:
    """Return the numbers of a joint, 3 or 2, and those after the last joint, up to 2."""
    count = len(line.numbers) - _BOX
    for width in (3, 2):
        if 0 <= count - width * len(layout) <= 2:
            return width, count - width * len(layout)
    box = ", a box without key points; use a model for poses" * (0 <= count <= 2)
    expected = f"{_BOX} of class and box, and 3 or 2 for each of {len(layout)} joints (layout {layout.name})"
    whose = "" if count < 9 else whose_joints(count // 3)
    raise BadFileError(line.file, "wrong count", f"{len(line.numbers)} numbers{box}", expected + whose, line=line.line)


def _is_frame(file: Path) -> bool:
    """Return True if a file begins with a class and a box."""
    try:
        numbers = list(map(float, files.read_text(file, LARGEST_FRAME).partition("\n")[0].split()))
    except (OSError, ValueError):
        return False
    is_class = len(numbers) >= _BOX and numbers[0] >= 0 and numbers[0].is_integer()
    return is_class and all(0 <= part <= 1 for part in numbers[1:_BOX])
