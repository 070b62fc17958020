"""JSON files of pose detectors: OpenPose, COCO key points, AlphaPose, MMPose, Ultralytics, MediaPipe and others.

* OpenPose: a folder with one file a frame, ``people[].pose_keypoints_2d`` = x, y, score of each joint in turn; or a
  list of such frames; or, as AlphaPose writes it, an object with one for each image.
* COCO: a list of persons (or ``annotations``, with ``images``), each with ``image_id`` and ``keypoints`` = x, y, score
  or visibility of each joint in turn, as AlphaPose, Detectron2 and COCO's own files have it.
* MMPose: a list of frames (or ``instance_info``), each with ``frame_id`` and ``instances``, of which each has
  ``keypoints`` = [x, y] and ``keypoint_scores``.
* Ultralytics: a list of frames, each the list of persons of ``Results.to_json()``: ``keypoints`` with lists x, y.
* MediaPipe: a list of frames (or ``frames``), each a list of landmarks with x, y, z and maybe ``visibility``, or an
  object that holds one under ``landmarks``, ``pose_landmarks`` or ``pose_world_landmarks``.
* Kinetics-Skeleton, Azure Kinect, LCR-Net: see `maskel.datasets.folder.translation`.

The names of frames contain their numbers; see `frame_numbers`.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from maskel import files
from maskel.datasets.counts import Counts
from maskel.datasets.folder.arrays import array_pose, parse_nested
from maskel.datasets.folder.numbering import frame_numbers
from maskel.datasets.folder.people import Person, join_people
from maskel.datasets.folder.persons import WORLD_OR_IMAGE, is_person, read_landmarks, read_person
from maskel.datasets.folder.pose import LARGEST_FRAME, MAX_BYTES, MAX_FRAMES, Form, Pose, read_bytes
from maskel.datasets.folder.translation import translate
from maskel.datasets.raw_file import parse_json
from maskel.errors import BadFileError

FRAME_ENDING = "_keypoints.json"
"""Ending of OpenPose's files of one frame."""
PEOPLE = ("people", "instances", "persons", "bodies", "predictions")
"""Keys of a frame that hold its people."""
FRAMES = ("frame_id", "frame_index", "frame_number", "frame")
"""Keys of a frame that hold its number."""
IMAGES = ("image_id", "image_name", "file_name", "filename", "image", *FRAMES)
"""Keys of a person that identify its frame; the first one present counts."""
FORMS = (
    "an array, MediaPipe's landmarks, or people of OpenPose, COCO, AlphaPose, MMPose, Ultralytics, Azure Kinect or "
    "Kinetics-Skeleton"
)
NEARLY = {
    "pred_keypoints": "Detectron2's predictions; write them as COCO's results",
    **dict.fromkeys(
        ("smpl", "poses", "body_pose"),
        "SMPL's parameters, not positions; run the model, and write its joints as an array",
    ),
    "hand_left_keypoints_2d": "OpenPose's hands",
    "shapes": "an annotation of LabelMe",
    "box": "Ultralytics' boxes; use a model for poses",
    "bbox": "boxes without key points",
}
"""Keys of files that are not read, with the kind of these files."""

Frames = list[tuple[int, list[Person]]]


def frame_folders(root: Path) -> set[Path]:
    """Find the folders below ``root`` (and maybe itself) that are one clip each, with a JSON file for each frame.

    OpenPose's files are recognised by their names; other files, if there are two or more, by the content of the first,
    the middle or the last one.
    """
    files: dict[Path, list[Path]] = defaultdict(list)
    for file in sorted(root.rglob("*")):
        if file.suffix.lower() == ".json" and not file.name.startswith(".") and file.is_file():
            files[file.parent].append(file)
    return {
        folder
        for folder, inside in files.items()
        if any(file.name.lower().endswith(FRAME_ENDING) for file in inside)
        or (len(inside) > 1 and any(map(_is_frame, {inside[0], inside[len(inside) // 2], inside[-1]})))
    }


def read_frames(folder: Path, form: Form) -> Pose:
    """Read the bodies of a folder with a JSON file for each frame, as OpenPose writes it.

    Files called ``*_keypoints.json`` are the frames; without any, all files are. The counting part of their names gives
    the frames' numbers.

    Raises:
        BadFileError: If a file is no frame, its joints are not those of the layout, or all frames are empty.
    """
    files = [file for file in sorted(folder.iterdir()) if file.suffix.lower() == ".json" and file.name[0] != "."]
    named = [file for file in files if file.name.lower().endswith(FRAME_ENDING)]
    notes = {"JSON files beside the frames, not read": len(files) - len(named)} if named else {}
    files = named or files
    if sum(file.stat().st_size for file in files) > MAX_BYTES:
        raise BadFileError(
            folder, "wrong count", "too many bytes", f"at most {MAX_BYTES}; cut the recording into clips"
        )
    frames: Frames = []
    for number, file in sorted(zip(frame_numbers(folder, [file.name for file in files]), files, strict=True)):
        document = parse_json(read_bytes(file), file)
        people = _people_of(document)
        if people is None:
            expected = "one frame of OpenPose, as in the other files of the folder"
            raise BadFileError(file, "not text", f"JSON without people: {_described(document)}", expected)
        frames.append((number, _people(file, "the file", people, form)))
    return _joined(folder, frames, form, notes)


def read_keypoints(path: Path, form: Form) -> Pose:
    """Read the bodies of a JSON file in any of the forms above, or of an array (``joints``, or the file itself).

    Raises:
        BadFileError: If it is of no known form, or its joints are not those of the layout.
    """
    document: Any = parse_json(read_bytes(path), path)
    refuse_many(path, document)
    if isinstance(document, dict):
        if translated := translate(path, document, form.in_image):
            return _joined(path, _listed_frames(path, translated[0], form), form, translated[1])
        if isinstance(document.get("annotations"), list):
            return _joined(path, _coco_frames(path, document, form), form)
        if images := _images(document):
            numbers = frame_numbers(path, list(document))
            frames = [
                (number, _people(path, f"frame {number}", people, form))
                for number, people in sorted(zip(numbers, images, strict=True), key=lambda frame: frame[0])
            ]
            return _joined(path, frames, form)
        key = next((key for key in ("joints", "instance_info", "frames", "results") if key in document), None)
        document = document[key] if key else [document] if _people_of(document) is not None else document
    if not isinstance(document, list) or not document:
        raise BadFileError(path, "not text", f"JSON of another form: {_described(document)}", FORMS)
    if all(isinstance(entry, str) for entry in document):
        document = [parse_json(entry.encode(), path) for entry in document]  # Results.to_json() returns text
    if _is_array(document):
        return array_pose(path, parse_nested(path, document), form)
    first = next((entry for entry in document if entry), None)
    if is_person(first):
        frames = _coco_frames(path, {"annotations": document}, form)
    elif isinstance(first, dict) and "image_id" in first and _people_of(first) is None:
        raise BadFileError(path, "not a number", "a person without numbers in keypoints", FORMS)
    elif _people_of(first) is not None or (isinstance(first, dict) and any(key in first for key in PEOPLE)):
        frames = _listed_frames(path, document, form)
    else:
        inner = first[0] if isinstance(first, list) else first
        if isinstance(inner, dict) and not inner.keys() & {"x", "y", *WORLD_OR_IMAGE}:
            raise BadFileError(path, "not text", f"JSON of another form: {_described(document)}", FORMS)
        numbers = _numbers(path, document)
        frames = [
            (number, read_landmarks(path, number, entry, form)) for number, entry in zip(numbers, document, strict=True)
        ]
    return _joined(path, frames, form)


def refuse_many(path: Path, document: Any) -> None:
    """Refuse a document with more frames, or people with an image each, than any clip, before each is looked at.

    Raises:
        BadFileError: If it has.
    """
    for listed in (document, *(document.values() if isinstance(document, dict) else ())):
        if isinstance(listed, list | dict) and len(listed) > MAX_FRAMES:
            expected = f"at most {MAX_FRAMES}; cut the recording into clips"
            raise BadFileError(path, "wrong count", f"{len(listed)} entries", expected)


def _joined(path: Path, frames: Frames, form: Form, counts: Counts | None = None) -> Pose:
    sizes = {person.joints.shape[1] - 1 for _, people in frames for person in people}
    if len(sizes) > 1:
        raise BadFileError(path, "wrong count", "people in 2D and in 3D", "one of the two")
    pose = join_people(path, frames, form, next(iter(sizes), 2))
    return replace(pose, counts={**pose.counts, **(counts or {})})


def _is_array(document: list[Any]) -> bool:
    entry: Any = document
    while isinstance(entry, list) and entry:
        entry = entry[0]
    return isinstance(entry, int | float | str) or (entry is None and isinstance(document[0], list))


def _is_frame(file: Path) -> bool:
    try:
        document = files.parse_json(files.read_bounded(file, LARGEST_FRAME))
    except (OSError, ValueError):
        return False  # reported later, when it is read
    return bool(document) and _people_of(document) is not None


def _people_of(entry: object) -> list[Any] | None:
    """Return the people of a frame; None if it is no frame. A list of persons without frame numbers is a frame."""
    if isinstance(entry, dict):
        return next((entry[key] for key in PEOPLE if isinstance(entry.get(key), list)), None)
    if isinstance(entry, list) and all(is_person(person) and not _image(person) for person in entry):
        return entry
    return None


def _images(document: dict[str, Any]) -> list[list[Any]]:
    """Return the people of each image, if the document is an object with a frame for each image; else nothing."""
    people = [_people_of(entry) for entry in document.values() if isinstance(entry, dict | list)]
    frames = [frame for frame in people if frame is not None]
    return frames if len(frames) == len(document) and any(frames) else []


def _people(path: Path, where: str, people: Iterable[object], form: Form) -> list[Person]:
    return [read_person(path, where, person, form) for person in people]


def _image(person: object) -> str | None:
    """Return the key of a person that identifies its frame."""
    if not isinstance(person, dict):
        return None
    return next((key for key in IMAGES if isinstance(person.get(key), int | str)), None)


def _coco_frames(path: Path, document: dict[str, Any], form: Form) -> Frames:
    """Return the frames of people with an image id, and the empty images if the file lists images."""
    names: dict[str, str] = {}
    for image in document.get("images") or ():
        if isinstance(image, dict) and isinstance(image.get("id"), int | str):
            says = next((key for key in (*FRAMES, "file_name") if isinstance(image.get(key), int | str)), "id")
            names[str(image["id"])] = str(image[says])
    people: dict[str, list[Person]] = {name: [] for name in names.values()}
    if len(people) < len(names):
        found = f"{len(names)} images of {len(people)} frames"
        raise BadFileError(path, "wrong count", found, "those of one recording, each of another frame")
    for place, entry in enumerate(document["annotations"]):
        key = _image(entry)
        if key is None:
            found = f"a person {place} without image_id, one that says no frame: {_described(entry)}"
            raise BadFileError(path, "not text", found, "the frame of each person, as COCO's key points have it")
        image = str(entry[key])
        person = read_person(path, f"image {image[-40:]}", entry, form, scored=True)
        people.setdefault(names.get(image, image), []).append(person)
    numbers = frame_numbers(path, list(people))
    return sorted(zip(numbers, people.values(), strict=True), key=lambda frame: frame[0])


def _listed_frames(path: Path, document: Sequence[Any], form: Form) -> Frames:
    """Return frames in order, each with its people and maybe its number."""
    frames: Frames = []
    for number, entry in zip(_numbers(path, document), document, strict=True):
        people = _people_of(entry)
        if people is None:
            expected = "a list of people, empty where nobody is seen"
            raise BadFileError(path, "not text", f"a frame without people ({number}): {_described(entry)}", expected)
        frames.append((number, _people(path, f"frame {number}", people, form)))
    return frames


def _numbers(path: Path, document: Sequence[Any]) -> list[int]:
    """Return the numbers of frames in a list: as stored, or counted from 0."""
    first = next((entry for entry in document if isinstance(entry, dict) and entry), {})
    key = next((key for key in FRAMES if type(first.get(key)) in {int, float}), None)
    if key is None:
        return list(range(len(document)))
    numbers: list[int] = []
    for place, entry in enumerate(document):
        number = entry.get(key) if isinstance(entry, dict) else None
        if type(number) is float and number.is_integer():
            number = int(number)
        if type(number) is not int or (numbers and number <= numbers[-1]):
            found = f"{key} {str(number)[:20]} in entry {place}"
            raise BadFileError(path, "not text", found, f"whole numbers in {key} that increase from frame to frame")
        numbers.append(number)
    return numbers


def _described(document: object) -> str:
    """Describe a document of an unknown form, for messages."""
    if isinstance(document, list):
        inner = next((entry for entry in document if entry), None)
        return f"a list of {len(document)}" + (f", first {_described(inner)}" if inner is not None else "")
    if not isinstance(document, dict):
        return f"{type(document).__name__} {str(document)[:20]!r}" if document is not None else "nothing"
    nearly = next((what for key, what in NEARLY.items() if key in document), "")
    keys = ", ".join(str(key)[:20] for key in list(document)[:8]) or "nothing"
    return f"an object with {keys}" + (f" ({nearly})" if nearly else "")
