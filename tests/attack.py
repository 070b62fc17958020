"""Kills and races: python tests/attack.py [--minutes M] [--seed S] [COMMAND ...].

Every command is run whole; then again and again it is killed at a random moment and gone on with, and two processes
run it at once. A moment is a step of writing: a folder made, a file flushed, renamed or removed. Each time the end must
be the same: exit code 0, the files of the run that was whole with the same content, nothing unfinished beside them or
in the folder for temporary files. Of two at once one ends so; the other is refused in a sentence, or finds all done.

Every process is a fork of this one, which has imported everything and computes nothing.
"""

import argparse
import contextlib
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch._dynamo  # the first step of an optimiser imports it: once here instead of in every run

import tiny
from maskel import cli
from maskel.commands.command import Command
from maskel.datasets.base import Split
from maskel.datasets.store_writer import SetWriter
from maskel.files import LOCK
from maskel.layouts import NTU25

ENCODER = "--encoder.window=8 --encoder.dim=8 --encoder.depth=1 --encoder.num_heads=2"
PRETRAIN = (
    f"--device cpu --training.epochs 2 --training.batch_size 8 --mamp.decoder_dim 8 --mamp.decoder_depth 1 {ENCODER}"
)
PROBE = "--encoder ENC --data SET --device cpu --training.epochs 2 --training.batch_size 8"
STEPS = {
    "synthesize": "--performers 2 --replications 1 --cameras 1",
    "prepare": "--workers 1",
    "pretrain": f"--training.epochs 1 --training.batch_size 8 --mamp.decoder_depth 1 {ENCODER}",
    "linear": "--training.epochs 1 --training.batch_size 8",
    "finetune": "--training.epochs 1 --head_dim 4",
    "knn": "--k 2",
    "baseline": "--frames 4",
    "report": "--clips 0",
}
"""Sizes for the steps of reproduce and demo."""


@dataclass(frozen=True)
class Job:
    """A command line to kill and to race.

    Args:
        words: Its words; SET, ENC, RAW and OUT stand for places.
        resumes: Whether a killed run goes on by ``--resume`` once it has a ``config.yaml``.
    """

    words: str
    resumes: bool = False


JOBS: dict[str, Job] = {
    "pretrain": Job(f"pretrain --data SET --out OUT {PRETRAIN}", resumes=True),
    "linear": Job(f"linear --out OUT {PROBE}", resumes=True),
    "finetune": Job(f"finetune --out OUT {PROBE} --head_dim 4", resumes=True),
    "knn": Job("knn --encoder ENC --data SET --k 2 --device cpu --out OUT"),
    "baseline": Job("baseline --data SET --frames 4 --out OUT"),
    "seeds": Job(f"pretrain --data SET --seeds 2 --out OUT {PRETRAIN}"),
    "folds": Job("knn --encoder ENC --data SET --benchmark folds --k 2 --device cpu --out OUT"),
    "seeds-folds": Job("knn --encoder ENC --data SET --benchmark folds --seeds 2 --k 2 --device cpu --out OUT"),
    "reproduce": Job("reproduce mamp ntu60_xsub --data SET --scale small --device cpu --out OUT"),
    "demo": Job("demo --out OUT"),
    "synthesize": Job("synthesize --performers 1 --replications 1 --cameras 1 --out OUT"),
    "prepare": Job("prepare synthetic RAW --workers 1 --out OUT"),
    "export-npz": Job("export npz SET --out OUT"),
    "export-pyskl": Job("export pyskl SET --out OUT"),
    "embed": Job("embed --encoder ENC --data SET --device cpu --out OUT.npz"),
    "results": Job("results ENC --out OUT"),
}


class Failed(Exception):
    """What an attack did that it must not be able to do."""


@dataclass(frozen=True)
class Places:
    """Where the inputs are, and a folder for what is made."""

    inputs: Mapping[str, Path]
    work: Path

    def words(self, job: Job, out: Path) -> list[str]:
        """The words of a command line that writes to ``out``."""
        places = {**self.inputs, "OUT": out}
        words = []
        for word in job.words.split():
            stem, dot, ending = word.partition(".")
            words.append(f"{places[stem]}{dot}{ending}" if stem in places else word)
        return words


def make_inputs(folder: Path) -> dict[str, Path]:
    """A set with folds, an encoder, and raw recordings."""
    order = tuple(range(24))
    with SetWriter(folder / "set", NTU25, tiny.CLASSES, "generated", {}) as writer:
        for number in order:
            writer.add(tiny.generated_clip(number, NTU25))
        thirds = {f"fold{part + 1}": order[8 * part : 8 * part + 8] for part in range(3)}
        folds = {name: Split(tuple(set(order) - set(test)), test) for name, test in thirds.items()}
        writer.finish({"xsub": Split(order[:16], order[16:])} | folds)
    encoder = tiny.tiny_pretrain(folder / "set", folder / "encoder").path
    cli.main(["synthesize", "--performers=1", "--replications=1", "--cameras=1", "--out", str(folder / "raw")])
    return {"SET": folder / "set", "ENC": encoder, "RAW": folder / "raw"}


def at_moment(chosen: int) -> list[int]:
    """Kill this process at its ``chosen``-th moment; returns the list that moments are counted in."""
    moments: list[int] = []

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            moments.append(0)
            if len(moments) == chosen + 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*given, **named)

        return call

    for name in ("mkdir", "replace", "rename", "unlink", "rmdir", "fsync"):
        setattr(os, name, counted(getattr(os, name)))
    return moments


def begin(words: Sequence[str], scratch: Path, moment: int = -1) -> int:
    """Start a command in a fork; what it prints, and its number of moments, go to files in ``scratch``."""
    sys.stdout.flush()
    sys.stderr.flush()
    if child := os.fork():
        return child
    code, text = 1, io.StringIO()
    try:
        tempfile.tempdir = str(scratch)
        torch.set_num_threads(1)
        _small_steps()
        moments = at_moment(moment)
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            code = cli.main(list(words))
        (scratch.parent / "moments").write_text(str(len(moments)))
    except BaseException:  # noqa: BLE001 (the fork must not go on as its parent)
        traceback.print_exc(file=text)
    finally:
        (scratch.parent / f"said-{os.getpid()}").write_text(text.getvalue())
        os._exit(code)


def end(child: int, scratch: Path) -> tuple[int, str]:
    """Wait for a command; its exit code, or minus the signal that ended it, and what it printed."""
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    said = scratch.parent / f"said-{child}"
    return code, said.read_text() if said.exists() else ""


def _small_steps() -> None:
    real = Command.__call__

    def smaller(command: Command, name: str, words: Sequence[str]) -> object:
        inner = sys._getframe(1).f_code.co_name != "main"
        return real(command, name, [*words, *STEPS.get(name, "").split()] if inner else words)

    Command.__call__ = smaller  # type: ignore[method-assign]


@dataclass(frozen=True)
class Attack:
    """Attacks on one command.

    Args:
        name: Its name in `JOBS`.
        places: Where to read and write.
        whole: What a run leaves that nothing disturbed: contents by path.
        moments: Its moments.
    """

    name: str
    places: Places
    whole: Mapping[str, Any]
    moments: int

    @classmethod
    def on(cls, name: str, places: Places) -> "Attack":
        """Run the command whole."""
        places.work.mkdir(parents=True)
        scratch, out = places.work / "tmp", places.work / "whole"
        scratch.mkdir()
        code, said = end(begin(places.words(JOBS[name], out), scratch), scratch)
        if code:
            raise Failed(f"{name}: exit code {code}\n{said}")
        return cls(name, places, contents(places.work, out), int((places.work / "moments").read_text()))

    def kill(self, moment: int) -> None:
        """Kill the command at a moment, and go on."""
        with self._fresh() as (scratch, out):
            words = self.places.words(JOBS[self.name], out)
            code, said = end(begin(words, scratch, moment), scratch)
            if code not in (0, -signal.SIGKILL):
                raise Failed(f"{self.name} killed at {moment}: exit code {code}\n{said}")
            if JOBS[self.name].resumes and (out / "config.yaml").is_file():
                words = [words[0], "--resume", str(out)]
            if code or JOBS[self.name].resumes:
                code, said = end(begin(words, scratch), scratch)
            if code and not (code == 2 and " exists " in said):  # killed when all was done; it is compared below
                raise Failed(f"{self.name} killed at {moment} of {self.moments}, then: exit code {code}\n{said}")
            self._compare(f"killed at {moment} of {self.moments}", scratch, out)

    def race(self) -> None:
        """Run the command twice at once."""
        with self._fresh() as (scratch, out):
            words = self.places.words(JOBS[self.name], out)
            children = [begin(words, scratch) for _ in range(2)]
            ends = [end(child, scratch) for child in children]
            codes = sorted(code for code, _ in ends)
            if codes not in ([0, 0], [0, 2]):
                raise Failed(f"{self.name} twice at once: exit codes {codes}\n" + "\n".join(said for _, said in ends))
            self._compare("twice at once", scratch, out)

    def _compare(self, how: str, scratch: Path, out: Path) -> None:
        found = contents(self.places.work, out)
        if found != self.whole:
            differing = sorted(
                path for path in found.keys() | self.whole.keys() if found.get(path) != self.whole.get(path)
            )
            raise Failed(f"{self.name} {how}: other than in a whole run: {', '.join(differing)}")
        if left := list(scratch.iterdir()):
            raise Failed(f"{self.name} {how}: left in the folder for temporary files: {left}")

    @contextlib.contextmanager
    def _fresh(self) -> Iterator[tuple[Path, Path]]:
        for path in self.places.work.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        scratch = self.places.work / "tmp"
        scratch.mkdir()
        yield scratch, self.places.work / "whole"  # one name: files may hold it


def contents(work: Path, out: Path) -> dict[str, Any]:
    """What stands in ``work`` but for what attacks leave there; of texts and numbers what every run has equal."""
    found: dict[str, Any] = {}
    for path in sorted(work.rglob("*")):
        name = str(path.relative_to(work))
        if name.startswith(("tmp", "said-", "moments")) or path.is_dir() or path.name == LOCK:
            continue  # a lock file that nobody holds locks nothing
        if path.name == "result.json":
            result = json.loads(path.read_text())
            found[name] = _timeless(result)
        elif path.suffix in (".safetensors", ".html", ".md"):
            found[name] = path.exists()  # times, and states that hold them
        else:
            found[name] = path.read_bytes()
    return found


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(entry) for key, entry in value.items() if key not in ("minutes", "command", "seconds")}
    return [_timeless(entry) for entry in value] if isinstance(value, list) else value


def attack(names: Sequence[str], folder: Path, seed: int, deadline: float, least: int = 1) -> Iterator[str]:
    """Attack commands in turn until the deadline, each at least ``least`` times; yields a line for each failure."""
    draws = np.random.default_rng(seed)
    inputs = make_inputs(folder / "inputs")
    attacks = {}
    for name in names:
        try:
            attacks[name] = Attack.on(name, Places(inputs, folder / name))
        except Failed as fault:
            yield str(fault)
    done = 0
    while attacks and (done < least or time.monotonic() < deadline):
        for each in attacks.values():
            try:
                for most in (5, each.moments):  # the folder's creation is a small part of the whole
                    each.kill(int(draws.integers(most)))
                if done % 4 == 0:
                    each.race()
            except Failed as fault:
                yield str(fault)
            if done >= least and time.monotonic() >= deadline:
                break
        done += 1
    print(f"{done} rounds of {', '.join(attacks)}", flush=True)  # noqa: T201


def main(arguments: list[str]) -> int:
    """Attack; the exit code is 1 if an attack succeeded."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("commands", nargs="*", help=", ".join(JOBS))
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    deadline, failed = time.monotonic() + 60 * given.minutes, 0
    with tempfile.TemporaryDirectory(prefix="attack-") as folder:
        for line in attack(given.commands or list(JOBS), Path(folder), given.seed, deadline):
            failed += 1
            print(line, flush=True)  # noqa: T201
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
