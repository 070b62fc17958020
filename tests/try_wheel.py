"""Installs the wheel of a folder into an empty environment and runs it there; ``make dist`` calls it.

What the wheel depends on is taken from the environment that runs this script, so that nothing is downloaded.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory

from maskel.version import __version__


def run(cwd: Path, *command: object) -> str:
    """What a command prints, without this project on its path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, env=kept)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def try_wheel(folder: Path) -> str:
    """Install the one wheel in ``folder``, prepare generated recordings with it, and return its version."""
    (wheel,) = folder.resolve().glob("*.whl")
    with TemporaryDirectory(prefix="maskel-wheel-") as scratch:
        root = Path(scratch).resolve()
        run(root, sys.executable, "-m", "venv", "empty")
        binaries = root / "empty" / ("Scripts" if os.name == "nt" else "bin")
        python = binaries / "python"
        run(root, python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel)
        own = Path(run(root, python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"))
        (own / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
        where = Path(run(root, python, "-c", "import maskel; print(maskel.__file__)"))
        assert where.is_relative_to(own), where
        version = run(root, binaries / "maskel", "--version")
        small = ("--performers", 2, "--replications", 1, "--cameras", 1)
        run(root, binaries / "maskel", "synthesize", "--out", "raw", *small)
        run(root, binaries / "maskel", "prepare", "synthetic", "raw", "--out", "set")
        assert (root / "set" / "meta.json").is_file()
    return version


if __name__ == "__main__":
    found = try_wheel(Path(sys.argv[1]))
    assert found == __version__, f"found version {found}, expected {__version__} of maskel/version.py"
    print(f"the wheel of maskel {found} installs and runs")  # noqa: T201
