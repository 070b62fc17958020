"""Options of a command, from the signature and docstring of its function; recipes use the same names."""

import argparse
import difflib
import inspect
import json
import math
import re
from argparse import SUPPRESS, Action, HelpFormatter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import get_terminal_size
from types import UnionType
from typing import Any, Literal, get_args, get_origin

from docstring_parser import parse as parse_docstring
from jsonargparse import (  # type: ignore[attr-defined]
    ActionConfigFile,
    ArgumentError,
    ArgumentParser,
    DefaultHelpFormatter,
    Namespace,
)

from maskel.arguments import ARGUMENTS
from maskel.configuration import RENAMED, Options, merge, merge_recipes, refuse_flat, refuse_to_resume
from maskel.errors import InputError

Methods = Mapping[str, type]
"""Name -> class, whose constructor's arguments are options under that name: ``--mamp.tau``."""

CONFIG = "config.yaml"
_VALUES: dict[Any, str] = {Path: "PATH", str: "NAME", int: "N", float: "X"}


class Formatter(DefaultHelpFormatter):
    """Formatter for readable help: options as typed, their meaning and default, without types."""

    def __init__(self, *given: Any, **options: Any) -> None:
        width = get_terminal_size((120, 24)).columns - 2
        super().__init__(*given, **{"width": width, **options, "max_help_position": 31})

    def _format_action_invocation(self, action: Action) -> str:
        if not action.option_strings:
            return action.dest.upper() + (" ..." if action.nargs == "+" else "")
        option = next((name for name in action.option_strings if name.startswith("--")), action.option_strings[0])
        return f"{dashed(option)} {_value_of(action)}".rstrip()

    def _get_help_string(self, action: Action) -> str:
        text = (action.help or "").replace("``", "").rstrip()
        if action.required and action.option_strings:
            return f"{text} (required)"
        default = action.default
        if (
            default is None
            or default is False
            or default == SUPPRESS
            or isinstance(default, (dict, Namespace, list, tuple))
        ):
            return text
        return f"{text} [{str(default).lower() if default is True else default}]"


class Parser(ArgumentParser):
    """Parser that suggests the right option for a misspelt one."""

    def parse_args(self, args: Sequence[str] | None = None, **others: Any) -> Any:  # type: ignore[override]
        """Parse as jsonargparse does."""
        try:
            found = super().parse_args(args, **others)
            if endless := [name for name, value in _flat(found) if value in (math.inf, -math.inf)]:
                raise ArgumentError(None, f"{endless[0]}: found an infinite number, expected a finite one")
            return found
        except UnicodeDecodeError as fault:  # jsonargparse opens the file that an option with several values names
            raise ArgumentError(None, "an option for values or a YAML file of them names another file") from fault
        except ArgumentError as fault:
            unknown = str(fault).partition("unrecognized arguments:")[2].split()
            hints = [hint for word in unknown if word.startswith("--") and (hint := self._near(word.partition("=")[0]))]
            if not hints:
                raise
            raise ArgumentError(None, f"{fault}; did you mean {' and '.join(hints)}?") from fault

    def _near(self, word: str) -> str:
        """Return the option most similar to a word, which may be only the end of its name, as ``epochs``."""
        options = [option for action in self._actions for option in action.option_strings if option.startswith("--")]
        ends = [option for option in options if option.rpartition(".")[2] == word[2:]]
        near = ends if len(ends) == 1 else difflib.get_close_matches(word, options, 1)
        return dashed(near[0]) if near else ""

    def format_help(self, formatter: HelpFormatter | None = None) -> str:
        """Format one line of usage with the required arguments, then a line or two for each option."""
        for action in self._actions:
            if action.dest == "print_config":
                action.help = "print the options as a recipe, and exit"
            elif (action.help or "").startswith("Path to a configuration file") or action.dest.endswith(".help"):
                action.help = SUPPRESS  # of a group: --config and --help serve all
        needed = [action for action in self._actions if action.required or not action.option_strings]
        words = [self.formatter_class(self.prog)._format_action_invocation(action) for action in needed]
        self.usage = " ".join([self.prog, *words, "[OPTIONS]"])
        return super().format_help(formatter)

    def read(self, words: Sequence[str]) -> Namespace:
        """Parse words as people type them."""
        return self.parse_args(spelt(words, self))


def parser_of(
    command: str, function: Callable[..., object], skip: Iterable[str] = (), several: str = "", one: str = ""
) -> Parser:
    """Return the parser of a command without recipes.

    Args:
        command: Its name.
        function: Its function.
        skip: Arguments that are no options.
        several: The argument that takes all words without a dash, if the function has it.
        one: The arguments, divided by spaces, that take one such word each, as far as the function has them; none if
            several words are taken.
    """
    parser = Parser(prog=f"maskel {command}", exit_on_error=False, allow_abbrev=False, formatter_class=Formatter)
    meaning = meanings(function)
    types = inspect.signature(function).parameters
    several = several if several in types else ""
    if several:
        parser.add_argument(several, nargs="+", type=Path, help=meaning.get(several))
    words = [name for name in one.split() if name in types and not several]
    for name in words:
        parser.add_argument(name, type=types[name].annotation, help=meaning.get(name))
    skipped: set[str | int] = {*skip, several, *words}
    for name, argument in types.items():
        if name not in skipped and _word_type(argument):  # words after one option
            _add_option(parser, argument, meaning.get(name))
            skipped.add(name)
    parser.add_function_arguments(function, skip=skipped, as_group=False)
    for action in parser._actions:
        action.help = action.help or meaning.get(action.dest)
    return parser


def add_arguments(parser: Parser, function: Callable[..., object]) -> None:
    """Add the arguments of a further function as options."""
    meaning = meanings(function)
    for argument in inspect.signature(function).parameters.values():
        _add_option(parser, argument, meaning.get(argument.name))


def _word_type(argument: inspect.Parameter) -> Any:
    """Return the type of each word of an option that takes several, ``Sequence[T]`` or that or None; else None."""
    annotation = argument.annotation
    kinds = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    return next((get_args(kind)[0] for kind in kinds if get_origin(kind) is Sequence), None)


def _add_option(parser: Parser, argument: inspect.Parameter, meaning: str | None) -> None:
    """Add an argument of a function as an option; a sequence takes several words."""
    word = _word_type(argument)
    how: Options = {"type": word, "nargs": "+"} if word else {"type": argument.annotation}
    how |= {"required": True} if argument.default is argument.empty else {"default": argument.default}
    parser.add_argument(f"--{argument.name}", help=meaning, **how)


def run_parser(
    command: str,
    function: Callable[..., object],
    methods: Methods,
    more: Mapping[str, tuple[Any, str]],
    several: str = "",
) -> Parser:
    """Return the parser of a command with recipes.

    Args:
        command: Its name.
        function: Its function.
        methods: The methods whose options go with it.
        more: Options that are no arguments of the function: name -> type and meaning.
        several: The argument that takes all words without a dash.
    """
    parser = parser_of(command, function, skip=["resume", "options"], several=several)
    for method, its_class in methods.items():
        parser.add_class_arguments(its_class, method, skip={"encoder"}, instantiate=False)
    for name, (kind, meaning) in more.items():
        parser.add_argument(f"--{name}", type=kind, help=meaning)
    parser.add_argument("--config", action=ActionConfigFile, help="recipe name or YAML file; repeat to merge")
    if "resume" in inspect.signature(function).parameters:
        parser.add_argument("--resume", type=Path, help="run folder to continue; its options are used")
    return parser


@dataclass(frozen=True)
class RunOptions:
    """Options of a run as typed and as its recipes give them.

    Args:
        options: By argument of the command's function; of a method's options those of the chosen one.
        recipes: Names of the recipes, in order.
        resume: The run folder to go on with, if any.
        idle: Options typed that belong to methods other than the chosen one, so that they do nothing.
    """

    options: Options
    recipes: tuple[str, ...]
    resume: Path | None
    idle: tuple[str, ...]


def read_run_options(
    parser: Parser, command: str, words: Sequence[str], methods: Methods, stand_in: Path
) -> RunOptions:
    """Read the options of a command with recipes.

    Args:
        parser: Parser of `run_parser`, with the options of all methods.
        command: Its name.
        words: Words as typed.
        methods: Methods of the parser.
        stand_in: The set that a check without ``--data`` reads.

    Raises:
        InputError: If a recipe cannot be read, or an option that needs a value has none.
        ArgumentError: If an option is unknown, missing or out of its type.
    """
    rest, recipes, resume = _take_recipes(spelt(words, parser))
    merged = _merged(parser, command, recipes, resume)
    if "--check=true" in rest and "data" not in merged and not any(w.startswith("--data") for w in rest):
        merged["data"] = str(stand_in)
    if isinstance(merged.get("data"), str) and any(
        action.dest == "data" and _takes_several(action) for action in parser._actions
    ):
        merged["data"] = [merged["data"]]
    found = parser.parse_args(["--config", json.dumps(merged, default=str), *rest] if merged else rest)
    return _run_options(_instantiated(parser, found), recipes, resume, methods, rest)


def read_run_values(
    parser: Parser, command: str, values: Options, recipes: Sequence[str], resume: Path | None, methods: Methods
) -> RunOptions:
    """Read the options of a command with recipes from plain values, as `read_run_options` does from words.

    Args:
        parser: Parser of `run_parser`, with the options of all methods.
        command: Its name.
        values: By argument of the command's function; they overwrite those of recipes.
        recipes: As `maskel.configuration.read_recipe` takes them, in order.
        resume: The run folder to go on with, if any.
        methods: Methods of the parser.

    Raises:
        InputError: If a recipe cannot be read, or an option is unknown, missing or out of its type.
    """
    recipes = [*([_recipe_of(resume)] if resume else []), *recipes]
    merged = _merged(parser, command, recipes, resume)
    method_options = values.pop("options", None)
    merge(merged, values)
    method = str(merged.get("method", parser.get_default("method"))) if methods else ""
    if method_options is not None and method in methods:
        merge(merged, {method: method_options})
    return _run_options(read_values(parser, f"maskel.{command}", merged), recipes, resume, methods, ())


def read_values(parser: Parser, command: str, values: Options) -> Options:
    """Read the options of a command from plain values.

    Args:
        parser: Its parser.
        command: Its name in messages.
        values: By argument of its function.

    Raises:
        InputError: If an option is unknown, missing or out of its type.
    """
    if unknown := [name for name in values if name not in _names(parser)]:
        group, _, name = parser._near(f"--{unknown[0]}")[2:].replace("-", "_").rpartition(".")
        near = f"{group}={{{name!r}: ...}}" if group else name
        hint = f"; did you mean {near}?" if near else ""
        raise InputError(f"{command} has no argument {unknown[0]!r}{hint}")
    refuse_flat(command, values, _groups(parser))
    several = {action.dest for action in parser._actions if _takes_several(action)}
    single = {name for name, value in values.items() if value is not None and not isinstance(value, list)}
    values = {name: [value] if name in several & single else value for name, value in values.items()}
    try:
        return _instantiated(parser, parser.parse_object(values))
    except ArgumentError as fault:
        raise InputError(f"{command}: {sentence_of(fault)}") from fault


def _flat(found: Namespace) -> Iterator[tuple[str, Any]]:
    """Yield each number of parsed options with its option's name; of several words each."""
    for name, value in found.items():  # nested names as ``training.lr``
        for number in value if isinstance(value, list | tuple) else [value]:
            if isinstance(number, float):
                yield name, number


def _names(parser: Parser) -> set[str]:
    """Return every option; of ``training.epochs`` the first part."""
    return {action.dest.partition(".")[0] for action in parser._actions}


def _groups(parser: Parser) -> set[str]:
    """Return those options that hold options in turn."""
    within = {action.dest for action in parser._actions if "." in action.dest}
    return {dest.partition(".")[0] for dest in within if not dest.endswith(".help")}


def _merged(parser: Parser, command: str, recipes: Sequence[str], resume: Path | None) -> Options:
    """Return what recipes give a command; the first is that of the run to go on with, if there is one."""
    names = _names(parser)
    if resume is not None and "resume" not in names:
        raise InputError(
            f"maskel {command} has nothing to resume; repeat it with --out {resume}, or another --out if it is taken"
        )
    merged = merge_recipes(recipes, command, names - {"config", "resume"}, _groups(parser), resume is not None)
    return merged if resume is None else {**merged, "out": str(resume)}


def _instantiated(parser: Parser, found: Namespace) -> Options:
    """Return options as the command's function takes them."""
    found.pop("config", None)
    found.pop("resume", None)
    _refuse_nothing(parser, found)
    try:
        return vars(parser.instantiate(found))
    except ValueError as fault:  # of an option with several types
        raise InputError(sentence_of(fault)) from fault


def _run_options(
    options: Options, recipes: Sequence[str], resume: Path | None, methods: Methods, words: Sequence[str]
) -> RunOptions:
    """Put the options of the chosen method where the command's function has them."""
    if isinstance(data := options.get("data"), list) and len(data) == 1:  # as recipes and runs of every version have it
        options["data"] = data[0]
    idle: tuple[str, ...] = ()
    if methods:
        method_options = {method: vars(options.pop(method)) for method in methods}
        method = str(options["method"])
        options["options"] = method_options.get(method, {})
        others = tuple(f"--{other}." for other in methods if other != method)
        idle = tuple(dashed(word.partition("=")[0]) for word in words if word.startswith(others))
    return RunOptions(options, tuple(recipes), resume, idle)


def sentence_of(fault: Exception) -> str:
    """Return what a parser complains of as one line."""
    text = re.sub(r"\s+", " ", str(fault)).strip()
    text = re.sub(r"Exceeds the limit \(.*? increase the limit", "found a number of thousands of digits", text)
    # A path or a mapping (finetune's encoder): what is wrong with the mapping, if it is one, is what there is to know.
    several = re.fullmatch(
        r"(?P<key>.*?)Does not validate against any of the Union.*? Errors: - (?P<path>.*?) - (?P<mapping>.*) "
        r"Given value type: (?P<type>.*?) Given value: .*",
        text,
    )
    if not several:
        return text
    mapping = re.search("dict|Namespace|NestedArg", several["type"])
    why = several["mapping"] if mapping else several["path"]
    return several["key"] + re.sub(r"Problem with given class_path \S+ ", "", why)


def spelt(words: Sequence[str], parser: ArgumentParser) -> list[str]:
    """Return options as the parser knows them: dashes inside names are underscores, a bare switch means true."""
    switches = {option for action in parser._actions if _is_switch(action) for option in action.option_strings}
    result = []
    for position, word in enumerate(words):
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            name = name[2:].replace("-", "_")
            word = f"--{RENAMED.get(name, name)}{equals}{value}"
            following = words[position + 1] if position + 1 < len(words) else "--"
            if word in switches and following.lower() not in ("true", "false", "yes", "no", "auto"):
                word += "=true"
        result.append(word)
    return result


def dashed(option: str) -> str:
    """Return an option as it is typed: ``--training.batch-size``."""
    return option if not option.startswith("--") else f"--{option[2:].replace('_', '-')}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the start of a sentence that suggests the name most similar to a word; empty without a similar name."""
    near = difflib.get_close_matches(word, list(known), 1)
    return f"did you mean {near[0]}? " if near else ""


def meanings(documented: object) -> dict[str, str]:
    """Return the description of each argument, from the docstring, or of `ARGUMENTS`."""
    found = parse_docstring(inspect.getdoc(documented) or "")
    return {**ARGUMENTS, **{entry.arg_name: entry.description or "" for entry in found.params}}


def _take_recipes(words: Sequence[str]) -> tuple[list[str], list[str], Path | None]:
    """Split off ``--config`` and ``--resume``: recipes are merged before any other option is parsed."""
    taker = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    taker.add_argument("--config", action="append", default=[])
    taker.add_argument("--resume", type=Path)
    try:
        found, rest = taker.parse_known_args(words)
    except ArgumentError as fault:
        raise InputError(f"{fault.argument_name}: expected a value") from fault
    return rest, [*([_recipe_of(found.resume)] if found.resume else []), *found.config], found.resume


def _recipe_of(run: Path) -> str:
    """Return the options of a run to go on with, as the name of a recipe."""
    if not (run / CONFIG).is_file():
        refuse_to_resume(run, f"no run folder to resume; it has no {CONFIG}")
    return str(run / CONFIG)


def _refuse_nothing(parser: ArgumentParser, found: Namespace) -> None:
    """Refuse ``lr: null`` and the like for options that need a value; the parser accepts them."""
    for action in parser._actions:
        optional = action.default is None or "None" in str(getattr(action, "_typehint", ""))
        if action.dest in found and found[action.dest] is None and not optional:
            raise InputError(
                f"{action.dest}: found no value, expected one; leave the option out to have {action.default}"
            )


def _takes_several(action: Action) -> bool:
    return action.nargs == "+" or get_origin(getattr(action, "_typehint", None)) is list


def _is_switch(action: Action) -> bool:
    return action.type is bool or "bool" in str(getattr(action, "_typehint", ""))


def _value_of(action: Action) -> str:
    """Return a placeholder for an option's value: its choices, N for a number, nothing for a switch that is off."""
    kind = getattr(action, "_typehint", None) or action.type
    kinds = get_args(kind) or (kind,)
    if action.nargs == 0 or action.dest == "print_config" or (_is_switch(action) and action.default is False):
        return ""
    if _is_switch(action):
        return "{true,false,auto}" if "auto" in str(kind) else "{true,false}"
    if choices := action.choices or (kinds if get_origin(kind) is Literal else ()):
        return f"{{{','.join(map(str, choices))}}}"
    value = next((_VALUES[kind] for kind in kinds if kind in _VALUES), action.dest.rpartition(".")[2].upper())
    return f"{value} ..." if action.nargs == "+" else value
