"""Kills and races of every command, for seconds; ``make attack`` has minutes of them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from attack import JOBS
from maskel.files import scratch_folder
from maskel.files.leftovers import owner, partial_of
from maskel.files.writing import write_atomically

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(os.name != "posix", reason="kill -9 of POSIX")


@pytest.mark.slow
def test_a_command_that_is_killed_or_runs_twice_at_once_ends_as_if_nothing_was(tmp_path: Path) -> None:
    command = [sys.executable, str(HERE / "attack.py"), "--minutes", "0", "--seed", str(int(time.time()))]
    paths = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    found = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stdout.rstrip().endswith(", ".join(JOBS))


def gone_process() -> str:
    """The mark of a process of this machine that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return owner().replace(str(os.getpid()), str(ended.pid))


def test_what_a_killed_process_left_beside_an_output_is_removed_by_the_next(tmp_path: Path) -> None:
    left = tmp_path / f".out.md.{gone_process()}.partial"
    others = [tmp_path / name for name in (".out.md.0-1.partial", partial_of(tmp_path / "new.md").name, ".out.md")]
    for path in (left, *others):
        path.touch()
    write_atomically(tmp_path / "out.md", "text")
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "out.md", *others])  # of other machines, or at work


def test_what_a_killed_process_left_in_the_folder_for_temporary_files_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left, other = tmp_path / f"maskel-{gone_process()}-abc", tmp_path / "maskel-other"
    (left / "set").mkdir(parents=True)
    other.mkdir()
    with scratch_folder() as folder:
        assert sorted(tmp_path.iterdir()) == sorted([other, folder])
    assert list(tmp_path.iterdir()) == [other]
