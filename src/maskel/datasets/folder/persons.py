"""Readers for one person in one frame in each pose tool's JSON, and for the people of MediaPipe's landmarks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskel.datasets.folder.arrays import parse_nested
from maskel.datasets.folder.joint_counts import whose_joints
from maskel.datasets.folder.people import Person
from maskel.datasets.folder.pose import Form, check_numbers
from maskel.errors import BadFileError
from maskel.layouts import Layout

NAMES = ("track_id", "tracking_id", "idx", "person_id", "instance_id", "id")
"""Keys under which tools identify a person over all frames; the first one present counts."""
FLAT_3D = "pose_keypoints_3d"
FLAT = ("pose_keypoints_2d", "pose_keypoints", "joints")
"""Keys of OpenPose, its first versions, and AlphaPose's form of it: x, y, score of each joint in turn."""
KEYPOINTS = "keypoints"
"""Key of COCO and the tools that follow it."""
JOINTS = (KEYPOINTS, *FLAT, FLAT_3D)
SCORES = ("keypoint_scores", "keypoints_scores", "scores")
VISIBLE = ("visible", "visibility", "score", "confidence", "conf")
WORLD = ("pose_world_landmarks", "poseWorldLandmarks", "world_landmarks", "worldLandmarks")
IN_IMAGE = ("pose_landmarks", "poseLandmarks", "landmarks")
LIST = "landmark"
WORLD_OR_IMAGE = (*WORLD, *IN_IMAGE, LIST)
FORM = "MediaPipe's landmarks, each with x, y and z"


def is_person(entry: object) -> bool:
    """Return True for an object that contains joints."""
    return isinstance(entry, dict) and any(key in entry for key in JOINTS)


def read_person(path: Path, where: str, entry: object, form: Form, scored: bool = False) -> Person:
    """Read the joints of one person.

    Args:
        path: The file, for messages.
        where: The place in the file, for messages.
        entry: The content of this place.
        form: Form of the recordings.
        scored: The last of three numbers of a joint is a score, as in COCO's form.

    Raises:
        BadFileError: If it has no joints, joints of another layout, or no numbers.
    """
    if not isinstance(entry, dict):
        raise BadFileError(path, "not text", f"no object in place of a person in {where}", "one with the joints")
    key = next((key for key in _order(entry, form) if key in entry), KEYPOINTS if scored else FLAT[0])
    values = entry.get(key)
    if isinstance(values, dict):
        joints = _of_columns(path, where, values, form)
    elif isinstance(values, list) and values and all(isinstance(joint, list) for joint in values):
        scores = next((entry[key] for key in SCORES if key in entry), None)
        joints = _of_joints(path, where, values, scores, form, scored)
    else:
        joints = _of_numbers(path, where, key, values, form)
    check_numbers(path, joints)
    return Person(joints, _name(entry))


def check_joints(path: Path, count: int, what: str, where: str, layout: Layout) -> None:
    """Check that a person has the layout's number of joints.

    Raises:
        BadFileError: If not; it names the tool or layout with this number.
    """
    if count != len(layout):
        expected = f"{len(layout)} (layout {layout.name}){where}{whose_joints(count)}"
        raise BadFileError(path, "wrong count", f"{count} {what}", expected)


def _order(entry: Mapping[str, Any], form: Form) -> Sequence[str]:
    """Return the keys of joints, preferred ones first; OpenPose writes an empty list for missing estimates."""
    flat = (*FLAT, FLAT_3D) if form.in_image else (FLAT_3D, *FLAT)
    return (KEYPOINTS, *sorted(flat, key=lambda key: not entry.get(key)))


def _of_columns(path: Path, where: str, values: Mapping[str, Any], form: Form) -> np.ndarray:
    """Read joints of Ultralytics: a list of x, a list of y, and maybe a list of visibilities."""
    names = [name for name in ("x", "y", "z") if name in values]
    visible = next((values[name] for name in VISIBLE if name in values), None)
    if names[:2] != ["x", "y"] or not all(isinstance(values[name], list) for name in names):
        found = f"joints with {', '.join(map(str, values))[:60] or 'nothing'} in {where}"
        raise BadFileError(path, "not text", found, "lists x and y, as Ultralytics has them")
    lists = [values[name] for name in names]
    lists.append(visible if isinstance(visible, list) else [None] * len(lists[0]))
    if len({len(each) for each in lists}) != 1:
        raise BadFileError(path, "wrong count", f"lists of differing lengths in {where}", "one number a joint in each")
    check_joints(path, len(lists[0]), "joints", f" in {where}", form.layout)
    return parse_nested(path, lists).T.copy()


def _of_joints(path: Path, where: str, values: list[Any], scores: object, form: Form, scored: bool) -> np.ndarray:
    """Read joints of MMPose and similar tools: two or three numbers for each joint, and maybe a list of scores."""
    check_joints(path, len(values), "joints", f" in {where}", form.layout)
    joints = parse_nested(path, values)
    if joints.ndim != 2 or joints.shape[1] not in (2, 3):
        raise BadFileError(path, "wrong count", f"key points of another form in {where}", "2 or 3 numbers a joint")
    if scores is None:
        if joints.shape[1] == 3 and (scored or form.channels == "xys"):
            return joints
        scores = [None] * len(values)
    if not isinstance(scores, list) or len(scores) != len(values):
        raise BadFileError(path, "wrong count", f"other scores than joints in {where}", "one score a joint")
    return np.column_stack((joints, parse_nested(path, scores)))


def _of_numbers(path: Path, where: str, key: str, values: object, form: Form) -> np.ndarray:
    """Read joints of COCO and OpenPose: x, y (z) and score of each joint in turn."""
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise BadFileError(
            path, "not a number", f"a person without numbers in {key} ({where})", "x, y and score of each joint"
        )
    width = 4 if key == FLAT_3D else 3
    if len(values) != width * len(form.layout):
        found = f"{len(values)} numbers in {key} ({where}), those of {len(values) / width:g} joints"
        whose = "" if len(values) % width else whose_joints(len(values) // width)
        expected = f"{width * len(form.layout)} (layout {form.layout.name}){whose}"
        raise BadFileError(path, "wrong count", found, expected)
    return parse_nested(path, values).reshape(-1, width)


def _name(entry: Mapping[str, Any]) -> str:
    for key in NAMES:
        name = entry.get(key)
        if isinstance(name, list) and len(name) == 1:
            name = name[0]
        if isinstance(name, float) and name.is_integer():
            name = int(name)
        if isinstance(name, int | str) and not isinstance(name, bool) and name not in (-1, "", "-1"):
            return str(name)[:40]
    return ""


def read_landmarks(path: Path, number: int, entry: object, form: Form) -> list[Person]:
    """Read the people of one frame: a list of landmarks, of people, or an object that holds one.

    Raises:
        BadFileError: If it is of another form, or has another number of landmarks.
    """
    return [_person(path, number, person, form.layout) for person in _landmarks(path, number, entry, form.in_image)]


def _landmarks(path: Path, number: int, entry: object, in_image: bool) -> list[list[Any]]:
    """Return the people of a frame, each a list of landmarks."""
    if isinstance(entry, dict) and LIST not in entry:
        keys = (*IN_IMAGE, *WORLD) if in_image else (*WORLD, *IN_IMAGE)
        key = next((key for key in keys if key in entry), None)
        if key is None and entry:
            found = f"a frame {number} with {', '.join(map(str, entry))[:60]}"
            raise BadFileError(path, "not text", found, f"one of {', '.join(keys)}")
        if in_image and key in WORLD:
            found = f"landmarks in the world, in metres (frame {number})"
            raise BadFileError(path, "not text", found, "landmarks in the image, as --image-size says; leave it out")
        entry = entry[key] if key else None
    if isinstance(entry, dict):
        entry = entry.get(LIST)
    if not entry:
        return []
    if not isinstance(entry, list):
        raise BadFileError(path, "not text", f"a frame {number} of another form", FORM)
    if isinstance(entry[0], dict) and LIST not in entry[0]:
        return [entry]
    people = [person.get(LIST) if isinstance(person, dict) else person for person in entry]
    lists = [person for person in people if isinstance(person, list)]
    if len(lists) != len(people):
        raise BadFileError(path, "not text", f"a frame {number} of another form", FORM)
    return lists


def _person(path: Path, number: int, landmarks: list[Any], layout: Layout) -> Person:
    check_joints(path, len(landmarks), f"landmarks in frame {number}", "", layout)
    rows = []
    for landmark in landmarks:
        if not isinstance(landmark, dict) or not {"x", "y"} <= landmark.keys():
            raise BadFileError(path, "not text", f"a landmark without x and y in frame {number}", FORM)
        score = next((landmark[key] for key in VISIBLE if key in landmark), None)
        rows.append([landmark["x"], landmark["y"], *([landmark["z"]] if "z" in landmark else []), score])
    joints = parse_nested(path, rows)
    if joints.ndim != 2:
        raise BadFileError(path, "not a number", "a list in place of a coordinate", FORM)
    check_numbers(path, joints)
    return Person(joints)
