"""Rows of the table of commands: how one parses its words, runs, and is called from Python."""

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from importlib import import_module
from inspect import signature
from itertools import pairwise
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskel.console import notify, say
from maskel.errors import InputError, Stopped
from maskel.invocation import invocation
from maskel.signals import interrupted

if TYPE_CHECKING:
    from maskel.parsing import Parser, RunOptions


@dataclass(frozen=True)
class Command:
    """A row of the command line. Nothing is imported before the command runs.

    Args:
        purpose: One line for ``maskel --help``.
        function: Where the function is, ``module:name`` below ``maskel``.
        several: The argument that takes all words without a dash.
        one: Arguments, divided by spaces, that take one such word each, as far as the function has them; none
            if it takes ``several``.
    """

    purpose: str
    function: str = ""
    several: str = ""
    one: str = ""

    def run(self, name: str, words: Sequence[str]) -> tuple[object, Mapping[str, Any]]:
        """Parse a command line without its first word, run it, and return the outcome with the options.

        Raises:
            InputError: If the options make no sense.
            ArgumentError: If one is unknown, missing or out of its type.
        """
        return self.run_function(name, imported(self.function), words)

    def run_function(
        self, name: str, function: Callable[..., Any], words: Sequence[str]
    ) -> tuple[Any, Mapping[str, Any]]:
        """Run one function with the options that words give."""
        options = vars(self.parser(name, function).read(words))
        return function(**options), options

    def parser(self, name: str, function: Callable[..., Any]) -> "Parser":
        """Return the parser of a function's options."""
        from maskel.parsing import parser_of

        return parser_of(name, function, several=self.several, one=self.one)

    def __call__(self, name: str, words: Sequence[str]) -> object:
        """Run a command line, print what came of it, and return that.

        A function ``show`` beside that of the command prints it, from the outcome and the options; else its text is
        printed.
        """
        with _recorded(shlex.join(("maskel", name, *words))):
            outcome, options = self.run(name, words)
        if outcome is not None:  # of --help nothing is left
            if show := getattr(sys.modules.get(f"maskel.{self.function.partition(':')[0]}"), "show", None):
                show(outcome, options)
            else:
                say(shown(outcome))
        return outcome

    def call(self, name: str, *given: Any, **named: Any) -> Any:
        """Run the command with plain values, as its function takes them, and return what came of it.

        Raises:
            InputError: If the values make no sense.
        """
        function = imported(self.function)
        values = plain_values(name, function, given, named)
        text = ", ".join(f"{argument}={value!r}" for argument, value in values.items())
        with _recorded(f"maskel.{name}({text})"):
            return self.run_values(name, function, values)

    def run_values(self, name: str, function: Callable[..., Any], values: dict[str, Any]) -> Any:
        """Give plain values the types that the function wants, and call it."""
        from maskel.parsing import parser_of, read_values

        return function(**read_values(parser_of(name, function), f"maskel.{name}", values))

    @property
    def more(self) -> Mapping[str, Any]:
        """Arguments of a call beside the function's: name -> meaning."""
        return {}


@dataclass(frozen=True)
class RunCommand(Command):
    """A command of `PROTOCOLS`: it reads recipes, leaves a run folder, and can be repeated for seeds and folds."""

    def run(self, name: str, words: Sequence[str]) -> tuple[object, Mapping[str, Any]]:
        """Parse and run, as every command does; several seeds or folds into a folder each."""
        from maskel.parsing import read_run_options

        function = imported(self.function)
        methods = _methods(function)
        if {"-h", "--help"} & set(words):
            self.parser(name, function, _chosen(methods, words)).print_help()
            sys.exit(0)
        parser = self.parser(name, function)
        with imported("files:scratch_folder")() as scratch:
            found = read_run_options(parser, name, words, methods, scratch / "set")
            if found.idle and found.options["method"] in methods:
                notify(f"{', '.join(found.idle)}: without effect, since the method is {found.options['method']}")
            if found.options.get("data") == scratch / "set":
                from maskel.datasets.stand_in import write_for_check

                say(write_for_check(found.options["data"], found.recipes, found.options["benchmark"]))
            return _run(function, found), found.options

    def parser(self, name: str, function: Callable[..., Any], methods: Mapping[str, type] | None = None) -> "Parser":
        """Return the parser of a function's options with recipes, several seeds, and options of all ``methods``."""
        from maskel.parsing import run_parser

        methods = _methods(function) if methods is None else methods
        return run_parser(name, function, methods, _seeds(function), self.several)

    def run_values(self, name: str, function: Callable[..., Any], values: dict[str, Any]) -> Any:
        """Merge plain values over recipes, and run once, or for each seed and fold, as from the command line."""
        from maskel.parsing import read_run_values, run_parser

        methods = _methods(function)
        parser = run_parser(name, function, methods, _seeds(function))
        recipes, resume = values.pop("recipes", None) or [], values.pop("resume", None)
        recipes = [recipes] if isinstance(recipes, str) else recipes
        if not isinstance(recipes, list) or not all(isinstance(recipe, str) for recipe in recipes):
            raise InputError(f"maskel.{name}: found recipes {recipes!r}, expected names of recipes, or YAML files")
        resume = values.get("out", True) if resume is True else resume or None
        if not isinstance(resume, str | None):
            raise InputError(f"maskel.{name}: found resume={resume!r}, expected the run folder to go on with")
        folder = None if resume is None else Path(resume)
        return _run(function, read_run_values(parser, name, values, recipes, folder, methods))

    @property
    def more(self) -> Mapping[str, Any]:
        """Recipes, and several seeds."""
        recipes = "names of recipes or YAML files, in order, as ``--config`` takes them; arguments overwrite them."
        return {"recipes": recipes} | {
            seeds: meaning for seeds, (_, meaning) in _seeds(imported(self.function)).items()
        }


@dataclass(frozen=True)
class KindsCommand(Command):
    """A command whose first word chooses what it does, and so its options.

    Args:
        kinds: Where the functions are by their names, ``module:name`` below ``maskel``.
        word: Noun for the first word in ``--help``.
    """

    kinds: str = ""
    word: str = ""

    def run(self, name: str, words: Sequence[str]) -> tuple[object, Mapping[str, Any]]:
        """Choose by the first word, then parse and run."""
        from maskel.parsing import did_you_mean

        kinds: Mapping[str, Callable[..., object]] = imported(self.kinds)
        known = ", ".join(sorted(kinds))
        if not words or words[0] in ("-h", "--help"):
            kind = min(kinds) if len(kinds) == 1 else self.word.upper()
            several = f"{self.several[:-1].upper()} ..." if self.several else ""
            words = " | ".join(filter(None, (self.one.upper(), several)))
            usage = (
                f"usage: maskel {name} {kind} {words} [OPTIONS]; maskel {name} {min(kinds)} --help lists the options"
            )
            say(f"{usage}\n{self.purpose[0].upper()}{self.purpose[1:]}. Known {_are(kinds)} {known}.")
            return None, {}
        kind = words[0]
        if kind not in kinds:
            hint = did_you_mean(kind, kinds)
            raise InputError(f"no {self.word} is called {kind!r}; {hint}known {_are(kinds)} {known}")
        return self.run_function(f"{name} {kind}", kinds[kind], words[1:])


@dataclass(frozen=True)
class PrepareCommand(KindsCommand):
    """``maskel prepare``: each source has options of its own beside those of all."""

    def parser(self, name: str, function: Callable[..., Any]) -> "Parser":
        """Return the parser of a source's options and of those of all sources."""
        from maskel.parsing import add_arguments, parser_of

        parser = parser_of(name, imported(self.function), skip=["source"], several=self.several)
        add_arguments(parser, function)
        return parser

    def run_function(
        self, name: str, function: Callable[..., Any], words: Sequence[str]
    ) -> tuple[Any, Mapping[str, Any]]:
        """Build the source from its options, and prepare it."""
        options = vars(self.parser(name, function).read(words))
        source = function(**{option: options.pop(option) for option in signature(function).parameters})
        return imported(self.function)(source, **options), options

    def run_values(self, name: str, function: Callable[..., Any], values: dict[str, Any]) -> Any:
        """Build the source by its name and options, if it is not built already, and prepare it."""
        from maskel.datasets.base import Source
        from maskel.parsing import add_arguments, did_you_mean, parser_of, read_values

        sources, source = imported(self.kinds), values.pop("source", None)
        parser = parser_of(name, function, skip=["source"])
        if not isinstance(source, Source) and source not in sources:
            hint, known = did_you_mean(str(source), sources), ", ".join(sorted(sources))
            raise InputError(f"maskel.{name}: no source is called {source!r}; {hint}known are {known}")
        if isinstance(source, Source):
            return function(source, **read_values(parser, f"maskel.{name}", values))
        add_arguments(parser, sources[source])
        options = read_values(parser, f"maskel.{name}", values)
        own = {option: options.pop(option) for option in signature(sources[source]).parameters}
        return function(sources[source](**own), **options)


def imported(where: str) -> Any:
    """Return what stands at ``module:name`` below ``maskel``."""
    module, _, name = where.partition(":")
    found = getattr(import_module(f"maskel.{module}"), name)
    if interrupted():  # a module of others passed over it
        raise KeyboardInterrupt
    return found


def shown(outcome: object) -> str:
    """Return the lines that are printed of an outcome: of a run its counts and, as the last line, its folder."""
    if isinstance(outcome, list):
        return "\n".join(map(str, outcome))
    if hasattr(type(outcome), "result"):  # of a run; its class takes a second to import
        return "\n".join(imported("training.finished:lines")(outcome))
    return str(outcome)


def plain_values(
    name: str, function: Callable[..., Any], given: Sequence[Any], named: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a call by name, as YAML could hold them: no paths, dataclasses, tuples.

    Raises:
        InputError: If there are too many, or one is given twice.
    """
    parameters = signature(function).parameters
    if len(given) > len(parameters):
        raise InputError(f"maskel.{name} takes {len(parameters)} arguments, found {len(given)}")
    values = dict(zip(parameters, given, strict=False))
    if twice := values.keys() & named.keys():
        raise InputError(f"maskel.{name}: {min(twice)} is given twice, by place and by name")
    return {argument: _plain(value) for argument, value in (values | dict(named)).items()}


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type | PathLike | imported("datasets.base:Source")):
        return _plain(asdict(value))
    if isinstance(value, PathLike):
        return fspath(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return value.item() if hasattr(value, "item") else value  # of NumPy


@contextmanager
def _recorded(text: str) -> Iterator[None]:
    """Have results name this invocation; what it locks stays locked until it ends."""
    before = invocation.set(text)
    try:
        with imported("files:holding_locks")():
            yield
    finally:
        invocation.reset(before)


def _methods(function: Callable[..., object]) -> Mapping[str, type]:
    """Return the methods whose options go with a command's."""
    methods: Mapping[str, type] = imported("methods:METHODS") if "method" in signature(function).parameters else {}
    return methods


def _seeds(function: Callable[..., object]) -> Mapping[str, tuple[Any, str]]:
    """Return the option of several seeds, where a command has one: name -> type and meaning."""
    from maskel.commands.seeds import Seeds

    meaning = "run seeds 0 to N - 1, or a list such as [0,3], in OUT/seed-0, ...; a repeated call resumes"
    return {"seeds": (Seeds | None, meaning)} if {"seed", "device"} <= signature(function).parameters.keys() else {}


def _run(function: Callable[..., object], parsed: "RunOptions") -> object:
    """Run a command once, or for each seed and fold."""
    from maskel.commands.folds import of_first_fold, of_folds, run_folds
    from maskel.commands.seeds import run_seeds

    options, parameters = _pinned(parsed.options), signature(function).parameters
    seeds = options.pop("seeds", None)
    each_fold = {"seed", "benchmark"} <= parameters.keys() and "classifier" not in parameters  # one is of one fold
    folds = each_fold and of_folds(options["data"], options["benchmark"])
    if parsed.resume and (seeds is not None or folds):
        what = "several seeds" if seeds is not None else "folds"
        raise InputError(f"resume: runs of {what} continue by themselves; give the same --out, without --resume")
    if options.get("check"):
        options |= of_first_fold(options) if folds else {}
    elif seeds is not None or folds:
        try:
            return run_folds(function, options) if seeds is None else run_seeds(function, options, seeds)
        except Stopped as stop:
            raise Stopped(f"{stop}, or repeat the whole command: it runs only what is left") from stop
    return function(**options, **({"resume": parsed.resume is not None} if "resume" in parameters else {}))


def _pinned(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options in which a model on the Hub has its commit: a run is repeated, and resumed, with the same."""
    from maskel.hub import CLASSIFIER, ENCODER, pinned

    weights = {"encoder": ENCODER, "init": ENCODER, "classifier": CLASSIFIER}
    models = {name: value for name, value in options.items() if name in weights and isinstance(value, Path)}
    return {**options, **{name: pinned(value, weights[name]) for name, value in models.items()}}


def _chosen(methods: Mapping[str, type], words: Sequence[str]) -> Mapping[str, type]:
    """Return the method whose options help lists: that of ``--method``, of a recipe's name, or the first."""
    from maskel.configuration import read_recipe

    method = signature(imported("commands.pretrain:pretrain")).parameters["method"].default
    parts = ((*word.partition("="), following) for word, following in pairwise([*words, ""]))
    given = [(name, value or following) for name, _, value, following in parts]
    for name, value in given:
        if name == "--config":
            method = read_recipe(value, "pretrain").get("method", method)
    method = dict(given).get("--method", method)
    return {method: methods[method]} if method in methods else methods


def _are(names: Mapping[str, object]) -> str:
    return "is" if len(names) == 1 else "are"
