"""Accuracy on disturbed clips: strength 0 is the evaluation, and every strength is counted and drawn."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from maskel import disturbances
from maskel.commands.evaluate import evaluate
from maskel.commands.robustness import robustness
from maskel.datasets.bodies import Sample, usual_size
from maskel.datasets.store import SkeletonSet
from maskel.draws import clip_keys
from maskel.errors import InputError
from maskel.training.classifiers import load_classifier
from maskel.training.run import RunFolder

Run = Callable[..., tuple[int, str]]
NONE = {"missing_joints": [], "dropped_frames": [], "noise": [], "lower_frame_rate": []}


@pytest.fixture(scope="module")
def trained(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fine-tuned classifier."""
    return tiny.tiny_finetune(prepared, tmp_path_factory.mktemp("trained") / "run").path


def test_strength_0_is_the_evaluation(trained: Path, prepared: Path, tmp_path: Path) -> None:
    plain = evaluate(trained, prepared, out=tmp_path / "plain", device="cpu")
    run = robustness(trained, prepared, out=tmp_path / "run", device="cpu", **{name: [0.0] for name in NONE})
    counts = [plain.result, run.result, *(run.result[name] for name in NONE)]
    for name in ("correct", "seen", "accuracy", "balanced_accuracy", "macro_f1", "per_class"):
        assert all(counted[name] == counts[0][name] for counted in counts), name
    scores = [np.load(folder.path / "scores.npz")["scores"] for folder in (plain, run)]
    np.testing.assert_array_equal(*scores)


def test_counts_are_those_of_disturbed_clips(
    trained: Path, prepared: Path, tiny_set: SkeletonSet, tmp_path: Path
) -> None:
    strengths = {"missing_joints": [0.5, 0.2], "dropped_frames": [0.9], "noise": [0.1, 2.0], "lower_frame_rate": [0.7]}
    run = robustness(trained, prepared, seed=4, device="cpu", out=tmp_path / "run", **strengths)
    classifier, size = load_classifier(trained), usual_size(Sample.of(tiny_set))
    assert run.result["body_size"] == size > 0
    test = tiny_set.split("xsub", "test")
    batch = tiny_set.gather(test, classifier.label_spec.num_bodies)
    keys, layout = clip_keys(4, 0, torch.from_numpy(test)), tiny_set.layout
    rights = []
    for name, values in strengths.items():
        assert [step["strength"] for step in run.result[name]["steps"]] == sorted(values)
        for step in run.result[name]["steps"]:
            strength = step["strength"]
            changed = {
                "missing_joints": lambda s=strength: disturbances.missing_joints(batch, keys, s, layout),
                "dropped_frames": lambda s=strength: disturbances.dropped_frames(batch, keys, s),
                "noise": lambda s=strength: disturbances.noise(batch, keys, s * size),
                "lower_frame_rate": lambda s=strength: disturbances.lower_frame_rate(batch, s),
            }[name]()
            right = int((classifier.classify(changed).argmax(1) == batch.labels).sum())
            assert (step["correct"], step["seen"]) == (right, len(test)), (name, strength)
            rights.append(right)
        assert run.result[name]["correct"] == run.result[name]["steps"][-1]["correct"]
    assert len(set(rights)) > 1
    again = robustness(trained, prepared, seed=4, device="cpu", out=tmp_path / "again", **strengths)
    assert all(again.result[name] == run.result[name] for name in strengths)
    page = (run.path / "robustness.html").read_text()
    assert page == (again.path / "robustness.html").read_text()
    assert page.count("<polyline") == 4
    assert page.count('<th scope="row">') == 4 + 6  # undisturbed and each strength
    assert f"<td>{run.result['noise']['correct']} of {len(test)}</td>" in page


def test_the_command_prints_tabulates_and_repeats(run: Run, trained: Path, prepared: Path, tmp_path: Path) -> None:
    words = ["robustness", "--classifier", trained, "--data", prepared, "--device=cpu"]
    words += ["--missing-joints", "0.2", "0.4", "--noise", "0.1", "--lower-frame-rate", "0.5"]
    code, text = run(*words, "--out", tmp_path / "run")
    assert code == 0, text
    found = RunFolder(tmp_path / "run").result
    assert found["config"]["dropped_frames"] == [0.25, 0.5, 0.75, 0.9]
    assert run("robustness", "--config", tmp_path / "run" / "config.yaml", "--out", tmp_path / "again")[0] == 0
    assert RunFolder(tmp_path / "again").result["noise"] == found["noise"]
    assert f"{found['correct']} of 8 clips right (" in text
    assert f"{found['missing_joints']['correct']} of 8 clips right with 40 % of the joints missing (" in text
    code, text = run("results", tmp_path / "run")
    assert "| robustness (90 % of the frames dropped) of fine-tune | " in text
    assert run("report", tmp_path / "run", "--out", tmp_path / "page.html")[0] == 0
    assert "robustness (50 % fewer frames per second)" in (tmp_path / "page.html").read_text()
    assert run(*words, "--seeds=2", "--out", tmp_path / "seeds")[0] == 0
    together = json.loads((tmp_path / "seeds" / "result.json").read_text())
    assert together["accuracy"]["std"] == 0
    assert together["missing_joints accuracy"]["mean"] > 0


def test_what_makes_no_sense_is_refused(run: Run, trained: Path, prepared: Path, tmp_path: Path) -> None:
    for name, value, expected in (
        *(("missing_joints", 1.0, "below 1"), ("dropped_frames", -0.1, "0 or more"), ("noise", -1.0, "0 or more")),
        *(("lower_frame_rate", float("nan"), "below 1"), ("noise", float("inf"), "0 or more")),
    ):
        with pytest.raises(InputError, match=f"{name}: found .*, expected .*{expected}"):
            robustness(trained, prepared, out=tmp_path / "run", device="cpu", **{name: [value]})
    for more in ([], ["--seeds=2"]):
        words = ["--classifier", trained, "--data", prepared, "--benchmark=folds", "--out", tmp_path / "r", *more]
        code, text = run("robustness", *words)
        assert code == 2
        assert "has no benchmark called 'folds'; it has: xsub" in text
    assert not list(tmp_path.iterdir())
    alone = robustness(trained, prepared, out=tmp_path / "alone", device="cpu", **NONE)
    assert "No disturbance was chosen" in (alone.path / "robustness.html").read_text()
