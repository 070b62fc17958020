"""What `test_resume` runs: python stopped_runs.py SET ENCODER OUT NAME..., each run whole, stopped and resumed.

Every run is a process of its own, a fork of this one, which imports everything once and computes nothing.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch._dynamo  # the first step of an optimiser imports it: once here instead of in every run

import tiny
from maskel.commands.linear import linear
from maskel.errors import Stopped
from maskel.methods import METHODS
from maskel.training.loading import ClipBatches
from maskel.training.run import CONFIG

SEED = 6
WAYS = {"interrupted": [signal.SIGINT], "terminated": [signal.SIGTERM], "killed": [signal.SIGKILL] * 2}
"""How a run is stopped: signals, each at a random moment of a process that goes on with it."""

Train = Callable[[Path, Path, Path, bool], Any]


def pretraining(name: str, **changes: Any) -> Train:
    training = replace(tiny.TRAINING, save_steps=2, **changes)
    return lambda data, encoder, out, resume: tiny.tiny_pretrain(
        data, out, method=name, training=training, resume=resume
    )


def probe(data: Path, encoder: Path, out: Path, resume: bool) -> Any:
    return linear(encoder, data, training=tiny.PROBE, device="cpu", out=out, resume=resume)


def tuning(**changes: Any) -> Train:
    """From the pre-trained encoder, or from scratch where ``encoder`` gives its sizes."""
    return lambda data, encoder, out, resume: tiny.tiny_finetune(
        data, out, resume=resume, **({"encoder": encoder} | changes)
    )


RUNS: dict[str, Train] = {name: pretraining(name) for name in METHODS} | {
    "linear": probe,
    "finetune": tuning(labels=0.8, validation=0.3),
    "scratch": tuning(encoder=tiny.ENCODER),
}
COMPILED: dict[str, Train] = {"mae-compiled": pretraining("mae", compile=True)}
"""Killed only: each process compiles anew."""


def at_moment(chosen: int, sign: signal.Signals) -> list[int]:
    """Send this process a signal at its ``chosen``-th moment; returns the list that moments are counted in.

    A moment is the loading of a batch, or a step of writing a file: before it is flushed, before each renaming.
    """
    moments: list[int] = []

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            moments.append(0)
            if len(moments) == chosen + 1:
                os.kill(os.getpid(), sign)
            return function(*arguments)

        return call

    ClipBatches.load = counted(ClipBatches.load)  # type: ignore[method-assign]
    os.fsync = counted(os.fsync)
    Path.replace = counted(Path.replace)  # type: ignore[method-assign]
    return moments


def in_a_process(work: Callable[[], Any]) -> int:
    """Run ``work`` in a fork; its exit code, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            torch.set_num_threads(1)
            work()
            code = 0
        except (Stopped, KeyboardInterrupt):
            code = 130
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def whole_run(train: Train, data: Path, encoder: Path, out: Path) -> int:
    """A run that is never stopped; returns its moments."""

    def work() -> None:
        moments = at_moment(-1, signal.SIGTERM)
        train(data, encoder, out, False)
        (out.parent / "moments").write_text(str(len(moments)))

    assert in_a_process(work) == 0, out
    return int((out.parent / "moments").read_text())


def stopped_run(train: Train, data: Path, encoder: Path, out: Path, stops: list[tuple[int, signal.Signals]]) -> None:
    """A run that is stopped at these moments, and each time gone on with."""

    def go_on() -> None:
        train(data, encoder, out, (out / CONFIG).is_file())

    for moment, sign in stops:

        def work(moment: int = moment, sign: signal.Signals = sign) -> None:
            at_moment(moment, sign)
            go_on()

        assert in_a_process(work) in (0, 130, -sign), (out, moment)
    assert in_a_process(go_on) == 0, (out, stops)


if __name__ == "__main__":
    data, encoder, out = (Path(argument) for argument in sys.argv[1:4])
    draws = np.random.default_rng(SEED)
    for name in sys.argv[4:]:
        (out / name).mkdir(parents=True)
        moments = whole_run((RUNS | COMPILED)[name], data, encoder, out / name / "whole")
        for way, signals in ({"killed": [signal.SIGKILL]} if name in COMPILED else WAYS).items():
            stops = [(int(draws.integers(moments)), sign) for sign in signals]
            print(f"{name} has {moments} moments, {way} at {[moment for moment, _ in stops]}", flush=True)  # noqa: T201
            stopped_run((RUNS | COMPILED)[name], data, encoder, out / name / way, stops)
