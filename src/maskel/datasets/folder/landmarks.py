"""MediaPipe's landmarks in JSON."""

from pathlib import Path
from typing import Any

from maskel.datasets.folder.arrays import parse_nested
from maskel.datasets.folder.people import Person
from maskel.datasets.folder.persons import VISIBLE, check_joints
from maskel.datasets.folder.pose import Form, check_numbers
from maskel.errors import BadFileError
from maskel.layouts import Layout

WORLD = ("pose_world_landmarks", "poseWorldLandmarks", "world_landmarks", "worldLandmarks")
IN_IMAGE = ("pose_landmarks", "poseLandmarks", "landmarks")
LIST = "landmark"
WORLD_OR_IMAGE = (*WORLD, *IN_IMAGE, LIST)
FORM = "MediaPipe's landmarks, each with x, y and z"


def read_landmarks(path: Path, number: int, entry: object, form: Form) -> list[Person]:
    """Read the people of one frame: a list of landmarks, of people, or an object that holds one.

    Raises:
        BadFileError: If it is of another form, or has another number of landmarks.
    """
    return [_person(path, number, person, form.layout) for person in _people(path, number, entry, form.in_image)]


def _people(path: Path, number: int, entry: object, in_image: bool) -> list[list[Any]]:
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
