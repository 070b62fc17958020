"""The run folder: config.yaml, metrics.csv, the saved state, result.json, and what the run leaves for others."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from maskel.configuration import COMMAND, PROLONGED, refuse_to_resume, renamed
from maskel.display import Displayed
from maskel.distributed import World, barrier, notify
from maskel.errors import InputError
from maskel.files import (
    LOCK,
    cannot_write,
    csv_text,
    damaged_as,
    held,
    holds_nothing,
    json_text,
    locked,
    nested,
    one_line,
    plain_values,
    read_json,
    read_table,
    read_text,
    read_yaml,
    refuse_unwritable,
    write_atomically,
    yaml_text,
)
from maskel.hub import CLASSIFIER as CLASSIFIER
from maskel.hub import CONFIG as CONFIG
from maskel.hub import ENCODER as ENCODER
from maskel.hub import RESULT as RESULT
from maskel.hub import cached
from maskel.methods.classifier import Classifier
from maskel.models.encoder import Encoder
from maskel.models.loading import load_encoder
from maskel.protocols import PROTOCOLS
from maskel.training.classifiers import load_classifier
from maskel.training.machine import provenance
from maskel.training.options import refuse_other_options
from maskel.training.state import read_state, write_state

Row = dict[str, float | int]
"""One epoch's line of metrics.csv."""

METRICS = "metrics.csv"
STATE = "last.safetensors"
PREVIOUS = "previous.safetensors"
"""The state before the last one; there while the run goes on."""
PREDICTIONS = "predictions.csv"
SCORES = "scores.npz"
LABELS = "labels.csv"
_OUTCOME = (RESULT, ENCODER, CLASSIFIER, PREDICTIONS, SCORES, LABELS)
"""Files of a finished run, the result first."""
_AT_ONCE = tuple(name for name, protocol in PROTOCOLS.items() if not protocol.trains)
"""Commands that write all their files at the end of the work: an unfinished folder of theirs counts as empty too."""
_LEFT_AT_ONCE = {CONFIG, PREDICTIONS, SCORES, LABELS, "segments.csv"}


@dataclass(frozen=True)
class RunFolder(Displayed):
    """One run's files.

    Args:
        path: The folder.
    """

    path: Path

    def __fspath__(self) -> str:
        """The folder, so that a run serves where a path is wanted."""
        return str(self.path)

    @property
    def result(self) -> dict[str, Any]:
        """The content of ``result.json``.

        Raises:
            InputError: If the run is not finished.
        """
        return self._read(RESULT, read_json, "the result of a finished run")

    @property
    def metrics(self) -> list[Row]:
        """The rows of ``metrics.csv``: one for each epoch.

        Raises:
            InputError: If the file is missing or not a table of numbers.
        """
        file = self.path / METRICS
        with damaged_as(lambda fault: InputError(f"{file}: expected a table of numbers ({one_line(fault)})")):
            return [{name: float(value) for name, value in row.items()} for row in read_table(file)]

    @property
    def encoder(self) -> Encoder:
        """The encoder that pre-training left, in eval mode on the CPU.

        Raises:
            InputError: If there is none.
        """
        return load_encoder(self.path)

    @property
    def classifier(self) -> Classifier:
        """The classifier that linear evaluation or fine-tuning left, in eval mode on the CPU.

        Raises:
            InputError: If there is none.
        """
        return load_classifier(self.path)

    @property
    def predictions(self) -> list[dict[str, str]]:
        """The rows of ``predictions.csv``: name, class and predicted class of every clip that was counted.

        Raises:
            InputError: If there are none.
        """
        file = self.path / PREDICTIONS
        with damaged_as(lambda fault: InputError(f"{file}: expected a table of predictions ({one_line(fault)})")):
            return list(read_table(file))

    @classmethod
    def create(cls, out: Path | None, kind: str, config: Mapping[str, Any]) -> "RunFolder":
        """A new run folder with its ``config.yaml``, which no other process may write to until the command ends.

        Args:
            out: Where; by default the next free ``runs/KIND-NNN``.
            kind: The command; behind a dash the sort of folder, as in ``linear-seeds``.
            config: Resolved options. With the command they are ``config.yaml``, itself a valid ``--config``.

        Raises:
            InputError: If the folder exists and is not empty, or cannot be written; or an option is no number or text
                that its files can hold.
        """
        with damaged_as(lambda fault: InputError(f"{kind}: an option that no file can hold ({one_line(fault)})")):
            plain_values(config)
        try:
            if out is None:
                out = _next_free(Path("runs"), kind)
            elif not out.exists():
                out.mkdir(parents=True, exist_ok=True)
            elif not out.is_dir():
                refuse_taken(out)
            with held(out):  # of two processes that start at once, one finds the other's options, or its lock
                refuse_taken(out)
                cls(out).empty()
                cls(out)._write_config(kind.partition("-")[0], config)
        except OSError as fault:
            raise cannot_write(out or Path("runs"), fault, "choose another --out") from fault
        return cls(out)

    @classmethod
    def resume(cls, path: Path, config: Mapping[str, Any], is_main: bool = True) -> "RunFolder":
        """An earlier run's folder, to go on with; without a saved state it begins again.

        With more epochs the run is prolonged: what it left when it was finished goes to the folder ``epochs-N`` in it,
        and ``config.yaml`` says so under ``prolonged``.

        Args:
            path: The folder.
            config: Options of this time.
            is_main: Whether this process writes.

        Raises:
            InputError: If it is not a run folder, was started with other options, or cannot be written.
        """
        run = cls(path)
        if not run.has_config:
            refuse_to_resume(path, f"expected a run folder with {CONFIG}; there is nothing to resume")
        if is_main:
            run.hold()
        before = run.read_config()
        epochs = [nested(options, "training", "epochs") for options in (before, config)]
        longer = run.has_state and all(type(number) is int for number in epochs) and 0 < epochs[0] < epochs[1]
        started = {**before, "training": {**before["training"], "epochs": epochs[1]}} if longer else before
        refuse_other_options(path, started, config)
        if longer and is_main:
            run._prolong(before, started, epochs)
        return run

    def _prolong(self, before: Mapping[str, Any], started: Mapping[str, Any], epochs: list[int]) -> None:
        notify(
            f"{self.path} is extended from {epochs[0]} to {epochs[1]} epochs: new epochs have the learning rates of "
            f"{epochs[1]} epochs, finished ones those of {epochs[0]}, so the result differs from a run begun at "
            f"{epochs[1]}"
        )
        try:
            with self.in_use():
                if self.finished:
                    aside = self.path / f"epochs-{epochs[0]}"
                    aside.mkdir(exist_ok=True)
                    for name in filter(lambda name: (self.path / name).is_file(), (CONFIG, METRICS)):
                        write_atomically(aside / name, read_text(self.path / name))
                    for name in filter(lambda name: (self.path / name).is_file(), _OUTCOME):
                        (self.path / name).replace(aside / name)
                self._write_config(self.command, {**started, PROLONGED: [*before.get(PROLONGED, []), epochs]})
        except OSError as fault:
            raise cannot_write(self.path, fault, "make room there") from fault

    @property
    def has_config(self) -> bool:
        """True for a run folder."""
        return (self.path / CONFIG).is_file()

    @property
    def has_state(self) -> bool:
        """True if there is a saved state."""
        return (self.path / STATE).is_file() or (self.path / PREVIOUS).is_file()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep other processes from writing to this run; the system lets go of it when this process ends.

        What a killed process left half-written is removed.

        Raises:
            InputError: If another process does so.
        """
        if not self.has_config:
            yield
            return
        with locked(self.path):
            for partial in self.path.glob(".*.partial"):
                partial.unlink(missing_ok=True)
            yield

    def hold(self) -> None:
        """Keep other processes from writing to this run until the command ends.

        Raises:
            InputError: If another process does so, or nothing can be written there.
        """
        try:
            with held(self.path):
                pass
        except OSError as fault:
            raise cannot_write(self.path, fault, "make room there") from fault

    def tidy(self) -> None:
        """Remove what a process left that was killed at the very end.

        Raises:
            InputError: If another process writes to this run.
        """
        with suppress(OSError), self.in_use():
            pass

    def empty(self) -> None:
        """Remove all that the folder holds but its lock: what a process left that was killed too early to go on."""
        for entry in self.path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != LOCK:
                entry.unlink(missing_ok=True)

    @property
    def resumable(self) -> bool:
        """True if a command can go on with this run by ``--resume``: it trains, once."""
        config = self.read_config()
        several = "seeds" in config or config.get("benchmark") == "folds"
        protocol = PROTOCOLS.get(self.command or "linear")
        return protocol is not None and protocol.trains and not several

    @property
    def finished(self) -> bool:
        """True if there is a result."""
        return (self.path / RESULT).is_file()

    def write_metrics(self, rows: Sequence[Row]) -> None:
        """Write every epoch's line anew, so that a resumed run leaves no line twice."""
        if not rows:
            return
        lines = ([row[name] for name in rows[0]] for row in rows)
        write_atomically(self.path / METRICS, csv_text([list(rows[0]), *lines]))

    def save_state(self, state: Mapping[str, Any]) -> None:
        """Save everything a run needs to go on; the state before it is kept."""
        write_state(self.path / STATE, state, self.path / PREVIOUS)

    def load_state(self, device: torch.device | str = "cpu") -> dict[str, Any]:
        """The saved state; where it is damaged, the one before, and one line says so.

        Raises:
            InputError: If neither is whole.
        """
        try:
            return read_state(self.path / STATE, device)
        except InputError as fault:
            if not (self.path / PREVIOUS).is_file():
                raise InputError(f"{fault}; start the run again") from fault
            try:
                state = read_state(self.path / PREVIOUS, device)
            except InputError:
                raise InputError(f"{fault}, nor is {PREVIOUS}; start the run again") from fault
            notify(f"{fault}; the state before it, {PREVIOUS}, is used")
            return state

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write ``result.json``: the outcome, the run's options, and where it came from.

        One saved state is enough from here on.
        """
        config = self.read_config()
        about = (
            {"pretraining": pretraining_of(Path(config["encoder"]))} if isinstance(config.get("encoder"), str) else {}
        )
        whole = {**result, **about, "config": config, **provenance()}
        write_atomically(self.path / RESULT, json_text(whole, indent=1))
        (self.path / PREVIOUS).unlink(missing_ok=True)

    def read_config(self) -> dict[str, Any]:
        """The run's options; see `command` for what else ``config.yaml`` holds.

        Raises:
            InputError: If there are none.
        """
        config = self._read(CONFIG, read_yaml, "the options of a run")
        config.pop(COMMAND, None)
        return config

    @property
    def command(self) -> str | None:
        """The command that left the run, by its ``config.yaml``; None in runs of earlier versions.

        Raises:
            InputError: If there are no options.
        """
        command = self._read(CONFIG, read_yaml, "the options of a run").get(COMMAND)
        return None if command is None else str(command)

    def _write_config(self, command: str | None, config: Mapping[str, Any]) -> None:
        named = {} if command is None else {COMMAND: command}
        write_atomically(self.path / CONFIG, yaml_text({**named, **config}))

    def _read(self, name: str, read: Callable[[Path], Any], expected: str) -> dict[str, Any]:
        try:
            found = read(self.path / name)
        except (OSError, ValueError) as fault:
            raise InputError(f"{self.path / name}: expected {expected} ({fault})") from fault
        if not isinstance(found, dict):
            raise InputError(f"{self.path / name}: expected {expected}")
        return dict(renamed(found))


def _next_free(runs: Path, kind: str) -> Path:
    """A new folder under the first free number; two processes never get the same."""
    for number in range(1, 10**6):
        try:
            (path := runs / f"{kind}-{number:03d}").mkdir(parents=True)
            break
        except FileExistsError:
            continue
    return path


def _is_free(out: Path) -> bool:
    """Return whether a folder holds nothing but what a killed process left with which no command goes on."""
    if holds_nothing(out):
        return True
    run = RunFolder(out)
    if not run.has_config or run.finished:
        return False
    whole = {entry.name for entry in out.iterdir() if not entry.match(".*.partial")} - {LOCK}
    with suppress(InputError):
        return run.command in _AT_ONCE and whole <= _LEFT_AT_ONCE
    return False


def refuse_taken(out: Path | None) -> None:
    """Refuse a run folder that holds something already, or cannot be written.

    Raises:
        InputError: If it does, or cannot.
    """
    if out is not None and out.exists() and (not out.is_dir() or not _is_free(out)):
        resumable = ""
        with suppress(InputError):
            run = RunFolder(out)
            resumable = f", or go on with --resume {out}" if not run.finished and run.resumable else ""
        raise InputError(f"{out} exists and is not empty; choose another --out{resumable}")
    if out is not None:
        refuse_unwritable(out / CONFIG)


def open_run(out: Path | None, kind: str, config: Mapping[str, Any], resume: bool, world: World) -> RunFolder:
    """The run folder of a command: a new one, or an earlier one to go on with.

    Raises:
        InputError: If ``out`` is taken, or cannot be resumed with these options.
    """
    if resume:
        if out is None:
            raise InputError("resume: expected the run folder to go on with")
        return RunFolder.resume(out, config, world.is_main)
    barrier()  # another process may not have looked yet whether the folder is free
    if not world.is_main:  # only the leading process writes
        return RunFolder(out or Path())
    return RunFolder.create(out, kind, config)


def pretraining_of(encoder: Path) -> dict[str, Any] | None:
    """Return method, data and options of an encoder's pre-training; None without its run folder."""
    encoder = cached(encoder)
    run = RunFolder(encoder.parent if encoder.is_file() else encoder)
    if not (run.path / CONFIG).is_file() or "method" not in (config := run.read_config()):
        return None
    result = run.result if run.finished else {}
    return {"method": config["method"], "source": result.get("data", {}).get("source"), "config": config}


def write_predictions(
    run: RunFolder, names: Sequence[str], labels: Sequence[int], predicted: Sequence[int], classes: Sequence[str]
) -> None:
    """Write ``predictions.csv``: name, true and predicted class of every clip counted."""
    rows = ((name, classes[true], classes[guess]) for name, true, guess in zip(names, labels, predicted, strict=True))
    write_atomically(run.path / PREDICTIONS, csv_text([("name", "class", "predicted"), *rows]))
