"""``--seeds``: one command for several seeds, with mean and standard deviation of what they give."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from maskel.commands.folds import of_folds, run_folds
from maskel.commands.several import Go, given_encoder, go_on, kept, outcome_of, run_several
from maskel.errors import InputError
from maskel.files import nested
from maskel.protocols import PROTOCOLS
from maskel.training.run import RunFolder
from maskel.training.seeds import seed_folders

Seeds = int | list[int]
"""A number N for seeds 0 to N - 1, or the seeds themselves."""

_OUTCOMES = (
    *(("loss",), ("accuracy",), ("best_epoch", "accuracy"), ("vote", "accuracy"), ("wider", "accuracy")),
    ("mean_average_precision",),
    *((disturbance, "accuracy") for disturbance in PROTOCOLS["robustness"].rows if disturbance),
)
_SHARED = ("kind", "method", "untrained", "data", "benchmark", "split")


def run_seeds(command: Callable[..., object], options: Mapping[str, Any], seeds: Seeds) -> RunFolder:
    """Run a command once for each seed, into ``OUT/seed-N``, and write a summary to ``OUT/result.json``.

    A repeated call skips finished seeds and resumes a stopped one. Where ``encoder`` is itself such a
    folder of several seeds, each seed evaluates the encoder of its own number; any other encoder is evaluated by all.
    With benchmark ``folds`` each seed runs all folds.

    Args:
        command: The command's function.
        options: Its options; ``seed`` is replaced, ``out`` is the folder for all.
        seeds: Number of seeds, or a list of them.

    Raises:
        InputError: If the seeds make no sense, the folder holds something else or is not named to several processes, or
            the command refuses its options.
    """
    numbers = list(range(seeds)) if isinstance(seeds, int) else seeds
    if not numbers or len(set(numbers)) != len(numbers) or min(numbers) < 0:
        raise InputError(f"seeds: found {seeds}, expected how many (1 or more) or a list such as [0,1,2], each once")
    folds = "classifier" not in options and of_folds(options["data"], options["benchmark"])
    runs: dict[str, Go] = {}
    for seed in numbers:
        which, encoder = given_encoder(options)
        of_seed = {"seed": seed} | ({} if encoder is None else {which: encoder_of_seed(encoder, seed)})
        runs[f"seed-{seed}"] = partial(_all_folds if folds else go_on, command, {**options, **of_seed})
    return run_several(
        command.__name__,
        "seeds",
        options,
        kept(options, "seed") | {"seeds": numbers},
        runs,
        lambda _, done: summary([run.result for run in done.values()]),
    )


def _all_folds(command: Callable[..., object], options: Mapping[str, Any], path: Path, _: bool) -> None:
    run_folds(command, {**options, "out": path})


def summary(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Summarise several seeds of a run: each outcome, mean and standard deviation (n - 1)."""
    together: dict[str, Any] = {name: results[0][name] for name in _SHARED if name in results[0]}
    together["seeds"] = [outcome_of(result) for result in results]
    for keys in _OUTCOMES:
        values = [value for result in results if (value := nested(result, *keys)) is not None]
        if len(values) == len(results):
            spread = stdev(values) if len(values) > 1 else None
            together[" ".join(keys)] = {"mean": mean(values), "std": spread}
    return together


def encoder_of_seed(encoder: Path, seed: int) -> Path:
    """The encoder that a seed evaluates: its own where there is one for each seed.

    Raises:
        InputError: If the folder holds other seeds only.
    """
    folders = seed_folders(encoder)
    if folders and seed not in folders:
        listed = ", ".join(map(str, folders))
        raise InputError(
            f"{encoder} holds the encoders of seeds {listed}, and none of seed {seed}; choose other --seeds"
        )
    return folders.get(seed, encoder)
