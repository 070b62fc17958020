"""Ctrl-C while maskel starts, Python -OO, ASCII terminals, and variables that are half set: a sentence each."""

import os
import subprocess
import sys

import pytest

from maskel.cli import refuse_half_set
from maskel.errors import InputError

STARTS = """
import os, signal, sys
from maskel.__main__ import main

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1] and not seen:
            seen.append(name)
            try:
                os.kill(os.getpid(), getattr(signal, sys.argv[2]))
            except BaseException:
                if sys.argv[3] == "raised":
                    raise
                if sys.argv[3] == "changed":
                    raise RuntimeError("a module that makes another error of it")

seen = []
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
sys.meta_path.insert(0, Finder())
sys.exit(main(["results", "nowhere"]))
"""
posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


@posix
@pytest.mark.parametrize("module", ["maskel.cli", "filelock"])
@pytest.mark.parametrize(("name", "how"), [("SIGINT", "raised"), ("SIGTERM", "changed"), ("SIGINT", "passed over")])
def test_ctrl_c_during_imports_is_one_line(module: str, name: str, how: str) -> None:
    command = [sys.executable, "-c", STARTS, module, name, how]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 130, found.stderr
    (line,) = found.stderr.splitlines()
    assert line.startswith("maskel")
    assert "stopped" in line


@pytest.mark.parametrize("words", ["prepare folder --help", "pretrain --help"])
def test_help_needs_no_docstrings(words: str) -> None:
    found = subprocess.run([sys.executable, "-OO", "-m", "maskel", *words.split()], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert "--workers" in found.stdout or "--training.epochs" in found.stdout


SHOWS = """
import sys
import maskel.cli
from maskel.__main__ import main

maskel.cli.main = lambda arguments: print("手") or 0
sys.exit(main([]))
"""


def test_a_terminal_that_knows_ascii_only_shows_codes() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    found = subprocess.run([sys.executable, "-c", SHOWS], env=environment, capture_output=True)
    assert (found.returncode, found.stdout.strip()) == (0, rb"\u624b"), found.stderr


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"RANK": "1"}, "RANK is 1, but WORLD_SIZE is 1"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, "RANK is 2, but WORLD_SIZE is 2"),
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE is 2, but RANK is not set"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "WORLD_SIZE is 2, but MASTER_ADDR is not set"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two', expected a whole number"),
        ({"LOCAL_RANK": "-1"}, "LOCAL_RANK is '-1', expected a whole number"),
    ],
)
def test_variables_of_torchrun_fit_each_other(variables: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        refuse_half_set(variables)


def test_variables_that_torchrun_sets_are_fine() -> None:
    refuse_half_set({})
    refuse_half_set({"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "1"})
