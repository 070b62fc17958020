"""Options of a run as ``config.yaml`` holds them, in every version of maskel, and which may change on a resume."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from inspect import signature
from pathlib import Path
from typing import Any

from maskel.configuration import PROLONGED
from maskel.errors import InputError
from maskel.hub import spelt

NOT_KEPT = ("out", "resume", "check", "log")
"""Options that say where a run is, whether it begins and where its rows go too, and nothing of what it does."""
_ADDED: dict[str, Any] = {
    "class_weights": "none",
    "freeze_epochs": 0,
    "head": "mlp",
    "init": None,
    "to_layout": None,
    "shares": "size",
    "pool": "mean",
    "probe": "sgd",
    "trained_on": None,
    "whiten": 0.0,
    "training": {"graph": "off"},
    "view": {"mirror": False, "speed": 0.0, "joint_dropout": 0.0, "noise": 0.0},
}
"""Options younger than runs that can be resumed, and their value then; with it they are left out of config.yaml."""
_MAY_CHANGE = ("data", PROLONGED, "resident", "training.graph")
"""Options that may differ when a run is resumed: the set may have moved; batches stay, and steps, to rounding."""


def refuse_other_options(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with a run under other options than it was started with.

    Args:
        path: The run folder, for the message.
        before: Its options.
        now: Options of this start.

    Raises:
        InputError: If they differ, but for where the data are.
    """
    before, now = flat_options(before), flat_options(now)
    for name in (*now, *before):
        if before.get(name) != now.get(name) and name not in _MAY_CHANGE:
            raise InputError(
                f"{path} was started with {name} {before.get(name)}, found {now.get(name)}; resume with the same "
                f"options, or start a new run"
            )


def options_of(command: Callable[..., object], given: Mapping[str, Any]) -> dict[str, Any]:
    """A command's options as its run's ``config.yaml`` holds them: all that its signature has but `NOT_KEPT`.

    Args:
        command: Its function.
        given: The value of every argument, by name; the function's own ``locals()`` before it changes one.
    """
    return as_then({name: plain(given[name]) for name in signature(command).parameters if name not in NOT_KEPT})


def under_method(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as ``config.yaml`` names them: those of a method stand under its name."""
    return {str(options["method"]) if name == "options" else name: value for name, value in options.items()}


def as_then(config: Mapping[str, Any], added: Mapping[str, Any] = _ADDED) -> dict[str, Any]:
    """Options as every version has written them: without those that were added later, where they are off."""
    kept = {}
    for name, value in config.items():
        if isinstance(value, dict) and isinstance(added.get(name), dict):
            kept[name] = as_then(value, added[name])
        elif name not in added or value != added[name]:
            kept[name] = value
    return kept


def as_now(config: Mapping[str, Any], added: Mapping[str, Any] = _ADDED) -> dict[str, Any]:
    """The inverse of `as_then`: options with those that were left out as they are off."""
    kept = {name: value for name, value in added.items() if not isinstance(value, dict)} | dict(config)
    for name in filter(lambda name: isinstance(added[name], dict) and isinstance(kept.get(name), dict), added):
        kept[name] = as_now(kept[name], added[name])
    return kept


def plain(value: object) -> object:
    """An option as YAML holds it."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, (list, tuple)) and any(isinstance(entry, Path) for entry in value):
        return [str(entry) for entry in value]
    return spelt(value) if isinstance(value, Path) else value


def flat_options(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested options under the names they have on the command line; tuples are lists, as YAML has them."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            flat |= flat_options(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = list(value) if isinstance(value, tuple) else value
    return flat
