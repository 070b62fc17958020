"""``--benchmark folds``: one command for every fold of a set, with right answers added up over the folds."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from maskel import distributed
from maskel.commands.several import Go, given_encoder, go_on, kept, outcome_of, run_several
from maskel.datasets.store import SkeletonSet, names_hash
from maskel.errors import InputError
from maskel.files import read_text, write_atomically
from maskel.models.loading import load_encoder
from maskel.protocols import PROTOCOLS
from maskel.sequence import UNLABELLED
from maskel.text import listed
from maskel.training.answers import HALF_INTERVAL, PRECISION
from maskel.training.folds import FOLDS, SEEN, fold_folders, folds_among
from maskel.training.foreseen import refuse_unfit
from maskel.training.loading import split_positions
from maskel.training.metrics import add_up_counts
from maskel.training.pretrained import names_of_pretraining
from maskel.training.run import PREDICTIONS, RunFolder

_SHARED = (
    *("kind", "method", "untrained", "from_scratch", "adapted", "chosen_on", "data", "seed", "epochs", "precision"),
    *("parameters", "processes", "ways", "shots", "queries"),
)
"""Entries that the result of all folds repeats if they are equal in every fold."""


def of_folds(data: Path | Sequence[Path], benchmark: str) -> bool:
    """Return whether a benchmark stands for all folds of a set; a set may have a benchmark of that name.

    Raises:
        InputError: If it stands for all folds of several sets.
    """
    if not isinstance(data, Path):
        if FOLDS in benchmark.split(","):
            raise InputError("benchmark folds: takes one set; for several sets, name one benchmark of each")
        return False
    return benchmark == FOLDS and FOLDS not in SkeletonSet.open(data).benchmarks


def fold_names(dataset: SkeletonSet) -> list[str]:
    """The folds of a set that have test clips, by number; each clip tests in one of them at most.

    Raises:
        InputError: If the set has no two folds, a fold trains on nothing, or a clip tests in two of them.
    """
    names = folds_among(dataset.benchmarks)
    empty = [name for name in names if not len(dataset.split(name, "test"))]
    if empty and len(names) > len(empty):
        distributed.notify(f"{', '.join(empty)}: no test clip, so nothing is run")
    names = [name for name in names if name not in empty]
    if len(names) < 2:
        known = listed(dataset.benchmarks) or "none"
        raise InputError(
            f"{dataset.path} has no folds with test clips (its benchmarks: {known}); prepare it with --folds K, or "
            "--folds subjects for a fold of each subject"
        )
    first: dict[int, str] = {}
    for name in names:
        split_positions(dataset, name, "train")
        for position in dataset.split(name, "test").tolist():
            if (other := first.setdefault(position, name)) != name:
                raise InputError(
                    f"{dataset.path}: clip {dataset.clips[position].name} tests in {other} and in {name}, so that "
                    "adding up would count it twice; run these benchmarks one by one"
                )
    return names


def of_first_fold(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the fold that stands for all where a run is only checked; a line says so."""
    names = fold_names(SkeletonSet.open(options["data"]))
    distributed.notify(f"checking {names[0]}, the first of {len(names)} folds")
    which, encoder = given_encoder(options)
    return {"benchmark": names[0]} | ({} if encoder is None else {which: encoder_of_fold(encoder, names[0])})


def run_folds(command: Callable[..., object], options: Mapping[str, Any]) -> RunFolder:
    """Run a command once for each fold, into ``OUT/foldN``, and add up right answers in ``OUT/result.json``.

    A repeated call skips finished folds and resumes a stopped one. Where ``encoder`` is itself such a
    folder, each fold evaluates its own encoder; any other encoder is evaluated by all, and its test clips that it was
    pre-trained on are counted.

    Args:
        command: The command's function.
        options: Its options; ``benchmark`` is replaced, ``out`` is the folder for all.

    Raises:
        InputError: If the set has no folds or other ones than the folder was begun with, the folder holds something
            else or is not named to several processes, or the command refuses its options.
    """
    dataset = SkeletonSet.open(options["data"])
    names = fold_names(dataset)
    if options.get("label_list") is not None:
        raise InputError("label_list: a clip that trains in one fold tests in another; give --labels instead")
    which, given = given_encoder(options)
    encoders = {name: encoder_of_fold(given, name) for name in names} if given is not None else {}
    begun = {} if options["out"] is None else {name: RunFolder(options["out"] / name) for name in names}
    for name, run in begun.items():
        _refuse_other_clips(run, dataset, name)
    for path in {path for name, path in encoders.items() if name not in begun or not begun[name].finished}:
        load_encoder(path)  # before the first fold is run, not after hours of others
    seen = {} if options.get("untrained") else {name: _trained_on(encoders[name], dataset, name) for name in encoders}
    if given is not None:
        _warn_of_seen(given, dataset, seen)
    tested = np.concatenate([dataset.split(name, "test") for name in names])
    if untested := int((dataset.labels != UNLABELLED).sum()) - len(tested):
        distributed.notify(
            f"{untested:,} labelled clips of {dataset.path} are in no test part of a fold, and are not counted"
        )
    runs: dict[str, Go] = {}
    for name in names:
        of_fold = {"benchmark": name} | ({which: encoders[name]} if encoders else {})
        refuse_unfit(command, {**options, **of_fold}, dataset)
        runs[name] = partial(go_on, command, {**options, **of_fold})

    def together(folder: RunFolder, done: Mapping[str, RunFolder]) -> Mapping[str, Any]:
        result = _add_up(dataset, {name: run.result for name, run in done.items()}, seen)
        for key in filter(None, PROTOCOLS[command.__name__].rows):
            result[key] = {"k": options["k"]} | result[key]
        tables = [
            read_text(run.path / PREDICTIONS).splitlines(keepends=True)
            for run in done.values()
            if (run.path / PREDICTIONS).is_file()
        ]
        if tables:  # drawn episodes leave none
            write_atomically(
                folder.path / PREDICTIONS, "".join([tables[0][0], *(row for rows in tables for row in rows[1:])])
            )
        return result | {"never_tested": untested}

    return run_several(command.__name__, FOLDS, options, kept(options), runs, together)


def encoder_of_fold(encoder: Path, fold: str) -> Path:
    """The encoder that a fold evaluates: its own where there is one for each fold.

    Raises:
        InputError: If the folder holds other folds only.
    """
    folders = fold_folders(encoder)
    if folders and fold not in folders:
        raise InputError(f"{encoder} holds the encoders of {', '.join(folders)}, and none of {fold}")
    return folders.get(fold, encoder)


def _trained_on(encoder: Path, dataset: SkeletonSet, fold: str) -> int | None:
    """Count the test clips of a fold on which an encoder was pre-trained, by name; None if that is not known."""
    names = names_of_pretraining(encoder, dataset)
    tested = dataset.split(fold, "test").tolist()
    return None if names is None else sum(dataset.clips[position].name in names for position in tested)


def _warn_of_seen(encoder: Path, dataset: SkeletonSet, seen: Mapping[str, int | None]) -> None:
    unknown = [name for name, number in seen.items() if number is None]
    if met := sum(number for number in seen.values() if number):
        tested = sum(len(dataset.split(name, "test")) for name in seen)
        doubt = f", and does not say so of {', '.join(unknown)}" if unknown else ""
        distributed.notify(
            f"{encoder} was pre-trained on {met:,} of the {tested:,} test clips{doubt}, without their labels; "
            "maskel pretrain --benchmark folds learns an encoder for each fold that sees none"
        )
    elif unknown:
        distributed.notify(
            f"{encoder} does not say which clips it was pre-trained on; test clips may be among them, without labels"
        )


def _refuse_other_clips(run: RunFolder, dataset: SkeletonSet, fold: str) -> None:
    """Refuse a finished fold whose clips are not those that the set now has in it."""
    split = run.result.get("split", {}) if run.finished else {}
    for name in ("train", "test"):
        if name in split and split[name]["hash"] != dataset.split_hash(fold, name):
            raise InputError(
                f"{run.path} was run on other {name} clips than {fold} of {dataset.path} now has; choose another --out"
            )


def _add_up(
    dataset: SkeletonSet, results: Mapping[str, Mapping[str, Any]], seen: Mapping[str, int | None]
) -> dict[str, Any]:
    """Add up the results of the folds, and list the counts and test subjects of each."""
    first = next(iter(results.values()))
    together = {
        name: first[name]
        for name in _SHARED
        if name in first and all(entry.get(name) == first[name] for entry in results.values())
    }
    together |= {"benchmark": FOLDS, "split": _split(dataset, list(results))}
    if "classifier" in first:  # of raw joints, chosen in each fold
        together["classifier"] = " or ".join(sorted({str(entry["classifier"]) for entry in results.values()}))
    if "labels" in first:
        together["labels"] = {"hash": names_hash([entry["labels"]["hash"] for entry in results.values()])}
    together[FOLDS] = []
    counts = [key for key in PROTOCOLS[first["kind"]].rows if key in first]
    for name, result in results.items():
        owners = {dataset.clips[position].subject for position in dataset.split(name, "test").tolist()} - {""}
        together[FOLDS].append(
            {"fold": name, "subjects": sorted(owners), "train": result["split"]["train"]["size"]}
            | {key: value for key, value in outcome_of(result).items() if key != "seed"}
            | {key: {entry: result[key][entry] for entry in ("k", "correct", "seen", "accuracy")} for key in counts}
            | ({"classifier": result["classifier"]} if "classifier" in result else {})
            | ({SEEN: seen[name]} if seen else {})
        )
    if "correct" in first:
        together |= add_up_counts(list(results.values()))
        together |= _added_up_shares(list(results.values()))
    for key in counts:
        together[key] = add_up_counts([entry[key] for entry in results.values()])
    if "loss" in first:
        together["loss"] = mean(entry["loss"] for entry in results.values())
    if seen:
        counted = [number for number in seen.values() if number is not None]
        together[SEEN] = sum(counted) if len(counted) == len(seen) else None
    return together | {"minutes": sum(entry["minutes"] for entry in results.values())}


def _added_up_shares(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Precision, and the interval of drawn episodes, of all folds together: each fold weighs as its clips do."""
    shares = [entry["seen"] / sum(other["seen"] for other in results) for entry in results]
    added: dict[str, Any] = {}
    if PRECISION in results[0]:
        added[PRECISION] = sum(share * entry[PRECISION] for share, entry in zip(shares, results, strict=True))
    if HALF_INTERVAL in results[0]:
        halves = (share * entry[HALF_INTERVAL] for share, entry in zip(shares, results, strict=True))
        added |= {HALF_INTERVAL: sum(half**2 for half in halves) ** 0.5}
        added["episodes"] = sum(entry["episodes"] for entry in results)
    return added


def _split(dataset: SkeletonSet, names: Sequence[str]) -> dict[str, Any]:
    """Sizes of the folds' parts; the hash of a part stands for those of all folds in order."""
    split: dict[str, Any] = {}
    for name in ("train", "test"):
        sizes = [len(dataset.split(fold, name)) for fold in names]
        split[name] = {"sizes": sizes, "hash": names_hash([dataset.split_hash(fold, name) for fold in names])}
    split["test"]["size"] = sum(split["test"]["sizes"])
    return split
