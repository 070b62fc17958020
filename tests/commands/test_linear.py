from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from maskel.commands.linear import linear
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError, Stopped
from maskel.layouts import NTU25
from maskel.methods.classifier import ClassWeights, LabelSpec, LinearProbe
from maskel.models.encoder import Encoder
from maskel.models.loading import load_encoder
from maskel.training.classifiers import load_classifier
from maskel.training.engine import Outcome, fit
from maskel.training.features import extract
from maskel.training.metrics import add_up_counts, count
from maskel.training.run import RunFolder
from maskel.transforms import test_view


def probe(encoder: Path, data: Path, out: Path, **changes: Any) -> RunFolder:
    return linear(encoder, data, out=out, training=changes.pop("training", tiny.PROBE), device="cpu", **changes)


@pytest.mark.parametrize("augment", [True, False])
def test_every_test_clip_is_counted_once(
    augment: bool, pretrained: RunFolder, prepared: Path, tiny_set: SkeletonSet, tmp_path: Path
) -> None:
    run = probe(pretrained.path, prepared, tmp_path / "run", augment=augment)
    result = run.result
    tiny.assert_counts_agree(result, tiny.predictions(run), tiny_set)
    assert result["split"]["test"] == {"size": tiny.TEST, "hash": tiny_set.split_hash("xsub", "test")}
    assert all(row["seen"] == tiny.TEST for row in run.metrics)


def test_the_last_epoch_is_the_result_and_the_best_is_named(
    pretrained: RunFolder, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_a_better_second_epoch(*args: Any, **options: Any) -> Outcome:
        outcome = fit(*args, **options)
        outcome.rows[1] |= {"correct": 99, "accuracy": 0.99}
        return outcome

    monkeypatch.setattr("maskel.training.experiment.fit", with_a_better_second_epoch)
    run = probe(pretrained.path, prepared, tmp_path / "run")
    result, last = run.result, run.metrics[-1]
    assert (result["correct"], result["accuracy"]) == (last["correct"], last["accuracy"])
    assert result["correct"] == sum(row["class"] == row["predicted"] for row in tiny.predictions(run))
    assert (result["last_epoch"]["correct"], result["last_epoch"]["epoch"]) == (result["correct"], result["epochs"])
    assert result["best_epoch"] == {"epoch": 2, "correct": 99, "accuracy": 0.99}


def test_cached_features_give_what_features_computed_anew_give(
    pretrained: RunFolder, prepared: Path, tmp_path: Path
) -> None:
    anew = probe(pretrained.path, prepared, tmp_path / "anew", augment=False)
    cached = probe(pretrained.path, prepared, tmp_path / "cached", augment=False, cache_features=True)
    assert tiny.predictions(cached) == tiny.predictions(anew)
    losses = [[row["loss"] for row in run.metrics] for run in (anew, cached)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


@pytest.mark.parametrize(("pool", "parts"), [("regions", 5), ("joints", 25)])
def test_parts_of_the_body_are_kept_apart(
    pool: str, parts: int, pretrained: RunFolder, prepared: Path, tiny_set: SkeletonSet, tmp_path: Path
) -> None:
    run = probe(pretrained.path, prepared, tmp_path / "run", augment=False, cache_features=True, pool=pool)
    classifier = load_classifier(run.path)
    assert classifier.head.linear.in_features == parts * tiny.ENCODER.dim  # type: ignore[union-attr]
    scores = np.load(run.path / "scores.npz")["scores"]
    batch = tiny_set.gather(tiny_set.split("xsub", "test"), 2)
    with torch.no_grad():
        again = classifier.logits(test_view(batch, tiny.ENCODER.window))
    np.testing.assert_allclose(again.numpy(), scores, rtol=1e-3, atol=1e-4)
    with pytest.raises(InputError, match="found 2 patches in time, expected 3 or more"):
        probe(pretrained.path, prepared, tmp_path / "thirds", pool="regions_time")


def test_augmentation_changes_training_only(pretrained: RunFolder, prepared: Path, tmp_path: Path) -> None:
    losses = [
        probe(pretrained.path, prepared, tmp_path / str(augment), augment=augment).metrics[0]["loss"]
        for augment in (True, False)
    ]
    assert losses[0] != losses[1]


def test_classes_that_can_be_told_apart_are(pretrained: RunFolder, prepared: Path, tmp_path: Path) -> None:
    training = replace(tiny.PROBE, epochs=150, batch_size=16, lr=0.5)
    run = probe(pretrained.path, prepared, tmp_path / "run", training=training, augment=False, cache_features=True)
    assert run.metrics[-1]["loss"] < 0.35  # of the training clips; chance is log 3 = 1.1


def test_the_encoder_is_left_as_it_was(pretrained: RunFolder, prepared: Path, tmp_path: Path) -> None:
    before = (pretrained.path / "encoder.safetensors").read_bytes()
    encoder = load_encoder(pretrained.path)
    model = LinearProbe(encoder, LabelSpec(tiny.CLASSES)).train()
    assert not encoder.training
    assert model.head.norm.training
    weights = {name: weight.clone() for name, weight in encoder.state_dict().items()}
    batch = tiny.random_batch(encoder.layout)
    model(batch, batch.clips)["loss"].backward()
    assert {name for name, weight in model.named_parameters() if weight.grad is not None} == {
        "head.linear.weight",
        "head.linear.bias",
    }
    tiny.assert_identical(dict(encoder.state_dict()), weights)
    probe(pretrained.path, prepared, tmp_path / "run")
    assert (pretrained.path / "encoder.safetensors").read_bytes() == before


def test_the_untrained_baseline_is_another_encoder_of_the_same_sizes(
    pretrained: RunFolder, prepared: Path, tmp_path: Path
) -> None:
    trained = probe(pretrained.path, prepared, tmp_path / "trained")
    untrained = probe(pretrained.path, prepared, tmp_path / "untrained", untrained=True)
    again = probe(pretrained.path, prepared, tmp_path / "again", untrained=True)
    other = probe(pretrained.path, prepared, tmp_path / "other", untrained=True, seed=1)
    losses = [run.metrics[-1]["loss"] for run in (trained, untrained, again, other)]
    assert losses[1] == losses[2]
    assert len(set(losses)) == 3
    assert untrained.result["untrained"] is True
    assert trained.result["untrained"] is False


@pytest.mark.parametrize("cache_features", [True, False])
def test_an_interrupted_probe_goes_on_as_if_it_had_not_been(
    cache_features: bool, pretrained: RunFolder, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"augment": not cache_features, "cache_features": cache_features}
    whole = probe(pretrained.path, prepared, tmp_path / "whole", **options)
    with monkeypatch.context() as patched:
        tiny.as_steps_begin(patched, lambda step: tiny.ctrl_c_if(step == 3))
        with pytest.raises(Stopped, match="after step 3"):
            probe(pretrained.path, prepared, tmp_path / "parts", **options)
    parts = probe(pretrained.path, prepared, tmp_path / "parts", resume=True, **options)
    tiny.assert_identical(tiny.state_of(parts), tiny.state_of(whole))
    assert parts.metrics == whole.metrics
    assert tiny.predictions(parts) == tiny.predictions(whole)


@pytest.mark.parametrize("single_body", ["zero", "copy"])
def test_features_are_the_mean_over_both_body_slots(
    single_body: Any, pretrained: RunFolder, tiny_set: SkeletonSet
) -> None:
    encoder = load_encoder(pretrained.path)
    positions = tiny_set.split("xsub", "test")
    for batch_size in (3, 256):
        found = extract(encoder, tiny_set, positions, tiny.ALONE, single_body, batch_size=batch_size)
        for row, position in zip(found, positions, strict=True):
            batch = tiny_set.gather(np.array([position]), 2, single_body)
            with torch.no_grad():
                tokens = encoder(test_view(batch, encoder.config.window).joints[0])  # both slots, copies and zeros too
            torch.testing.assert_close(row, tokens.mean((0, 1)), rtol=1e-5, atol=1e-6)


def test_other_channels_are_refused_in_a_sentence(prepared: Path, tmp_path: Path) -> None:
    Encoder(NTU25, tiny.ENCODER, ("x", "y", "score")).save(tmp_path / "encoder.safetensors")
    with pytest.raises(InputError, match=r"reads layout ntu25 \(x, y, score\), but .* holds ntu25 \(x, y, z\)"):
        probe(tmp_path, prepared, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cache_features": True}, "add --augment false"),
        ({"training": replace(tiny.PROBE, accumulate=2)}, "accumulate must be 1"),
        ({"benchmark": "xview"}, "no benchmark called 'xview'"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    changes: dict[str, Any], message: str, pretrained: RunFolder, prepared: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        probe(pretrained.path, prepared, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_counting() -> None:
    predicted, labels = torch.tensor([0, 1, 1, 0, 2]), torch.tensor([0, 1, 0, 0, 1])
    result = count(predicted, labels, ("a", "b", "c"), 5)
    assert (result["correct"], result["seen"], result["accuracy"]) == (3, 5, 0.6)
    assert result["per_class"] == [
        {"class": "a", "correct": 2, "seen": 3, "predicted": 2, "accuracy": 2 / 3},
        {"class": "b", "correct": 1, "seen": 2, "predicted": 2, "accuracy": 0.5},
        {"class": "c", "correct": 0, "seen": 0, "predicted": 1, "accuracy": None},
    ]
    parts = [
        count(predicted[some], labels[some], ("a", "b", "c"), size) for some, size in ((slice(2), 2), (slice(2, 5), 3))
    ]
    assert add_up_counts(parts) == result
    with pytest.raises(RuntimeError, match="counted 5 clips of a split of 6"):
        count(predicted, labels, ("a", "b", "c"), 6)


@pytest.mark.parametrize("command", ["linear", "finetune"])
def test_class_weights_change_training_and_are_recorded(
    command: str, pretrained: RunFolder, prepared: Path, tmp_path: Path
) -> None:
    def train(name: str, how: ClassWeights) -> RunFolder:
        if command == "finetune":
            return tiny.tiny_finetune(prepared, tmp_path / name, class_weights=how)
        return probe(pretrained.path, prepared, tmp_path / name, class_weights=how)

    plain, balanced, again = train("plain", "none"), train("balanced", "balanced"), train("again", "balanced")
    assert "class_weights" not in plain.read_config()  # as runs have always said it
    assert balanced.result["config"]["class_weights"] == "balanced"
    losses = [[row["loss"] for row in run.metrics] for run in (plain, balanced, again)]
    assert losses[0] != losses[1] == losses[2]
    tiny.assert_identical(tiny.state_of(balanced), tiny.state_of(again))
