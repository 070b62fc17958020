"""On a GPU: recorded steps are those launched one by one, twice the same, and stop where these stop."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from maskel.commands.linear import linear
from maskel.errors import Stopped, TrainingError
from maskel.methods import METHODS
from maskel.sequence import SkeletonBatch
from maskel.training import graph, steps
from maskel.training.loading import ClipBatches
from maskel.training.optim import Graph, TrainingConfig
from maskel.training.run import RunFolder

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="recorded steps need a GPU, and PyTorch finds none here"),
]
Train = Callable[..., RunFolder]


def train(kind: str, data: Path, out: Path, graphs: Graph = "on", **changes: Any) -> RunFolder:
    """A tiny run on the GPU, long enough that most of its steps are replayed."""

    def recipe(training: TrainingConfig) -> Any:
        return replace(training, epochs=6, graph=graphs)

    if kind == "finetune":
        return tiny.tiny_finetune(data, out, bodies="present", training=recipe(tiny.FINETUNE), device="cuda", **changes)
    if kind == "linear":
        encoder = out.parent / "encoder.safetensors"
        tiny.tiny_method("mamp").encoder.save(encoder)
        training = replace(recipe(tiny.PROBE), batch_size=5, lr=0.01)
        run = linear(encoder, data, training=training, device="cuda", out=out, **changes)
        assert isinstance(run, RunFolder)
        return run
    options = tiny.OPTIONS | {"bodies": "present"}
    return tiny.tiny_pretrain(
        data, out, method=kind, options=options, training=recipe(tiny.TRAINING), device="cuda", **changes
    )


def losses(run: RunFolder) -> list[float]:
    return [row["loss"] for row in run.metrics]


KINDS = [*METHODS, "finetune", "linear"]


@pytest.mark.parametrize("kind", KINDS)
def test_recorded_steps_are_those_launched_one_by_one(
    kind: str, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replayed = []
    record = graph.Recorder.record

    def counted(self: graph.Recorder, work: graph.Work) -> graph.Work:
        replay = record(self, work)
        return lambda: replayed.append(replay())

    monkeypatch.setattr(graph.Recorder, "record", counted)
    recorded = train(kind, prepared, tmp_path / "on")
    assert len(replayed) > 18  # of 18 steps with two parts each, and no plan is ever made again
    plain = train(kind, prepared, tmp_path / "off", "off")
    assert losses(recorded) == pytest.approx(losses(plain), rel=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_two_runs_are_equal_bit_for_bit_and_so_is_one_that_was_stopped(
    kind: str, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, again = (train(kind, prepared, tmp_path / name) for name in ("whole", "again"))
    tiny.assert_identical(tiny.state_of(again), tiny.state_of(whole))
    with monkeypatch.context() as patched:
        tiny.as_steps_begin(patched, lambda step: tiny.ctrl_c_if(step == 10))
        with pytest.raises(Stopped):
            train(kind, prepared, tmp_path / "parts")
    parts = train(kind, prepared, tmp_path / "parts", resume=True)
    tiny.assert_identical(tiny.state_of(parts), tiny.state_of(whole))


@pytest.mark.parametrize("kind", ["mamp", "finetune", "linear"])
def test_a_replayed_step_that_is_not_finite_leaves_the_state_before_it(
    kind: str, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, calls = ClipBatches.load, []

    def poisoned(self: ClipBatches, epoch: int, clips: np.ndarray) -> SkeletonBatch:
        calls.append(epoch)
        batch = load(self, epoch, clips)
        return batch.with_joints(batch.joints * float("nan")) if len(calls) == 11 else batch

    with monkeypatch.context() as patched:
        patched.setattr(ClipBatches, "load", poisoned)
        with pytest.raises(TrainingError, match="the loss is not finite at step 10 "):
            train(kind, prepared, tmp_path / "run")
    assert RunFolder(tmp_path / "run").load_state()["step"] == 10
    resumed = train(kind, prepared, tmp_path / "run", resume=True)
    tiny.assert_identical(tiny.state_of(resumed), tiny.state_of(train(kind, prepared, tmp_path / "whole")))


def test_a_step_that_waits_cannot_be_recorded_and_is_launched_as_ever(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    learn = steps.Steps._learn

    def waits(self: steps.Steps, batch: graph.Batch, keys: torch.Tensor) -> None:
        keys.sum().item()
        learn(self, batch, keys)

    monkeypatch.setattr(steps.Steps, "_learn", waits)
    run = train("mamp", prepared, tmp_path / "auto", "auto")
    assert capsys.readouterr().err.count("the step cannot be recorded") == 1
    monkeypatch.undo()
    assert losses(run) == pytest.approx(losses(train("mamp", prepared, tmp_path / "off", "off")), rel=1e-3)


def test_draws_and_masks_are_those_of_a_cpu(prepared: Path, tmp_path: Path) -> None:
    on_gpu = train("mae", prepared, tmp_path / "gpu")
    options = tiny.OPTIONS | {"bodies": "present"}
    training = replace(tiny.TRAINING, epochs=6)
    on_cpu = tiny.tiny_pretrain(prepared, tmp_path / "cpu", method="mae", options=options, training=training)
    assert losses(on_gpu) == pytest.approx(losses(on_cpu), rel=1e-2)
