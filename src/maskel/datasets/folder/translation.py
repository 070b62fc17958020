"""JSON of Kinetics-Skeleton, Azure Kinect and LCR-Net, translated to frames with people as MMPose writes them.

* Kinetics-Skeleton (ST-GCN): ``data``, a list of frames with ``frame_index`` and ``skeleton``, of which each has
  ``pose`` = x, y of each joint in turn, as fractions of the image, and ``score`` of each joint; beside it ``label``.
* Azure Kinect's sample ``offline_processor``: ``frames`` with ``frame_id`` and ``bodies``, of which each has
  ``body_id`` and ``joint_positions`` = [x, y, z] in millimetres; beside it ``joint_names``.
* LCR-Net (Toyota Smarthome): ``njts`` and ``frames``, each a list of people with ``pose2d`` = every x, then every y, in
  pixels, and ``pose3d`` = every x, every y, every z.
"""

from pathlib import Path
from typing import Any

from maskel.datasets.counts import Counts
from maskel.errors import BadFileError

LABELS = "labels inside the files, not read (folders or labels.csv say them)"
AZURE_NAMES = tuple(
    "PELVIS SPINE_NAVEL SPINE_CHEST NECK "
    "CLAVICLE_LEFT SHOULDER_LEFT ELBOW_LEFT WRIST_LEFT HAND_LEFT HANDTIP_LEFT THUMB_LEFT "
    "CLAVICLE_RIGHT SHOULDER_RIGHT ELBOW_RIGHT WRIST_RIGHT HAND_RIGHT HANDTIP_RIGHT THUMB_RIGHT "
    "HIP_LEFT KNEE_LEFT ANKLE_LEFT FOOT_LEFT HIP_RIGHT KNEE_RIGHT ANKLE_RIGHT FOOT_RIGHT "
    "HEAD NOSE EYE_LEFT EAR_LEFT EYE_RIGHT EAR_RIGHT".split()
)
"""Azure Kinect's joints, in the order of layout ``azure32``."""


def translate(path: Path, document: dict[str, Any], in_image: bool) -> tuple[list[Any], Counts] | None:
    """Translate a document of one of these forms.

    Returns:
        The frames, and counts of what was not read; None for a document of another form.

    Raises:
        BadFileError: If it is nearly of one of these forms.
    """
    data = document.get("data")
    if isinstance(data, list) and any(isinstance(entry, dict) and "skeleton" in entry for entry in data):
        return [_kinetics(path, place, entry) for place, entry in enumerate(data)], {LABELS: int("label" in document)}
    frames = document.get("frames")
    if not isinstance(frames, list):
        return None
    if "njts" in document:
        return [_lcrnet(path, place, entry, document["njts"], in_image) for place, entry in enumerate(frames)], {}
    if "joint_names" in document and any(isinstance(entry, dict) and "bodies" in entry for entry in frames):
        _check_azure(path, document["joint_names"])
        return [_azure(path, place, entry) for place, entry in enumerate(frames)], {}
    return None


def _refuse(path: Path, found: str, expected: str) -> BadFileError:
    return BadFileError(path, "not text", found, expected)


def _people(path: Path, place: int, people: object, whose: str) -> list[dict[str, Any]]:
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise _refuse(path, f"a frame {place} without a list of people", f"frames of {whose}, empty without people")
    return people


def _numbers(path: Path, place: int, person: dict[str, Any], key: str, whose: str) -> list[Any]:
    values = person.get(key)
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise BadFileError(path, "not a number", f"a person without numbers in {key} (frame {place})", whose)
    return values


def _kinetics(path: Path, place: int, entry: Any) -> dict[str, Any]:
    form = "Kinetics-Skeleton's: x and y of each joint in pose, its score in score"
    frame = entry if isinstance(entry, dict) else {}
    people = []
    for person in _people(path, place, frame.get("skeleton"), "Kinetics-Skeleton"):
        pose, scores = (_numbers(path, place, person, key, form) for key in ("pose", "score"))
        if len(pose) != 2 * len(scores):
            found = f"{len(pose)} numbers in pose and {len(scores)} in score (frame {place})"
            raise BadFileError(path, "wrong count", found, form)
        joints = [list(pair) for pair in zip(pose[::2], pose[1::2], strict=True)]
        people.append({"keypoints": joints, "keypoint_scores": scores})
    return {**({"frame_index": frame["frame_index"]} if "frame_index" in frame else {}), "people": people}


def _check_azure(path: Path, names: object) -> None:
    """Check the order of joints, as layout ``azure32`` has it; one release spells the navel as naval."""
    known = list(names) if isinstance(names, list) else []
    spelled = [name.upper().replace("NAVAL", "NAVEL") if isinstance(name, str) else None for name in known]
    if spelled != list(AZURE_NAMES):
        wrong = next((i for i, pair in enumerate(zip(spelled, AZURE_NAMES, strict=False)) if pair[0] != pair[1]), None)
        which = f", the first other one {str(known[wrong])[:20]} for {AZURE_NAMES[wrong]}" if wrong is not None else ""
        expected = f"Azure Kinect's {len(AZURE_NAMES)} joints in its own order"
        raise BadFileError(path, "wrong count", f"joint_names of {len(known)} joints{which}", expected)


def _azure(path: Path, place: int, entry: Any) -> dict[str, Any]:
    frame = entry if isinstance(entry, dict) else {}
    people = []
    for person in _people(path, place, frame.get("bodies"), "Azure Kinect"):
        if not isinstance(person.get("joint_positions"), list):
            raise _refuse(path, f"a body without joint_positions (frame {place})", "those of Azure Kinect's bodies")
        people.append({"keypoints": person["joint_positions"], "track_id": person.get("body_id", -1)})
    return {**({"frame_id": frame["frame_id"]} if "frame_id" in frame else {}), "people": people}


def _lcrnet(path: Path, place: int, entry: Any, joints: object, in_image: bool) -> dict[str, Any]:
    key, size = ("pose2d", 2) if in_image else ("pose3d", 3)
    people = []
    for person in _people(path, place, entry, "LCR-Net"):
        values = _numbers(path, place, person, key, "LCR-Net's: every x, then every y, and in pose3d every z")
        count = len(values) // size
        if len(values) != size * count or count != joints:
            found = f"{len(values)} numbers in {key} (frame {place}), and njts {str(joints)[:20]}"
            raise BadFileError(path, "wrong count", found, f"{size} numbers for each of the njts joints")
        people.append({"keypoints": [values[joint::count] for joint in range(count)]})
    return {"people": people}
