"""Motion capture as ``.bvh``: a hierarchy of joints with offsets, and their rotations in each frame.

Joints are found by their names: MotionBuilder's (``LeftUpLeg``, ``LeftForeArm``; also Mixamo's, LAFAN1's and the CMU
files'), or else Biovision's (``LeftHip``, ``LeftElbow``) and the layout's own. Positions follow from the hierarchy
(forward kinematics): a joint's rotation turns all joints below it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from maskel.conversion import both_sides
from maskel.datasets.folder.columns import JointNames, listed, squeeze
from maskel.datasets.folder.pose import (
    MAX_BYTES,
    MAX_FRAMES,
    MAX_VALUES,
    Form,
    Pose,
    check_numbers,
    check_size,
    plausible_rate,
)
from maskel.datasets.raw_file import parse_numbers, read_numbered
from maskel.errors import BadFileError
from maskel.layouts import Layout

MAX_NODES = 500
"""Most joints and ends; a body with all fingers has about 80."""
SPINE = "bodies whose spine has other joints than three, placed along it"
"""Phrase for bodies of which SMPL's three joints of the spine were interpolated between hips and neck."""
ENDS = "joints of the feet taken from the ends of the legs"
"""Phrase for feet of a hierarchy that ends at the ankles."""
MOTIONBUILDER = {
    "pelvis": "hips",
    "*_hip": "*upleg",
    "*_knee": "*leg",
    "*_ankle": "*foot",
    "*_foot": "*toebase",
    "*_collar": "*shoulder",
    "*_shoulder": "*arm",
    "*_elbow": "*forearm",
    "*_wrist": "*hand",
    "neck": "neck",
    "head": "head",
}
BIOVISION = {
    "pelvis": "hips",
    "neck": "neck",
    "head": "head",
    "*_foot": "*toe",
    **{f"*_{joint}": f"*{joint}" for joint in "hip knee ankle collar shoulder elbow wrist".split()},
}
"""Joint of a layout -> its squeezed name in the file, for the left and the right side."""
_SPINES = ("spine1", "spine2", "spine3")


@dataclass
class _Node:
    name: str
    parent: int
    offset: Float64[np.ndarray, "3"] = field(default_factory=lambda: np.zeros(3))
    channels: Sequence[str] = ()


def read_bvh(path: Path, form: Form) -> Pose:
    """Read the body of a motion capture.

    Raises:
        BadFileError: If it is of another form, has more than one body, or lacks a joint of the layout.
    """
    lines = read_numbered(path, MAX_BYTES, "HIERARCHY and MOTION of a BVH file")
    nodes = _hierarchy(path, lines)
    values, seconds = _motion(path, lines, sum(len(node.channels) for node in nodes))
    check_size(path, 1, len(values), len(nodes))
    check_numbers(path, values)
    positions = _positions(nodes, values)
    joints, counts = _of_layout(path, nodes, positions, form.layout)
    return Pose(joints[np.newaxis], counts=counts, fps=plausible_rate(1 / seconds) if seconds else None)


def _refuse(path: Path, line: int, found: str, expected: str) -> BadFileError:
    return BadFileError(path, "not text", found[:60], expected, line=line)


def _hierarchy(path: Path, lines: Iterator[tuple[int, str]]) -> list[_Node]:
    """Return joints and ends, each after its parent."""
    nodes: list[_Node] = []
    parents: list[int] = []
    number = 1
    for number, line in lines:
        words = line.split()
        opens = len(words) > 1 and words[-1] == "{"  # some programs write it behind the name
        words = words[:-1] if opens else words
        match [words[0].upper(), *words[1:]]:
            case ["HIERARCHY"] if not nodes:
                continue
            case ["ROOT" | "JOINT" | "END", *name]:
                root = words[0].upper() == "ROOT"
                if root == bool(parents) or len(nodes) == MAX_NODES:
                    expected = f"a JOINT inside a ROOT, at most {MAX_NODES}"
                    raise _refuse(path, number, line.strip(), expected)
                if root and nodes:
                    raise _refuse(path, number, f"a second body, {' '.join(name)}", "one body a file")
                end = words[0].upper() == "END"
                nodes.append(_Node("" if end else " ".join(name), parents[-1] if parents else -1))
                parents += [len(nodes) - 1] if opens else []
            case ["{"] if nodes and (not parents or parents[-1] != len(nodes) - 1):
                parents.append(len(nodes) - 1)
            case ["}"] if parents:
                parents.pop()
            case ["OFFSET", *numbers] if parents and len(numbers) == 3:
                nodes[parents[-1]].offset = np.array(parse_numbers(path, number, numbers))
            case ["CHANNELS", count, *channels] if parents and count == str(len(channels)):
                spelled = [channel.lower() for channel in channels]
                known = all(re.fullmatch("[xyz](rotation|position)", channel) for channel in spelled)
                if not known or len(set(spelled)) < len(spelled):
                    expected = "channels Xposition, Yrotation and the like, each once"
                    raise _refuse(path, number, line.strip(), expected)
                nodes[parents[-1]].channels = spelled
            case ["MOTION"] if nodes and not parents:
                return nodes
            case _:
                raise _refuse(path, number, line.strip(), "a BVH file: HIERARCHY of ROOT and JOINT, then MOTION")
    raise _refuse(path, number, "no MOTION after the hierarchy", "the frames")


def _motion(path: Path, lines: Iterator[tuple[int, str]], channels: int) -> tuple[Float64[np.ndarray, "t n"], float]:
    """Return the channels of each frame, and the seconds that a frame takes."""
    number, line = next(lines, (0, ""))
    frames = re.fullmatch(r"\s*Frames:?\s+(\d{1,9})\s*", line, re.IGNORECASE)
    number, line = next(lines, (number, ""))
    time = re.fullmatch(r"\s*Frame Time:?\s+(\S+)\s*", line, re.IGNORECASE)
    if not frames or not time:
        raise _refuse(path, number, line.strip() or "no frames", "Frames: N and Frame Time: SECONDS after MOTION")
    (seconds,) = parse_numbers(path, number, [time[1]])
    count = int(frames[1])
    if count > MAX_FRAMES or count * channels > MAX_VALUES:
        expected = f"at most {MAX_FRAMES} frames, and {MAX_VALUES} numbers"
        raise BadFileError(path, "wrong count", f"{count} frames of {channels} channels", expected)
    values, found = np.empty((count, channels)), 0
    for number, line in lines:
        fields = line.split()
        if len(fields) != channels:
            expected = f"{channels}, as the hierarchy has channels"
            raise BadFileError(path, "wrong count", f"{len(fields)} numbers", expected, line=number)
        if found < count:  # what is beyond is counted, for the message
            values[found] = parse_numbers(path, number, fields)
        found += 1
    if found != count or not count:
        kind = "truncated" if found < count else "wrong count"
        raise BadFileError(path, kind if count else "empty", f"{found} frames", f"{count or 'some'}, as it says")
    return values, seconds


def _positions(nodes: Sequence[_Node], values: Float64[np.ndarray, "t n"]) -> list[Float64[np.ndarray, "t 3"]]:
    """Return the position of each node: forward kinematics down the hierarchy."""
    positions: list[np.ndarray] = []
    turned: dict[int, np.ndarray] = {}
    first = 0
    last_use = {node.parent: place for place, node in enumerate(nodes)}
    for place, node in enumerate(nodes):
        own = values[:, first : first + len(node.channels)]
        first += len(node.channels)
        moved = np.tile(node.offset, (len(values), 1))
        shift = {"xyz".index(channel[0]): own[:, c] for c, channel in enumerate(node.channels) if "pos" in channel}
        # positions are measured from the parent and stand for the offset; where they are zero throughout, they add none
        if node.parent == -1 or any(numbers.any() for numbers in shift.values()):
            for axis, numbers in shift.items():
                moved[:, axis] = numbers
        rotation = turned[node.parent] if node.parent >= 0 else np.tile(np.eye(3), (len(values), 1, 1))
        base = positions[node.parent] if node.parent >= 0 else np.zeros((len(values), 3))
        positions.append(base + np.einsum("tij,tj->ti", rotation, moved))
        for c, channel in enumerate(node.channels):
            if "rot" in channel:
                rotation = rotation @ _rotation("xyz".index(channel[0]), np.radians(own[:, c]))
        turned[place] = rotation
        for parent in [parent for parent in turned if last_use.get(parent, -1) <= place]:
            del turned[parent]
    return positions


def _rotation(axis: int, angles: Float64[np.ndarray, " t"]) -> Float64[np.ndarray, "t 3 3"]:
    """Return rotations by angles around an axis, in radians."""
    rotation = np.tile(np.eye(3), (len(angles), 1, 1))
    one, two = (axis + 1) % 3, (axis + 2) % 3
    rotation[:, one, one] = rotation[:, two, two] = np.cos(angles)
    rotation[:, two, one] = np.sin(angles)
    rotation[:, one, two] = -rotation[:, two, one]
    return rotation


def _of_layout(
    path: Path, nodes: Sequence[_Node], positions: Sequence[np.ndarray], layout: Layout
) -> tuple[Float64[np.ndarray, "t v 3"], dict[str, int]]:
    """Return the joints of a layout, and counts of those that are estimates."""
    places, counts = _places(nodes, layout), dict[str, int]()
    found = {joint: positions[place] for joint, place in places.items()}
    spine = [positions[place] for place in _between(nodes, places.get("pelvis"), places.get("neck"))]
    if len(spine) == len(_SPINES) + 2:
        found |= dict(zip(_SPINES, spine[1:-1], strict=True))
    elif len(spine) > 1 and any(joint in layout.joints and joint not in found for joint in _SPINES):
        found |= {joint: _along(spine, number / 4) for number, joint in enumerate(_SPINES, start=1)}
        counts[SPINE] = 1
    for side in ("left", "right"):
        ankle, foot = places.get(f"{side}_ankle"), f"{side}_foot"
        ends = [place for place, node in enumerate(nodes) if not node.name and node.parent == ankle]
        if foot not in found and foot in layout.joints and len(ends) == 1:
            found[foot] = positions[ends[0]]
            counts[ENDS] = counts.get(ENDS, 0) + 1
    if lacking := [joint for joint in layout.joints if joint not in found]:
        has = listed((node.name for node in nodes if node.name), 12)
        expected = f"those of layout {layout.name}, under the names of MotionBuilder, Biovision or the layout"
        raise BadFileError(path, "wrong count", f"no joint for {listed(lacking)} among {has}", expected)
    return np.stack([found[joint] for joint in layout.joints], 1), counts


def _places(nodes: Sequence[_Node], layout: Layout) -> dict[str, int]:
    """Return the node of each joint by the names that the file uses."""
    written: dict[str, int] = {}
    for place, node in enumerate(nodes):
        name = squeeze(re.sub(r"^.*:|^mixamorig\d*_?", "", node.name))
        if name:
            written.setdefault(name, place)
    family, own = MOTIONBUILDER, dict[str, int]()
    if family["*_elbow"].replace("*", "left") not in written:
        names = JointNames(layout)
        own = {layout.joints[joint]: at for name, at in written.items() if (joint := names.place(name)) is not None}
        family = BIOVISION
    spelled = both_sides({joint: (name,) for joint, name in family.items()})
    return own | {joint: written[name] for joint, (name,) in spelled.items() if name in written}


def _between(nodes: Sequence[_Node], low: int | None, high: int | None) -> list[int]:
    """Return the nodes from one up to another below it, both included; nothing if there is no such way."""
    way: list[int] = []
    place = -1 if high is None or low is None else high
    while place >= 0:
        way.append(place)
        if place == low:
            return way[::-1]
        place = nodes[place].parent
    return []


def _along(points: Sequence[Float64[np.ndarray, "t 3"]], share: float) -> Float64[np.ndarray, "t 3"]:
    """Return the point at a share of the length of a way through points, in each frame."""
    steps = np.stack([after - before for before, after in pairwise(points)])  # (K, T, 3)
    lengths = np.linalg.norm(steps, axis=-1)
    starts = np.cumsum(lengths, 0) - lengths
    wanted = share * lengths.sum(0)
    parts = np.clip((wanted - starts) / np.maximum(lengths, 1e-12), 0, 1)
    result: np.ndarray = points[0] + (parts[..., np.newaxis] * steps).sum(0)
    return result
