"""Recipes: YAML files with options, merged in order; a command reads the plain part and the section of its name."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any, NoReturn

from maskel.errors import InputError
from maskel.files import holds_nothing, read_yaml
from maskel.protocols import PROTOCOLS

RECIPES = Path(__file__).parent / "recipes"
COMMAND = "command"
"""Key of ``config.yaml`` (no option): the command that made the run."""
PROLONGED = "prolonged"
"""Key of ``config.yaml`` (no option): extensions of the run's epochs, as pairs (before, after)."""

RENAMED = {"hacm.layout": "hacm.token_order"}
"""Earlier names of methods' options -> their names today."""

Options = dict[str, Any]


def refuse_to_resume(path: Path, why: str) -> NoReturn:
    """Refuse to go on with what is no run; where a command was killed before it began, ``--out`` takes the folder.

    Args:
        path: The folder.
        why: The sentence if it is no such folder.

    Raises:
        InputError: Always.
    """
    with suppress(OSError):
        if holds_nothing(path):
            why = (
                "there is nothing to resume: the folder is empty, or its command was killed before it had written its "
                f"options; repeat it with --out {path} in place of --resume, it takes the folder over"
            )
    raise InputError(f"{path}: {why}")


def renamed(value: Any, within: str = "") -> Any:
    """Return options, or a result with options in it, with earlier names replaced by today's."""
    if isinstance(value, list):
        return [renamed(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    named = {}
    for name, entry in value.items():
        now = RENAMED.get(f"{within}.{name}", f".{name}").partition(".")[2]
        named[name if now in value else now] = renamed(entry, name)
    return named


def shipped_recipes() -> dict[str, Path]:
    """Return every recipe that comes with maskel, by name."""
    return {file.stem: file for file in sorted(RECIPES.rglob("*.yaml"))}


def data_recipes() -> dict[str, str]:
    """Return the source of each benchmark's shipped recipe, by the recipe's name SOURCE_BENCHMARK."""
    return {file.stem: file.stem.rpartition("_")[0] for file in sorted((RECIPES / "data").glob("*.yaml"))}


def read_recipe(name: str, command: str) -> Options:
    """Read a recipe's options for ``command``: the plain ones, and those of the command's own section.

    Args:
        name: A YAML file, or the name of a recipe that ships with maskel.
        command: Name of the command.

    Raises:
        InputError: If there is no such recipe, or it is not a YAML mapping.
    """
    path = Path(name)
    if not path.is_file():
        shipped = shipped_recipes()
        if name not in shipped:
            raise InputError(f"no file and no recipe is called {name!r}; recipes are {', '.join(shipped)}")
        path = shipped[name]
    try:
        content = read_yaml(path) or {}
    except (OSError, ValueError) as fault:
        raise InputError(f"{path}: not a YAML file ({fault})") from fault
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise InputError(f"{path}: expected a mapping of option names to values")
    plain = {key: value for key, value in content.items() if key not in PROTOCOLS}
    section = content.get(command) or {}
    if not isinstance(section, dict):
        raise InputError(f"{path}: expected a mapping under {command!r}")
    merge(plain, section)
    return dict(renamed(plain))


def merge(into: Options, new: Options) -> None:
    """Overwrite ``into`` with the content of ``new``, mapping by mapping."""
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = deepcopy(value)


def merge_recipes(
    names: Sequence[str], command: str, options: Collection[str], groups: Collection[str], resumed: bool = False
) -> Options:
    """Merge the options of several recipes for a command; later recipes overwrite earlier ones.

    Args:
        names: Recipes, as for `read_recipe`, in order.
        command: Name of the command.
        options: Every option of the command; ``training`` for ``training.epochs``.
        groups: The options that hold options in turn.
        resumed: Whether the first recipe is that of a run to continue.

    Raises:
        InputError: If a recipe cannot be read, or holds an unknown option.
    """
    merged: Options = {}
    for name in names:
        recipe = read_recipe(name, command)
        recipe.pop(PROLONGED, None)
        left_by = recipe.pop(COMMAND, None)
        if unknown := [option for option in recipe if option not in options]:
            what = f"is not a run of maskel {command}" if resumed and name == names[0] else "is no recipe for it"
            raise InputError(f"{name} {what}: no option is called {unknown[0]!r}")
        if resumed and name == names[0] and left_by not in (None, command):
            raise InputError(f"{name} is not a run of maskel {command}: it is one of maskel {left_by}")
        refuse_flat(name, recipe, groups)
        merge(merged, recipe)
    return merged


def refuse_flat(name: str, given: Options, groups: Collection[str]) -> None:
    """Refuse a single value under an option that holds options in turn.

    Raises:
        InputError: If there is one.
    """
    if flat := [option for option in groups if option in given and not isinstance(given[option], dict)]:
        raise InputError(f"{name}: expected a mapping of options under {flat[0]!r}, found {given[flat[0]]!r}")
