"""``--seeds``: one command for several seeds, with mean and standard deviation of what they give."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from maskel import distributed
from maskel.errors import InputError
from maskel.training.run import CONFIG, NOT_KEPT, RunFolder, as_then, plain, refuse_other_options
from maskel.training.seeds import seed_folders

Seeds = int | list[int]
"""A number N for seeds 0 to N - 1, or the seeds themselves."""

_OUTCOMES = (("loss",), ("accuracy",), ("best_epoch", "accuracy"), ("vote", "accuracy"))
_SHARED = ("kind", "method", "untrained", "data", "benchmark", "split")
_OF_EACH = ("seed", "correct", "seen", "accuracy", "loss", "best_epoch", "minutes")


def run_seeds(
    kind: str, command: Callable[..., object], options: Mapping[str, Any], seeds: Seeds, config: Mapping[str, Any]
) -> RunFolder:
    """Run a command once for each seed, into ``OUT/seed-N``, and write what they give together to ``OUT/result.json``.

    Called again, it skips finished seeds and goes on with the one that was stopped. Where ``encoder`` is itself such a
    folder of several seeds, each seed evaluates the encoder of its own number; any other encoder is evaluated by all.

    Args:
        kind: Name of the command.
        command: The command's function.
        options: Its options; ``seed`` is replaced, ``out`` is the folder for all.
        seeds: How many, or which.
        config: The same options as ``config.yaml`` holds them, themselves a valid ``--config``.

    Raises:
        InputError: If the seeds make no sense, the folder holds something else or is not named to several processes, or
            the command refuses its options.
    """
    numbers = list(range(seeds)) if isinstance(seeds, int) else seeds
    if not numbers or len(set(numbers)) != len(numbers) or min(numbers) < 0:
        raise InputError(f"seeds: found {seeds}, expected how many (1 or more) or a list such as [0,1,2], each once")
    world = distributed.start(options["device"])
    if world.size > 1 and options["out"] is None:  # the leading process alone knows which folder is free
        raise InputError("seeds: several processes need to be told the folder; give --out")
    shared = as_then({name: plain(value) for name, value in config.items() if name not in ("seed", *NOT_KEPT)})
    folder = _open(options["out"], kind, shared | {"seeds": numbers}, world.leads)
    results = []
    for seed in numbers:
        run = RunFolder(folder.path / f"seed-{seed}")
        if not run.finished:
            resume = run.has_state
            if world.leads and not resume and run.path.exists():  # stopped before anything was saved
                shutil.rmtree(run.path)
            distributed.meet()
            encoder = options.get("encoder")  # pretrain has sizes of that name
            own = {"encoder": encoder_of_seed(encoder, seed)} if isinstance(encoder, Path) else {}
            command(**{**options, **own, "seed": seed, "out": run.path}, **({"resume": True} if resume else {}))
            distributed.meet()
        results.append(run.read_result())
    if world.leads:
        folder.write_result(summary(results))
    return folder


def summary(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What several seeds of the same run give together: each one's outcome, mean and standard deviation (n - 1)."""
    together: dict[str, Any] = {name: results[0][name] for name in _SHARED if name in results[0]}
    together["seeds"] = [{name: result[name] for name in _OF_EACH if name in result} for result in results]
    for keys in _OUTCOMES:
        values = [value for result in results if (value := _under(result, keys)) is not None]
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
        known = ", ".join(map(str, folders))
        raise InputError(
            f"{encoder} holds the encoders of seeds {known}, and none of seed {seed}; choose other --seeds"
        )
    return folders.get(seed, encoder)


def _open(out: Path | None, kind: str, config: Mapping[str, Any], leads: bool) -> RunFolder:
    if out is not None and (out / CONFIG).is_file():
        run = RunFolder(out)
        before = run.read_config()
        if "seeds" not in before:
            raise InputError(f"{out} is a run of one seed; choose another --out for several")
        refuse_other_options(out, before | {"seeds": config["seeds"]}, config)  # seeds may be added
        return run
    if not leads:
        return RunFolder(out or Path())
    return RunFolder.create(out, f"{kind}-seeds", config)


def _under(result: Mapping[str, Any], keys: Sequence[str]) -> float | None:
    value: Any = result
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
