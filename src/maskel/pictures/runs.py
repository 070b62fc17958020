"""Run folders as the report reads them: what is there is checked once, what is missing is named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskel.commands.pretrain import load_method
from maskel.commands.seeds import seed_folders
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.files import nested
from maskel.methods.masked import MaskedMethod
from maskel.training.labelled import share_of_labels
from maskel.training.run import CONFIG, ENCODER, METRICS, RESULT, Row, RunFolder

TRAINED = {"linear": "Linear evaluation", "finetune": "Fine-tuning"}
"""Kinds of run that train a classifier, and what the page calls them."""
SCORED = (*TRAINED, "baseline", "evaluate", "ensemble")
"""Kinds of run that leave one prediction for each clip."""

_UNEQUAL = ("balanced_accuracy", "macro_f1")
"""What a result says of unequal classes, if its version did."""
_TOLD = {
    **{"method": "pretrain", "k": "knn", "head_dim": "finetune", "classifier": "evaluate", "runs": "ensemble"},
    "align": "baseline",
}
"""Kinds of run by an option that only they have; linear has none of these."""
_NEEDED = {
    "pretrain": ("data",),
    "baseline": ("data",),
    "evaluate": ("data", "classifier"),
    "ensemble": ("runs", "weights"),
}
_FOLDER = "expected a run folder of maskel pretrain, linear, finetune, knn, baseline, evaluate or ensemble"


@dataclass(frozen=True)
class Count:
    """Right answers among the clips asked.

    Args:
        correct: Right answers.
        seen: Clips.
    """

    correct: int
    seen: int

    def __str__(self) -> str:
        return f"{self.correct} / {self.seen}" + (f" = {100 * self.share:.1f} %" if self.seen else "")

    @property
    def share(self) -> float:
        """Accuracy in [0, 1]; 0 where no clip was asked."""
        return self.correct / self.seen if self.seen else 0.0


@dataclass(frozen=True)
class Answers:
    """How one way of classifying did.

    Args:
        way: ``linear``, ``finetune, 1 % of the labels``, ``1-NN``, ``20-NN vote`` or ``sum of logits``, for example.
        count: Over all test clips.
        classes: Class names.
        per_class: A count for each class.
        balanced: Mean recall of the classes that occur; None where the run did not count so.
        macro_f1: Mean F1 of the classes that occur or are predicted; None likewise.
        top5: Clips whose class is among those of the five highest scores; None likewise, and where classes are few.
    """

    way: str
    count: Count
    classes: tuple[str, ...]
    per_class: tuple[Count, ...]
    balanced: float | None = None
    macro_f1: float | None = None
    top5: Count | None = None

    @property
    def unequal(self) -> bool:
        """Whether some classes have more clips than others."""
        return len({count.seen for count in self.per_class}) > 1

    @classmethod
    def read(cls, way: str, counted: Mapping[str, Any]) -> "Answers":
        """From what ``result.json`` holds."""
        rows = counted["per_class"]
        balanced, macro_f1 = (float(counted[name]) if name in counted else None for name in _UNEQUAL)
        return cls(
            way,
            Count(int(counted["correct"]), int(counted["seen"])),
            tuple(str(row["class"]) for row in rows),
            tuple(Count(int(row["correct"]), int(row["seen"])) for row in rows),
            balanced,
            macro_f1,
            Count(int(counted["top5"]), int(counted["seen"])) if "top5" in counted else None,
        )


@dataclass(frozen=True)
class Summand:
    """A run whose scores an ensemble adds up.

    Args:
        path: Its folder, as it was given.
        weight: Of its scores.
        count: What it gets right alone.
    """

    path: str
    weight: float
    count: Count


@dataclass(frozen=True)
class Run:
    """One run folder.

    Args:
        name: How the page calls it: the folder's name, or its path where two folders share a name.
        folder: The folder.
        kind: ``pretrain``, ``linear``, ``finetune``, ``knn``, ``baseline``, ``evaluate`` or ``ensemble``.
        config: Its options.
        result: What ``result.json`` holds; empty if the run is not finished.
        unfinished: Why there is no result, as part of a sentence about the run; empty if there is one.
        answers: Of a nearest-neighbour run two, 1-NN and the vote; of pre-training none; else one.
        best_epoch: Of a trained classifier the epoch with most right answers on the test part, and those.
        summands: Of an ensemble the runs in it.
    """

    name: str
    folder: RunFolder
    kind: str
    config: Mapping[str, Any]
    result: Mapping[str, Any]
    unfinished: str = ""
    answers: tuple[Answers, ...] = ()
    best_epoch: tuple[int, Count] | None = None
    summands: tuple[Summand, ...] = ()

    @property
    def untrained(self) -> bool:
        """Whether an encoder with random weights was evaluated, or fine-tuned: training from scratch."""
        return bool(self.config.get("untrained")) or (self.kind == "finetune" and self.sizes is not None)

    @property
    def sizes(self) -> Mapping[str, Any] | None:
        """The sizes of the encoder, where the run's own options state them."""
        found = self.config.get("encoder")
        return found if isinstance(found, Mapping) else None

    @property
    def encoder(self) -> Path:
        """The encoder that was evaluated, whether the run named its folder or the file."""
        path = Path("" if self.sizes else str(self.config.get("encoder", ""))).resolve()
        return path.parent if path.name == ENCODER else path

    @property
    def part(self) -> str:
        """The part of the benchmark that was asked: ``test``, or ``train`` where a classifier was evaluated on it."""
        return str(self.result.get("part", "test"))

    @property
    def asked(self) -> tuple[str, ...]:
        """What was asked: data set, benchmark, part and hash of the part. Counts compare only where these agree."""
        return self.about("data", "source"), self.about("benchmark"), self.part, self.about("split", self.part, "hash")

    def about(self, *keys: str) -> str:
        """What the result says under ``keys``, as text; ``not recorded`` where it says nothing."""
        value = nested(self.result, *keys)
        if isinstance(value, float):
            return f"{value:.3g}" if value < 100 else f"{value:.0f}"
        return "not recorded" if value is None or value == "" else str(value)

    def metrics(self) -> list[Row]:
        """Every epoch's line.

        Raises:
            InputError: If there is none, or the table cannot be read.
        """
        if not (self.folder.path / METRICS).is_file():
            raise InputError(f"{self.name} has no {METRICS}")
        rows = self.folder.read_metrics()
        if not rows:
            raise InputError(f"{self.name} has a {METRICS} without an epoch")
        return rows


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """The runs in these folders, each once; a folder of several seeds stands for its runs.

    Raises:
        InputError: If a folder is not a run folder.
    """
    folders: dict[Path, Path] = {}
    for path in paths:
        folders |= {seed.resolve(): seed for seed in seed_folders(path).values() or [path]}
    names = [_name(path) for path in folders]
    return [
        _read(path, name if names.count(name) == 1 else str(path))
        for path, name in zip(folders.values(), names, strict=True)
    ]


def _name(path: Path) -> str:
    """A folder's own name; that of the folder above it too where it is one of several seeds."""
    return f"{path.parent.name}/{path.name}" if path in seed_folders(path.parent).values() else path.name


def _read(path: Path, name: str) -> Run:
    folder = RunFolder(path)
    if not (path / CONFIG).is_file():
        raise InputError(f"{path}: {_FOLDER}; it has no {CONFIG}")
    config = folder.read_config()
    kind = next((kind for option, kind in _TOLD.items() if option in config), "linear")
    if not all(option in config for option in _NEEDED.get(kind, ("data", "encoder"))):
        raise InputError(f"{path}: {_FOLDER}; its {CONFIG} is of none")
    if not (path / RESULT).is_file():
        return Run(name, folder, kind, config, {}, f"it has no {RESULT}, so it is not finished")
    try:
        result = folder.read_result()
        if result["kind"] != kind:
            raise ValueError(f"it is of kind {result['kind']!r}")
        answers, best = _answers(kind, result, config), _best_epoch(kind, result)
        return Run(name, folder, kind, config, result, "", answers, best, _summands(kind, result))
    except InputError as fault:
        return Run(name, folder, kind, config, {}, str(fault))
    except (KeyError, TypeError, ValueError, OverflowError) as fault:
        lacking = f"it lacks {fault}" if isinstance(fault, KeyError) else str(fault)
        return Run(name, folder, kind, config, {}, f"its {RESULT} is not what maskel {kind} writes ({lacking})")


def open_pretrained(run: Run) -> tuple[MaskedMethod, SkeletonSet, int]:
    """The method of a pre-training run, the set it learned from, and its seed.

    Raises:
        InputError: If the run is not finished, or the set is no longer what it was.
    """
    if run.unfinished:
        raise InputError(f"{run.name}: {run.unfinished}")
    clips = SkeletonSet.open(Path(str(run.config["data"])))
    if clips.split_hash(run.about("benchmark"), "test") != run.about("split", "test", "hash"):
        raise InputError(f"{clips.path} now holds other test clips than the run was told of")
    method = load_method(run.folder)
    if (method.encoder.layout.name, method.encoder.channels) != (clips.layout.name, clips.channels):
        raise InputError(f"{clips.path} now holds another joint layout or other channels than the run was told of")
    seed = run.config.get("seed")
    if not isinstance(seed, int):
        raise InputError(f"{run.name} does not say its seed")
    return method, clips, seed


def _answers(kind: str, result: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[Answers, ...]:
    if kind == "pretrain":
        return ()
    if kind in TRAINED:
        return (Answers.read(kind + share_of_labels(config, result), result),)
    if kind == "baseline":
        return (Answers.read(f"raw joints, {result['classifier']}{share_of_labels(config, result)}", result),)
    if kind == "evaluate":
        return (Answers.read(f"evaluate, {result['head']} head", result),)
    if kind == "ensemble":
        return (Answers.read(f"sum of {result['scores']}", result),)
    vote = result["vote"]
    return Answers.read("1-NN", result), Answers.read(f"{int(vote['k'])}-NN vote", vote)


def _best_epoch(kind: str, result: Mapping[str, Any]) -> tuple[int, Count] | None:
    if kind not in TRAINED:
        return None
    best = result["best_epoch"]
    return int(best["epoch"]), Count(int(best["correct"]), int(result["seen"]))


def _summands(kind: str, result: Mapping[str, Any]) -> tuple[Summand, ...]:
    if kind != "ensemble":
        return ()
    if any(not one["weight"] >= 0 for one in result["runs"]):
        raise ValueError("a weight below 0")
    return tuple(
        Summand(str(one["run"]), float(one["weight"]), Count(int(one["correct"]), int(one["seen"])))
        for one in result["runs"]
    )
