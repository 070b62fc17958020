"""Linear layers that are fitted at once, with a penalty chosen on held-out training subjects."""

import csv
import json
import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import tiny
from maskel import augmentation
from maskel.commands.ensemble import ensemble
from maskel.commands.evaluate import evaluate
from maskel.commands.linear import Probe, linear
from maskel.commands.predict import predict
from maskel.commands.report import report
from maskel.commands.results import results
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.layouts import NTU25
from maskel.models.loading import load_encoder
from maskel.training.classifiers import load_classifier
from maskel.training.features import extract
from maskel.training.regularised import C_LINEAR_SVM, C_PROBE
from maskel.training.run import RunFolder
from maskel.transforms import TrainView
from maskel.transforms import test_view as cropped

PROBES: tuple[Probe, ...] = ("regularised", "svm")


def fitted(encoder: Path, data: Path, out: Path, probe: Probe, **changes: Any) -> RunFolder:
    return linear(encoder, data, out=out, probe=probe, device="cpu", **changes)


@pytest.fixture(scope="module", params=PROBES)
def probe(request: pytest.FixtureRequest) -> Probe:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def run_of(probe: Probe, pretrained: RunFolder, prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return fitted(pretrained.path, prepared, tmp_path_factory.mktemp(probe) / "run", probe, pool="joints")


def model_of(probe: Probe, strength: float) -> Any:
    """scikit-learn's own pipeline."""
    if probe == "svm":
        return make_pipeline(StandardScaler(), LinearSVC(C=strength, tol=1e-8, max_iter=100_000, random_state=0))
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, tol=1e-8, max_iter=10_000))


def test_scores_and_choice_are_those_of_scikit_learn(
    probe: Probe, run_of: RunFolder, pretrained: RunFolder, tiny_set: SkeletonSet
) -> None:
    """With more values than clips (25 joints x 16 against 16 clips), where the fit goes through the clips' span."""
    train, test = (tiny_set.split("xsub", part) for part in ("train", "test"))
    encoder = load_encoder(pretrained.path)
    known, asked = (
        extract(encoder, tiny_set, some, tiny.ALONE, "zero", pool="joints").numpy() for some in (train, test)
    )
    assert known.shape == (tiny.TRAIN, 25 * tiny.ENCODER.dim)
    labels, subjects = tiny_set.labels[train], [tiny_set.clips[position].subject for position in train]
    result = run_of.result
    strengths = C_LINEAR_SVM if probe == "svm" else C_PROBE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        right = {}
        for strength in strengths:
            parts = GroupKFold(len(set(subjects))).split(known, labels, subjects)
            right[f"{strength:g}"] = sum(
                int((model_of(probe, strength).fit(known[a], labels[a]).predict(known[b]) == labels[b]).sum())
                for a, b in parts
            )
        model = model_of(probe, result["C"]).fit(known, labels)
    assert result["right_by_C"] == right
    assert right[f"{result['C']:g}"] == max(right.values()) == result["held_out"]["correct"]
    assert result["C"] == min(c for c in strengths if right[f"{c:g}"] == max(right.values()))
    scores = np.load(run_of.path / "scores.npz")["scores"]
    np.testing.assert_allclose(scores, model.decision_function(asked), rtol=2e-3, atol=2e-3)


def test_the_run_says_what_was_chosen_and_counts_every_test_clip(
    probe: Probe, run_of: RunFolder, tiny_set: SkeletonSet
) -> None:
    result = run_of.result
    assert (result["kind"], result["probe"], result["chosen_on"]) == ("linear", probe, "held-out training subjects")
    assert result["held_out"]["seen"] == tiny.TRAIN
    assert result["config"]["probe"] == probe
    tiny.assert_counts_agree(result, tiny.predictions(run_of), tiny_set)
    assert not (run_of.path / "metrics.csv").exists()


def test_it_is_the_same_each_time(
    probe: Probe, run_of: RunFolder, pretrained: RunFolder, prepared: Path, tmp_path: Path
) -> None:
    again = fitted(pretrained.path, prepared, tmp_path / "again", probe, pool="joints")
    for name in ("classifier.safetensors", "scores.npz"):
        assert (again.path / name).read_bytes() == (run_of.path / name).read_bytes()


def test_the_choice_does_not_look_at_the_test_part(
    probe: Probe, run_of: RunFolder, pretrained: RunFolder, prepared: Path, tmp_path: Path
) -> None:
    """Other test clips, with other labels, change neither the choice nor one weight of the classifier."""
    splits = json.loads((prepared / "splits.json").read_text())
    other = tiny.write_set(tmp_path / "set")
    (other / "splits.json").write_text(json.dumps({"xsub": splits["xsub"] | {"test": splits["xsub"]["test"][:3]}}))
    run = fitted(pretrained.path, other, tmp_path / "run", probe, pool="joints")
    found, before = run.result, run_of.result
    assert found["seen"] == 3
    assert (found["C"], found["right_by_C"]) == (before["C"], before["right_by_C"])
    weights = [load_classifier(one.path).state_dict() for one in (run, run_of)]
    tiny.assert_identical(*map(dict, weights))


def test_its_classifier_is_like_any_other(probe: Probe, run_of: RunFolder, prepared: Path, tmp_path: Path) -> None:
    """evaluate, ensemble and predict give what the run counted."""
    evaluated = evaluate(run_of.path, prepared, device="cpu", out=tmp_path / "evaluated")
    assert (evaluated.path / "scores.npz").read_bytes() == (run_of.path / "scores.npz").read_bytes()
    both = ensemble([run_of.path, evaluated.path], out=tmp_path / "both")
    assert both.result["correct"] == run_of.result["correct"]
    predict(run_of.path, prepared, tmp_path / "predicted.csv", top_k=1, device="cpu")
    with (tmp_path / "predicted.csv").open(newline="") as file:
        predicted = {row["name"]: row["class_1"] for row in csv.DictReader(file)}
    for row in tiny.predictions(run_of):
        assert predicted[row["name"]] == row["predicted"]
    tables = results([evaluated.path, run_of.path])
    assert f"| linear, {probe} |" in tables
    assert f"| evaluate of linear, {probe} |" in tables


def test_tables_and_pages_keep_probes_apart(
    probe: Probe, run_of: RunFolder, pretrained: RunFolder, prepared: Path, tmp_path: Path
) -> None:
    plain = linear(pretrained.path, prepared, out=tmp_path / "plain", training=tiny.PROBE, device="cpu")
    tables = results([plain.path, run_of.path])
    assert "| linear |" in tables
    assert f"| linear, {probe} |" in tables
    page = report([pretrained.path, plain.path, run_of.path], tmp_path / "page.html").read_text()
    assert f"linear, {probe}" in page
    assert "has no metrics.csv" not in page
    assert "is not what maskel linear writes" not in page


def test_balanced_weights_labels_and_random_encoders_work(
    probe: Probe, pretrained: RunFolder, prepared: Path, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"pool": "joints", "labels": 0.5}
    plain, balanced, untrained = (
        fitted(pretrained.path, prepared, tmp_path / str(number), probe, **given, **changes)
        for number, changes in enumerate(({}, {"class_weights": "balanced"}, {"untrained": True}))
    )
    scores = [np.load(run.path / "scores.npz")["scores"] for run in (plain, balanced, untrained)]
    assert not np.array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])
    assert untrained.result["untrained"] is True
    listed = fitted(
        pretrained.path, prepared, tmp_path / "listed", probe, pool="joints", label_list=plain.path / "labels.csv"
    )
    assert np.array_equal(np.load(listed.path / "scores.npz")["scores"], scores[0])
    assert f"| linear, {probe}, 50 % of the labels |" in results([plain.path])


def test_clips_without_subjects_are_held_out_by_clip(pretrained: RunFolder, prepared: Path, tmp_path: Path) -> None:
    other = tiny.write_set(tmp_path / "set")
    table = (other / "clips.csv").read_text().splitlines()
    place = table[0].split(",").index("subject")
    rows = [line.split(",") for line in table[1:]]
    lines = [table[0], *(",".join([*row[:place], "", *row[place + 1 :]]) for row in rows)]
    (other / "clips.csv").write_text("\n".join(lines) + "\n")
    found = fitted(pretrained.path, other, tmp_path / "run", "regularised").result
    assert found["chosen_on"] == "held-out training clips, as clips cannot be held out by subject"


def test_of_two_classes_probabilities_are_those_of_the_logistic_regression(
    pretrained: RunFolder, tmp_path: Path
) -> None:
    """And a class of the set that no training clip has is never the answer."""
    data = tiny.write_set(tmp_path / "set", classes=("wave", "clap", "kick", "never seen"))
    table = (data / "clips.csv").read_text()
    head = table.splitlines()[0].split(",")
    rows = [line.split(",") for line in table.splitlines()[1:]]
    place = head.index("label")
    rows = [[*row[:place], "0" if row[place] == "2" else row[place], *row[place + 1 :]] for row in rows]
    (data / "clips.csv").write_text("\n".join(",".join(row) for row in (head, *rows)) + "\n")
    run = fitted(pretrained.path, data, tmp_path / "run", "regularised")
    clips = SkeletonSet.open(data)
    train, test = (clips.split("xsub", part) for part in ("train", "test"))
    encoder = load_encoder(pretrained.path)
    known, asked = (extract(encoder, clips, some, tiny.ALONE, "zero").numpy() for some in (train, test))
    model = model_of("regularised", run.result["C"]).fit(known, clips.labels[train])
    scores = torch.from_numpy(np.load(run.path / "scores.npz")["scores"]).double()
    assert scores.shape[1] == 4
    expected = np.pad(model.predict_proba(asked), ((0, 0), (0, 2)))
    np.testing.assert_allclose(scores.softmax(1).numpy(), expected, atol=1e-3)


def test_mirror_images_are_training_clips_too_and_never_held_out(
    pretrained: RunFolder, prepared: Path, tiny_set: SkeletonSet, tmp_path: Path
) -> None:
    run = fitted(pretrained.path, prepared, tmp_path / "run", "regularised", pool="joints", view=TrainView(mirror=True))
    train, test = (tiny_set.split("xsub", part) for part in ("train", "test"))
    encoder, window = load_encoder(pretrained.path), tiny.ENCODER.window

    def read(positions: np.ndarray, mirror: bool) -> np.ndarray:
        batch = cropped(tiny_set.gather(positions, tiny_set.max_bodies), window)
        joints = augmentation.mirror(batch.joints, tiny_set.layout, torch.full((len(positions),), mirror))
        return encoder.pool(replace(batch, joints=joints), absent_bodies=True, pool="joints").detach().numpy()

    known, images = read(train, False), read(train, True)
    labels, subjects = tiny_set.labels[train], [tiny_set.clips[position].subject for position in train]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        right = {f"{strength:g}": 0 for strength in C_PROBE}
        for strength in C_PROBE:
            for a, b in GroupKFold(len(set(subjects))).split(known, labels, subjects):
                model = model_of("regularised", strength).fit(np.r_[known[a], images[a]], np.r_[labels[a], labels[a]])
                right[f"{strength:g}"] += int((model.predict(known[b]) == labels[b]).sum())
        model = model_of("regularised", run.result["C"]).fit(np.r_[known, images], np.r_[labels, labels])
    assert run.result["right_by_C"] == right
    assert run.result["held_out"]["seen"] == tiny.TRAIN
    scores = np.load(run.path / "scores.npz")["scores"]
    np.testing.assert_allclose(scores, model.decision_function(read(test, False)), rtol=2e-3, atol=2e-3)
    assert run.read_config()["view"]["mirror"] is True


def test_a_layout_without_sides_is_not_mirrored(
    pretrained: RunFolder, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(NTU25), "mirror", ())
    with pytest.raises(InputError, match="layout ntu25 has no pairs of left and right joints"):
        fitted(pretrained.path, prepared, tmp_path / "run", "svm", view=TrainView(mirror=True))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"augment": False}, "augment"),
        ({"augment": False, "cache_features": True}, "augment, cache_features"),
        ({"validation": 0.5}, "validation"),
        ({"view": TrainView(min_frames=16)}, "view.min_frames"),
        ({"view": TrainView(mirror=True, speed=0.25)}, "view.speed"),
        ({"training": tiny.PROBE}, "training.epochs, training.batch_size"),
    ],
)
def test_options_of_the_published_probe_are_refused(
    changes: dict[str, Any], named: str, pretrained: RunFolder, prepared: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=re.escape(f"{named}: no effect with --probe svm")):
        fitted(pretrained.path, prepared, tmp_path / "run", "svm", **changes)
    assert not (tmp_path / "run").exists()


def test_the_command_takes_it_with_seeds_and_a_check(
    run: Callable[..., tuple[int, str]], pretrained: RunFolder, prepared: Path, tmp_path: Path
) -> None:
    given = ("linear", "--encoder", pretrained.path, "--data", prepared, "--probe", "regularised", "--device", "cpu")
    code, shown = run(*given, "--training.precision", "auto", "--check", "--out", tmp_path / "check")
    assert code == 0
    assert f"{tiny.TRAIN + tiny.TEST} clips to read" in shown
    assert not (tmp_path / "check").exists()
    code, shown = run(*given, "--labels", 0.5, "--seeds", 2, "--out", tmp_path / "seeds")
    assert code == 0
    assert "probe regularised: C " in shown
    assert "mean over 2 seeds" in shown
    assert run("linear", "--config", tmp_path / "seeds" / "seed-1" / "config.yaml", "--out", tmp_path / "again")[0] == 0
    assert (tmp_path / "again" / "scores.npz").read_bytes() == (tmp_path / "seeds/seed-1/scores.npz").read_bytes()
    assert run(*given, "--training.lr", 0.5, "--out", tmp_path / "none")[0] == 2


def test_the_recipe_for_own_recordings_fits_it(
    run: Callable[..., tuple[int, str]], pretrained: RunFolder, prepared: Path, tmp_path: Path
) -> None:
    given = ("linear", "--config", "own", "--encoder", pretrained.path, "--data", prepared, "--device", "cpu")
    assert run(*given, "--out", tmp_path / "run")[0] == 0
    config = RunFolder(tmp_path / "run").read_config()
    assert (config["probe"], config["pool"]) == ("regularised", "joints")
    code, shown = run(*given, "--config", "small", "--out", tmp_path / "small")
    assert code == 2
    assert "training.batch_size: no effect with --probe regularised" in shown
    assert "leave the option out, and recipes that set it" in shown
