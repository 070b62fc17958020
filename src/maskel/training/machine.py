"""Origin of a result: versions, commit, hardware, and the command."""

import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from maskel.invocation import invocation
from maskel.version import __version__


def provenance() -> dict[str, Any]:
    """Versions, commit, hardware and command of this process."""
    device = torch.cuda.get_device_name() if torch.cuda.is_initialized() else _processor()  # a GPU only if it was used
    return {
        "versions": {
            "maskel": __version__,
            "commit": _commit(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "hardware": {"device": device, "threads": torch.get_num_threads(), "system": platform.system()},
        "command": invocation.get() or shlex.join(["python", *sys.argv]),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _commit() -> str:
    """The checkout's commit, where maskel runs from one; empty otherwise."""
    here = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
            env={**os.environ, "GIT_CEILING_DIRECTORIES": str(here.parents[2])},
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()
