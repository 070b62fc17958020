"""The commands: one file each, and one row of `COMMANDS`. A command's options are its function's arguments."""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature  # `inspect` is the module of that command
from typing import Any

from maskel.arguments import ARGUMENTS, completed
from maskel.commands.command import Command, KindsCommand, PrepareCommand, RunCommand, imported
from maskel.protocols import PROTOCOLS

COMMANDS: dict[str, Command] = {
    "demo": Command("the whole path on generated data, in a few minutes", "commands.demo:demo"),
    "synthesize": Command("write synthetic recordings in NTU's raw format", "commands.synthesize:synthesize"),
    "prepare": PrepareCommand(
        "turn raw recordings into a prepared set",
        "commands.prepare:prepare",
        several="roots",
        kinds="datasets:SOURCES",
        word="source",
    ),
    "inspect": Command(
        "show what is in a prepared set, and what is wrong with it", "commands.inspect:inspect", one="data"
    ),
    **{
        name: RunCommand(protocol.purpose, f"commands.{name}:{name}", several=protocol.several)
        for name, protocol in PROTOCOLS.items()
    },
    "bench": Command("time pre-training on this machine, recipe by recipe", "commands.bench:bench"),
    "export": KindsCommand(
        "write a prepared set, or the model of a run, in a form that other code reads",
        one="data run",
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
    "pose": Command("write the keypoints of a video by a pose estimator", "commands.pose:pose", one="video"),
    "watch": Command("classify people live: keypoints or a video in, classes out on stdout", "commands.watch:watch"),
    "convert": Command(
        "turn a released checkpoint into an encoder, or a run into a released checkpoint",
        "commands.convert:convert",
        one="source",
    ),
    "push": Command(
        "put the model of a run on the Hugging Face Hub, with a model card", "commands.push:push", one="run repo"
    ),
    "report": Command("show runs on one HTML page", "commands.report:report", several="runs"),
    "completion": Command(
        "print the completion script of a shell: bash, zsh, fish", "commands.completion:completion", one="shell"
    ),
    "view": KindsCommand(
        "show clips that move, their features, their important joints, or how often methods hide each",
        several="runs",
        one="data",
        kinds="commands.view:PICTURES",
        word="picture",
    ),
}
"""Name -> command. A new command is a file and a row."""

_FROM_PYTHON = {**COMMANDS, "features": Command("compute the features of clips", "commands.embed:features")}
"""Functions for Python: the commands, and those of no use on a command line."""


def callable_of(name: str) -> Callable[..., Any]:
    """Return a command as a function for Python that takes plain values; its docstring is that of the command.

    A path is a string, a ``Path`` or a run; options that hold options are a mapping or a dataclass.
    """
    command = _FROM_PYTHON[name]
    function = imported(command.function)

    @wraps(function)
    def call(*given: Any, **named: Any) -> Any:
        return command.call(name, *given, **named)

    own = signature(function)
    call.__doc__ = completed(function.__doc__ or "", [*own.parameters, *command.more], {**ARGUMENTS, **command.more})
    extra = [Parameter(argument, Parameter.KEYWORD_ONLY, default=None) for argument in command.more]
    call.__signature__ = own.replace(parameters=[*own.parameters.values(), *extra])  # type: ignore[attr-defined]
    return call
