"""``maskel bench``: how long the shipped pre-training recipes would take on this machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from rich.table import Table

from maskel import distributed
from maskel.commands import COMMANDS
from maskel.console import standard_error, standard_output
from maskel.datasets import SOURCES
from maskel.datasets.stand_in import write_stand_in
from maskel.errors import InputError
from maskel.files import scratch_folder
from maskel.methods import METHODS
from maskel.published import BENCHMARKS
from maskel.training.dry_run import Check, duration
from maskel.training.precision import resolved

_CLIPS_ON_CPU = 4


@dataclass(frozen=True)
class Timing:
    """Cost of a recipe.

    Args:
        method: Its name.
        benchmark: Name of the benchmark's recipe.
        bodies: Body slots trained on: all or present.
        check: Measured on a few steps.
        clips: Clips of such a step.
        device: Where.
    """

    method: str
    benchmark: str
    bodies: str
    check: Check
    clips: int
    device: torch.device

    @property
    def clips_per_second(self) -> float:
        """Clips that training sees in a second."""
        return self.clips / self.check.seconds_per_step


def bench(
    method: str | None = None,
    benchmark: str | None = None,
    clips: int | None = None,
    device: str = "auto",
    config: Path | None = None,
) -> list[Timing]:
    """Time a training step of every pre-training recipe with full-size models, and extrapolate to the whole run.

    The data are generated, as for ``--check``. Precision is that of ``training.precision auto``. A small step gives
    the cost of a clip, and the run is estimated as that times the clips of all epochs. Costs that do not depend on the
    batch size are therefore counted too often.

    Args:
        method: Name of the one method to time; by default all.
        benchmark: Name of the one benchmark whose recipe is timed; by default all of NTU RGB+D.
        clips: Clips of a timed step; by default 4 on a CPU, and the recipe's batch on a GPU.
        config: A recipe merged after the others: a smaller model, for example.

    Raises:
        InputError: If there is no such method or benchmark, or a step has no clip.
    """
    sized = [name for name in BENCHMARKS if _size(name)]
    for what, value, choices in (("method", method, sorted(METHODS)), ("benchmark", benchmark, sized)):
        if value is not None and value not in choices:
            raise InputError(f"{what}: found {value!r}, expected one of {', '.join(choices)}")
    if clips is not None and clips < 1:
        raise InputError(f"clips: found {clips}, expected 1 or more")
    world = distributed.start(device)
    if clips is None and world.device.type == "cpu":
        clips = _CLIPS_ON_CPU
    words = ["--check", "--training.precision=auto", f"--device={device}"]
    words += [f"--training.batch-size={clips}"] if clips else []
    words += [f"--config={config}"] if config else []
    tried = [
        (name, recipe, bodies)
        for name in ([method] if method else sorted(METHODS))
        for recipe in ([benchmark] if benchmark else sized)
        for bodies in ("all", "present")
    ]
    timings = []
    with scratch_folder() as scratch:
        for name, recipe, bodies in track(tried, "timing", console=standard_error(), transient=True):
            source, _, split = recipe.rpartition("_")
            data = scratch / source
            if not data.exists():
                write_stand_in(data, source, split)
            recipes = [f"--config={name}", f"--config={recipe}"]
            own = [f"--data={data}", f"--{name}.bodies={bodies}"]
            found, _ = COMMANDS["pretrain"].run("pretrain", [*recipes, *words, *own])
            assert isinstance(found, Check)
            step = clips or _size(recipe) // found.steps_per_epoch
            timings.append(Timing(name, recipe, bodies, found, step, world.device))
    return timings


def _size(recipe: str) -> int:
    """Published number of training clips; 0 where none is known."""
    source, _, split = recipe.rpartition("_")
    return SOURCES[source].published.get(split, (0, 0))[0]


def show(timings: Sequence[Timing], options: Mapping[str, Any]) -> None:
    """Print a table, and what its numbers rest on."""
    console = standard_output()
    device = timings[0].device
    table = Table(title=f"pre-training on {device}, {torch.get_num_threads()} threads, {resolved('auto', device)}")
    for name in ("method", "benchmark", "bodies"):
        table.add_column(name)
    for name in ("epochs", "clips a timed step", "clips/s", "whole run"):
        table.add_column(name, justify="right")
    for timing in timings:
        found = timing.check
        speed = f"{timing.clips_per_second:,.2f}"
        row = (str(found.epochs), str(timing.clips), speed, duration(found.hours))
        table.add_row(timing.method, timing.benchmark, timing.bodies, *row)
    console.print(table)
    console.print(
        "Times are those of the second step, at the machine's present load, on generated clips (a quarter with two "
        "bodies). Whole run: seconds per clip times the clips of all epochs; larger batches are a little faster.",
        soft_wrap=True,
    )
