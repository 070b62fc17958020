"""The commands: one file each, and one row of `COMMANDS`. A command's options are its function's arguments."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from inspect import signature  # the name `inspect` is taken by the module of that command
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from maskel.console import say, tell
from maskel.errors import InputError, Stopped
from maskel.invocation import command_line
from maskel.protocols import PROTOCOLS

if TYPE_CHECKING:
    from maskel.parsing import RunOptions


@dataclass(frozen=True)
class Command:
    """A row of the command line. Nothing is imported before the command runs.

    Args:
        purpose: One line for ``maskel --help``.
        function: Where the function is, ``module:name`` below ``maskel``.
        several: The argument that takes all words without a dash.
        one: Arguments, divided by spaces, that take one such word each.
        show: The function that prints an outcome, ``module:name``, called with it and the options; by default its
            text is printed.
    """

    purpose: str
    function: str = ""
    several: str = ""
    one: str = ""
    show: str = ""

    def run(self, name: str, words: Sequence[str]) -> tuple[object, Mapping[str, Any]]:
        """Parse a command line without its first word, run it, and return the outcome with the options.

        Raises:
            InputError: If the options make no sense.
            ArgumentError: If one is unknown, missing or out of its type.
        """
        from maskel.parsing import parser_of

        function = imported(self.function)
        options = vars(parser_of(name, function, several=self.several, one=self.one).read(words))
        return function(**options), options

    def __call__(self, name: str, words: Sequence[str]) -> object:
        """Run a command line, print what came of it, and return that."""
        typed = command_line.set((name, *words))
        try:
            outcome, options = self.run(name, words)
        finally:
            command_line.reset(typed)
        show = imported(self.show) if self.show else lambda outcome, options: say(shown(outcome))
        show(outcome, options)
        return outcome


@dataclass(frozen=True)
class RunCommand(Command):
    """A command of `PROTOCOLS`: it reads recipes, leaves a run folder, and can be repeated for seeds and folds."""

    def run(self, name: str, words: Sequence[str]) -> tuple[object, Mapping[str, Any]]:
        """Parse and run, as every command does; several seeds or folds into a folder each."""
        from maskel.commands.seeds import Seeds
        from maskel.parsing import read_run_options, run_parser

        function = imported(self.function)
        parameters = signature(function).parameters
        methods = imported("methods:METHODS") if "method" in parameters else {}
        again = "run seeds 0 to N - 1, or those of a list such as [0,3], into OUT/seed-0, ...; again: goes on"
        more = {"seeds": (Seeds | None, again)} if {"seed", "device"} <= parameters.keys() else {}
        several = {"several": self.several}
        if {"-h", "--help"} & set(words):
            run_parser(name, function, _chosen(methods, words), more, **several).print_help()
            sys.exit(0)
        parser = run_parser(name, function, methods, more, **several)
        with TemporaryDirectory(prefix="maskel-check-") as scratch:
            found = read_run_options(parser, name, words, methods, Path(scratch) / "set")
            if found.idle and found.options["method"] in methods:
                tell(f"{', '.join(found.idle)}: without effect, since the method is {found.options['method']}")
            if found.options.get("data") == Path(scratch) / "set":
                from maskel.datasets.stand_in import write_for_check

                say(write_for_check(found.options["data"], found.recipes, found.options["benchmark"]))
            return _run(name, function, found), found.options


@dataclass(frozen=True)
class KindsCommand(Command):
    """A command whose first word chooses what it does, and so its options.

    Args:
        kinds: Where the functions are by their names, ``module:name`` below ``maskel``.
        word: What the first word is called in ``--help``.
    """

    kinds: str = ""
    word: str = ""

    def run(self, name: str, words: Sequence[str]) -> tuple[object, Mapping[str, Any]]:
        """Choose by the first word, then parse and run."""
        from maskel.parsing import did_you_mean

        kinds: Mapping[str, Callable[..., object]] = imported(self.kinds)
        known = ", ".join(sorted(kinds))
        if not words or words[0] in ("-h", "--help"):
            usage = f"usage: maskel {name} {self.word.upper()} ...; maskel {name} {min(kinds)} --help lists the options"
            say(f"{usage}\n{self.purpose[0].upper()}{self.purpose[1:]}. Known {_are(kinds)} {known}.")
            sys.exit(0)
        kind = words[0]
        if kind not in kinds:
            hint = did_you_mean(kind, kinds)
            raise InputError(f"no {self.word} is called {kind!r}; {hint}known {_are(kinds)} {known}")
        return self.run_kind(f"{name} {kind}", kinds[kind], words[1:])

    def run_kind(self, name: str, function: Callable[..., Any], words: Sequence[str]) -> tuple[Any, Mapping[str, Any]]:
        """Parse and run one of the kinds."""
        from maskel.parsing import parser_of

        options = vars(parser_of(name, function, several=self.several, one=self.one).read(words))
        return function(**options), options


@dataclass(frozen=True)
class PrepareCommand(KindsCommand):
    """``maskel prepare``: each source has options of its own beside those of all."""

    def run_kind(self, name: str, function: Callable[..., Any], words: Sequence[str]) -> tuple[Any, Mapping[str, Any]]:
        """Build the source from its options, and prepare it."""
        from maskel.parsing import add_arguments, parser_of

        prepare = imported(self.function)
        parser = parser_of(name, prepare, skip=["source"], several=self.several)
        add_arguments(parser, function)
        options = vars(parser.read(words))
        source = function(**{option: options.pop(option) for option in signature(function).parameters})
        return prepare(source, **options), options


COMMANDS: dict[str, Command] = {
    "demo": Command(
        "the whole path on generated data, in a few minutes", "commands.demo:demo", show="commands.demo:show"
    ),
    "synthesize": Command(
        "write synthetic recordings in NTU's raw format",
        "commands.synthesize:synthesize",
        show="commands.synthesize:show",
    ),
    "prepare": PrepareCommand(
        "turn raw recordings into a prepared set",
        "commands.prepare:prepare",
        several="roots",
        kinds="datasets:SOURCES",
        word="source",
        show="commands.prepare:show",
    ),
    "inspect": Command(
        "show what is in a prepared set, and what is wrong with it",
        "commands.inspect:inspect",
        one="data",
        show="commands.inspect:show",
    ),
    **{
        name: RunCommand(protocol.purpose, f"commands.{name}:{name}", several=protocol.several)
        for name, protocol in PROTOCOLS.items()
    },
    "bench": Command(
        "time pre-training on this machine, recipe by recipe", "commands.bench:bench", show="commands.bench:show"
    ),
    "export": KindsCommand(
        "write a prepared set in a form that other code reads",
        one="data",
        kinds="commands.export:FORMATS",
        word="format",
    ),
    "reproduce": Command(
        "run a method on a benchmark by every protocol, beside the published numbers",
        "commands.reproduce:reproduce",
        one="method benchmark",
    ),
    "embed": Command("write the features of clips to an npz file", "commands.embed:embed"),
    "results": Command(
        "show runs as tables, the seeds of equal runs together", "commands.results:results", several="runs"
    ),
    "predict": Command("classify new clips, with probabilities", "commands.predict:predict", several="data"),
    "watch": Command(
        "classify people live: keypoints in on stdin, classes out on stdout",
        "commands.watch:watch",
        show="commands.watch:show",
    ),
    "convert": Command(
        "turn a released checkpoint into an encoder, or a run into a released checkpoint",
        "commands.convert:convert",
        one="source",
    ),
    "report": Command("show runs on one HTML page", "commands.report:report", several="runs"),
    "completion": Command(
        "print the completion script of a shell: bash, zsh, fish", "commands.completion:completion", one="shell"
    ),
    "view": KindsCommand(
        "show one picture: how often methods hide each joint and time of a clip",
        several="runs",
        kinds="commands.view:PICTURES",
        word="picture",
    ),
}
"""Name -> command. A new command is a file and a row."""


def imported(where: str) -> Any:
    """Return what stands at ``module:name`` below ``maskel``."""
    module, _, name = where.partition(":")
    return getattr(import_module(f"maskel.{module}"), name)


def shown(outcome: object) -> str:
    """Return the lines that are printed of an outcome: of a run its counts and, as the last line, its folder."""
    if isinstance(outcome, list):
        return "\n".join(map(str, outcome))
    if hasattr(outcome, "read_result"):
        return "\n".join(imported("training.finished:lines")(outcome))
    return str(outcome)


def _run(name: str, function: Callable[..., object], found: "RunOptions") -> object:
    """Run a command once, or for each seed and fold."""
    from maskel.commands.folds import of_first_fold, of_folds, run_folds
    from maskel.commands.seeds import run_seeds

    options, parameters = dict(found.options), signature(function).parameters
    seeds = options.pop("seeds", None)
    config = {name: value for name, value in found.config.items() if name != "seeds"}
    folds = {"seed", "benchmark"} <= parameters.keys() and of_folds(options["data"], options["benchmark"])
    if found.resume and (seeds is not None or folds):
        what = "several seeds" if seeds is not None else "folds"
        raise InputError(f"resume: {what} go on by themselves; give their --out and leave --resume out")
    if options.get("check"):
        options |= of_first_fold(options) if folds else {}
    elif seeds is not None or folds:
        try:
            if seeds is not None:
                return run_seeds(name, function, options, seeds, config)
            return run_folds(name, function, options, config)
        except Stopped as stop:
            raise Stopped(f"{stop}; or with the same command, which then runs what is left") from stop
    return function(**options, **({"resume": found.resume is not None} if "resume" in parameters else {}))


def _chosen(methods: Mapping[str, type], words: Sequence[str]) -> Mapping[str, type]:
    """Return the method whose options help lists: that of ``--method``, of a recipe's name, or the first."""
    from maskel.configuration import read_recipe

    method = signature(imported("commands.pretrain:pretrain")).parameters["method"].default
    for word, value in pairwise([*words, ""]):
        name, equals, attached = word.partition("=")
        if name == "--config":
            method = read_recipe(attached if equals else value, "pretrain").get("method", method)
    for word, value in pairwise([*words, ""]):
        name, equals, attached = word.partition("=")
        method = (attached if equals else value) if name == "--method" else method
    return {method: methods[method]} if method in methods else methods


def _are(names: Mapping[str, object]) -> str:
    return "is" if len(names) == 1 else "are"
