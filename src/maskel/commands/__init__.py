"""The commands: one file each, and one row of `COMMANDS`. A command's options are its function's arguments."""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from maskel.commands.text import say
from maskel.errors import InputError
from maskel.invocation import command_line


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
    """A command that reads recipes, leaves a run folder, and can be repeated for several seeds.

    Args:
        methods: Whether options of the methods go with it.
    """

    methods: bool = False

    def run(self, name: str, words: Sequence[str]) -> tuple[object, Mapping[str, Any]]:
        """Parse and run, as every command does; several seeds into a folder each."""
        from maskel.commands.seeds import Seeds, run_seeds
        from maskel.parsing import NO_METHODS, read_run_options, run_parser

        function = imported(self.function)
        methods = imported("methods:METHODS") if self.methods else NO_METHODS
        again = "run seeds 0 to N - 1, or those of a list such as [0,3], into OUT/seed-0, ...; again: goes on"
        more = {"seeds": (Seeds | None, again)}
        if {"-h", "--help"} & set(words):
            run_parser(name, function, _chosen(methods, words), more).print_help()
            sys.exit(0)
        parser = run_parser(name, function, methods, more)
        with TemporaryDirectory(prefix="maskel-check-") as scratch:
            stand_in = Path(scratch) / "set"
            found = read_run_options(parser, name, words, methods, stand_in)
            options = found.options
            if found.idle:
                say(f"{', '.join(found.idle)} is without effect: the method is {options['method']}")
            if options["data"] == stand_in:
                from maskel.datasets.stand_in import write_for_check

                say(write_for_check(stand_in, found.recipes, options["benchmark"]))
            seeds = options.pop("seeds", None)
            config = {name: value for name, value in found.config.items() if name != "seeds"}
            if found.resume and seeds is not None:
                raise InputError("resume: several seeds go on by themselves; give their --out and leave --resume out")
            if seeds is not None and not options["check"]:
                return run_seeds(name, function, options, seeds, config), options
            return function(**options, **({"resume": found.resume is not None} if _resumes(function) else {})), options


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
        source = function(**{option: options.pop(option) for option in inspect.signature(function).parameters})
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
    "pretrain": RunCommand("learn an encoder from unlabelled clips", "commands.pretrain:pretrain", methods=True),
    "bench": Command(
        "time pre-training on this machine, recipe by recipe", "commands.bench:bench", show="commands.bench:show"
    ),
    "linear": RunCommand("train a linear layer on a frozen encoder, and count right answers", "commands.linear:linear"),
    "finetune": RunCommand(
        "train encoder and head on labelled clips: some labels, another set, or from scratch",
        "commands.finetune:finetune",
    ),
    "knn": RunCommand("classify by nearest neighbours under a frozen encoder", "commands.knn:knn"),
    "baseline": Command(
        "classify raw joints with scikit-learn: the yardstick for every encoder", "commands.baseline:baseline"
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
    "evaluate": RunCommand(
        "count a trained classifier's right answers on any part of a benchmark", "commands.evaluate:evaluate"
    ),
    "ensemble": Command(
        "add up the scores of several runs: joint, bone, motion", "commands.ensemble:ensemble", several="runs"
    ),
    "predict": Command("classify new clips, with probabilities", "commands.predict:predict", several="data"),
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
    """Return what is printed of an outcome: of a run its counts and, as the last line, its folder."""
    if isinstance(outcome, list):
        return "\n".join(map(str, outcome))
    lines = getattr(outcome, "lines", None)
    return "\n".join(lines()) if lines else str(outcome)


def _chosen(methods: Mapping[str, type], words: Sequence[str]) -> Mapping[str, type]:
    """Return the method whose options help lists: that of ``--method``, of a recipe's name, or the first."""
    from maskel.configuration import read_recipe

    method = inspect.signature(imported("commands.pretrain:pretrain")).parameters["method"].default
    for word, value in pairwise([*words, ""]):
        name, equals, attached = word.partition("=")
        if name == "--config":
            method = read_recipe(attached if equals else value, "pretrain").get("method", method)
    for word, value in pairwise([*words, ""]):
        name, equals, attached = word.partition("=")
        method = (attached if equals else value) if name == "--method" else method
    return {method: methods[method]} if method in methods else methods


def _resumes(function: Callable[..., object]) -> bool:
    return "resume" in inspect.signature(function).parameters


def _are(names: Mapping[str, object]) -> str:
    return "is" if len(names) == 1 else "are"
