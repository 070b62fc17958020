"""Loggers get every row, and can neither change a run nor stop it."""

import random
import sys
import threading
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

import tiny
from maskel.commands.linear import linear
from maskel.errors import InputError, Stopped
from maskel.training import loggers
from maskel.training.run import RunFolder


class Fake:
    """Remembers its calls; raises, or waits, in the method named, and spoils all that it can reach."""

    calls: ClassVar[list[tuple[Any, ...]]] = []
    bad: ClassVar[str] = ""
    fault: ClassVar[BaseException] = RuntimeError("no\nroom")
    held: ClassVar[threading.Event | None] = None

    def _called(self, name: str, *values: Any) -> None:
        self.calls.append((name, *values))
        random.random(), np.random.default_rng().random(), torch.rand(7)
        if name == self.bad:
            if self.held:
                self.held.wait()
            raise self.fault

    def start(self, run: Path, config: Mapping[str, Any], rows: list[dict[str, Any]]) -> None:
        self._called("start", deepcopy(rows))
        rows.clear()

    def row(self, row: dict[str, Any]) -> None:
        self._called("row", dict(row))
        row.clear()

    def picture(self, name: str, pixels: Any) -> None:
        self._called("picture", name, pixels.shape)

    def end(self, result: Mapping[str, Any]) -> None:
        self._called("end", dict(result))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[Fake]:
    for name, value in (("calls", []), ("bad", ""), ("held", None)):
        monkeypatch.setattr(Fake, name, value)
    monkeypatch.setitem(loggers.LOGGERS, "tensorboard", Fake)
    return Fake


def same(run: RunFolder, other: RunFolder) -> None:
    tiny.assert_identical(tiny.state_of(run), tiny.state_of(other))
    assert (run.path / "metrics.csv").read_text() == (other.path / "metrics.csv").read_text()
    assert run.result["loss"] == other.result["loss"]


def test_every_row_is_logged_and_the_run_stays_as_it_is(
    fake: type[Fake], prepared: Path, pretrained: RunFolder, tmp_path: Path
) -> None:
    run = tiny.tiny_pretrain(prepared, tmp_path / "run", log="tensorboard")
    same(run, pretrained)
    assert [call[0] for call in fake.calls] == ["start", "row", "row", "row", "end"]
    assert [call[1] for call in fake.calls[1:4]] == run.metrics
    assert fake.calls[-1][1]["loss"] == run.result["loss"]
    assert run.read_config() == pretrained.read_config() | {"data": str(prepared)}  # it is no option of the run


def test_a_classifier_logs_its_confusions(
    fake: type[Fake], prepared: Path, pretrained: RunFolder, tmp_path: Path
) -> None:
    given = {"training": tiny.PROBE, "device": "cpu", "out": tmp_path / "run"}
    linear(pretrained.path, prepared, log="tensorboard", **given)
    assert [call[0] for call in fake.calls] == ["start", *["row"] * tiny.PROBE.epochs, "picture", "end"]
    assert fake.calls[-2][1:] == ("confusions", (24, 24, 3))


def test_a_run_without_epochs_starts_its_log_too(fake: type[Fake], tmp_path: Path) -> None:
    log = loggers.LogThread("tensorboard", tmp_path, {})
    log.picture("confusions", np.zeros((8, 8, 3), np.uint8))
    log.end({})
    assert [call[0] for call in fake.calls] == ["start", "picture", "end"]


@pytest.mark.parametrize(
    ("bad", "fault"), [("start", RuntimeError("no\nroom")), ("row", SystemExit(3)), ("end", KeyboardInterrupt())]
)
def test_what_a_logger_raises_is_one_line(
    bad: str,
    fault: BaseException,
    fake: type[Fake],
    prepared: Path,
    pretrained: RunFolder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fake, "bad", bad)
    monkeypatch.setattr(fake, "fault", fault)
    run = tiny.tiny_pretrain(prepared, tmp_path / "run", log="tensorboard")
    same(run, pretrained)
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("--log tensorboard") == 1
    assert type(fault).__name__ in said
    assert "Traceback" not in said


def test_a_logger_that_hangs_does_not_hold_a_run(
    fake: type[Fake],
    prepared: Path,
    pretrained: RunFolder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = threading.Event()
    monkeypatch.setattr(loggers, "PATIENCE", 0.1)
    monkeypatch.setattr(fake, "bad", "row")
    monkeypatch.setattr(fake, "held", held)
    try:
        same(tiny.tiny_pretrain(prepared, tmp_path / "run", log="tensorboard"), pretrained)
        assert "not done after" in capsys.readouterr().err
    finally:
        held.set()


def test_a_resumed_run_goes_on_where_the_log_ended(
    fake: type[Fake], prepared: Path, pretrained: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.as_steps_begin(monkeypatch, lambda number: tiny.ctrl_c_if(number == 6))
    with pytest.raises(Stopped):
        tiny.tiny_pretrain(prepared, tmp_path / "run", log="tensorboard")
    assert fake.calls[-1] == ("end", {})
    before = [call[1] for call in fake.calls if call[0] == "row"]
    fake.calls.clear()
    run = tiny.tiny_pretrain(prepared, tmp_path / "run", log="tensorboard", resume=True)
    same(run, pretrained)
    assert fake.calls[0] == ("start", before)
    assert before + [call[1] for call in fake.calls if call[0] == "row"] == run.metrics
    again = tiny.tiny_pretrain(prepared, tmp_path / "run", resume=True)  # without the logger
    same(again, pretrained)


def test_a_missing_extra_is_named_before_anything_is_written(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'maskel\[wandb\]'"):
        tiny.tiny_pretrain(prepared, tmp_path / "run", log="wandb")
    assert not (tmp_path / "run").exists()


def test_confusions_are_darker_where_more_clips_are() -> None:
    pixels = loggers.confusion_pixels(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    assert pixels[::8, ::8, 0].tolist() == [[128, 128], [255, 0]]


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="TensorBoard is not installed: maskel[tensorboard]")
def test_tensorboard_holds_all_rows_once(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with monkeypatch.context() as stopped:
        tiny.as_steps_begin(stopped, lambda number: tiny.ctrl_c_if(number == 6))
        with pytest.raises(Stopped):
            tiny.tiny_pretrain(prepared, tmp_path / "run", log="tensorboard")
    run = tiny.tiny_pretrain(prepared, tmp_path / "run", log="tensorboard", resume=True)
    events = EventAccumulator(str(run.path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [
        (row["epoch"], pytest.approx(row["loss"])) for row in run.metrics
    ]


SERVICE = """
CALLS = []


class Image:
    def __init__(self, pixels):
        self.shape = pixels.shape


class Run:
    def log(self, values, step=None):
        CALLS.append(("log", {name: getattr(value, "shape", value) for name, value in values.items()}, step))

    def finish(self):
        CALLS.append(("finish",))


def init(**options):
    CALLS.append(("init", options))
    return Run()
"""


@pytest.mark.parametrize("service", ["wandb", "trackio"])
def test_a_service_gets_each_row_once(
    service: str, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{service}.py").write_text(SERVICE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, service, raising=False)
    with monkeypatch.context() as stopped:
        tiny.as_steps_begin(stopped, lambda number: tiny.ctrl_c_if(number == 6))
        with pytest.raises(Stopped):
            tiny.tiny_pretrain(prepared, tmp_path / "run")  # the log comes with the resumption only
    for epochs in (tiny.TRAINING.epochs, tiny.TRAINING.epochs + 1):
        training = replace(tiny.TRAINING, epochs=epochs)
        run = tiny.tiny_pretrain(prepared, tmp_path / "run", log=service, resume=True, training=training)
    calls = sys.modules.pop(service).CALLS
    begun = [call[1] for call in calls if call[0] == "init"]
    assert begun[0] == begun[1] | {"config": begun[0]["config"]}
    assert begun[0]["project"] == "maskel"
    assert begun[0]["resume"] == "allow"
    assert begun[0]["config"]["training"]["epochs"] == tiny.TRAINING.epochs
    logged = [call for call in calls if call[0] == "log"]
    rows = [{("steps" if name == "step" else name): value for name, value in row.items()} for row in run.metrics]
    assert [call[1:] for call in logged if call[2]] == [(row, row["epoch"]) for row in rows]
    assert logged[-1][1]["result/loss"] == run.result["loss"]
    assert calls[-1] == ("finish",)


def test_a_package_that_cannot_be_imported_is_one_line(
    prepared: Path,
    pretrained: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "wandb.py").write_text("raise ValueError('built for another system')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    same(tiny.tiny_pretrain(prepared, tmp_path / "run", log="wandb"), pretrained)
    assert "--log wandb: ValueError: built for another system; nothing more" in capsys.readouterr().err


@pytest.mark.skipif(find_spec("wandb") is None, reason="Weights & Biases is not installed: maskel[wandb]")
def test_weights_and_biases_logs_offline(
    prepared: Path, pretrained: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = tiny.tiny_pretrain(prepared, tmp_path / "run", log="wandb")
    same(run, pretrained)
    assert list(run.path.glob("wandb/offline-run-*/*.wandb"))
