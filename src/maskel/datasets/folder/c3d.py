"""Motion capture as ``.c3d``: positions of named points in each frame.

A file is blocks of 512 bytes: a header, parameters in groups (``POINT:LABELS``, ``POINT:UNITS``, …), and frames of
points (x, y, z, and a number below 0 where the point is missing) and analog samples. A point is a marker on the body as
a rule, and no joint: only points that are called like the joints of the layout are taken.
"""

import math
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from maskel.datasets.folder.columns import JointNames, listed, squeeze
from maskel.datasets.folder.pose import Form, Pose, check_numbers, check_size, plausible_rate, read_bytes
from maskel.datasets.raw_file import bad_file
from maskel.errors import BadFileError
from maskel.layouts import Layout

_BLOCK = 512
_MOST_PARAMETERS = 2**20  # bytes; a file says how many blocks they take in one byte
_MOST_POINTS = 2**16  # the header counts them in two bytes
_INTEL = 84
_UNITS = {"m": 1.0, "dm": 0.1, "cm": 0.01, "mm": 0.001}
"""Unit of the file -> metres."""
CONVERTED = "points in {}, as the file says, brought to metres"
BESIDE = "points that are no joint of the layout, not read"
_FORM = "a C3D file"


def read_c3d(path: Path, form: Form) -> Pose:
    """Read the points of a motion capture that are joints of the layout, in metres.

    Raises:
        BadFileError: If it is of another form, damaged, in an unknown unit, or lacks a joint of the layout.
    """
    content = read_bytes(path)
    if len(content) < 2 * _BLOCK or content[1] != 0x50:
        raise BadFileError(path, "not data", "no header of C3D", _FORM)
    with bad_file(path, _FORM):
        texts = _texts(path, content)
        values = _points(path, content)
    names = [*texts.get("LABELS", ()), *texts.get("LABELS2", ())][: values.shape[1]]
    order, beside = _joints(path, names, form.layout)
    joints = values[:, order]
    joints[joints[..., 3] < 0] = np.nan
    check_numbers(path, joints[..., :3])
    unit = next(iter(texts.get("UNITS", ())), "").lower()
    if unit not in _UNITS:
        raise BadFileError(path, "wrong unit", f"POINT:UNITS {unit[:20]!r}", f"one of {', '.join(_UNITS)}")
    counts = {CONVERTED.format(unit): 1} if unit != "m" else {}
    counts |= {BESIDE: beside} if beside else {}
    (rate,) = struct.unpack_from("<f", content, 20)
    return Pose(joints[np.newaxis, ..., :3] * _UNITS[unit], counts=counts, fps=plausible_rate(rate))


def _texts(path: Path, content: bytes) -> dict[str, list[str]]:
    """Return the texts among the parameters of group POINT, by the parameters' names."""
    start = (content[0] - 1) * _BLOCK
    if content[0] < 2 or start + 4 > len(content):
        raise BadFileError(path, "truncated", f"parameters in block {content[0]}", "a block of the file")
    if content[start + 3] != _INTEL:
        what = f"numbers of processor type {content[start + 3]}"
        raise BadFileError(path, "not data", what, f"type {_INTEL} (Intel); save the file again with a newer program")
    groups: dict[int, str] = {}
    found: dict[tuple[int, str], list[str]] = {}
    for group, name, place in _records(content, start + 4, start + _MOST_PARAMETERS):
        if group < 0:
            groups[-group] = name
            continue
        kind, count = struct.unpack_from("<bB", content, place)
        first = place + 2 + count
        sizes = content[place + 2 : first]
        length = abs(kind) * math.prod(sizes)
        if length > len(content) - first:
            raise ValueError(f"a parameter {name[:20]} of {length} bytes")
        if kind == -1:  # letters; the first size is the length of a text
            each = max(sizes[0] if sizes else length, 1)
            whole = content[first : first + min(length, each * _MOST_POINTS)].decode("latin-1")
            found[group, name] = [whole[at : at + each].strip(" \0") for at in range(0, len(whole), each)]
    return {name: texts for (group, name), texts in found.items() if groups.get(group) == "POINT"}


def _records(content: bytes, place: int, end_of_all: int) -> Iterator[tuple[int, str, int]]:
    """Yield group, name and place of the content of each group (below 0) and parameter."""
    while place + 2 <= len(content):
        if place > end_of_all:
            raise ValueError(f"parameters of more than {_MOST_PARAMETERS:,} bytes")
        length, group = struct.unpack_from("<bb", content, place)
        if length == 0 or group == 0:
            return
        end = place + 2 + abs(length)
        name = content[place + 2 : end].decode("latin-1").upper()
        (step,) = struct.unpack_from("<h", content, end)
        yield group, name, end + 2
        if step <= 0:
            return
        place = end + step


def _points(path: Path, content: bytes) -> Float64[np.ndarray, "t p 4"]:
    points, analog, first, last = struct.unpack_from("<4H", content, 2)
    (scale,) = struct.unpack_from("<f", content, 12)
    (block,) = struct.unpack_from("<H", content, 16)
    kind = np.dtype("<f4") if scale < 0 else np.dtype("<i2")
    start, each = (block - 1) * _BLOCK, 4 * points + analog
    held = (len(content) - start) // (each * kind.itemsize) if each and block else 0
    frames = last - first + 1
    if last == 2**16 - 1:  # the header cannot count further
        frames = held
    if points == 0 or frames < 1 or not 0 <= start <= len(content):
        raise BadFileError(path, "empty", f"{max(frames, 0)} frames of {points} points", "at least one of each")
    if held < frames:
        raise BadFileError(path, "truncated", f"{held} frames", f"{frames}, as the header says")
    check_size(path, 1, frames, points)
    values = np.frombuffer(content, kind, frames * each, start).reshape(frames, each)[:, : 4 * points]
    found = values.reshape(frames, points, 4).astype(np.float64)
    if scale >= 0:
        found[..., :3] *= scale
    return found


def _joints(path: Path, names: list[str], layout: Layout) -> tuple[list[int], int]:
    """Return the point of each joint, and the number of other points."""
    known = JointNames(layout)
    found: dict[int, int] = {}
    for point, name in enumerate(names):
        place = known.place(squeeze(name.rpartition(":")[2]))
        if place is not None and found.setdefault(place, point) != point:
            what = f"points {names[found[place]]} and {name}, both for {layout.joints[place]}"
            raise BadFileError(path, "wrong count", what, "one; is more than one person in the file?")
    if lacking := [joint for place, joint in enumerate(layout.joints) if place not in found]:
        what = f"no point for {listed(lacking)} among {listed(names, 12) or 'points without names'}"
        expected = f"points called like the joints of layout {layout.name}; markers on the skin are no joints"
        raise BadFileError(path, "wrong count", what, expected)
    return [found[place] for place in range(len(layout))], len(names) - len(found)
