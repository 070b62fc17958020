"""Several runs of one command under one folder, such as one for each seed, or for each fold of a set."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from maskel import distributed
from maskel.errors import InputError
from maskel.files import LOCK
from maskel.training.options import NOT_KEPT, as_then, plain, refuse_other_options, under_method
from maskel.training.run import CONFIG, RunFolder

Go = Callable[[Path, bool], object]
"""Does one of the runs in its folder, or goes on with it; the second argument says whether this process writes."""

_OF_EACH = ("seed", "correct", "seen", "accuracy", "loss", "best_epoch", "minutes")


def run_several(
    kind: str,
    what: str,
    options: Mapping[str, Any],
    config: Mapping[str, Any],
    runs: Mapping[str, Go],
    together: Callable[[RunFolder, Mapping[str, RunFolder]], Mapping[str, Any]],
) -> RunFolder:
    """Do several runs, each in its own folder, and write a summary to ``OUT/result.json``.

    A repeated call skips finished runs and resumes a stopped one.

    Args:
        kind: Name of the command.
        what: Plural noun for the runs.
        options: The command's options: ``out`` is the folder for all, by default the next free one under ``runs``.
        config: Content of the folder's ``config.yaml``, itself a valid ``--config``.
        runs: Function that makes each run, by its folder's name.
        together: Makes the result of the folder and the finished runs, by name.

    Raises:
        InputError: If the folder holds something else or is not named to several processes, or a run is refused.
    """
    world, out = distributed.start(options.get("device", "cpu")), options["out"]
    if world.size > 1 and out is None:  # the leading process alone knows which folder is free
        raise InputError(f"{what}: several processes need one folder in common; give --out")
    folder = _open(out, f"{kind}-{what}", config, world.is_main)
    done = {name: RunFolder(folder.path / name) for name in runs}
    for number, (name, run) in enumerate(done.items(), 1):
        if run.finished:
            if world.is_main:
                run.tidy()
            continue
        distributed.notify(f"{name}, {number} of {len(done)}")
        try:
            runs[name](run.path, world.is_main)
        except InputError:
            if world.is_main and {path.name for path in folder.path.iterdir()} <= {CONFIG, LOCK}:  # no run has begun
                # A refused command leaves nothing and can be mended. On Windows the lock stays; that counts as empty.
                shutil.rmtree(folder.path, ignore_errors=True)
            raise
        distributed.barrier()
    if world.is_main:
        folder.write_result(together(folder, done))
    return folder


def go_on(command: Callable[..., object], options: Mapping[str, Any], path: Path, is_main: bool) -> None:
    """Run a command in a folder; where it was stopped, go on if a state was saved, or begin again.

    Args:
        command: The command's function.
        options: Its options but ``out`` and ``resume``.
        path: The run folder.
        is_main: Whether this process writes.
    """
    run = RunFolder(path)
    resume = run.has_state
    if is_main and not resume and path.exists():  # stopped before anything was saved
        run.hold()
        run.empty()
    distributed.barrier()
    command(**{**options, "out": path}, **({"resume": True} if resume else {}))


def given_encoder(options: Mapping[str, Any]) -> tuple[str, Path | None]:
    """The option that names an encoder to evaluate or go on from, and the encoder; None where there is none.

    Of pre-training and of training from scratch ``encoder`` holds sizes.
    """
    name = "encoder" if isinstance(options.get("encoder"), Path) else "init"
    return name, options.get(name)


def kept(options: Mapping[str, Any], *without: str) -> dict[str, Any]:
    """Options as the ``config.yaml`` of several runs holds them; ``without`` names those that differ between them."""
    own = {name: plain(value) for name, value in options.items() if name not in (*without, *NOT_KEPT)}
    return as_then(under_method(own))


def outcome_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a run's result that the result of several runs repeats."""
    return {name: result[name] for name in _OF_EACH if name in result}


def _open(out: Path | None, kind: str, config: Mapping[str, Any], is_main: bool) -> RunFolder:
    if out is not None and (out / CONFIG).is_file():
        run = RunFolder(out)
        if is_main:
            run.hold()
        before = run.read_config()
        if ("seeds" in before) != ("seeds" in config):
            found = "one seed; choose another --out for several" if "seeds" in config else "several seeds; give --seeds"
            raise InputError(f"{out} is a run of {found}")
        added = {"seeds": config["seeds"]} if "seeds" in config else {}
        refuse_other_options(out, before | added, config)  # seeds may be added
        return run
    if not is_main:
        return RunFolder(out or Path())
    return RunFolder.create(out, kind, config)
