"""A short budget of what ``make fuzz`` does with 10,000 cases of every format."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fuzz import FORMATS, changed

HERE = Path(__file__).parent


@pytest.mark.slow
def test_damaged_files_are_refused_in_a_sentence_or_read(tmp_path: Path) -> None:
    log = tmp_path / "failed.txt"
    command = [sys.executable, str(HERE / "fuzz.py"), "--cases", "40", "--log", str(log)]
    paths = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert found.returncode == 0, found.stdout + found.stderr + (log.read_text() if log.exists() else "")
    assert len(found.stdout.splitlines()) == len(FORMATS)


def test_a_case_can_be_repeated() -> None:
    content = bytes(range(256)) * 8
    cases = [changed(content, np.random.default_rng(case)) for case in (1, 1, 2)]
    assert cases[0] == cases[1] != cases[2]
