"""The command line that runs, for the results that name it."""

from contextvars import ContextVar

command_line: ContextVar[tuple[str, ...]] = ContextVar("command_line", default=())
"""Arguments of the ``maskel`` command that runs; empty where maskel is used from Python."""
