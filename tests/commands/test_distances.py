"""Distances to the training clips, as the classifier keeps them and predict and streams show them."""

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import own
import tiny
from long import long_one, train
from maskel import Stream, load_classifier
from maskel.commands.linear import linear
from maskel.commands.predict import predict
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.models.familiarity import Familiarity
from maskel.training.run import RunFolder
from maskel.training.supervised import answer_clips

Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return train(tmp_path_factory.mktemp("trained"), scale=0.001, fps=15.0, source_fps=30.0)


@pytest.fixture(scope="module")
def older(trained: RunFolder) -> Path:
    """The same classifier without its training clips, as earlier versions wrote it."""
    with safe_open(trained.path / "classifier.safetensors", "pt") as stored:
        about = json.loads(stored.metadata()["maskel"])
        names = list(stored.keys())
        weights = {name: stored.get_tensor(name) for name in names if not name.startswith("familiarity")}
    assert about.pop("familiarity") == 4
    save_file(weights, trained.path / "older.safetensors", {"maskel": json.dumps(about)})
    return trained.path / "older.safetensors"


def test_every_head_keeps_its_training_clips(pretrained: RunFolder, tiny_set: SkeletonSet, tmp_path: Path) -> None:
    data = tiny_set.path
    given = {"device": "cpu", "augment": False}
    runs = [
        linear(pretrained.path, data, training=tiny.PROBE, out=tmp_path / "mean", **given),
        linear(pretrained.path, data, pool="joints", training=tiny.PROBE, out=tmp_path / "joints", **given),
        linear(pretrained.path, data, probe="regularised", out=tmp_path / "fitted", device="cpu"),
        tiny.tiny_finetune(data, tmp_path / "finetune"),
    ]
    train, test = tiny_set.split("xsub", "train"), tiny_set.split("xsub", "test")
    subjects = np.unique([tiny_set.clips[at].subject for at in train.tolist()], return_inverse=True)[1]
    for run in runs:
        model = load_classifier(run.path)
        assert model.familiarity is not None
        assert model.familiarity.known.shape[0] == len(train)
        batch = tiny_set.gather(train, model.label_spec.num_bodies, model.label_spec.single_body)
        kept = [model.familiarity]
        model.familiarity = None
        assert model.answer(batch)[1].isnan().all()
        read: list[torch.Tensor] = []
        model.head.register_forward_pre_hook(lambda _, inputs, read=read: read.append(inputs[0]))
        model.classify(batch)
        again = Familiarity.of(read[0], torch.from_numpy(subjects))
        for name, values in again.state_dict().items():
            torch.testing.assert_close(values, kept[0].state_dict()[name], rtol=1e-3, atol=1e-4)
        model.familiarity = kept[0]
        _, distances = answer_clips(model, tiny_set, test, tiny.ALONE, "fp32")
        assert distances.isfinite().all()
        batch = tiny_set.gather(test, model.label_spec.num_bodies, model.label_spec.single_body)
        torch.testing.assert_close(model.answer(batch)[1], distances, rtol=1e-4, atol=1e-4)


def test_columns_say_how_far_windows_and_segments_are(trained: RunFolder, tmp_path: Path) -> None:
    own.write_array(tmp_path / "long.npy", long_one())
    given = {"window_length": "20", "step": "5", "source_fps": 30.0, "device": "cpu"}
    out, segments = tmp_path / "w.json", tmp_path / "s.json"
    windows = json.loads(predict(trained.path, tmp_path / "long.npy", out, segments=segments, **given).read_text())
    familiarity = load_classifier(trained.path).familiarity
    assert familiarity is not None
    for window in windows:
        assert window["distance_percentile"] == pytest.approx(familiarity.percentile(window["distance"]))
    first = json.loads(segments.read_text())[0]
    per_frame = [
        np.mean([w["distance"] for w in windows if w["start_frame"] <= frame < w["end_frame"]])
        for frame in range(first["start_frame"], first["end_frame"])
    ]
    assert first["distance"] == pytest.approx(np.mean(per_frame), rel=1e-6)
    assert first["distance_percentile"] == familiarity.percentile(first["distance"])


def test_what_is_too_far_has_no_class(trained: RunFolder, tmp_path: Path, run: Run) -> None:
    own.write_array(tmp_path / "long.npy", long_one())
    given = (
        "predict", tmp_path / "long.npy", "--classifier", trained.path, "--source-fps=30", "--device=cpu",
        "--window-length=20", "--out", tmp_path / "w.csv", "--segments", tmp_path / "s.csv",
    )  # fmt: skip
    for limit, unsure in (("0.000001", True), ("1000000", False)):
        code, said = run(*given, "--max-distance", limit)
        assert code == 0, said
        with (tmp_path / "s.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert all((row["class"] == "") is unsure for row in rows)
        assert f"{len(rows) if unsure else 0} are farther than" in said
    code, said = run(*given, "--max-distance=-1")
    assert (code, "expected more than 0" in said) == (2, True)


def test_an_older_classifier_answers_without(trained: RunFolder, older: Path, tmp_path: Path, run: Run) -> None:
    own.write_array(tmp_path / "long.npy", long_one(frames=40))
    given = ("predict", tmp_path / "long.npy", "--source-fps=30", "--device=cpu", "--classifier", older)
    code, said = run(*given, "--out", tmp_path / "old.csv", "--segments", tmp_path / "s.csv")
    assert code == 0
    assert said.count("the columns distance and distance_percentile are empty") == 1
    for name in ("old.csv", "s.csv"):
        with (tmp_path / name).open(newline="") as file:
            assert {(row["distance"], row["distance_percentile"]) for row in csv.DictReader(file)} == {("", "")}
    code, said = run(*given, "--out", tmp_path / "new.csv", "--max-distance=2")
    assert (code, "max_distance: " in said, "train the classifier again" in said) == (2, True, True)
    assert not (tmp_path / "new.csv").exists()
    with pytest.raises(InputError, match="max_distance"):
        Stream(older, max_distance=2.0)
    model, before = load_classifier(trained.path), load_classifier(older)
    assert before.familiarity is None
    assert {*model.state_dict()} - {*before.state_dict()} == {
        f"familiarity.{name}" for name in ("mean", "spread", "known", "usual", "unit")
    }


def test_a_stream_says_distances_too(trained: RunFolder) -> None:
    joints = long_one(frames=60)
    answers = []
    for limit in (None, 1e-6):
        stream = Stream(trained.path, 30.0, "24", "8", max_distance=limit)
        answers.append([one for t in range(60) for one in stream.push(joints[:, t], time=t / 30, ids=["a"])])
    near, far = answers
    assert near
    assert all(one.sure and one.distance > 0 and 0 <= one.distance_percentile <= 100 for one in near)
    assert not any(one.sure for one in far)
    assert [one.distance for one in near] == [one.distance for one in far]
    assert not any(math.isnan(one.distance) for one in near)


@pytest.mark.parametrize("clips", [1, 5000, "4", True])
def test_a_damaged_number_of_training_clips_is_refused(trained: RunFolder, tmp_path: Path, clips: object) -> None:
    with safe_open(trained.path / "classifier.safetensors", "pt") as stored:
        about = json.loads(stored.metadata()["maskel"]) | {"familiarity": clips}
        names = list(stored.keys())
        weights = {name: stored.get_tensor(name) for name in names}
    save_file(weights, tmp_path / "c.safetensors", {"maskel": json.dumps(about)})
    with pytest.raises(InputError, match="not a whole maskel classifier"):
        load_classifier(tmp_path / "c.safetensors")
