"""``maskel`` and ``python -m maskel``: the command line; Ctrl-C is handled from the first moment on."""

import io
import signal
import sys


def main() -> int:
    """Run the command line; Ctrl-C and SIGTERM end it with one line and exit code 130, also while it starts."""
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        if isinstance(sys.stdout, io.TextIOWrapper):  # a code page of Windows lacks letters: a code in their place
            sys.stdout.reconfigure(errors="backslashreplace")
        from maskel.cli import main as run

        return run()
    except KeyboardInterrupt:
        sys.stderr.write("maskel: stopped before anything was done\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
