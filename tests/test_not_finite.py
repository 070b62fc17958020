"""Numbers that are not finite, or beyond their type, end every command with one sentence, and are never written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import own
import tiny
from long import long_one, train
from maskel.commands.export_run import _difference
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.methods.classifier import Classifier
from maskel.sklearn import SkeletonClassifier, SkeletonTransformer
from maskel.training.classifiers import load_classifier
from maskel.training.deployed import DeployedClassifier
from maskel.training.importance import importance
from maskel.training.run import RunFolder

Run = Callable[..., tuple[int, str]]
HUGE = 3e38  # a float32, but not twice that
DIGITS = "9" * 5000


def poisoned(file: Path, out: Path, value: float) -> Path:
    """A copy of an encoder or classifier with a weight of NaN or infinity, or with weights of ``value`` everywhere."""
    with safe_open(file, "pt") as stored:
        about = stored.metadata()
    weights = load_file(file)
    if np.isfinite(value):
        weights = {
            name: torch.full_like(weight, value) if weight.is_floating_point() and "familiarity" not in name else weight
            for name, weight in weights.items()
        }
    else:
        next(weight for weight in weights.values() if weight.is_floating_point()).view(-1)[0] = value
    save_file(weights, out, about)
    return out


@pytest.fixture(scope="module")
def tuned(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return tiny.tiny_finetune(prepared, tmp_path_factory.mktemp("tuned") / "run")


@pytest.fixture(scope="module")
def models(pretrained: RunFolder, tuned: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Poisoned files by the word that a command line names them with: ``ENCODER-nan``, ``CLASSIFIER-huge``, …"""
    folder, found = tmp_path_factory.mktemp("poisoned"), {}
    for what, run in (("ENCODER", pretrained), ("CLASSIFIER", tuned)):
        for name, value in (("nan", np.nan), ("inf", np.inf), ("huge", HUGE)):
            file = run.path / f"{what.lower()}.safetensors"
            found[f"{what}-{name}"] = poisoned(file, folder / f"{what}-{name}.safetensors", value)
    return found


def words_of(line: str, places: dict[str, Path]) -> list[str]:
    """The words of a command line, with those that stand for a path replaced."""
    return [str(places.get(word, word)) for word in line.split()]


LINES = (
    "evaluate --classifier CLASSIFIER --data SET --out OUT --device cpu",
    "predict --classifier CLASSIFIER SET --out OUT.csv --device cpu",
    "predict --classifier CLASSIFIER SET --out OUT.csv --segments OUT2.csv --window-length 8 --device cpu",
    "predict --classifier CLASSIFIER RECORDING --out OUT.csv --as-prepared --device cpu",
    "robustness --classifier CLASSIFIER --data SET --out OUT --device cpu",
    "linear --encoder ENCODER --data SET --out OUT --training.epochs 1 --device cpu",
    "linear --encoder ENCODER --data SET --out OUT --probe regularised --device cpu",
    "finetune --encoder ENCODER --data SET --out OUT --training.epochs 1 --device cpu",
    "fewshot --encoder ENCODER --data SET --out OUT --ways 2 --shots 1 --queries 1 --episodes 2 --device cpu",
    "knn --encoder ENCODER --data SET --out OUT --k 1 --device cpu",
    "retrieval --encoder ENCODER --data SET --out OUT --device cpu",
    "embed --encoder ENCODER --data SET --out OUT.npz --device cpu",
)


@pytest.mark.parametrize("kind", ["nan", "inf", "huge"])
@pytest.mark.parametrize("line", LINES)
def test_a_model_without_finite_answers_ends_with_a_sentence(
    line: str, kind: str, run: Run, models: dict[str, Path], prepared: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "recording.npy", np.random.default_rng(0).normal(size=(1, 20, 25, 3)).astype("f4"))
    places = {
        "SET": prepared,
        "RECORDING": tmp_path / "recording.npy",
        "OUT": tmp_path / "out",
        "OUT.csv": tmp_path / "out.csv",
        "OUT2.csv": tmp_path / "out2.csv",
        "OUT.npz": tmp_path / "out.npz",
        **{what: models[f"{what}-{kind}"] for what in ("ENCODER", "CLASSIFIER")},
    }
    code, text = run(*words_of(line, places))
    assert (code, "not finite" in text, "fault of the program" in text) == (
        1 if line.startswith("finetune") and kind == "huge" else 2,
        True,
        False,
    ), text
    if code == 2:
        assert not list(tmp_path.glob("out*"))


@pytest.fixture
def overflowing(tuned: RunFolder) -> Classifier:
    model = load_classifier(tuned.path)
    for weight in model.head.parameters():
        weight.data.fill_(HUGE)
    return model


def test_a_classifier_answers_with_finite_probabilities_or_a_sentence(overflowing: Classifier, prepared: Path) -> None:
    batch = SkeletonSet.open(prepared).gather(np.arange(2), 2, "zero")
    for ask in (overflowing.classify, lambda clips: importance(overflowing, clips)):
        with pytest.raises(InputError, match="not finite"):
            ask(batch)


@torch.no_grad()
def test_a_graph_without_finite_outputs_is_not_exported(overflowing: Classifier, tuned: RunFolder) -> None:
    fine = DeployedClassifier(load_classifier(tuned.path))

    def broken(joints: np.ndarray) -> list[np.ndarray]:
        return [np.full_like(output.numpy(), np.nan) for output in fine(torch.from_numpy(joints))]

    with pytest.raises(InputError, match="not finite"):
        _difference(DeployedClassifier(overflowing), None, broken)
    assert _difference(fine, None, broken) == np.inf


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return train(tmp_path_factory.mktemp("watched"), scale=0.001, fps=15.0, source_fps=30.0)


def test_watch_writes_no_answer_that_is_not_finite(run: Run, watched: RunFolder, tmp_path: Path) -> None:
    huge = poisoned(watched.path / "classifier.safetensors", tmp_path / "huge.safetensors", HUGE)
    joints = long_one(1)[0]
    lines = [
        {"time": number / 30, "people": [{"id": 1, "joints": frame.tolist()}]} for number, frame in enumerate(joints)
    ]
    (tmp_path / "lines").write_text("".join(json.dumps(line) + "\n" for line in lines).replace("NaN", "null"))
    code, text = run("watch", "--classifier", huge, "--follow", tmp_path / "lines", "--patience", 0, "--device", "cpu")
    assert ("not finite" in text, '"probability"' in text) == (True, False), (code, text)


@pytest.mark.parametrize("estimator", [SkeletonTransformer, SkeletonClassifier])
def test_estimators_refuse_features_that_are_not_finite(
    estimator: type, models: dict[str, Path], prepared: Path
) -> None:
    positions = np.arange(12)
    labels = SkeletonSet.open(prepared).labels[positions]
    with pytest.raises(InputError, match="not finite"):
        estimator(models["ENCODER-huge"], data=prepared, device="cpu").fit(positions, labels).transform(positions)


def test_scores_that_are_not_finite_are_not_added_up(run: Run, tuned: RunFolder, tmp_path: Path) -> None:
    with np.load(tuned.path / "scores.npz") as stored:
        arrays = dict(stored)
    for value, said in ((np.nan, "not finite"), (HUGE, "too large to add up")):
        other = tmp_path / str(value)
        other.mkdir()
        (other / "result.json").write_bytes((tuned.path / "result.json").read_bytes())
        arrays["scores"][0, 0] = value
        np.savez(other / "scores.npz", **arrays)
        code, text = run("ensemble", other, other, "--out", tmp_path / "out")
        assert (code, said in text, (tmp_path / "out").exists()) == (2, True, False), text
    code, text = run("ensemble", tuned.path, tuned.path, "--weights", "1e308", "1e308", "--out", tmp_path / "out")
    assert (code, "too large to add up" in text) == (2, True), text


ODD = ["1e400", "nan", "-1", DIGITS, "-inf", str(2**64)]
OPTIONS = [
    *(("finetune", f"training.{name}") for name in ("lr", "epochs", "batch_size", "weight_decay", "beta1")),
    *(("finetune", name) for name in ("head_dim", "seed", "labels", "dropout", "validation", "view.min_crop")),
    *(("linear", name) for name in ("training.momentum", "training.clip_grad", "window", "seed", "labels")),
    *(("knn", name) for name in ("whiten", "seed", "window")),
    *(("fewshot", name) for name in ("ways", "shots", "seed")),
    *(("robustness", name) for name in ("noise", "missing_joints", "seed")),
    *(("predict", name) for name in ("min_probability", "max_distance", "source_fps", "window_length", "step")),
]


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_an_odd_number_is_refused_in_one_short_sentence(
    command: str, option: str, run: Run, pretrained: RunFolder, tuned: RunFolder, prepared: Path, tmp_path: Path
) -> None:
    model = ("--classifier", tuned.path) if command in ("robustness", "predict") else ("--encoder", pretrained.path)
    data = (prepared,) if command == "predict" else ("--data", prepared)
    out = tmp_path / ("out.csv" if command == "predict" else "out")
    few = ("--training.epochs", 1) if command in ("finetune", "linear") else ()
    for value in ODD:
        if option in ("noise", "max_distance") and value == str(2**64):  # as much as one wants
            continue
        code, text = run(command, *model, *data, "--device", "cpu", *few, f"--{option}={value}", "--out", out)
        assert (code, len(text) < 1000, out.exists()) == (2, True, False), (value[:20], text[:1500])


@pytest.mark.parametrize("value", [".nan", ".inf", "-1", "1e400", DIGITS, str(2**64)])
@pytest.mark.parametrize(
    "option", ["training: {lr: VALUE}", "training: {epochs: VALUE}", "seed: VALUE", "labels: VALUE"]
)
def test_an_odd_number_in_a_recipe_is_refused_likewise(
    option: str, value: str, run: Run, pretrained: RunFolder, prepared: Path, tmp_path: Path
) -> None:
    (tmp_path / "recipe.yaml").write_text(option.replace("VALUE", value))
    code, text = run(
        *("linear", "--config", tmp_path / "recipe.yaml", "--encoder", pretrained.path, "--data", prepared),
        *("--device", "cpu", "--out", tmp_path / "out"),
    )
    assert (code, len(text) < 1000, (tmp_path / "out").exists()) == (2, True, False), text[:1500]


def test_a_file_of_weights_in_the_place_of_values_is_refused(run: Run, models: dict[str, Path], prepared: Path) -> None:
    code, text = run("pretrain", "--data", prepared, "--encoder", models["ENCODER-huge"], "--out", "nowhere")
    assert (code, "fault of the program" in text) == (2, False), text


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1e400", DIGITS, str(2**64), "-1e308"])
@pytest.mark.parametrize("field", ["time", "id", "joint", "people", "joints"])
def test_watch_refuses_a_line_with_an_odd_number(
    field: str, value: str, run: Run, watched: RunFolder, tmp_path: Path
) -> None:
    person = {"id": 1, "joints": long_one(1)[0, 0].tolist()}
    line: dict[str, object] = {"time": 0, "people": [person]}
    if field == "joint":
        person["joints"] = [["VALUE", 0, 1], *person["joints"][1:]]
    else:
        (line if field in line else person)[field] = "VALUE"
    (tmp_path / "lines").write_text(json.dumps(line).replace('"VALUE"', value) + "\n")
    code, text = run("watch", "--classifier", watched.path, "--follow", tmp_path / "lines", "--patience", 0)
    taken = (field, value) in {("joint", "NaN"), ("time", "-1e308")}  # a missing joint; an early moment
    assert (code, "line 1 of" in text, len(text) < 500) == ((0, False, True) if taken else (2, True, True)), text[:900]


@pytest.mark.parametrize("value", ["1e400", "nan", DIGITS, "-1e400"])
@pytest.mark.parametrize("option", ["min-score", "scale", "fps", "max-gap", "seed"])
def test_prepare_refuses_an_odd_number(option: str, value: str, run: Run, tmp_path: Path) -> None:
    own.write_array(tmp_path / "clips" / "a" / "1.npy", own.motion(20))
    words = ("prepare", "folder", tmp_path / "clips", "--layout", "coco17", "--out", tmp_path / "set")
    code, text = run(*words, f"--{option}={value}")
    assert (code, len(text) < 1000, (tmp_path / "set").exists()) == (2, True, False), text[:900]


FIELDS = ["start,end", "start_frame,end_frame", "start_time,end_time", "fps"]


@pytest.mark.parametrize("value", ["1e400", "nan", DIGITS, "-1", "-inf"])
@pytest.mark.parametrize("fields", FIELDS)
def test_a_table_of_labels_with_an_odd_number_is_refused(fields: str, value: str, run: Run, tmp_path: Path) -> None:
    own.write_array(tmp_path / "clips" / "a" / "1.npy", own.motion(20))
    row = ",".join([value] * len(fields.split(",")))
    (tmp_path / "clips" / "labels.csv").write_text(f"file,label,{fields}\na/1.npy,x,{row}\n")
    words = ("prepare", "folder", tmp_path / "clips", "--layout", "coco17", "--out", tmp_path / "set")
    code, text = run(*words, "--workers", 1)
    assert (code, len(text) < 1000, (tmp_path / "set").exists()) == (2, True, False), text[:900]


@pytest.mark.parametrize("value", ["NaN", "1e400", DIGITS, str(2**64), "-1"])
@pytest.mark.parametrize("field", ["version", "classes", "layout", "channels", "options", "counts"])
def test_a_set_with_an_odd_number_in_its_description_is_refused(
    field: str, value: str, run: Run, prepared: Path, tmp_path: Path
) -> None:
    shutil.copytree(prepared, tmp_path / "set")
    about = json.loads((prepared / "meta.json").read_text()) | {field: "VALUE"}
    (tmp_path / "set" / "meta.json").write_text(json.dumps(about).replace('"VALUE"', value))
    code, text = run("inspect", tmp_path / "set")
    assert (code, len(text) < 1000) == (2, True), text[:900]
