"""Steps whose numbers are read late, and steps that are recorded: on a CPU a recording is an ordinary call."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from maskel.commands.linear import linear
from maskel.errors import InputError, Stopped, TrainingError
from maskel.methods import METHODS
from maskel.sequence import SkeletonBatch
from maskel.training import graph, loading, steps
from maskel.training.loading import ClipBatches
from maskel.training.run import RunFolder
from recorded import Called, Launch, read_late, record

Train = Callable[..., RunFolder]


def train_linear(data: Path, out: Path, **changes: Any) -> RunFolder:
    training = replace(tiny.PROBE, epochs=3, batch_size=5, lr=0.01)
    encoder = out.parent / "encoder.safetensors"
    if not encoder.exists():
        tiny.tiny_method("mamp").encoder.save(encoder)
    run = linear(encoder, data, training=training, device="cpu", out=out, **changes)
    assert isinstance(run, RunFolder)
    return run


def trainings() -> dict[str, Train]:
    def pretrain(name: str) -> Train:
        training = replace(tiny.TRAINING, clip_grad=0.05)
        return lambda data, out, **changes: tiny.tiny_pretrain(data, out, method=name, training=training, **changes)

    return {name: pretrain(name) for name in METHODS} | {"finetune": tiny.tiny_finetune, "linear": train_linear}


TRAININGS = trainings()


def assert_same_run(one: RunFolder, other: RunFolder) -> None:
    tiny.assert_identical(tiny.state_of(one), tiny.state_of(other))
    for name in ("metrics.csv", "config.yaml"):
        assert (one.path / name).read_bytes() == (other.path / name).read_bytes()


@pytest.mark.parametrize(("kind", "how"), [("mamp", read_late), *((kind, record) for kind in TRAININGS)])
def test_a_run_is_the_same_however_its_steps_are_launched(
    kind: str,
    how: Launch,
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = TRAININGS[kind](prepared, tmp_path / "plain")
    with monkeypatch.context() as patched:
        how(patched)
        other = TRAININGS[kind](prepared, tmp_path / "other")
        # without filling up, each number of bodies has a recording of its own, and the update has one
        assert how is read_late or Called.recorded >= 2
    assert_same_run(plain, other)


def test_bodies_filled_up_need_few_recordings(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = tiny.OPTIONS | {"bodies": "present"}
    plain = tiny.tiny_pretrain(prepared, tmp_path / "plain", options=options)
    record(monkeypatch)
    recorded = []
    for multiple in (1, 16):
        monkeypatch.setattr(loading, "row_multiple", lambda device, multiple=multiple: multiple)
        run = tiny.tiny_pretrain(prepared, tmp_path / str(multiple), options=options)
        losses = [[row["loss"] for row in each.metrics] for each in (run, plain)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
        recorded.append(Called.recorded)
    assert recorded[1] == 2 < recorded[0]  # one of every micro-batch, and one of the update


@pytest.mark.parametrize(
    ("kind", "bad", "how"),
    [("mamp", 4, read_late), ("mamp", 0, record), ("hacm", 4, record), ("finetune", 4, record), ("linear", 4, record)],
)
def test_a_step_that_is_not_finite_changes_nothing_nor_does_one_after_it(
    bad: int,
    kind: str,
    how: Launch,
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load, calls = ClipBatches.load, []

    def poisoned(self: ClipBatches, epoch: int, clips: np.ndarray) -> SkeletonBatch:
        calls.append(epoch)
        batch = load(self, epoch, clips)
        return batch.with_joints(batch.joints * float("nan")) if len(calls) == bad + 1 else batch

    with monkeypatch.context() as patched:
        how(patched)
        patched.setattr(ClipBatches, "load", poisoned)
        with pytest.raises(TrainingError, match=rf"the loss is not finite at step {bad} .*before it is saved in "):
            TRAININGS[kind](prepared, tmp_path / "run")
    assert RunFolder(tmp_path / "run").load_state()["step"] == bad
    resumed = TRAININGS[kind](prepared, tmp_path / "run", resume=True)  # the fault was a passing one
    assert_same_run(resumed, TRAININGS[kind](prepared, tmp_path / "whole"))


@pytest.mark.parametrize(("when", "how"), [(1, read_late), (2, record), (3, record), (9, read_late)])
def test_a_run_stops_after_the_step_in_which_it_is_asked_to(
    when: int,
    how: Launch,
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        how(patched)
        tiny.as_steps_begin(patched, lambda step: tiny.ctrl_c_if(step == when))
        with pytest.raises(Stopped, match=f"after step {when};"):
            tiny.tiny_pretrain(prepared, tmp_path / "run")
    resumed = tiny.tiny_pretrain(prepared, tmp_path / "run", resume=True)
    assert_same_run(resumed, tiny.tiny_pretrain(prepared, tmp_path / "whole"))


def test_states_saved_between_epochs_are_those_of_their_steps(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = replace(tiny.TRAINING, save_steps=2)
    found = []
    for out in ("plain", "late"):
        with monkeypatch.context() as patched:
            if out == "late":
                read_late(patched)
            states: list[dict[str, Any]] = []
            save = RunFolder.save_state

            def noted(self: RunFolder, state: Any, states: Any = states, save: Any = save) -> None:
                states.append({"step": state["step"], "totals": dict(state["totals"])})
                save(self, state)

            patched.setattr(RunFolder, "save_state", noted)
            tiny.tiny_pretrain(prepared, tmp_path / out, training=training)
        found.append(states)
    assert [state["step"] for state in found[0]] == [2, 3, 4, 6, 8, 9]
    assert found[0] == found[1]


class Unable(Called):
    """A recorder that fails in the middle of its work's second part."""

    def record(self, work: graph.Work) -> graph.Work:
        raise RuntimeError("operation not permitted when stream is capturing\nmore of it")


def test_what_cannot_be_recorded_is_launched_as_ever_and_said(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = tiny.tiny_pretrain(prepared, tmp_path / "plain")
    capsys.readouterr()
    record(monkeypatch)
    monkeypatch.setattr(steps, "Recorder", Unable)
    assert_same_run(tiny.tiny_pretrain(prepared, tmp_path / "other"), plain)
    said = capsys.readouterr().err
    assert said.count("the step cannot be recorded (operation not permitted when stream is capturing)") == 1
    must = replace(tiny.TRAINING, graph="on")
    with pytest.raises(TrainingError, match=r"training.graph on: the step cannot be recorded \(operation .*; use auto"):
        tiny.tiny_pretrain(prepared, tmp_path / "must", training=must)


def test_a_graph_where_there_is_no_gpu_is_refused(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"found graph on, but a step is recorded on a GPU only, .* leave graph at auto"
    ):
        tiny.tiny_pretrain(prepared, tmp_path / "run", training=replace(tiny.TRAINING, graph="on"))


def test_a_loss_across_processes_is_not_recorded() -> None:
    together = replace(tiny.ALONE, size=2, device=torch.device("cuda", 0))
    hacm, mamp = tiny.tiny_method("hacm"), tiny.tiny_method("mamp")
    assert not graph.records("auto", hacm, together)
    assert graph.records("auto", mamp, together)
    assert graph.records("auto", hacm, replace(together, size=1))
    assert not graph.records("off", mamp, together)
    with pytest.raises(InputError, match="a loss that compares the clips of all processes"):
        graph.records("on", hacm, together)


def test_a_run_goes_on_with_or_without_a_graph(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of the two is no part of what a run is."""
    auto = replace(tiny.TRAINING, graph="auto")
    with monkeypatch.context() as patched:
        tiny.as_steps_begin(patched, lambda step: tiny.ctrl_c_if(step == 4))
        with pytest.raises(Stopped):
            tiny.tiny_pretrain(prepared, tmp_path / "run", training=auto)
    run = tiny.tiny_pretrain(prepared, tmp_path / "run", resume=True, resident=True)
    whole = tiny.tiny_pretrain(prepared, tmp_path / "whole")
    tiny.assert_identical(tiny.state_of(run), tiny.state_of(whole))
    assert "resident: false" in (whole.path / "config.yaml").read_text()
    assert "graph: auto" in (run.path / "config.yaml").read_text()
    assert "graph" not in (whole.path / "config.yaml").read_text()
