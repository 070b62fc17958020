from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from maskel import load_classifier
from maskel.commands.evaluate import evaluate
from maskel.commands.linear import linear
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError, Stopped
from maskel.layouts import KINECT20
from maskel.models.loading import load_encoder
from maskel.training.run import RunFolder
from maskel.training.scores import Scores
from maskel.transforms import TrainView


@pytest.fixture(scope="module")
def tuned(prepared: Path, pretrained: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished tiny fine-tuning run; nobody writes to it."""
    return tiny.tiny_finetune(prepared, tmp_path_factory.mktemp("tuned") / "run", pretrained.path)


def test_every_test_clip_is_counted_once(tuned: RunFolder, tiny_set: SkeletonSet) -> None:
    result = tuned.result
    tiny.assert_counts_agree(result, tiny.predictions(tuned), tiny_set)
    assert result["last_epoch"]["correct"] == result["correct"] == tuned.metrics[-1]["correct"]
    assert result["best_epoch"]["correct"] == max(row["correct"] for row in tuned.metrics)
    assert result["labels"] == result["split"]["train"]
    scores = Scores.read(tuned.path)
    assert scores.hash == result["split"]["test"]["hash"]
    assert [tiny.CLASSES[label] for label in scores.predicted] == [row["predicted"] for row in tiny.predictions(tuned)]


@pytest.mark.parametrize("kind", ["linear", "finetune"])
@pytest.mark.parametrize("single_body", ["zero", "copy"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_evaluation_gives_the_run_s_own_scores(
    kind: str, single_body: Any, precision: Any, prepared: Path, pretrained: RunFolder, tmp_path: Path
) -> None:
    if kind == "linear":
        training = replace(tiny.PROBE, precision=precision)
        run = linear(
            pretrained.path, prepared, training=training, single_body=single_body, device="cpu", out=tmp_path / "run"
        )
    else:
        training = replace(tiny.FINETUNE, precision=precision)
        run = tiny.tiny_finetune(prepared, tmp_path / "run", training=training, single_body=single_body)
    again = evaluate(run.path, prepared, precision=precision, device="cpu", out=tmp_path / "again")
    one, other = Scores.read(run.path), Scores.read(again.path)
    assert np.array_equal(one.scores, other.scores)
    assert (one.names, one.classes) == (other.names, other.classes)
    for name in ("correct", "seen", "accuracy", "per_class", "split"):
        assert again.result[name] == run.result[name]
    assert (again.path / "predictions.csv").read_bytes() == (run.path / "predictions.csv").read_bytes()


def test_any_part_can_be_evaluated(tuned: RunFolder, prepared: Path, tiny_set: SkeletonSet, tmp_path: Path) -> None:
    run = evaluate(tuned.path, prepared, part="train", device="cpu", out=tmp_path / "run")
    result, names = run.result, [row["name"] for row in tiny.predictions(run)]
    assert names == [tiny_set.clips[position].name for position in tiny_set.split("xsub", "train")]
    assert (result["seen"], result["part"], result["head"]) == (tiny.TRAIN, "train", "finetune")


def test_a_set_of_other_classes_or_joints_is_not_evaluated(tuned: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds kinect20"):
        evaluate(tuned.path, tiny.write_set(tmp_path / "kinect", KINECT20), device="cpu", out=tmp_path / "run")
    other = tiny.write_set(tmp_path / "other", classes=("jump", "clap", "kick"))
    with pytest.raises(InputError, match=r"has 3 classes, the first 'wave'; .* has 3, the first 'jump'"):
        evaluate(tuned.path, other, device="cpu", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("when", [1, 3])
@pytest.mark.parametrize("method", ["mamp", "hacm"])
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(
    when: int, method: str, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = tiny.encoder_for(method)
    options = {"labels": 0.8, "validation": 0.3}
    whole = tiny.tiny_finetune(prepared, tmp_path / "whole", encoder, **options)
    with monkeypatch.context() as patched:
        tiny.as_steps_begin(patched, lambda step: tiny.ctrl_c_if(step == when))
        with pytest.raises(Stopped, match=f"after step {when};"):
            tiny.tiny_finetune(prepared, tmp_path / "parts", encoder, **options)
    parts = tiny.tiny_finetune(prepared, tmp_path / "parts", encoder, resume=True, **options)
    tiny.assert_identical(tiny.state_of(parts), tiny.state_of(whole))
    for name in ("metrics.csv", "predictions.csv", "scores.npz", "classifier.safetensors", "labels.csv", "config.yaml"):
        assert (parts.path / name).read_bytes() == (whole.path / name).read_bytes(), name


def test_same_seed_same_run_other_seed_another(prepared: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    one = tiny.tiny_finetune(prepared, tmp_path / "one", seed=4)
    torch.manual_seed(2)
    same = tiny.tiny_finetune(prepared, tmp_path / "same", seed=4)
    other = tiny.tiny_finetune(prepared, tmp_path / "other", seed=5)
    tiny.assert_identical(tiny.state_of(one), tiny.state_of(same))
    assert one.metrics != other.metrics


def test_fine_tuning_starts_from_the_encoder_given(prepared: Path, pretrained: RunFolder, tmp_path: Path) -> None:
    training = replace(tiny.FINETUNE, lr=0.0, min_lr=0.0)
    run = tiny.tiny_finetune(prepared, tmp_path / "run", pretrained.path, training=training)
    before, after = load_encoder(pretrained.path), load_classifier(run.path).encoder
    tiny.assert_identical(dict(after.state_dict()), dict(before.state_dict()))
    moved = load_classifier(tiny.tiny_finetune(prepared, tmp_path / "moved", pretrained.path).path).encoder
    assert not torch.equal(moved.patch_embed.weight, before.patch_embed.weight)


@pytest.mark.parametrize("scratch", [True, False])
def test_training_from_scratch_is_named(
    scratch: bool, prepared: Path, pretrained: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = tiny.ENCODER if scratch else pretrained.path
    tiny.tiny_finetune(prepared, tmp_path / "run", encoder, training=replace(tiny.FINETUNE, epochs=2))
    assert ("no pre-trained --encoder: this trains from scratch" in capsys.readouterr().err) is scratch


@pytest.mark.parametrize(("given", "expected"), [(None, (0.8, 1.0)), (0.6, (0.6, 0.6))])
def test_layer_decay_is_for_encoders_that_learned_something(
    given: float | None, expected: tuple[float, float], prepared: Path, pretrained: RunFolder, tmp_path: Path
) -> None:
    training = replace(tiny.FINETUNE, layer_decay=given)
    runs = [
        tiny.tiny_finetune(prepared, tmp_path / str(number), encoder, training=training)
        for number, encoder in enumerate((pretrained.path, tiny.ENCODER))
    ]
    assert tuple(run.read_config()["training"]["layer_decay"] for run in runs) == expected
    assert [run.result["from_scratch"] for run in runs] == [False, True]
    depth = tiny.ENCODER.depth
    for run, decay in zip(runs, expected, strict=True):
        rates = {group["lr"] for group in run.load_state()["optimizer"]["param_groups"]}
        lr = run.metrics[-1]["lr"]
        assert sorted(rates) == pytest.approx(sorted({lr * decay**below for below in range(depth + 2)}))


def test_clips_seen_again_and_again_are_learned(prepared: Path, tmp_path: Path) -> None:
    training = replace(tiny.FINETUNE, epochs=60, batch_size=16, lr=5e-3, save_epochs=60)
    run = tiny.tiny_finetune(prepared, tmp_path / "run", training=training, drop_path=0.0, dropout=0.1)
    assert evaluate(run.path, prepared, part="train", device="cpu", out=tmp_path / "train").result["correct"] > 12


@pytest.mark.parametrize("kind", ["linear", "finetune"])
def test_a_share_of_the_labels_and_subjects_held_out(
    kind: str, prepared: Path, pretrained: RunFolder, tiny_set: SkeletonSet, tmp_path: Path
) -> None:
    def train(name: str, **options: Any) -> RunFolder:
        if kind == "linear":
            training = replace(tiny.PROBE, batch_size=4)
            return linear(pretrained.path, prepared, training=training, device="cpu", out=tmp_path / name, **options)
        training = replace(tiny.FINETUNE, batch_size=4)
        return tiny.tiny_finetune(prepared, tmp_path / name, training=training, **options)

    run = train("run", labels=0.6, validation=0.3, seed=3)
    result, rows = run.result, run.metrics
    assert result["labels"]["size"] == 9
    assert len(result["validation"]["subjects"]) == 1
    assert {row["validation_seen"] for row in rows} == {result["validation"]["size"]}
    best = max(rows, key=lambda row: row["validation_accuracy"])
    assert result["best_validation_epoch"]["epoch"] == best["epoch"]
    assert result["best_validation_epoch"]["validation_accuracy"] == best["validation_accuracy"]
    assert result["correct"] == rows[-1]["correct"]  # the last epoch is the result all the same
    names = [line.split(",")[0] for line in (run.path / "labels.csv").read_text().splitlines()[1:]]
    held = set(result["validation"]["subjects"])
    subjects = {clip.name: clip.subject for clip in tiny_set.clips}
    assert sum(subjects[name] in held for name in names) == result["validation"]["size"]
    again = train("again", label_list=run.path / "labels.csv", validation=0.3, seed=3)
    assert again.metrics == rows
    assert (again.path / "labels.csv").read_bytes() == (run.path / "labels.csv").read_bytes()


def test_other_label_lists_do_not_resume(prepared: Path, tmp_path: Path) -> None:
    first = tiny.tiny_finetune(prepared, tmp_path / "first", labels=0.5)
    (tmp_path / "labels.csv").write_bytes((first.path / "labels.csv").read_bytes())
    options = {"label_list": tmp_path / "labels.csv"}
    run = tiny.tiny_finetune(prepared, tmp_path / "run", **options)
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    (tmp_path / "labels.csv").write_text("\n".join(lines[:-1]))
    with pytest.raises(InputError, match="other training clips"):
        tiny.tiny_finetune(prepared, run.path, resume=True, **options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": replace(tiny.FINETUNE, accumulate=2)}, "accumulate must be 1"),
        ({"training": replace(tiny.FINETUNE, batch_size=1)}, "batch_size of 2 or more"),
        ({"labels": 0.0}, "labels: found 0.0"),
        ({"benchmark": "xview"}, "no benchmark called 'xview'"),
        ({"encoder": Path("nowhere")}, "nowhere: no such encoder"),
        ({"encoder": replace(tiny.ENCODER, patch_joints=2)}, "patch_joints 2 does not divide the 25 joints"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    changes: dict[str, Any], message: str, prepared: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        tiny.tiny_finetune(prepared, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_the_encoder_keeps_its_weights_in_the_first_epochs(
    prepared: Path, pretrained: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load_encoder(pretrained.path).state_dict()

    def encoder_after(epochs: int, out: str) -> dict[str, torch.Tensor]:
        training = replace(tiny.FINETUNE, save_epochs=1)
        with monkeypatch.context() as patched:
            tiny.as_steps_begin(patched, lambda step: tiny.ctrl_c_if(step == 3 * epochs))  # three steps an epoch
            with pytest.raises(Stopped):
                tiny.tiny_finetune(prepared, tmp_path / out, pretrained.path, freeze_epochs=2, training=training)
        state = RunFolder(tmp_path / out).load_state()["method"]
        return {name.removeprefix("encoder."): value for name, value in state.items() if name.startswith("encoder.")}

    kept = encoder_after(2, "run")
    tiny.assert_identical(dict(sorted(kept.items())), dict(sorted(before.items())))
    heads = [RunFolder(tmp_path / "run").load_state()["method"]["head.fc2.weight"]]
    run = tiny.tiny_finetune(prepared, tmp_path / "run", pretrained.path, freeze_epochs=2, resume=True)
    whole = tiny.tiny_finetune(prepared, tmp_path / "whole", pretrained.path, freeze_epochs=2)
    tiny.assert_identical(tiny.state_of(run), tiny.state_of(whole))
    after = whole.load_state()["method"]
    for name, value in before.items():
        assert not torch.equal(after[f"encoder.{name}"], value), name
    assert not torch.equal(after["head.fc2.weight"], heads[0])


def test_a_linear_head_is_that_of_linear_evaluation(prepared: Path, pretrained: RunFolder, tmp_path: Path) -> None:
    run = tiny.tiny_finetune(prepared, tmp_path / "run", pretrained.path, head="linear", head_dim=2048)
    classifier = load_classifier(run.path)
    assert [name for name, _ in classifier.head.named_parameters()] == ["linear.weight", "linear.bias"]
    assert classifier.head.linear.weight.shape == (len(tiny.CLASSES), 25 * tiny.ENCODER.dim)
    again = evaluate(run.path, prepared, device="cpu", out=tmp_path / "again")
    assert np.array_equal(Scores.read(run.path).scores, Scores.read(again.path).scores)
    published = tiny.tiny_finetune(prepared, tmp_path / "published", pretrained.path)
    assert not {"head", "freeze_epochs"} & published.read_config().keys()


@pytest.mark.parametrize("mirror", [False, True])
def test_a_fitted_head_begins_as_the_regularised_probe(
    mirror: bool, prepared: Path, pretrained: RunFolder, tmp_path: Path
) -> None:
    view = TrainView(mirror=mirror)
    probe = linear(
        pretrained.path, prepared, pool="joints", probe="regularised", view=view, device="cpu", out=tmp_path / "probe"
    )
    still, given = replace(tiny.FINETUNE, lr=0.0, min_lr=0.0), {"head": "fitted", "head_dim": 2048, "view": view}
    run = tiny.tiny_finetune(prepared, tmp_path / "run", pretrained.path, training=still, **given)
    assert np.array_equal(Scores.read(run.path).scores, Scores.read(probe.path).scores)
    assert {name: probe.result[name] for name in run.result["fitted_head"]} == run.result["fitted_head"]
    tuned = tiny.tiny_finetune(prepared, tmp_path / "tuned", pretrained.path, **given)
    before, after = (load_classifier(one.path).state_dict() for one in (run, tuned))
    for name in before:  # it learns, but for the averages of its norm
        assert torch.equal(before[name], after[name]) == name.startswith(("head.norm", "familiarity.names")), name
    again = evaluate(tuned.path, prepared, device="cpu", out=tmp_path / "again")
    assert np.array_equal(Scores.read(tuned.path).scores, Scores.read(again.path).scores)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"freeze_epochs": 3}, "freeze_epochs: found 3, expected 0 to 2, fewer than all epochs"),
        ({"freeze_epochs": -1}, "freeze_epochs: found -1"),
        ({"freeze_epochs": 1, "encoder": tiny.ENCODER}, "expected 0, as there is no encoder to keep"),
        ({"head": "linear"}, "head_dim: does nothing with --head linear"),
        ({"head": "fitted"}, "head_dim: does nothing with --head fitted"),
        ({"head": "fitted", "head_dim": 2048, "encoder": tiny.ENCODER}, "head: fitted begins as a probe of a pre-"),
    ],
)
def test_a_start_or_head_that_does_nothing_is_refused(
    changes: dict[str, Any], message: str, prepared: Path, pretrained: RunFolder, tmp_path: Path
) -> None:
    encoder = changes.pop("encoder", pretrained.path)
    with pytest.raises(InputError, match=message):
        tiny.tiny_finetune(prepared, tmp_path / "run", encoder, **changes)
    assert not (tmp_path / "run").exists()
