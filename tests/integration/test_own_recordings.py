"""README's way from own recordings to an answer, on two kinds of files as pose detectors leave them."""

import csv
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from test_documents import blocks

import own
from maskel.cli import main
from maskel.datasets.store import SkeletonSet
from maskel.layouts import MEDIAPIPE33

SUBJECTS = ("ann", "bo", "cy")


def mediapipe_table(path: Path, label: str, seed: int) -> Path:
    """World landmarks as ``DataFrame.to_csv`` writes them: an index without a name, and text beside the numbers."""
    body = own.motion(frames=30 + seed, joints=33, seed=seed) * (1.0, 1.5, 0.3)
    names = [f"{joint}_{channel}" for joint in MEDIAPIPE33.joints for channel in ("x", "y", "z", "visibility")]
    rows: list[list[object]] = [["", "label", "video", *names]]
    for frame, joints in enumerate(body):
        values = np.column_stack((joints, np.full(33, 0.9))).ravel()
        rows.append([frame, label, f"{path.stem}.mp4", *values.round(5).tolist()])
    return own.write(path, own.table(rows))


def openpose_folder(folder: Path, seed: int) -> Path:
    """A file for each of 60 frames: somebody who is away for 20 of them, and a bystander who is not."""
    draws = np.random.default_rng(seed)
    rest = draws.uniform(-150, 150, (2, 25, 2)) + np.array([[400, 500], [1500, 500]])[:, None]
    for frame in range(60):
        people = rest + 20 * np.sin(0.2 * frame + rest / 50)
        seen = [people[1]] if 20 <= frame < 40 else list(people)
        entry = {"people": [{"person_id": [-1], "pose_keypoints_2d": own.flat(one)} for one in seen]}
        own.write(folder / f"{folder.name}_{frame:012}_keypoints.json", entry)
    return folder


def steps_of_the_readme() -> list[list[str]]:
    (code,) = [code for note, code in blocks("README.md", "sh") if note.startswith("followed")]
    return [shlex.split(line, comments=True)[1:] for line in code.splitlines() if line.startswith("maskel")]


def follow(layout: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Run README's commands, those of ``layout``; few epochs, as only the way is looked at."""
    for step in steps_of_the_readme():
        if step[0] == "prepare" and layout not in step:
            continue
        short = ["--training.epochs", "2"] if step[0] in ("pretrain", "finetune") else []
        assert main([*step, *short]) == 0, (step, capsys.readouterr().err)


@pytest.mark.slow
def test_tables_of_mediapipe_become_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, (label, subject, take) in enumerate(
        (label, subject, take) for label in ("bow", "wave") for subject in SUBJECTS for take in range(2)
    ):
        mediapipe_table(tmp_path / "recordings" / label / subject / f"take{take}.csv", label, number)
    mediapipe_table(tmp_path / "new" / "take9.csv", "unknown", 40)
    follow("mediapipe33", capsys)
    clips = SkeletonSet.open("own")
    assert (clips.classes, len(clips), clips.max_bodies) == (("bow", "wave"), 12, 1)
    assert clips.valid_frames.tolist()[:2] == [30, 31]  # a line a frame, the heading is none
    assert clips.counts[0] == {"columns not read: one without a name, label, video": 3}
    with Path("predictions.csv").open(newline="") as file:
        (answer,) = csv.DictReader(file)
    assert answer["name"] == "take9"
    assert sum(float(answer[f"probability_{place}"]) for place in (1, 2)) == pytest.approx(1)
    assert json.loads(Path("own-classifier/result.json").read_text())["seen"] == 4


@pytest.mark.slow
def test_folders_of_openpose_become_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, (label, subject) in enumerate((label, subject) for label in ("bow", "wave") for subject in SUBJECTS):
        openpose_folder(tmp_path / "recordings" / label / subject / "take0", number)
    openpose_folder(tmp_path / "new" / "take9.csv", 40)  # the name that README's command has
    follow("openpose25", capsys)
    clips = SkeletonSet.open("own")
    assert clips.bodies.tolist() == [2] * 6
    rows = clips.body_frames(0, 1)
    assert np.bincount(rows.body).tolist() == [60, 40]  # who left and returned is one body
    assert Path("predictions.csv").read_text().count("\n") == 2
