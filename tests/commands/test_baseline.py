"""The yardstick: raw joints under scikit-learn's classifiers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import tiny
from maskel.cli import main
from maskel.commands.baseline import baseline, raw_features
from maskel.commands.report import report
from maskel.commands.results import results
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.layouts import COCO17
from maskel.training.regularised import divide, fit_logistic, fit_svm
from maskel.training.run import RunFolder
from maskel.training.scores import Scores


@pytest.fixture(scope="module")
def raw(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return baseline(prepared, out=tmp_path_factory.mktemp("raw") / "run")


def test_every_test_clip_is_counted_once(raw: RunFolder, tiny_set: SkeletonSet) -> None:
    result = raw.result
    tiny.assert_counts_agree(result, tiny.predictions(raw), tiny_set)
    assert result["kind"] == "baseline"
    assert result["chosen_on"] == "held-out training subjects"
    chosen = result["classifiers"][result["classifier"]]
    assert (chosen["correct"], chosen["seen"]) == (result["correct"], tiny.TEST)
    assert Scores.read(raw.path).count(tiny.TEST)["correct"] == result["correct"]
    right = {name: one["held_out"]["correct"] for name, one in result["classifiers"].items()}
    assert right[result["classifier"]] == max(right.values())
    assert all(one["held_out"]["seen"] == tiny.TRAIN for one in result["classifiers"].values())


def test_it_is_the_same_each_time(raw: RunFolder, prepared: Path, tmp_path: Path) -> None:
    again = baseline(prepared, out=tmp_path / "again")
    assert (again.path / "scores.npz").read_bytes() == (raw.path / "scores.npz").read_bytes()


def test_of_many_clips_the_support_vector_machine_is_left_out(
    prepared: Path, raw: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("maskel.commands.baseline.MAX_SVM_CLIPS", tiny.TRAIN)
    assert [*baseline(prepared, out=tmp_path / "both").result["classifiers"]] == ["logistic", "svm"]
    assert "left out" not in capsys.readouterr().err
    monkeypatch.setattr("maskel.commands.baseline.MAX_SVM_CLIPS", tiny.TRAIN - 1)
    found = baseline(prepared, out=tmp_path / "one").result
    assert "16 training clips are too many for a support vector machine; it is left out" in capsys.readouterr().err
    logistic = raw.result["classifiers"]["logistic"]
    assert found["classifiers"] == {"logistic": logistic}
    assert (found["classifier"], found["correct"]) == ("logistic", logistic["correct"])


def test_the_choice_does_not_look_at_the_test_part(prepared: Path, raw: RunFolder, tmp_path: Path) -> None:
    """With other test clips the same strengths are chosen, by the same counts."""
    splits = json.loads((prepared / "splits.json").read_text())
    other = tiny.write_set(tmp_path / "set")
    (other / "splits.json").write_text(json.dumps({"xsub": splits["xsub"] | {"test": splits["xsub"]["test"][:3]}}))
    found = baseline(other, out=tmp_path / "run").result
    assert found["seen"] == 3
    before = raw.result
    for name, one in found["classifiers"].items():
        assert one["right_by_C"] == before["classifiers"][name]["right_by_C"]
    assert found["classifier"] == before["classifier"]


def test_where_a_clip_stands_and_how_it_is_turned_do_not_matter(tiny_set: SkeletonSet) -> None:
    positions = np.arange(3)
    plain = raw_features(tiny_set, positions, 8)
    assert plain.shape == (3, 2 * 8 * 25 * 3)
    bodies = plain.reshape(3, 2, 8, 25, 3)
    middle = [tiny_set.layout.index("spine_mid")]
    np.testing.assert_allclose(bodies[:, 0, 0, middle], 0, atol=1e-6)
    assert not bodies[0, 1].any()  # one body: the second stays zero
    aligned = raw_features(tiny_set, positions, 8, align=True).reshape(bodies.shape)
    left, right = tiny_set.layout.index("left_hip"), tiny_set.layout.index("right_hip")
    shoulders = tiny_set.layout.index("left_shoulder"), tiny_set.layout.index("right_shoulder")
    across = aligned[:, 0, 0, [left, shoulders[0]]] - aligned[:, 0, 0, [right, shoulders[1]]]
    np.testing.assert_allclose(across.mean(1)[:, 2], 0, atol=1e-6)
    assert (across.mean(1)[:, 0] > 0).all()
    np.testing.assert_allclose(np.linalg.norm(aligned, axis=-1), np.linalg.norm(bodies, axis=-1), atol=1e-6)


def sample(clips: int, values: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draws = np.random.default_rng(0)
    labels = np.arange(clips) % 3
    return (
        draws.normal(size=(clips, values)) + labels[:, None] * draws.normal(size=values),
        labels,
        draws.normal(size=(20, values)),
    )


@pytest.mark.parametrize("values", [10, 200])
def test_features_of_many_values_are_fitted_as_few_are(values: int) -> None:
    features, labels, asked = sample(60, values)
    folds, _ = divide(labels, [str(place % 4) for place in range(60)], 0)
    fitted = fit_logistic(features, labels, folds)
    scale = StandardScaler().fit(features)
    model = LogisticRegression(C=fitted.strength, max_iter=2000, tol=1e-8).fit(scale.transform(features), labels)
    expected = model.decision_function(scale.transform(asked))
    np.testing.assert_allclose(fitted.scores(asked), expected, atol=0.02)
    assert (fit_svm(features, labels, folds).scores(features).argmax(1) == labels).mean() > 0.9


def test_two_classes_and_classes_without_a_clip_have_scores_too() -> None:
    features, labels, asked = sample(40, 6)
    labels = np.where(labels == 1, 2, labels)  # no clip of class 1
    folds, chosen_on = divide(labels, [""] * 40, 0)
    scores = fit_logistic(features, labels, folds).scores(asked)
    assert scores.shape == (20, 3)
    assert set(scores.argmax(1)) <= {0, 2}
    assert "held-out training clips" in chosen_on


def test_one_clip_of_each_class_leaves_nothing_to_choose_on() -> None:
    features, _, asked = sample(3, 6)
    folds, chosen_on = divide(np.arange(3), [""] * 3, 0)
    assert folds == []
    assert "a middle strength is taken" in chosen_on
    assert fit_logistic(features, np.arange(3), folds).strength == 1e-2
    assert fit_svm(features, np.arange(3), folds).scores(asked).shape == (20, 3)


@pytest.mark.parametrize(
    ("labels", "subjects"),
    [([0, 0, 1], ["", "", ""]), ([0] * 9 + [1], [""] * 10), ([0, 0, 0, 1], ["a", "a", "a", "b"])],
)
def test_a_class_of_one_clip_is_never_all_that_is_held_out(labels: list[int], subjects: list[str]) -> None:
    """A part that leaves one class to fit on is left out, not fitted."""
    known = np.array(labels)
    features = np.random.default_rng(0).normal(size=(len(known), 6))
    folds, _ = divide(known, subjects, 0)
    assert folds
    assert all(len(set(known[train])) == 2 for train, _ in folds)
    for fitted in (fit_logistic(features, known, folds), fit_svm(features, known, folds)):
        assert fitted.scores(features).shape == (len(known), 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": 0}, "frames: found 0"),
        ({"benchmark": "xview"}, "no benchmark called 'xview'"),
        ({"labels": 0.0}, "labels: found 0"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str, prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        baseline(prepared, out=tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_what_cannot_be_learned_is_refused(tmp_path: Path) -> None:
    flat = tiny.write_set(tmp_path / "flat", COCO17, channels=("x", "y"))
    with pytest.raises(InputError, match="is in 2D"):
        baseline(flat, align=True, out=tmp_path / "run")
    with pytest.raises(InputError, match="one class only"):
        divide(np.zeros(20, np.int64), ["a", "b"] * 10, 0)


def test_it_stands_beside_encoders(
    raw: RunFolder, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = raw.result["correct"]
    assert f"| raw joints, {raw.result['classifier']} | – |" in results([raw.path])
    encoder = tiny.tiny_pretrain(prepared, tmp_path / "p").path
    tuned = [tiny.tiny_finetune(prepared, tmp_path / f"tuned{seed}", encoder=encoder, seed=seed) for seed in (0, 1)]
    page = report([raw.path, *(run.path for run in tuned)], tmp_path / "page.html").read_text()
    among = [run.result["correct"] for run in tuned]
    points = 100 * (sum(among) / 2 - right) / tiny.TEST
    assert f"without any encoder, has {100 * right / tiny.TEST:.1f} % ({points:+.1f} points)" in page
    assert ("Raw joints win here" in page) == (points < 0)
    assert ("Raw joints do not win here" in page) == (points >= 0)
    few = tiny.tiny_finetune(prepared, tmp_path / "few", encoder=encoder, labels=0.5)
    alone = report([raw.path, few.path], tmp_path / "few.html").read_text()
    assert "without any encoder," not in alone  # it learned from other labelled clips
    assert main(["baseline", "--data", str(prepared), "--align", "--out", str(tmp_path / "cli")]) == 0
    assert f"of {tiny.TEST} clips right" in capsys.readouterr().out
