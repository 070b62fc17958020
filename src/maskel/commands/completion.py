"""``maskel completion``: completes commands and options in a shell."""

import argparse
from typing import Any, Literal

import shtab

from maskel.commands import COMMANDS
from maskel.commands.command import KindsCommand, imported
from maskel.parsing import Parser, dashed

Shell = Literal["bash", "zsh", "fish"]


def completion(shell: Shell) -> str:
    """Write the script that completes ``maskel`` in a shell.

    Put it where the shell looks for such scripts; for bash, for example:
    ``maskel completion bash > ~/.local/share/bash-completion/completions/maskel``.

    Args:
        shell: ``bash``, ``zsh`` or ``fish``.

    Returns:
        The script.
    """
    root = argparse.ArgumentParser("maskel")
    first = root.add_subparsers()
    for name, command in COMMANDS.items():
        below = first.add_parser(name, help=command.purpose)
        if isinstance(command, KindsCommand):
            kinds = below.add_subparsers()
            for kind, function in imported(command.kinds).items():  # shtab passes over those without help
                _take_options(kinds.add_parser(kind, help=command.purpose), command.parser(kind, function))
        else:
            _take_options(below, command.parser(name, imported(command.function)))
    return shtab.complete(root, shell)


def _take_options(into: argparse.ArgumentParser, parser: Parser) -> None:
    """Add the options of our parser to a plain one, which is all that shtab reads."""
    seen = {"-h", "--help"}
    for action in parser._actions:
        names = [dashed(name) for name in action.option_strings if not name.endswith((".help", "+"))]
        if not seen.isdisjoint(names) or (not names and action.option_strings):
            continue
        seen.update(names)
        how: dict[str, Any] = {"help": (action.help or "").partition(".")[0]} | ({} if names else {"nargs": "*"})
        added = into.add_argument(*(names or [action.dest]), choices=action.choices, **how)
        if not action.choices:
            added.complete = shtab.FILE  # type: ignore[attr-defined]
