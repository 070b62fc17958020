"""The command line or call that runs, for results that record it."""

from contextvars import ContextVar

invocation: ContextVar[str] = ContextVar("invocation", default="")
"""The ``maskel`` command line, or the call from Python, that runs; empty where a command's own function is called."""
