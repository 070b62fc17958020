"""Ultralytics' text files: which are frames of which recording, what a line holds, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

import own
from maskel.cli import main
from maskel.commands.prepare import _file_sizes, _fingerprint
from maskel.datasets.base import RawFile
from maskel.datasets.folder import Folder
from maskel.datasets.folder.people import BAD_NAMES
from maskel.datasets.folder.ultralytics import CLASSES
from maskel.errors import BadFileError, InputError
from maskel.sequence import SkeletonSequence

SIZE = (200, 100)
BODIES = own.motion(6, 17, 2)


def line(body: np.ndarray, *more: float, label: int = 0, score: float | None = 0.9) -> str:
    """A line as ``save_txt`` writes it, of a body (V, 2) in fractions of the image."""
    joints = body if score is None else np.column_stack((body, np.full(len(body), score)))
    return " ".join(f"{number:g}" for number in (label, 0.5, 0.5, 0.2, 0.6, *joints.ravel(), *more)) + "\n"


def recording(folder: Path, name: str, *people: np.ndarray, more: tuple[float, ...] = (), **how: float) -> Path:
    """Files of a recording, frames from 1 on; the first of them."""
    for frame, bodies in enumerate(zip(*people, strict=True), 1):
        own.write(folder / f"{name}{frame}.txt", "".join(line(body, *more, **how) for body in bodies))
    return folder / f"{name}1.txt"


def read(file: Path, **options: object) -> SkeletonSequence:
    return own.read(file, image_size=SIZE, **options)


def placed(*bodies: np.ndarray) -> np.ndarray:
    """Bodies in fractions as the set has them: halves of the longer side, from the middle."""
    return np.stack(bodies) * 2 * np.array(SIZE) / max(SIZE) - np.array(SIZE) / max(SIZE)


@pytest.mark.parametrize("score", [0.9, None])
@pytest.mark.parametrize("more", [(), (0.75,), (3,), (0.75, 3)])
def test_every_form_of_a_line_is_read(tmp_path: Path, more: tuple[float, ...], score: float | None) -> None:
    sequence = read(recording(tmp_path, "walk_", BODIES, more=more, score=score))
    assert sequence.clip.name == "walk"
    np.testing.assert_allclose(sequence.joints, placed(BODIES), atol=1e-6)


def test_a_folder_holds_many_recordings_and_their_frames_are_counted(tmp_path: Path) -> None:
    recording(tmp_path, "take_1_", BODIES)
    recording(tmp_path, "take_2_", 0.9 * BODIES)
    recording(tmp_path / "run", "00", 0.8 * BODIES)
    own.write(tmp_path / "classes.txt", "person\n")
    own.write(tmp_path / "notes_1.txt", "12 7\n")
    source = Folder("coco17", image_size=SIZE)
    files = source.find([tmp_path])
    clips = {sequence.clip.name: sequence.joints for file in files for sequence in source.read(file)}
    assert list(clips) == ["run", "take_1", "take_2"]
    np.testing.assert_allclose(clips["take_2"], placed(0.9 * BODIES), atol=1e-6)
    assert source.notes() == {"files not read (.txt)": 2}
    assert [len(file.parts) for file in files] == [6, 6, 6]
    assert list(_file_sizes(files)) == [sum(part.stat().st_size for part in file.parts) for file in files]
    before = _fingerprint(files)
    own.write(tmp_path / "take_1_6.txt", line(0.5 * BODIES[5]))  # not the file that stands for the recording
    assert _fingerprint(files) != before


def test_a_frame_without_a_file_or_without_a_line_has_nobody(tmp_path: Path) -> None:
    file = recording(tmp_path, "walk_", BODIES)
    (tmp_path / "walk_3.txt").unlink()
    own.write(tmp_path / "walk_4.txt", "")
    joints = read(file, max_gap=0).joints
    np.testing.assert_allclose(joints, placed(BODIES[[0, 1, 4, 5]]), atol=1e-6)


def test_tracks_tell_people_apart_also_where_some_frames_have_none(tmp_path: Path) -> None:
    near = BODIES + 0.01
    for frame, (one, two) in enumerate(zip(BODIES, near, strict=True), 1):
        lines = [line(one, 0.8, 4), line(two, 0.7, 9)]
        own.write(tmp_path / f"walk_{frame}.txt", "".join(lines if frame % 2 else lines[::-1]))
    own.write(tmp_path / "walk_7.txt", line(BODIES[5], 1.0))  # a confidence of 1, and no track yet
    sequence = read(tmp_path / "walk_1.txt", actor="9", max_gap=0)
    np.testing.assert_allclose(sequence.joints[0, :6], placed(near)[0], atol=1e-6)
    assert BAD_NAMES not in sequence.counts


def test_joints_without_a_score_are_missing_and_classes_are_counted(tmp_path: Path) -> None:
    hidden = BODIES.copy()
    hidden[:, 9] = 0
    for frame, body in enumerate(hidden, 1):
        text = line(body, label=frame % 2).split()
        text[5 + 3 * 9 + 2] = "0"
        own.write(tmp_path / f"walk_{frame}.txt", " ".join(text))
    sequence = read(tmp_path / "walk_1.txt", missing="zero")
    assert (sequence.joints[:, :, 9] == 0).all()
    assert sequence.counts[CLASSES] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 0.5 0.5 0.2 0.6 0.7\n", "line 1: .*found 6 numbers, a box without key points; use a model for poses"),
        (
            line(own.motion(1, 26, 2)[0]),
            r"found 83 numbers, expected 5 of class and box.*26 is .*halpe26",
        ),
        (2 * line(BODIES[0]), "line 2: .*line 1 again.*appends to files of an earlier run"),
        (line(BODIES[0]) + line(0.9 * BODIES[0], score=None), "line 2: .*2 numbers a joint, and 3 in other lines"),
        (line(100 * BODIES[0]), "a position of .*fractions of the image"),
        (line(BODIES[0]) + "0 a\n", "line 2: .*numbers only"),
        (line(BODIES[0]).replace("0.9", "inf", 1), "numbers up to"),
        (line(BODIES[0], 0.8, 1.5), "line 1: .*found track 1.5, expected a whole one"),
    ],
)
def test_what_is_no_pose_is_refused_in_a_sentence(tmp_path: Path, text: str, message: str) -> None:
    file = own.write(tmp_path / "walk_1.txt", text)
    with pytest.raises(BadFileError, match=message) as caught:
        read(file)
    assert "\n" not in str(caught.value)


def test_without_the_size_of_the_image_it_is_refused(tmp_path: Path) -> None:
    file = recording(tmp_path, "walk_", BODIES)
    with pytest.raises(BadFileError, match=r"positions as fractions of the image.*expected --image-size"):
        own.read(file)


def test_frames_that_are_no_one_recording_are_refused(tmp_path: Path) -> None:
    recording(tmp_path / "twice", "walk_", BODIES)
    own.write(tmp_path / "twice" / "walk_01.txt", line(BODIES[0]))
    with pytest.raises(BadFileError, match=r"frame 1 twice \(walk_0?1.txt, walk_0?1.txt\)"):
        read(tmp_path / "twice" / "walk_1.txt")
    recording(tmp_path / "digits", "", BODIES)
    with pytest.raises(InputError, match="are the frames of one clip; give the folder above it"):
        Folder("coco17", image_size=SIZE).find([tmp_path / "digits"])


def test_a_recording_and_a_file_of_the_same_name_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording(tmp_path / "raw", "walk_", BODIES)
    own.write_array(tmp_path / "raw" / "walk.npy", BODIES)
    words = ["prepare", "folder", str(tmp_path / "raw"), "--layout", "coco17", "--image-size", "200", "100"]
    assert main([*words, "--workers", "1", "--out", str(tmp_path / "set")]) == 2
    assert "walk" in capsys.readouterr().err


def test_new_recordings_are_found_as_well(tmp_path: Path) -> None:
    recording(tmp_path / "labels", "walk_", BODIES)
    source = Folder("coco17", image_size=SIZE)
    (file,) = source.find_new([tmp_path / "labels"], ("x", "y"))
    assert [sequence.clip.name for sequence in source.read(file)] == ["walk"]
    recording(tmp_path / "take", "", BODIES)
    (file,) = source.find_new([tmp_path / "take"], ("x", "y"))
    assert [sequence.clip.name for sequence in source.read(RawFile(file.path))] == ["take"]
    with pytest.raises(InputError, match=r"the folder of Ultralytics' \.txt files"):
        source.find_new([tmp_path / "take" / "1.txt"], ("x", "y"))
