"""Errors that a user can cause or must act on: one sentence each, never a traceback."""

from pathlib import Path


class InputError(Exception):
    """The user's input is wrong; the command line prints the sentence and exits with 2."""


class CutOffError(InputError):
    """Work was interrupted by the system (a full disk, say), not by bad input; the command line exits with 1."""


class BadFileError(InputError):
    """One raw file cannot be read.

    Args:
        path: The file, or ``archive.zip/member``.
        kind: Short name under which faults are counted: ``truncated``, ``wrong count``, ``not a number``, …
        found: The content of the file.
        expected: The expected content.
        line: Line of the fault, from 1, if it is known.
    """

    def __init__(self, path: Path | str, kind: str, found: str, expected: str, line: int | None = None) -> None:
        super().__init__(path, kind, found, expected, line)  # all arguments: the error crosses processes pickled
        self.path = Path(path)
        self.kind = kind
        self.found = found
        self.expected = expected
        self.line = line

    def __str__(self) -> str:
        where = f"{self.path}, line {self.line}" if self.line is not None else str(self.path)
        return f"{where}: {self.kind}: found {self.found}, expected {self.expected}"


class TrainingError(Exception):
    """A run cannot go on (a loss that is not finite, say); the command line prints the sentence and exits with 1."""


class ProcessLostError(TrainingError):
    """Another of several processes has ended or does not answer."""


class Stopped(Exception):
    """The user stopped the run; its state is saved."""
