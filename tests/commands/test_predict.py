import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from maskel import load_classifier
from maskel.commands.predict import predict
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.layouts import COCO17, KINECT20
from maskel.training.run import RunFolder


@pytest.fixture(scope="module")
def tuned(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return tiny.tiny_finetune(prepared, tmp_path_factory.mktemp("tuned") / "run", single_body="copy")


def asked(run: RunFolder, data: Path, out: Path, **options: Any) -> list[dict[str, Any]]:
    return json.loads(predict(run.path, data, out, device="cpu", **options).read_text())


def test_every_clip_of_a_set_gets_its_probabilities(
    tuned: RunFolder, prepared: Path, tiny_set: SkeletonSet, tmp_path: Path
) -> None:
    answers = asked(tuned, prepared, tmp_path / "p.json")
    assert [answer["name"] for answer in answers] == [clip.name for clip in tiny_set.clips]
    expected = load_classifier(tuned.path).classify(tiny_set.gather(np.arange(len(tiny_set)), 2, "copy"))
    for answer, row in zip(answers, expected, strict=True):
        found = {entry["class"]: entry["probability"] for entry in answer["classes"]}
        torch.testing.assert_close(torch.tensor([found[name] for name in tiny.CLASSES]), row)
        shares = [entry["probability"] for entry in answer["classes"]]
        assert shares == sorted(shares, reverse=True)
    with predict(tuned.path, prepared, tmp_path / "p.csv", top_k=2, device="cpu").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["name", "class_1", "probability_1", "class_2", "probability_2"]
    for row, answer in zip(rows, answers, strict=True):
        assert (row["name"], row["class_1"]) == (answer["name"], answer["classes"][0]["class"])
        assert float(row["probability_2"]) == answer["classes"][1]["probability"]


@pytest.mark.parametrize("number", [0, 5])
def test_a_raw_clip_is_answered_as_it_is_in_a_set(
    number: int, tuned: RunFolder, prepared: Path, tiny_set: SkeletonSet, tmp_path: Path
) -> None:
    in_set = asked(tuned, prepared, tmp_path / "set.json")[number]
    joints = tiny_set.sequence(number).joints
    np.save(tmp_path / "clip.npy", joints)
    (alone,) = asked(tuned, tmp_path / "clip.npy", tmp_path / "new" / "folder" / "clip.json")
    assert alone["name"] == "clip"
    for one, other in zip(alone["classes"], in_set["classes"], strict=True):
        assert one["class"] == other["class"]
        assert one["probability"] == pytest.approx(other["probability"], rel=1e-5)
    if len(joints) == 1:
        np.save(tmp_path / "clip.npy", joints[0].astype(np.float64))
        assert asked(tuned, tmp_path / "clip.npy", tmp_path / "clip.json") == [alone]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 25, 3), np.float32), "no body exists"),
        (np.ones((4, 25, 2), np.float32), r"found float32 \(4, 25, 2\), expected a .npy file of floats \(T, 25, 3\)"),
        (np.ones((4, 20, 3), np.float32), "layout ntu25"),
        (np.ones((2, 2, 4, 25, 3), np.float32), "found float32"),
        (np.ones((4, 25, 3), np.int64), "found int64"),
        (np.ones((0, 25, 3), np.float32), "clip"),
        (np.full((4, 25, 3), np.nan, np.float32), "not finite"),
        (np.full((4, 25, 3), 1e300), "not finite"),
        (np.array([{}], dtype=object), "expected a prepared set or a .npy file"),
        (b"name,class\n", "expected a prepared set or a .npy file"),
        (b"", "expected a prepared set or a .npy file"),
    ],
)
def test_a_file_that_is_no_clip_is_refused(array: Any, message: str, tuned: RunFolder, tmp_path: Path) -> None:
    if isinstance(array, bytes):
        (tmp_path / "clip.npy").write_bytes(array)
    else:
        np.save(tmp_path / "clip.npy", array)
    with pytest.raises(InputError, match=message):
        predict(tuned.path, tmp_path / "clip.npy", tmp_path / "p.csv", device="cpu")
    assert not (tmp_path / "p.csv").exists()


def test_other_input_is_refused(tuned: RunFolder, prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out, options, message in (
        ("p.txt", {}, "ends in .csv or .json"),
        ("p.csv", {"top_k": 0}, "top_k: found 0"),
        ("file/p.csv", {}, "cannot be written"),
    ):
        with pytest.raises(InputError, match=message):
            predict(tuned.path, prepared, tmp_path / out, device="cpu", **options)
    with pytest.raises(InputError, match="holds kinect20"):
        predict(tuned.path, tiny.write_set(tmp_path / "kinect", KINECT20), tmp_path / "p.csv", device="cpu")
    with pytest.raises(InputError, match="nowhere does not exist"):
        predict(tuned.path, tmp_path / "nowhere", tmp_path / "p.csv", device="cpu")


def test_a_raw_clip_in_2d_with_scores_is_answered(tmp_path: Path) -> None:
    data = tiny.write_set(tmp_path / "set", layout=COCO17, channels=("x", "y", "score"))
    run = tiny.tiny_finetune(data, tmp_path / "run")
    joints = SkeletonSet.open(data).sequence(0).joints
    np.save(tmp_path / "clip.npy", joints)
    (alone,) = asked(run, tmp_path / "clip.npy", tmp_path / "clip.json")
    expected = asked(run, data, tmp_path / "set.json")[0]["classes"]
    assert [entry["class"] for entry in alone["classes"]] == [entry["class"] for entry in expected]
    np.save(tmp_path / "clip.npy", joints[..., :2])
    with pytest.raises(InputError, match=r"expected a \.npy file of floats \(T, 17, 3\)"):
        asked(run, tmp_path / "clip.npy", tmp_path / "clip.json")
