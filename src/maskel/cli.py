"""The command line: a table of functions whose signatures are the options.

Options come from the command's signature and docstrings; recipes (``--config``, repeated, merged in order) hold the
same names. A recipe may hold a section named after a command: only that command reads it.
"""

import difflib
import inspect
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, get_args, get_origin

import torch
from docstring_parser import parse as parse_docstring
from jsonargparse import ActionConfigFile, ArgumentError, ArgumentParser, Namespace  # type: ignore[attr-defined]

import maskel
from maskel.configuration import Options, data_recipes, merge_recipes
from maskel.console import say, standard_error, standard_output
from maskel.errors import InputError, TrainingError
from maskel.intervals import interval
from maskel.text import shown
from maskel.training import distributed
from maskel.training.engine import Stopped
from maskel.training.run import CONFIG, RunFolder, command_line

OUT_OF_MEMORY = (
    "out of memory; take a smaller training.batch_size or a smaller model, or cut the batch with training.accumulate"
)


class _Parser(ArgumentParser):
    """A parser that says which option a misspelt one may have been."""

    def parse_args(self, args: Sequence[str] | None = None, **others: Any) -> Any:  # type: ignore[override]
        """As jsonargparse does."""
        try:
            return super().parse_args(args, **others)
        except ArgumentError as fault:
            unknown = str(fault).partition("unrecognized arguments:")[2].split()
            hints = [hint for word in unknown if word.startswith("--") and (hint := self._near(word.partition("=")[0]))]
            if not hints:
                raise
            raise ArgumentError(None, f"{fault}; did you mean {' and '.join(hints)}?") from fault

    def _near(self, word: str) -> str:
        """The option that is most like a word; also where the word is the end of its name, as epochs is."""
        options = [option for action in self._actions for option in action.option_strings if option.startswith("--")]
        ends = [option for option in options if option.rpartition(".")[2] == word[2:]]
        near = ends if len(ends) == 1 else difflib.get_close_matches(word, options, 1)
        return "" if not near else near[0] if "." in near[0] else f"--{near[0][2:].replace('_', '-')}"


def _parser(command: str, **about: Any) -> _Parser:
    """A parser of a command's options that leaves every fault to `main`."""
    return _Parser(prog=f"maskel {command}", exit_on_error=False, allow_abbrev=False, **about)


def _prepare(arguments: Sequence[str]) -> None:
    from maskel.commands.prepare import prepare, show
    from maskel.datasets import SOURCES

    known = ", ".join(sorted(SOURCES))
    parser = _parser(
        "prepare",
        description=f"Turn raw recordings into a prepared set: maskel prepare SOURCE RAW [RAW ...] --out SET. "
        f"Sources: {known}; maskel prepare SOURCE --help lists a source's options.",
    )
    if not arguments or arguments[0] in ("-h", "--help"):
        parser.print_help()
        return
    name = arguments[0]
    if name not in SOURCES:
        raise InputError(f"no source is called {name!r}; {_did_you_mean(name, SOURCES)}known are {known}")
    parser = _parser(f"prepare {name}")
    parser.add_argument("roots", nargs="+", type=Path, help="folders (or archives) with the raw recordings")
    lists = ("classes", "benchmarks")
    parser.add_function_arguments(prepare, skip={"source", "roots", *lists}, as_group=False)
    for words in lists:
        parser.add_argument(f"--{words}", nargs="+", type=str, default=[], help=_meaning(prepare)[words])
    own = inspect.signature(SOURCES[name]).parameters
    meaning = _meaning(SOURCES[name])
    for option in own.values():
        several = get_origin(option.annotation) is Sequence
        how: Options = (
            {"type": get_args(option.annotation)[0], "nargs": "+"} if several else {"type": option.annotation}
        )
        how |= {"required": True} if option.default is option.empty else {"default": option.default}
        parser.add_argument(f"--{option.name}", help=meaning.get(option.name), **how)
    found = parser.parse_args(_spell(arguments[1:], parser))
    source = SOURCES[name](**{option: found.pop(option) for option in own})
    show(prepare(source, **vars(found)), standard_output())


def _pretrain(arguments: Sequence[str]) -> None:
    from maskel.commands.pretrain import pretrain
    from maskel.methods import METHODS

    _run_command("pretrain", pretrain, arguments, METHODS)


def _bench(arguments: Sequence[str]) -> None:
    from maskel.commands.bench import bench, show
    from maskel.commands.pretrain import pretrain
    from maskel.methods import METHODS

    def check(words: Sequence[str]) -> Any:
        return _outcome("pretrain", pretrain, words, METHODS)

    show(bench(check, **_options("bench", bench, arguments)), standard_output())


def _run_command(
    name: str,
    function: Callable[..., object],
    arguments: Sequence[str],
    methods: Mapping[str, type] = MappingProxyType({}),
) -> None:
    """Run a command and say what came of it."""
    outcome = _outcome(name, function, arguments, methods)
    if isinstance(outcome, RunFolder):
        _say_run(outcome)
    else:
        _say(outcome)


def _outcome(
    name: str,
    function: Callable[..., object],
    arguments: Sequence[str],
    methods: Mapping[str, type] = MappingProxyType({}),
) -> object:
    """Parse a run's options and run it; of ``methods`` the chosen one's own options go with them."""
    from maskel.commands.seeds import Seeds, run_seeds

    parser = _parser(name)
    parameters = inspect.signature(function).parameters
    resumable = "resume" in parameters
    parser.add_function_arguments(function, skip={"resume", "options"}, as_group=False)
    for method, its_class in methods.items():
        parser.add_class_arguments(its_class, method, skip={"encoder"}, instantiate=False)
    if "seed" in parameters:
        parser.add_argument(
            "--seeds",
            type=Seeds | None,
            help="run seeds 0 to N - 1, or those of a list such as [0,3], into OUT/seed-0, ...; again: goes on",
        )
    with TemporaryDirectory(prefix="maskel-check-") as scratch:
        found, resume = _parse(parser, name, arguments, resumable, Path(scratch))
        options = vars(found)
        config = dict(options)
        own = {method: vars(options.pop(method)) for method in methods}
        if methods:
            options["options"] = own.get(found.method, {})
            config = {key: value for key, value in config.items() if key not in own} | {
                found.method: options["options"]
            }
        seeds = options.pop("seeds", None)
        if resume and seeds is not None:
            raise InputError("resume: several seeds go on by themselves; give their --out and leave --resume out")
        if seeds is not None and not options["check"]:
            return run_seeds(name, function, options, seeds, config)
        return function(**options, **({"resume": resume} if resumable else {}))


def _linear(arguments: Sequence[str]) -> None:
    from maskel.commands.linear import linear

    _run_command("linear", linear, arguments)


def _finetune(arguments: Sequence[str]) -> None:
    from maskel.commands.finetune import finetune

    _run_command("finetune", finetune, arguments)


def _knn(arguments: Sequence[str]) -> None:
    from maskel.commands.knn import knn

    _run_command("knn", knn, arguments)


def _baseline(arguments: Sequence[str]) -> None:
    from maskel.commands.baseline import baseline

    _say_run(baseline(**_options("baseline", baseline, arguments)))


def _evaluate(arguments: Sequence[str]) -> None:
    from maskel.commands.evaluate import evaluate

    _run_command("evaluate", evaluate, arguments)


def _options(
    name: str, function: Callable[..., Any], arguments: Sequence[str], several: str = "", one: str = ""
) -> Options:
    """Options of a command that has no recipe.

    ``several`` names an argument that takes all words without a dash, ``one`` an argument that takes the only such.
    """
    parser = _parser(name)
    meaning = _meaning(function)
    if several:
        parser.add_argument(several, nargs="+", type=Path, help=meaning[several])
    if one:
        parser.add_argument(one, type=Path, help=meaning[one])
    skipped: set[str | int] = {several, one, "run_command"}
    if "weights" in meaning:  # numbers after one option, as people type them
        parser.add_argument("--weights", nargs="+", type=float, help=meaning["weights"])
        skipped.add("weights")
    parser.add_function_arguments(function, skip=skipped, as_group=False)
    return vars(parser.parse_args(_spell(arguments, parser)))


def _inspect(arguments: Sequence[str]) -> None:
    from maskel.commands.inspect import STANDARD_OUTPUT, as_json, show
    from maskel.commands.inspect import inspect as inspect_set

    options = _options("inspect", inspect_set, arguments, one="data")
    found = inspect_set(**options)
    if options["json"] == STANDARD_OUTPUT:
        sys.stdout.write(as_json(found))
    else:
        show(found, standard_output())


def _report(arguments: Sequence[str]) -> None:
    from maskel.commands.report import report

    _say(report(**_options("report", report, arguments, several="runs")))


def _ensemble(arguments: Sequence[str]) -> None:
    from maskel.commands.ensemble import ensemble

    _say_run(ensemble(**_options("ensemble", ensemble, arguments, several="runs")))


def _predict(arguments: Sequence[str]) -> None:
    from maskel.commands.predict import predict

    _say(predict(**_options("predict", predict, arguments, several="data")))


def _results(arguments: Sequence[str]) -> None:
    from maskel.commands.results import results

    _say(results(**_options("results", results, arguments, several="runs")))


def _reproduce(arguments: Sequence[str]) -> None:
    from maskel.commands.reproduce import reproduce

    parser = _parser("reproduce")
    for name in ("method", "benchmark"):
        parser.add_argument(name, help=_meaning(reproduce)[name])
    parser.add_function_arguments(reproduce, skip={"run_command", "method", "benchmark"}, as_group=False)
    found = parser.parse_args(_spell(arguments, parser))
    _say(reproduce(_run_within, **vars(found)))


def _run_within(arguments: Sequence[str]) -> None:
    """Run a command line as a part of another command; its result names it, and its faults end both."""
    typed = command_line.set(tuple(arguments))
    try:
        COMMANDS[arguments[0]][0](arguments[1:])
    finally:
        command_line.reset(typed)


def _embed(arguments: Sequence[str]) -> None:
    from maskel.commands.embed import embed

    _say(embed(**_options("embed", embed, arguments)))


def _view(arguments: Sequence[str]) -> None:
    from maskel.commands.view import masks

    if not arguments or arguments[0] in ("-h", "--help"):
        _say(
            "usage: maskel view masks RUN [RUN ...] --data SET --clip NAME; maskel view masks --help lists its options"
        )
        return
    if arguments[0] != "masks":
        near = _did_you_mean(arguments[0], ("masks",))
        raise InputError(f"no picture is called {arguments[0]!r}; {near}known is masks")
    _say(masks(**_options("view masks", masks, arguments[1:], several="runs")))


def _convert(arguments: Sequence[str]) -> None:
    from maskel.commands.convert import convert

    _say("\n".join(convert(**_options("convert", convert, arguments, one="source"))))


def _export(arguments: Sequence[str]) -> None:
    from maskel.commands.export import FORMATS

    known = ", ".join(FORMATS)
    if not arguments or arguments[0] in ("-h", "--help"):
        _say(
            f"usage: maskel export FORMAT SET --out FILE; formats: {known}; maskel export npz --help lists its options"
        )
        return
    if arguments[0] not in FORMATS:
        near = _did_you_mean(arguments[0], FORMATS)
        raise InputError(f"no format is called {arguments[0]!r}; {near}known are {known}")
    write = FORMATS[arguments[0]]
    parser = _parser(f"export {arguments[0]}")
    parser.add_argument("data", type=Path, help=_meaning(write)["data"])
    parser.add_function_arguments(write, skip={"data"}, as_group=False)
    _say(write(**vars(parser.parse_args(_spell(arguments[1:], parser)))))


def _synthesize(arguments: Sequence[str]) -> None:
    from maskel.datasets.synthetic import synthesize

    files = synthesize(**_options("synthesize", synthesize, arguments))
    _say(f"{len(files)} recordings in {files[0].parent}")


def _demo(arguments: Sequence[str]) -> None:
    from maskel.commands.demo import demo

    page = demo(_run_within, **_options("demo", demo, arguments))
    _say(f"report: {page.resolve()}")


COMMANDS: dict[str, tuple[Callable[[Sequence[str]], None], str]] = {
    "demo": (_demo, "the whole path on generated data, in a few minutes"),
    "synthesize": (_synthesize, "write synthetic recordings in NTU's raw format"),
    "prepare": (_prepare, "turn raw recordings into a prepared set"),
    "inspect": (_inspect, "what is in a prepared set, and what is wrong with it"),
    "pretrain": (_pretrain, "learn an encoder from unlabelled clips"),
    "bench": (_bench, "how long pre-training would take on this machine, recipe by recipe"),
    "linear": (_linear, "train a linear layer on a frozen encoder and count right answers"),
    "finetune": (_finetune, "train encoder and head on labelled clips; some labels, another set, or from scratch"),
    "knn": (_knn, "classify by nearest neighbours under a frozen encoder"),
    "baseline": (_baseline, "classify raw joints with scikit-learn: the yardstick for every encoder"),
    "export": (_export, "write a prepared set in a form that other code reads"),
    "reproduce": (_reproduce, "a method on a benchmark by every protocol, beside the published numbers"),
    "embed": (_embed, "write the features of clips to an npz file"),
    "results": (_results, "runs as tables, the seeds of equal runs together"),
    "evaluate": (_evaluate, "count a trained classifier's right answers on any part of a benchmark"),
    "ensemble": (_ensemble, "add up the scores of several runs: joint, bone, motion"),
    "predict": (_predict, "classes and probabilities of new clips"),
    "convert": (_convert, "turn a released checkpoint into an encoder, or a run into a released checkpoint"),
    "report": (_report, "show runs on one HTML page"),
    "view": (_view, "show one picture: how often methods hide each joint and time of a clip"),
}
"""Name -> what runs it and what it is for. Imports are inside, so that each command starts with what it needs."""


_WITH_KINDS = ("prepare", "export", "view")
"""Commands whose options depend on their first word."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 2 for wrong input, 1 for a run that failed, 130 when stopped.

    ``docs/errors.md`` lists what can go wrong and what is then shown.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        standard_error().print("usage: maskel COMMAND [OPTIONS]; maskel COMMAND --help lists a command's options\n")
        for name, (_, purpose) in COMMANDS.items():
            standard_error().print(f"  {name:<12}{purpose}")
        return 0 if arguments else 2
    if arguments[0] == "--version":
        say(maskel.__version__)
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(COMMANDS)}"
        standard_error().print(f"maskel: no command is called {name!r}; {hint}", markup=False)
        return 2
    typed = command_line.set(tuple(arguments))
    try:
        COMMANDS[name][0](arguments[1:])
        distributed.finish(together=True)
        return 0
    except (InputError, ArgumentError) as fault:
        which = name if name not in _WITH_KINDS else " ".join(arguments[:2])
        return _complain(name, _sentence(fault, which), 2)
    except TrainingError as fault:
        return _complain(name, fault, 1)
    except Stopped as stop:
        return _complain(name, stop, 130)
    except OSError as fault:  # a full disk, a folder that may not be written
        return _complain(name, f"{fault.filename or 'a file'}: {fault.strerror or fault}", 1)
    except KeyboardInterrupt:
        return _complain(name, "stopped; nothing unfinished was kept", 130)
    except Exception as fault:  # noqa: BLE001 (the one place where whatever is left becomes a sentence)
        if _out_of_memory(fault):
            return _complain(name, OUT_OF_MEMORY, 1)
        traceback.print_exc()
        what = f"{type(fault).__name__} in {maskel.__name__} {maskel.__version__}"
        return _complain(
            name, f"{what}: a fault of the program, not of yours; please report it with the lines above", 1
        )
    finally:
        command_line.reset(typed)
        distributed.finish(together=False)


def _parse(
    parser: ArgumentParser, command: str, arguments: Sequence[str], resumable: bool, scratch: Path
) -> tuple[Namespace, bool]:
    """The options of a command, and whether they resume a run; a check without data finds some in ``scratch``."""
    names = {action.dest.partition(".")[0] for action in parser._actions}
    within = {action.dest for action in parser._actions if "." in action.dest}
    groups = {
        dest.partition(".")[0] for dest in within if not dest.endswith(".help")
    }  # of an option that may be a path
    parser.add_argument("--config", action=ActionConfigFile, help="recipe name or YAML file; repeat to merge")
    if resumable:
        parser.add_argument("--resume", type=Path, help="run folder to go on with; its options are used")
    rest, configs, resume = _take_configs(_spell(arguments, parser))
    if resume is not None and not resumable:
        raise InputError(f"maskel {command} has nothing to resume; start it again with another --out")
    merged = merge_recipes(configs, command, names, groups, resume is not None)
    if resume is not None:
        merged["out"] = str(resume)
    stands_in = "--check=true" in rest and "data" not in merged and not any(word.startswith("--data") for word in rest)
    if stands_in:
        merged["data"] = str(scratch / "set")
    found = parser.parse_args(["--config", json.dumps(merged, default=str), *rest] if merged else rest)
    if stands_in:
        _stand_in(scratch / "set", configs, found.benchmark)
    found.pop("config", None)
    found.pop("resume", None)
    _refuse_nothing(parser, found)
    try:
        return parser.instantiate(found), resume is not None
    except ValueError as fault:  # of an option with several types
        raise InputError(str(fault)) from fault


def _refuse_nothing(parser: ArgumentParser, found: Namespace) -> None:
    """Refuse ``lr: null`` and the like, which the parser lets through, where an option needs a value.

    Raises:
        InputError: If there is one.
    """
    for action in parser._actions:
        optional = action.default is None or "None" in str(getattr(action, "_typehint", ""))
        if action.dest in found and found[action.dest] is None and not optional:
            raise InputError(
                f"{action.dest}: found no value, expected one; leave the option out to have {action.default}"
            )


def _stand_in(out: Path, configs: Sequence[str], benchmark: str) -> None:
    """Write generated clips like those of the data set that a recipe is for, of NTU RGB+D 60 without such a recipe."""
    from maskel.datasets.stand_in import UNKNOWN, write_stand_in

    recipes = data_recipes()
    source = next((recipes[name] for name in configs if name in recipes and not Path(name).is_file()), "ntu60")
    size = "repeated up to its published size"
    if not write_stand_in(out, source, benchmark):
        size = f"whose size is not published: steps and time are those of {UNKNOWN:,} training and as many test clips"
    _say(f"There is no --data: a few generated clips stand in for {source} {benchmark}, {size}.")


def _take_configs(arguments: Sequence[str]) -> tuple[list[str], list[str], Path | None]:
    """Split off ``--config`` and ``--resume``: recipes are merged before any other option is parsed."""
    rest: list[str] = []
    configs: list[str] = []
    resume: Path | None = None
    position = 0
    while position < len(arguments):
        name, equals, value = arguments[position].partition("=")
        position += 1
        if name not in ("--config", "--resume"):
            rest.append(arguments[position - 1])
            continue
        if not equals:
            if position == len(arguments):
                raise InputError(f"{name}: expected a value")
            value = arguments[position]
            position += 1
        if name == "--config":
            configs.append(value)
        else:
            resume = Path(value)
            if not (resume / CONFIG).is_file():
                raise InputError(f"{resume}: no run folder to resume; it has no {CONFIG}")
            configs.insert(0, str(resume / CONFIG))
    return rest, configs, resume


def _spell(arguments: Sequence[str], parser: ArgumentParser) -> list[str]:
    """Options as the parser knows them: dashes inside names become underscores, a bare switch means true."""
    switches = {
        option
        for action in parser._actions
        if action.type is bool or "bool" in str(getattr(action, "_typehint", ""))
        for option in action.option_strings
    }
    spelt = []
    for position, argument in enumerate(arguments):
        if argument.startswith("--"):
            name, equals, value = argument.partition("=")
            argument = f"--{name[2:].replace('-', '_')}{equals}{value}"
            following = arguments[position + 1] if position + 1 < len(arguments) else "--"
            if argument in switches and following.lower() not in ("true", "false", "yes", "no"):
                argument += "=true"
        spelt.append(argument)
    return spelt


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    """The name that a word is most like, as the beginning of a sentence's next part; empty if it is like none."""
    near = difflib.get_close_matches(word, list(known), 1)
    return f"did you mean {near[0]}? " if near else ""


def _meaning(documented: object) -> dict[str, str]:
    """What each argument means, from the docstring."""
    found = parse_docstring(inspect.getdoc(documented) or "")
    return {entry.arg_name: entry.description or "" for entry in found.params}


def _sentence(fault: Exception, command: str) -> str:
    """An error as one line, with where to look when it is about an option."""
    text = re.sub(r"\s+", " ", str(fault)).strip()
    # A path or a mapping (finetune's --encoder): what is wrong with the mapping is what there is to know.
    several = re.fullmatch(
        r"(?P<key>.*?)Does not validate against any of the Union.* - (?P<why>.*) Given value type.*", text
    )
    if several:
        text = several["key"] + re.sub(r"Problem with given class_path \S+ ", "", several["why"])
    if isinstance(fault, ArgumentError):
        text += f"{'' if text.endswith('?') else ';'} maskel {command} --help lists the options"
    return text


def _complain(command: str, sentence: object, code: int) -> int:
    """One line on stderr; returns the exit code. Names come from anywhere, so nothing in it moves the cursor."""
    standard_error().print(f"maskel {command}: {shown(sentence)}", markup=False)
    return code


def _out_of_memory(fault: Exception) -> bool:
    """Whether memory ran out, on whichever device; PyTorch says so on a CPU by a plain RuntimeError."""
    return isinstance(fault, (MemoryError, torch.OutOfMemoryError)) or "DefaultCPUAllocator" in str(fault)


def _say_run(run: RunFolder) -> None:
    """What a run counted, where it did, and as the last line its folder."""
    result = run.read_result() if run.finished else {}
    for how, counted in {"": result, "by vote ": result.get("vote", {})}.items():
        if isinstance(counted.get("correct"), int):
            correct, seen = counted["correct"], counted["seen"]
            sure = f", 95 % interval {interval(correct, seen)}"
            _say(f"{correct} of {seen} clips right {how}({counted['accuracy']:.1%}{sure})")
    if isinstance(several := result.get("accuracy"), dict):
        spread = "" if several["std"] is None else f" ± {several['std']:.1%}"
        _say(f"mean over {len(result['seeds'])} seeds: {several['mean']:.1%}{spread}")
    _say(run.path)


def _say(text: object) -> None:
    if os.environ.get("RANK", "0") == "0":  # of several processes one speaks
        say(text)
