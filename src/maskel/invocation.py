"""What was typed or called, for the results that name it."""

from contextvars import ContextVar

invocation: ContextVar[str] = ContextVar("invocation", default="")
"""The ``maskel`` command line, or the call from Python, that runs; empty where a command's own function is called."""
