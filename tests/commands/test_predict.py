import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import own
import tiny
from maskel import load_classifier
from maskel.commands.predict import predict
from maskel.commands.prepare import prepare
from maskel.datasets.folder import Folder
from maskel.datasets.store import SkeletonSet
from maskel.datasets.synthetic import Synthetic, synthesize
from maskel.errors import InputError
from maskel.layouts import COCO17, KINECT20
from maskel.training.run import RunFolder

DISTANCE = ("distance", "distance_percentile")


@pytest.fixture(scope="module")
def tuned(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return tiny.tiny_finetune(prepared, tmp_path_factory.mktemp("tuned") / "run", single_body="copy")


def asked(run: RunFolder, data: Path | list[Path], out: Path, **options: Any) -> list[dict[str, Any]]:
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
    assert list(rows[0]) == ["name", "class_1", "probability_1", "class_2", "probability_2", *DISTANCE]
    for row, answer in zip(rows, answers, strict=True):
        assert (row["name"], row["class_1"]) == (answer["name"], answer["classes"][0]["class"])
        assert float(row["probability_2"]) == answer["classes"][1]["probability"]


@pytest.mark.parametrize("number", [0, 5])
def test_joints_that_need_no_preparation_are_answered_as_in_a_set(
    number: int, tuned: RunFolder, prepared: Path, tiny_set: SkeletonSet, tmp_path: Path
) -> None:
    in_set = asked(tuned, prepared, tmp_path / "set.json")[number]
    joints = tiny_set.sequence(number).joints
    np.save(tmp_path / "clip.npy", joints)
    (alone,) = asked(tuned, tmp_path / "clip.npy", tmp_path / "new" / "folder" / "clip.json", as_prepared=True)
    assert alone["name"] == "clip"
    for one, other in zip(alone["classes"], in_set["classes"], strict=True):
        assert one["class"] == other["class"]
        assert one["probability"] == pytest.approx(other["probability"], rel=1e-5)
    if len(joints) == 1:
        np.save(tmp_path / "clip.npy", joints[0].astype(np.float64))
        assert asked(tuned, tmp_path / "clip.npy", tmp_path / "clip.json", as_prepared=True) == [alone]


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
        (np.array([{}], dtype=object), "expected a .npy file"),
        (b"name,class\n", "expected a .npy file"),
        (b"", "expected a .npy file"),
    ],
)
def test_a_file_that_is_no_clip_is_refused(array: Any, message: str, tuned: RunFolder, tmp_path: Path) -> None:
    if isinstance(array, bytes):
        (tmp_path / "clip.npy").write_bytes(array)
    else:
        np.save(tmp_path / "clip.npy", array)
    with pytest.raises(InputError, match=message):
        predict(tuned.path, tmp_path / "clip.npy", tmp_path / "p.csv", device="cpu", as_prepared=True)
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
    with pytest.raises(InputError, match="does not record how its training joints were made"):
        predict(tuned.path, tmp_path / "nowhere", tmp_path / "p.csv", device="cpu")
    with pytest.raises(InputError, match="is a prepared set; give it alone"):
        predict(tuned.path, [prepared, tmp_path], tmp_path / "p.csv", device="cpu")


def test_a_raw_clip_in_2d_with_scores_is_answered(tmp_path: Path) -> None:
    data = tiny.write_set(tmp_path / "set", layout=COCO17, channels=("x", "y", "score"))
    run = tiny.tiny_finetune(data, tmp_path / "run")
    joints = SkeletonSet.open(data).sequence(0).joints
    np.save(tmp_path / "clip.npy", joints)
    (alone,) = asked(run, tmp_path / "clip.npy", tmp_path / "clip.json", as_prepared=True)
    expected = asked(run, data, tmp_path / "set.json")[0]["classes"]
    assert [entry["class"] for entry in alone["classes"]] == [entry["class"] for entry in expected]
    np.save(tmp_path / "clip.npy", joints[..., :2])
    with pytest.raises(InputError, match=r"expected a \.npy file of floats \(T, 17, 3\)"):
        asked(run, tmp_path / "clip.npy", tmp_path / "clip.json", as_prepared=True)


TABLE = "file,label,subject,fps\n" + "".join(
    f"{name},{label},{subject},{fps}\n"
    for name, label, subject, fps in (
        *(("a.npy", "wave", "ann", 30), ("b.csv", "bow", "ann", 60), ("c.json", "wave", "bo", 30)),
        *(("d.npy", "bow", "bo", 60), ("e.npy", "wave", "cy", 30), ("f.npy", "bow", "cy", 30)),
    )
)
OPTIONS: dict[str, Any] = {"scale": 0.001, "fps": 15.0, "min_score": 0.5, "scores": True, "test_subjects": ["cy"]}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six recordings in millimetres far from the origin, with gaps and scores, in three forms."""
    root = tmp_path_factory.mktemp("recordings") / "own"
    draws = np.random.default_rng(0)
    for seed, name in enumerate(("a.npy", "b.csv", "c.json", "d.npy", "e.npy", "f.npy")):
        body = 1000 * own.motion(24 + 2 * seed, seed=seed) + 4000
        scored = np.concatenate((body, draws.uniform(0.4, 1, (*body.shape[:2], 1))), -1)
        scored[4:7, 9] = np.nan
        if name.endswith(".npy"):
            own.write_array(root / name, scored)
        elif name.endswith(".csv"):
            own.write(root / name, own.table(np.nan_to_num(scored).reshape(len(scored), -1).tolist()))
        else:
            own.write(root / name, np.nan_to_num(scored).tolist())
    own.write(root / "labels.csv", TABLE)
    return root


@pytest.fixture(scope="module")
def own_set(recordings: Path) -> Path:
    prepare(Folder("coco17", **OPTIONS), [recordings], recordings.parent / "set", workers=1)
    return recordings.parent / "set"


@pytest.fixture(scope="module")
def own_run(own_set: Path) -> RunFolder:
    training = replace(tiny.FINETUNE, epochs=1, batch_size=4, warmup_epochs=0.0)
    return tiny.tiny_finetune(own_set, own_set.parent / "run", training=training)


def test_recordings_get_the_same_answers_as_in_the_set(
    recordings: Path, own_set: Path, own_run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    in_set = asked(own_run, own_set, tmp_path / "set.json")
    assert asked(own_run, recordings, tmp_path / "folder.json") == in_set  # bit for bit: the batch has one shape
    assert "prepared as the clips that" in (said := capsys.readouterr().err)
    assert "fps 15.0" in said
    assert "missing joints: " in said
    for entry, rate in zip(in_set, (30.0, 60.0, 30.0, 60.0, 30.0, 30.0), strict=True):
        (path,) = recordings.glob(f"{entry['name']}.*")
        (alone,) = asked(own_run, path, tmp_path / "alone.json", source_fps=rate)
        assert alone["name"] == entry["name"]
        found = {one["class"]: one["probability"] for one in alone["classes"]}
        for one in entry["classes"]:
            assert found[one["class"]] == pytest.approx(one["probability"], abs=1e-6)


def test_a_classifier_says_how_its_clips_were_made(own_run: RunFolder, own_set: Path) -> None:
    label_spec = load_classifier(own_run.path).label_spec
    assert label_spec.provenance is not None
    assert label_spec.provenance.source == "folder"
    assert label_spec.provenance.options["layout"] == "coco17"
    assert label_spec.provenance.options["scale"] == 0.001
    assert not {"labels", "test_subjects", "folds"} & set(label_spec.provenance.options)
    clips = SkeletonSet.open(own_set)
    assert label_spec.longest == clips.valid_frames[clips.split("xsub", "train")].max()


def test_a_layout_is_converted_as_in_the_set(recordings: Path, tmp_path: Path) -> None:
    prepare(Folder("coco17", **OPTIONS), [recordings], tmp_path / "set", workers=1, to_layout="ntu25")
    training = replace(tiny.FINETUNE, epochs=1, batch_size=4, warmup_epochs=0.0)
    run = tiny.tiny_finetune(tmp_path / "set", tmp_path / "run", training=training)
    assert asked(run, recordings, tmp_path / "a.json") == asked(run, tmp_path / "set", tmp_path / "b.json")


def test_what_cannot_be_read_is_named_and_the_rest_answered(
    recordings: Path, own_run: RunFolder, tmp_path: Path, run: Callable[..., tuple[int, str]]
) -> None:
    np.save(tmp_path / "flat.npy", own.motion(coordinates=2))
    np.save(tmp_path / "a.npy", np.load(recordings / "a.npy"))
    given = ("--classifier", own_run.path, "--out", tmp_path / "p.csv", "--source-fps", "30", "--device=cpu")
    code, said = run("predict", tmp_path / "flat.npy", recordings / "a.npy", tmp_path / "a.npy", *given)
    assert code == 0
    assert "left out: " in said
    assert "flat.npy" in said
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert [row[0] for row in rows] == [str(recordings / "a.npy"), str(tmp_path / "a.npy")]
    assert rows[0][1:] == rows[1][1:]
    code, said = run("predict", tmp_path / "flat.npy", *given)
    assert code == 2
    assert "none of the 1 recordings can be classified; the first: " in said


def test_recordings_that_do_not_fit_are_refused(own_run: RunFolder, recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for roots, message in (
        ([tmp_path / "nowhere"], "nowhere does not exist"),
        ([tmp_path / "empty"], "empty holds no recording"),
        ([own_run.path / "result.json", own_run.path / "config.yaml"], "config.yaml holds no recording"),
        ([recordings / "a.npy"], "no frame rate"),
    ):
        with pytest.raises(InputError, match=message):
            predict(own_run.path, roots, tmp_path / "p.csv", device="cpu")


def test_a_set_that_was_made_otherwise_is_answered_with_a_warning(
    recordings: Path, own_run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(Folder("coco17", **OPTIONS, centre=False), [recordings], tmp_path / "set", workers=1)
    predict(own_run.path, tmp_path / "set", tmp_path / "p.csv", device="cpu")
    assert "was prepared with centre False and not None" in capsys.readouterr().err


def test_one_answer_for_a_long_recording_comes_with_a_warning(
    own_run: RunFolder, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = np.tile(np.load(recordings / "a.npy"), (10, 1, 1))
    own.write_array(tmp_path / "own" / "long.npy", long)
    own.write_array(tmp_path / "own" / "short.npy", long[:24])
    asked(own_run, tmp_path / "own", tmp_path / "p.json", source_fps=30.0)
    assert "1 of 2 clips are more than 4 times as long" in (said := capsys.readouterr().err)
    assert "long has 120 frames" in said
    own.write(tmp_path / "own" / "labels.csv", "file,start,end\nlong,0,24\nlong,24,48\n")
    answers = asked(own_run, tmp_path / "own", tmp_path / "p.json", source_fps=30.0)
    assert [answer["name"] for answer in answers] == ["long#1", "long#2", "short"]
    assert answers[0]["classes"] == answers[1]["classes"] == answers[2]["classes"]
    assert "times as long" not in capsys.readouterr().err


def test_people_without_a_place_are_counted(
    own_run: RunFolder, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = np.stack([np.load(recordings / "a.npy"), np.load(recordings / "d.npy")[:24] + 500])
    own.write_array(tmp_path / "two.npy", two)
    asked(own_run, [tmp_path / "two.npy", recordings / "a.npy"], tmp_path / "p.json", source_fps=30.0)
    assert "1 of 2 clips have more people than the classifier has body slots (1)" in capsys.readouterr().err


def test_a_raw_file_of_a_published_data_set_is_answered(tmp_path: Path) -> None:
    synthesize(tmp_path / "raw", performers=2, replications=1, cameras=1, frames=(30, 34))
    prepare(Synthetic(), [tmp_path / "raw"], tmp_path / "set", workers=1)
    training = replace(tiny.FINETUNE, epochs=1, batch_size=4, warmup_epochs=0.0)
    run = tiny.tiny_finetune(tmp_path / "set", tmp_path / "run", training=training)
    in_set = {entry["name"]: entry["classes"] for entry in asked(run, tmp_path / "set", tmp_path / "s.json")}
    path = sorted((tmp_path / "raw").rglob("*.skeleton"))[1]
    (alone,) = asked(run, path, tmp_path / "p.json")
    for one, other in zip(alone["classes"], in_set[path.stem], strict=True):
        assert one["class"] == other["class"]
        assert one["probability"] == pytest.approx(other["probability"], abs=1e-6)


def test_a_preparation_that_cannot_be_repeated_is_a_sentence(own_run: RunFolder, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", own.motion())
    for changes, message in (
        ({"source": "kinect"}, "this version of maskel does not have that source"),
        ({"options": {"layout": "coco17", "warp": 1}}, "does not have an option warp"),
        ({"options": {"layout": "coco17", "image_size": 3}}, "do not fit it"),
    ):
        model = load_classifier(own_run.path)
        made = replace(model.label_spec.provenance, **changes)
        model.label_spec = replace(model.label_spec, provenance=made)
        model.save(tmp_path / "classifier.safetensors")
        with pytest.raises(InputError, match=message):
            predict(tmp_path / "classifier.safetensors", tmp_path / "a.npy", tmp_path / "p.csv", device="cpu")
