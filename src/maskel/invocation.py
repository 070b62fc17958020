"""The current command line, for results that record it."""

from contextvars import ContextVar

command_line: ContextVar[tuple[str, ...]] = ContextVar("command_line", default=())
"""Arguments of the running ``maskel`` command; empty if maskel is used from Python."""
