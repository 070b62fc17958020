"""Runs as they were left: options, result, and the counts that tables, reports and other commands read."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

from maskel.configuration import PROLONGED
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.files import nested
from maskel.methods import METHODS
from maskel.methods.masked import MaskedMethod
from maskel.protocols import PROTOCOLS, Protocol
from maskel.training.answers import Answers, Count
from maskel.training.folds import FOLDS, fold_folders
from maskel.training.options import as_now, flat_options
from maskel.training.pretrained import load_method, method_options
from maskel.training.run import CONFIG, ENCODER, METRICS, RESULT, Row, RunFolder
from maskel.training.seeds import of_all_seeds, seed_folders

_BEFORE = {
    **{"method": "pretrain", "k": "knn", "head_dim": "finetune", "classifier": "evaluate", "runs": "ensemble"},
    "align": "baseline",
}
"""Commands of earlier versions' runs, whose ``config.yaml`` does not name it, by an option that only they have."""
_ORIGIN = (
    *("kind", "seed", "data", "split", "labels", "from_scratch", "untrained", "encoder", "pretraining", "config"),
    "runs",
)
_NOT_THE_RECIPE = {"seed", "seeds", "data", "device", "encoder", "label_list", "classifier", "runs"}
"""Options in which runs of one recipe may differ."""


class Summand(NamedTuple):
    """A run whose scores an ensemble adds up: its folder as given, its weight, and what it gets right alone."""

    path: str
    weight: float
    alone: Count


class Fold(NamedTuple):
    """One fold of a run of all folds: its name, the subjects who test in it, and what it gets right."""

    name: str
    subjects: tuple[str, ...]
    counted: Count


@dataclass(frozen=True)
class Run:
    """One run of a command; one of all folds (``--benchmark folds``) counts the answers of its folds together.

    Args:
        name: Name in tables and on pages: the folder's name, or its path where two folders share a name.
        folder: The folder.
        kind: The command that left it, a name of `PROTOCOLS`; or that of another version of maskel.
        config: Its options.
        result: The content of ``result.json``; empty if the run is not finished.
        unfinished: Why there is no result, as part of a sentence about the run; empty if there is one.
    """

    name: str
    folder: RunFolder
    kind: str
    config: Mapping[str, Any]
    result: Mapping[str, Any]
    unfinished: str = ""

    @classmethod
    def open(cls, path: Path, name: str = "") -> "Run":
        """The run in a folder, finished or not; a result that its command did not write counts as none.

        Raises:
            InputError: If it is not a run folder.
        """
        folder, name = RunFolder(path), name or path.name
        *others, last = PROTOCOLS
        expected = f"expected a run folder of maskel {', '.join(others)} or {last}"
        if not folder.has_config:
            raise InputError(f"{path}: {expected}; it has no {CONFIG}")
        config = folder.read_config()
        kind = folder.command or next((kind for option, kind in _BEFORE.items() if option in config), "linear")
        if kind not in PROTOCOLS:
            raise InputError(f"{path}: {expected}; it is one of maskel {kind}")
        if not all(option in config for option in PROTOCOLS[kind].needs):
            raise InputError(f"{path}: {expected}; its {CONFIG} is of none")
        unfinished = partial(cls, name, folder, kind, config, {})
        if not folder.finished:
            return unfinished(f"it has no {RESULT}, so it is not finished")
        try:
            run = cls(name, folder, kind, config, folder.result)
            if run.result["kind"] != kind:
                raise ValueError(f"it is of kind {run.result['kind']!r}")
            if any(not answers.classes for answers in run.answers):
                raise KeyError("per_class")
            if run.answers and run.has_epochs and run.best_epoch is None and not run.folds:
                raise KeyError("best_epoch")
            _ = run.summands
            return run
        except InputError as fault:
            return unfinished(str(fault))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as fault:
            lacking = f"it lacks {fault}" if isinstance(fault, KeyError) else str(fault)
            return unfinished(f"its {RESULT} is not what maskel {kind} writes ({lacking})")

    @classmethod
    def of(cls, result: Mapping[str, Any], path: Path = Path()) -> "Run":
        """A finished run by its result alone, as one copied without its folder."""
        return cls(str(path), RunFolder(path), str(result.get("kind")), result.get("config", {}), result)

    @property
    def protocol(self) -> Protocol:
        """Its protocol; one that this version does not know has its name and the counts of the result itself."""
        return PROTOCOLS.get(self.kind) or Protocol(self.kind, "", {"": "{kind}"})

    @property
    def pretrains(self) -> bool:
        """True if it learned an encoder; every other run counts right answers."""
        return self.kind == "pretrain"

    def value(self, *keys: str) -> Any:
        """The result's entry under ``keys``, and where it says nothing that of the run whose classifier it used."""
        return nested(self._with_origin, *keys)

    def about(self, *keys: str) -> str:
        """The result's entry under ``keys`` as text; ``not recorded`` where it says nothing."""
        value = nested(self.result, *keys)
        if isinstance(value, float):
            return f"{value:.3g}" if value < 100 else f"{value:.0f}"
        return "not recorded" if value is None or value == "" else str(value)

    @property
    def variant(self) -> str:
        """Name of the probe and share of the labels, as in ``, 1 % of the labels``; empty for the protocol itself."""
        probe, share = self.config.get("probe", "sgd"), self.config.get("labels", 1)
        if self.config.get("label_list") is not None:  # a list of clips says no share
            share = self.result["labels"]["size"] / max(self.result["split"]["train"]["size"], 1)
        named = f", {probe}" if probe != "sgd" else ""
        return named + (f", {100 * share:.3g} % of the labels" if share != 1 else "")

    @property
    def has_epochs(self) -> bool:
        """True if it was trained epoch by epoch, and not fitted at once."""
        return self.protocol.trains and self.config.get("probe", "sgd") == "sgd"

    @cached_property
    def answers(self) -> tuple[Answers, ...]:
        """Its counts: of a nearest-neighbour run two, 1-NN and the vote; of pre-training none; else one."""
        if not self.result:
            return ()
        names = {key: name for key, name in self.protocol.rows.items() if not key or key in self.result}
        ways = {key: self._filled(self.protocol.ways.get(key, name), key) + self.variant for key, name in names.items()}
        return tuple(Answers.read(way, key, self.result[key] if key else self.result) for key, way in ways.items())

    def _filled(self, name: str, key: str) -> str:
        """A name of the table of protocols, its gaps filled with what the counts hold."""
        return name.format_map(defaultdict(lambda: None, self.result[key] if key else self.result))

    @property
    def best_epoch(self) -> tuple[int, Count] | None:
        """Epoch of a trained classifier with most right answers on the test part, and their number."""
        best = self.result.get("best_epoch") if self.has_epochs else None
        return None if best is None else (int(best["epoch"]), Count(int(best["correct"]), int(self.result["seen"])))

    @property
    def summands(self) -> tuple[Summand, ...]:
        """Runs of an ensemble."""
        runs = self.result.get("runs", [])
        if any(not entry["weight"] >= 0 for entry in runs):
            raise ValueError("a weight below 0")
        return tuple(
            Summand(str(entry["run"]), float(entry["weight"]), Count(int(entry["correct"]), int(entry["seen"])))
            for entry in runs
        )

    @property
    def folds(self) -> tuple[Fold, ...]:
        """Counts of each fold, in a run of all folds; pre-training counts nothing."""
        return tuple(
            Fold(
                str(entry["fold"]),
                tuple(map(str, entry["subjects"])),
                Count(int(entry.get("correct", 0)), int(entry.get("seen", 0))),
            )
            for entry in self.result.get(FOLDS, [])
        )

    def part_size(self, part: str) -> str:
        """Clips of a part of the benchmark, as text; of all folds each one's, but the sum of test clips."""
        sizes = self.value("split", part, "sizes")
        if part == "test" or not isinstance(sizes, list) or not sizes:
            return self.about("split", part, "size")
        return f"{len(sizes)} x {min(sizes)}" + (f" to {max(sizes)}" if max(sizes) > min(sizes) else "")

    @property
    def origin(self) -> dict[str, Any]:
        """Description of its classifier, which results of evaluations and ensembles repeat."""
        trained = self.result.get("trained")
        about = {name: self.result[name] for name in _ORIGIN if name in self.result}
        return about | trained if isinstance(trained, dict) else about

    @property
    def untrained(self) -> bool:
        """True if the encoder had random weights: the untrained baseline, or training from scratch."""
        return bool(self.config.get("untrained")) or (not self.pretrains and self.sizes is not None)

    @property
    def sizes(self) -> Mapping[str, Any] | None:
        """The sizes of the encoder, where the run's own options state them."""
        sizes = self.config.get("encoder")
        return sizes if isinstance(sizes, Mapping) else None

    @property
    def encoder(self) -> Path:
        """The encoder that was evaluated, whether the run named its folder or the file."""
        path = Path("" if self.sizes else str(self.config.get("encoder", ""))).resolve()
        return path.parent if path.name == ENCODER else path

    @property
    def part(self) -> str:
        """The counted part of the benchmark: ``test``, or ``train`` where a classifier was evaluated on it."""
        return str(self.result.get("part", "test"))

    @property
    def counted_on(self) -> tuple[str, ...]:
        """Data set, benchmark, part and its hash, classes of an episode: counts compare only where these agree."""
        part = (self.part, self.about("split", self.part, "hash"))
        return self.about("data", "source"), self.about("benchmark"), *part, str(self.ways or "")

    @property
    def ways(self) -> int | None:
        """Classes that each answer was chosen from, where those are not all classes of the set."""
        ways = self.result.get("ways")
        return ways if type(ways) is int and ways > 0 else None

    @property
    def test_clips(self) -> tuple[str, ...]:
        """Data set, benchmark and hash of its test part; runs that agree in them share a table."""
        return self.about("data", "source"), self.about("benchmark"), self.about("split", "test", "hash")

    @property
    def hardware(self) -> str:
        """The device that it ran on, and the threads."""
        threads = self.about("hardware", "threads")
        return f"{self.about('hardware', 'device')}, {threads} thread{'' if threads == '1' else 's'}"

    def require_finished(self) -> None:
        """Refuse a run without a result.

        Raises:
            InputError: If there is none, or it is not one of its command.
        """
        if self.unfinished:
            raise InputError(f"{self.name}: {self.unfinished}")

    def require_one_fold(self, lacks: str) -> None:
        """Refuse a run of all folds where only one of them has what is wanted.

        Args:
            lacks: Verb phrase of the message that says what the run of all folds does not have.

        Raises:
            InputError: If it is one.
        """
        if self.folds:
            raise InputError(
                f"{self.name} {lacks}, but its folds do; name one, {self.folder.path / self.folds[0].name}"
            )

    def metrics(self) -> list[Row]:
        """Every epoch's line.

        Raises:
            InputError: If there is none, or the table cannot be read.
        """
        self.require_one_fold(f"has no {METRICS}")
        if not (self.folder.path / METRICS).is_file():
            raise InputError(f"{self.name} has no {METRICS}")
        rows = self.folder.metrics
        if not rows:
            raise InputError(f"{self.name} has a {METRICS} without an epoch")
        return rows

    def row(self, key: str = "") -> str:
        """The name of an accuracy in the tables of `maskel results`, with what was trained and on what.

        Args:
            key: The entry of ``result.json`` that holds its counts; empty for the result itself.
        """
        if self.pretrains:
            return self.protocol.title.lower()
        made_of = {entry.row() for entry in self._trained(self.result.get("runs", [self.result]))}
        name = self._filled(self.protocol.rows[key], key)
        name += f" of {made_of.pop()}" if len(made_of) == 1 else ""
        name += "" if self.part == "test" else f" on the {self.part} part"
        source = (self.result.get("pretraining") or {}).get("source")
        moved = f", from {source}" if source not in (None, self.result["data"].get("source")) else ""
        return name + self.variant + moved

    @property
    def method(self) -> str:
        """Method and stream of the encoder; of an ensemble those of every run."""
        if trained := self._trained(self.value("runs") or []):
            return " + ".join(entry.method for entry in trained)
        method = self.value("method") or self.value("pretraining", "method")
        if self.value("from_scratch"):
            method = "from scratch"
        elif self.value("untrained"):
            method = f"untrained ({method})" if method else "untrained"
        method = method or Path(str(self.value("encoder") or "–")).name
        stream = self._encoder.get("stream", "joint")
        return method + ("" if stream == "joint" else f" ({stream})")

    @property
    def size(self) -> str:
        """Blocks, width and epochs of the encoder's training."""
        if trained := self._trained(self.value("runs") or []):
            return ", ".join(dict.fromkeys(entry.size for entry in trained))
        sizes, epochs = self._encoder, self._pretraining.get("training", {}).get("epochs")
        if not sizes:
            return "–"
        trained_for = "" if self.value("untrained") else f", {epochs} epochs"
        return f"{sizes.get('depth')} x {sizes.get('dim')}, {sizes.get('window')} frames{trained_for}"

    @property
    def options(self) -> dict[str, Any]:
        """Every option that makes the run what it is; those of pre-training under ``pretrain.``."""
        config = self.value("config") or {}
        options_here, earlier = map(_with_defaults, (config, self.value("pretraining", "config") or {}))
        options_here = {key: value for key, value in options_here.items() if key not in _NOT_THE_RECIPE}
        earlier = {key: value for key, value in earlier.items() if key not in _NOT_THE_RECIPE - {"encoder"}}
        if isinstance(sizes := config.get("encoder"), Mapping):
            options_here["encoder"] = sizes
        if self.value("untrained"):
            earlier.pop("training", None)
        options = flat_options(options_here) | flat_options(earlier, "pretrain.")
        for number, entry in enumerate(self._trained(self.value("runs") or []), 1):
            options |= {f"{number}.{name}": value for name, value in entry.options.items()}
        return options

    @cached_property
    def _with_origin(self) -> Mapping[str, Any]:
        """The result with what is known of the run whose classifier it used."""
        trained = self.result.get("trained") or {}
        config = {**trained.get("config", {}), **self.result.get("config", {})}
        return {**trained, **self.result, "config": config} if trained else self.result

    def _trained(self, results: Sequence[Mapping[str, Any]]) -> list["Run"]:
        """The runs that results are of, as far as they say so."""
        return [Run.of(entry["trained"]) for entry in results if entry.get("trained")]

    @property
    def _pretraining(self) -> Mapping[str, Any]:
        """The options that made the encoder."""
        return self.value("pretraining", "config") or self.value("config") or {}

    @property
    def _encoder(self) -> Mapping[str, Any]:
        sizes = self._pretraining.get("encoder")
        return sizes if isinstance(sizes, Mapping) else {}


def _with_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in options that did not exist when the run was made; it did as they do by default."""
    config = {PROLONGED: [], **as_now(config)}
    if config["init"] is not None:  # seeds of one recipe go on from encoders of their own
        config["init"] = str(of_all_seeds(Path(config["init"])))
    method = config.get("method")
    if method not in METHODS:
        return config
    return {**config, method: method_options(method, {}) | config.get(method, {})}


def open_runs(paths: Sequence[Path]) -> list[Run]:
    """The runs in these folders, each once; a folder of several seeds stands for its runs, one of folds for their sum.

    Raises:
        InputError: If a folder is not a run folder.
    """
    folders = {folder.resolve(): folder for path in paths for folder in (list(seed_folders(path).values()) or [path])}
    names = [
        f"{path.parent.name}/{path.name}"  # of several seeds or folds the name alone is ambiguous
        if path in (*seed_folders(path.parent).values(), *fold_folders(path.parent).values())
        else path.name
        for path in folders
    ]
    return [
        Run.open(path, name if names.count(name) == 1 else str(path))
        for path, name in zip(folders.values(), names, strict=True)
    ]


def open_pretrained(run: Run) -> tuple[MaskedMethod, SkeletonSet, int]:
    """The method of a pre-training run, the set it learned from, and its seed.

    Raises:
        InputError: If the run is not finished, or the set is no longer what it was.
    """
    run.require_finished()
    run.require_one_fold("has no encoder of its own")
    method = load_method(run.folder)
    learned = run.result.get("sets", [run.result])
    about = next((entry for entry in learned if entry["data"]["layout"] == method.encoder.layout.name), learned[0])
    dataset = SkeletonSet.open(Path(str(about["data"]["path"] if "sets" in run.result else run.config["data"])))
    if dataset.split_hash(about["benchmark"], "test") != about["split"]["test"]["hash"]:
        raise InputError(f"the test clips of {dataset.path} have changed since the run")
    if (method.encoder.layout.name, method.encoder.channels) != (dataset.layout.name, dataset.channels):
        raise InputError(f"the joint layout or the channels of {dataset.path} have changed since the run")
    seed = run.config.get("seed")
    if not isinstance(seed, int):
        raise InputError(f"{run.name} does not say its seed")
    return method, dataset, seed


def lines(folder: RunFolder) -> list[str]:
    """Return the lines that a command prints of its run: right answers, and as the last one the folder."""
    result = folder.result if folder.finished else {}
    run, several = Run.of(result), result.get("accuracy")
    shown = []
    for fold in filter(lambda fold: fold.counted.seen, run.folds):
        whose = f" ({fold.subjects[0]})" if len(fold.subjects) == 1 else ""
        count = fold.counted
        shown.append(f"{fold.name}{whose}: {count.correct} of {count.seen} clips right ({count.share:.1%})")
    if isinstance(several, dict):
        spread = "" if several["std"] is None else f" ± {several['std']:.1%}"
        return [*shown, f"mean over {len(result['seeds'])} seeds: {several['mean']:.1%}{spread}", str(folder.path)]
    for answers in () if "seeds" in result else run.answers:
        right, share = f"{answers.count.correct} of {answers.count.seen}", f"{answers.count.share:.1%}"
        if answers.segments:
            shown.append(f"{right} frames right ({share})")
            shown += [f"{name} {value:.1%}" for name, value in answers.segments.items()]
            continue
        way = run._filled(run.protocol.rows[answers.key], answers.key)
        change = way.partition("(")[2].removesuffix(")")
        how = f"with {change} " if answers.key and change else f"by {way.rpartition(' ')[2]} " if answers.key else ""
        what = f"queries of {result['episodes']} episodes" if "episodes" in result else "clips"
        shown.append(f"{right} {what} right {how}({share}, 95 % interval {answers.interval})")
        if answers.precision is not None:
            shown.append(f"mean average precision {answers.precision:.1%}")
    return [*shown, str(folder.path)]
