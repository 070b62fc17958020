"""Every argument of a command is described: by its own docstring, or once for all commands that have it."""

import inspect
from collections.abc import Callable

import pytest
from docstring_parser import parse

import maskel
from maskel.arguments import ARGUMENTS, OF_METHODS, completed
from maskel.commands import COMMANDS
from maskel.commands.command import KindsCommand, imported
from maskel.methods import METHODS


def functions() -> dict[str, Callable[..., object]]:
    """The function of every command, and of every first word that chooses one."""
    found = {name: imported(command.function) for name, command in COMMANDS.items() if command.function}
    for name, command in COMMANDS.items():
        if isinstance(command, KindsCommand):
            found |= {f"{name} {kind}": function for kind, function in imported(command.kinds).items()}
    return found


FUNCTIONS = functions()


def described(docstring: str) -> dict[str, str]:
    return {entry.arg_name: " ".join((entry.description or "").split()) for entry in parse(docstring).params}


@pytest.mark.parametrize("command", FUNCTIONS)
def test_every_argument_is_described_and_none_in_the_words_of_all(command: str) -> None:
    own, names = described(FUNCTIONS[command].__doc__ or ""), inspect.signature(FUNCTIONS[command]).parameters
    assert [name for name in names if not own.get(name) and name not in ARGUMENTS] == []
    assert [name for name in own if own[name] == ARGUMENTS.get(name)] == []


def test_what_is_described_for_all_is_used_twice() -> None:
    owns = [(inspect.signature(one).parameters, described(one.__doc__ or "")) for one in FUNCTIONS.values()]
    for name in ARGUMENTS:
        assert sum(name in names and name not in own for names, own in owns) > 1, name


def test_help_of_a_function_describes_all_its_arguments_in_their_order() -> None:
    found = described(inspect.getdoc(maskel.linear) or "")
    assert list(found) == list(inspect.signature(maskel.linear).parameters)
    assert found["device"] == ARGUMENTS["device"]
    assert found["untrained"] != ARGUMENTS["untrained"]


@pytest.mark.parametrize("method", METHODS)
def test_help_of_a_method_describes_all_its_arguments_in_their_order(method: str) -> None:
    found = described(inspect.getdoc(METHODS[method]) or "")
    assert list(found) == list(inspect.signature(METHODS[method]).parameters)
    assert all(found.values())
    assert found["decoder_dim"] == OF_METHODS["decoder_dim"]


def test_a_docstring_without_arguments_stays() -> None:
    assert completed("Count.\n\n    Returns:\n        It.", ["device"]) == "Count.\n\nReturns:\n    It."
