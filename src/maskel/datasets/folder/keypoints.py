"""JSON as pose detectors write it: OpenPose, COCO key points, MMPose and MediaPipe.

* OpenPose: a folder with one file a frame, ``people[].pose_keypoints_2d`` = x, y, score of each joint in turn.
* COCO: a list of persons (or ``annotations``), each with ``image_id`` and ``keypoints`` = x, y, score or visibility of
  each joint in turn, as AlphaPose, Detectron2 and COCO's own files have it. Images in the order of the numbers in
  their identifiers are the frames.
* MMPose: a list of frames (or ``instance_info``), each with ``frame_id`` and ``instances``, of which each has
  ``keypoints`` = [x, y] and ``keypoint_scores``.
* MediaPipe: a list of frames (or ``frames``), each a list of landmarks with x, y, z and maybe ``visibility``, or an
  object that holds one under ``landmarks``, ``pose_landmarks`` or ``pose_world_landmarks``.
"""

import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from maskel.datasets.folder.arrays import ArrayChannels, array_pose, parse_nested
from maskel.datasets.folder.people import Person, join_people
from maskel.datasets.folder.pose import MAX_BYTES, Pose, check_numbers, read_bytes
from maskel.datasets.json_file import parse_json
from maskel.errors import BadFileError
from maskel.layouts import Layout

FRAME_FILE = "*_keypoints.json"
"""OpenPose's files of one frame; a folder that holds some is one clip."""
WORLD = ("pose_world_landmarks", "poseWorldLandmarks", "world_landmarks", "worldLandmarks")
IN_IMAGE = ("pose_landmarks", "poseLandmarks", "landmarks")
SCORES = ("visibility", "score", "confidence")
FORMS = "an array, MediaPipe's landmarks, OpenPose's people, COCO's or MMPose's key points"

Frames = list[tuple[int, list[Person]]]


def read_openpose(folder: Path, layout: Layout, bodies: int) -> Pose:
    """The bodies of a folder of OpenPose's files, one a frame.

    The numbers in the files' names are the frames' numbers.

    Raises:
        BadFileError: If a file is not OpenPose's, its joints are not those of the layout, or nobody is in any.
    """
    files = sorted((_number(file, file.name.removesuffix("_keypoints.json")), file) for file in folder.glob(FRAME_FILE))
    if sum(file.stat().st_size for _, file in files) > MAX_BYTES:
        raise BadFileError(
            folder, "wrong count", "too many bytes", f"at most {MAX_BYTES}; cut the recording into clips"
        )
    frames: Frames = []
    for number, file in files:
        if frames and frames[-1][0] == number:
            raise BadFileError(file, "bad name", f"frame {number} twice", "one file a frame, of one recording")
        document = parse_json(read_bytes(file), file)
        if not isinstance(document, dict) or "people" not in document:
            raise BadFileError(file, "not text", "JSON without people", "a file of OpenPose")
        frames.append((number, _openpose_people(file, document, layout)))
    return join_people(folder, frames, len(layout), 2, bodies)


def read_keypoints(
    path: Path,
    layout: Layout,
    channels: ArrayChannels,
    bodies: int,
    in_image: bool,
    axes: str = "",
    settled: Sequence[str] = (),
) -> Pose:
    """The bodies of a JSON file of any of the forms above, or of an array (``joints``, or the file itself).

    Args:
        path: The file.
        layout: Its joints.
        channels: What the last axis of an array holds.
        bodies: Bodies to keep, where people have to be followed.
        in_image: Of MediaPipe's landmarks take those in the image, not those in the world, if there are both.
        axes: Order of an array's axes, as the user states it.
        settled: The orders that other arrays of the set decided.

    Raises:
        BadFileError: If it is of no known form, or its joints are not those of the layout.
    """
    document = parse_json(read_bytes(path), path)
    if isinstance(document, dict):
        for key in ("joints", "annotations", "instance_info", "frames"):
            if key in document:
                document = document[key]
                break
    if not isinstance(document, list) or not document:
        raise BadFileError(path, "not text", "JSON of another form", FORMS)
    if _is_array(document):
        return array_pose(path, parse_nested(path, document), layout, channels, axes, settled)
    first = next((entry for entry in document if entry), None)
    coordinates = 2
    if isinstance(first, dict) and "image_id" in first:
        frames = _coco_frames(path, document, layout)
    elif isinstance(first, dict) and "instances" in first:
        frames = _mmpose_frames(path, document, layout)
    elif isinstance(first, dict) and "people" in first:
        frames = [(number, _openpose_people(path, entry, layout)) for number, entry in enumerate(document)]
    else:
        frames = [
            (number, [_landmarks(path, number, person, layout) for person in _people(path, number, entry, in_image)])
            for number, entry in enumerate(document)
        ]
        coordinates = 3
    sizes = {person.shape[1] - 1 for _, people in frames for person in people}
    if len(sizes) > 1:
        raise BadFileError(path, "wrong count", "people in 2D and in 3D", "one of the two")
    return join_people(path, frames, len(layout), next(iter(sizes), coordinates), bodies)


def _is_array(document: list[Any]) -> bool:
    entry: Any = document
    while isinstance(entry, list) and entry:
        entry = entry[0]
    return isinstance(entry, int | float | str) or (entry is None and isinstance(document[0], list))


def _number(path: Path, name: object) -> int:
    """The last number in a name or identifier."""
    digits = re.findall(r"\d{1,15}", PurePath(str(name)[-200:]).stem)
    if not digits:
        raise BadFileError(path, "bad name", f"a frame called {str(name)[:40]!r}", "a name with the frame's number")
    return int(digits[-1])


def _openpose_people(path: Path, document: object, layout: Layout) -> list[Person]:
    people = document.get("people") if isinstance(document, dict) else None
    if not isinstance(people, list):
        raise BadFileError(path, "not text", "a frame without people", "a list, empty where nobody is seen")
    return [_flat_person(path, person, "pose_keypoints_2d", layout) for person in people]


def _coco_frames(path: Path, document: Sequence[object], layout: Layout) -> Frames:
    persons = []
    for entry in document:
        if not isinstance(entry, dict) or not isinstance(entry.get("image_id"), int | str):
            raise BadFileError(path, "not text", "a person without image_id", "a list of COCO's key points")
        persons.append((_number(path, entry["image_id"]), _flat_person(path, entry, "keypoints", layout)))
    persons.sort(key=lambda person: person[0])
    return [(frame, [person for _, person in group]) for frame, group in groupby(persons, key=lambda each: each[0])]


def _mmpose_frames(path: Path, document: Sequence[object], layout: Layout) -> Frames:
    frames: Frames = []
    for number, entry in enumerate(document):
        instances = entry.get("instances") if isinstance(entry, dict) else None
        frame = entry.get("frame_id", number) if isinstance(entry, dict) else number
        if not isinstance(instances, list) or type(frame) is not int or (frames and frame <= frames[-1][0]):
            raise BadFileError(
                path, "not text", f"entry {number} of another form", "frame_id, increasing, and instances"
            )
        people = []
        for person in instances:
            keypoints = person.get("keypoints") if isinstance(person, dict) else None
            scores = person.get("keypoint_scores", [None] * len(layout)) if isinstance(person, dict) else None
            if not isinstance(keypoints, list) or len(keypoints) != len(layout):
                found = f"{len(keypoints)} joints" if isinstance(keypoints, list) else "a person without keypoints"
                raise BadFileError(path, "wrong count", found, f"{len(layout)} (layout {layout.name})")
            joints = parse_nested(path, keypoints)
            if joints.ndim != 2 or joints.shape[1] not in (2, 3):
                raise BadFileError(path, "wrong count", "key points of another form", "2 or 3 coordinates a joint")
            if not isinstance(scores, list) or len(scores) != len(layout):
                raise BadFileError(path, "wrong count", "other scores than joints", f"{len(layout)} keypoint_scores")
            people.append(_checked(path, np.column_stack((joints, parse_nested(path, scores)))))
        frames.append((frame, people))
    return frames


def _flat_person(path: Path, person: object, key: str, layout: Layout) -> Person:
    flat = person.get(key) if isinstance(person, dict) else None
    if not isinstance(flat, list) or not all(type(value) in (int, float) for value in flat):
        raise BadFileError(path, "not a number", f"a person without numbers in {key}", "x, y and score of each joint")
    if len(flat) != 3 * len(layout):
        found = f"{len(flat)} numbers in {key}, those of {len(flat) / 3:g} joints"
        raise BadFileError(path, "wrong count", found, f"{3 * len(layout)} (layout {layout.name})")
    return _checked(path, parse_nested(path, flat).reshape(-1, 3))


def _people(path: Path, number: int, entry: object, in_image: bool) -> list[list[Any]]:
    """The people of one of MediaPipe's frames, each a list of landmarks."""
    if isinstance(entry, dict) and "landmark" not in entry:
        keys = (*IN_IMAGE, *WORLD) if in_image else (*WORLD, *IN_IMAGE)
        key = next((key for key in keys if key in entry), None)
        if key is None and entry:
            raise BadFileError(path, "not text", f"a frame {number} without any of {', '.join(keys)}", FORMS)
        if in_image and key in WORLD:
            found = f"landmarks in the world, in metres (frame {number})"
            raise BadFileError(path, "not text", found, "landmarks in the image, as --image-size says; leave it out")
        entry = entry[key] if key else None
    if isinstance(entry, dict):
        entry = entry.get("landmark")
    if not entry:
        return []
    if not isinstance(entry, list):
        raise BadFileError(path, "not text", f"a frame {number} of another form", FORMS)
    if isinstance(entry[0], dict) and "landmark" not in entry[0]:
        return [entry]
    people = [person.get("landmark") if isinstance(person, dict) else person for person in entry]
    lists = [person for person in people if isinstance(person, list)]
    if len(lists) != len(people):
        raise BadFileError(path, "not text", f"a frame {number} of another form", FORMS)
    return lists


def _landmarks(path: Path, number: int, landmarks: list[Any], layout: Layout) -> Person:
    if len(landmarks) != len(layout):
        found = f"{len(landmarks)} landmarks in frame {number}"
        raise BadFileError(path, "wrong count", found, f"{len(layout)} (layout {layout.name})")
    rows = []
    for landmark in landmarks:
        if not isinstance(landmark, dict) or not {"x", "y"} <= landmark.keys():
            raise BadFileError(path, "not text", f"a landmark without x and y in frame {number}", FORMS)
        score = next((landmark[key] for key in SCORES if key in landmark), None)
        rows.append([landmark["x"], landmark["y"], *([landmark["z"]] if "z" in landmark else []), score])
    return _checked(path, parse_nested(path, rows))


def _checked(path: Path, person: Person) -> Person:
    if person.ndim != 2:
        raise BadFileError(path, "not a number", "a list in place of a coordinate", FORMS)
    check_numbers(path, person)
    person[(person[:, :-1] == 0).all(1), :-1] = np.nan  # how detectors write that a joint was not found
    return person
