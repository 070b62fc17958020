"""``maskel`` and ``python -m maskel``: the command line; Ctrl-C is handled from the first moment on."""

import io
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

from maskel.signals import interrupt, interrupted


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; Ctrl-C and SIGTERM end it with one line and exit code 130, also while it starts or ends.

    Args:
        arguments: The words after ``maskel``; by default those of this process.
    """
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # of nohup, or a shell's background job
                signal.signal(number, interrupt)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a terminal may know ASCII only
        code = _run(arguments)
    except KeyboardInterrupt:
        code = None
    for number in (signal.SIGINT, signal.SIGTERM):  # what is left takes a moment, and must not fail any more
        signal.signal(number, signal.SIG_IGN)
    if code is None:
        with suppress(OSError, AttributeError):
            sys.stderr.write("maskel: stopped\n")
        return 130
    return code


def _run(arguments: Sequence[str] | None) -> int:
    try:
        from maskel.cli import main as run
    except Exception:
        if interrupted():  # modules of others make other errors of it
            raise KeyboardInterrupt from None
        raise
    if interrupted():  # or pass over it
        raise KeyboardInterrupt
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
