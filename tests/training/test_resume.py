"""A run that was stopped and resumed equals one that was not; saved states survive what happens to files."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from maskel import cli
from maskel.errors import InputError, TrainingError
from maskel.files import LOCK, holding_locks, locked, write_atomically
from maskel.training.run import METRICS, PREVIOUS, RESULT, STATE, RunFolder
from maskel.training.state import read_state, write_state
from stopped_runs import COMPILED, RUNS, WAYS

HERE = Path(__file__).parent
EVERY_STEP = replace(tiny.TRAINING, save_steps=1)


def stop_and_resume(prepared: Path, pretrained: RunFolder, out: Path, *names: str) -> Path:
    command = [sys.executable, str(HERE.parent / "stopped_runs.py"), str(prepared), str(pretrained.path), str(out)]
    paths = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    found = subprocess.run([*command, *names], env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
    return out


@pytest.fixture(scope="module")
def runs(prepared: Path, pretrained: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stop_and_resume(prepared, pretrained, tmp_path_factory.mktemp("resumed"), *RUNS)


def assert_same_run(one: Path, other: Path) -> None:
    """Weights, optimiser, metrics, options and result, bit for bit; only times and commands differ."""
    tiny.assert_identical(tiny.state_of(RunFolder(one)), tiny.state_of(RunFolder(other)))
    names = sorted(file.name for file in one.iterdir())
    assert names == sorted(file.name for file in other.iterdir())
    for name in names:
        if name not in (STATE, RESULT):  # these hold times
            assert (one / name).read_bytes() == (other / name).read_bytes(), name
    results = [json.loads((folder / RESULT).read_text()) for folder in (one, other)]
    for result in results:
        for name in ("minutes", "command", "versions"):  # versions: the checkout may move on while tests run
            del result[name]
    assert results[0] == results[1]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", RUNS)
def test_a_run_stopped_at_a_random_moment_ends_as_if_it_had_not_been(name: str, way: str, runs: Path) -> None:
    assert_same_run(runs / name / way, runs / name / "whole")


def test_two_processes_end_with_the_same(runs: Path, prepared: Path, tmp_path: Path) -> None:
    tiny.tiny_pretrain(prepared, tmp_path / "run", training=replace(tiny.TRAINING, save_steps=2))
    assert_same_run(tmp_path / "run", runs / "mamp" / "whole")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_a_compiled_run_stopped_at_a_random_moment(prepared: Path, pretrained: RunFolder, tmp_path: Path) -> None:
    (name,) = COMPILED
    stop_and_resume(prepared, pretrained, tmp_path, name)
    assert_same_run(tmp_path / name / "killed", tmp_path / name / "whole")


class Killed(BaseException):
    """The process ends here."""


def killed_at_rename(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """End the run instead of its ``number``-th renaming of a state."""
    replace_file, renamed = Path.replace, []

    def hooked(self: Path, target: Path) -> Path:
        if STATE in (self.name, target.name):
            renamed.append(target)
            if len(renamed) == number:
                raise Killed
        return replace_file(self, target)

    monkeypatch.setattr(Path, "replace", hooked)


@pytest.fixture
def stopped(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run that ended while its fourth state was written."""
    with monkeypatch.context() as patched:
        killed_at_rename(patched, 6)  # the first state takes one renaming, every other one two
        with pytest.raises(Killed):
            tiny.tiny_pretrain(prepared, tmp_path / "run", training=EVERY_STEP)
    return RunFolder(tmp_path / "run")


def test_a_state_has_its_name_only_when_it_is_whole_and_the_one_before_is_kept(stopped: RunFolder) -> None:
    assert read_state(stopped.path / STATE)["step"] == 3
    assert read_state(stopped.path / PREVIOUS)["step"] == 2


@pytest.mark.parametrize("kind", ["truncated", "empty", "lost", "one bit", "one number"])
def test_a_damaged_state_costs_one_interval_and_says_so(
    kind: str, stopped: RunFolder, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = stopped.path / STATE
    whole = file.read_bytes()
    if kind == "truncated":
        file.write_bytes(whole[:-100])
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "lost":
        file.unlink()
    elif kind == "one bit":
        file.write_bytes(whole[:-50] + bytes([whole[-50] ^ 1]) + whole[-49:])
    else:
        changed = whole.replace(b'\\\\\\"step\\\\\\": 3', b'\\\\\\"step\\\\\\": 4', 1)
        assert changed != whole
        file.write_bytes(changed)
    assert stopped.load_state()["step"] == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert f"maskel: {file}: not a whole saved state" in said
    assert "the state before it, previous.safetensors, is used" in said
    tiny.tiny_pretrain(prepared, stopped.path, training=EVERY_STEP, resume=True)
    tiny.tiny_pretrain(prepared, tmp_path / "whole", training=EVERY_STEP)
    assert_same_run(stopped.path, tmp_path / "whole")


def test_a_truncated_state_never_replaces_the_whole_one_before_it(
    stopped: RunFolder, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stopped.path / STATE).write_bytes((stopped.path / STATE).read_bytes()[:-1])
    killed_at_rename(monkeypatch, 1)
    with pytest.raises(Killed):
        tiny.tiny_pretrain(prepared, stopped.path, training=EVERY_STEP, resume=True)
    assert read_state(stopped.path / PREVIOUS)["step"] == 2


def test_two_damaged_states_are_refused(stopped: RunFolder, prepared: Path) -> None:
    for name in (STATE, PREVIOUS):
        (stopped.path / name).write_bytes(b"")
    with pytest.raises(
        InputError, match=f"{STATE}: not a whole saved state .*, nor is {PREVIOUS}; start the run again"
    ):
        tiny.tiny_pretrain(prepared, stopped.path, training=EVERY_STEP, resume=True)


def test_a_run_killed_before_its_first_state_begins_again(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        killed_at_rename(patched, 1)
        with pytest.raises(Killed):
            tiny.tiny_pretrain(prepared, tmp_path / "run")
    with pytest.raises(InputError, match="or go on with --resume"):
        tiny.tiny_pretrain(prepared, tmp_path / "run")
    tiny.tiny_pretrain(prepared, tmp_path / "run", resume=True)
    tiny.tiny_pretrain(prepared, tmp_path / "whole")
    assert_same_run(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize(("steps", "expected"), [(0, [3, 6, 9]), (2, [2, 3, 4, 6, 8, 9]), (4, [3, 4, 6, 8, 9])])
def test_the_interval_between_states_is_a_setting(
    steps: int, expected: list[int], prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    monkeypatch.setattr(RunFolder, "save_state", lambda self, state: saved.append(state["step"]))
    tiny.tiny_pretrain(prepared, tmp_path / "run", training=replace(tiny.TRAINING, save_steps=steps))
    assert saved == expected


@pytest.mark.parametrize("full", [METRICS, STATE])
def test_a_full_disk_costs_one_interval_and_says_so(
    full: str, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush, states = os.fsync, []

    def no_room(handle: int) -> None:
        name = Path(f"/proc/self/fd/{handle}").readlink().name
        states.append(name.startswith(f".{full}."))
        if sum(states) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(handle)

    run = RunFolder(tmp_path / "run")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", no_room)
        with pytest.raises(TrainingError) as caught:
            tiny.tiny_pretrain(prepared, run.path)
    assert f"step 9 cannot be saved: {run.path / full}: No space left on device" in str(caught.value)
    assert f"after step 6 is lost; make room and go on with --resume {run.path}" in str(caught.value)
    assert run.load_state()["step"] == 6
    assert not list(run.path.glob(".*.partial"))
    tiny.tiny_pretrain(prepared, run.path, resume=True)
    tiny.tiny_pretrain(prepared, tmp_path / "whole")
    assert_same_run(run.path, tmp_path / "whole")


def test_a_full_disk_is_exit_code_1(
    prepared: Path, pretrained: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def no_room(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_room)
    assert cli.main(["report", str(pretrained.path), "--out", str(tmp_path / "page.html")]) == 1
    assert "page.html cannot be written (No space left on device)" in capsys.readouterr().err


HOLD = """
import sys
from pathlib import Path
from maskel.training.run import RunFolder
with RunFolder(Path(sys.argv[1])).in_use():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_run_in_use_by_another_process_is_refused_until_that_one_ends(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        killed_at_rename(patched, 2)
        with pytest.raises(Killed):
            tiny.tiny_pretrain(prepared, tmp_path / "run")
    before = {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "run")], **pipes) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="run is in use by another process; wait for it, or stop it first"):
            tiny.tiny_pretrain(prepared, tmp_path / "run", resume=True)
        held = {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir() if file.name != LOCK}
        assert held == before
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        tiny.tiny_pretrain(prepared, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / RESULT).is_file()


def test_of_two_processes_with_one_new_folder_one_goes_on_and_the_other_is_refused(
    prepared: Path, tmp_path: Path
) -> None:
    command = [sys.executable, str(HERE.parent / "at_once.py"), str(prepared), str(tmp_path)]
    paths = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    options: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    options |= {"text": True, "env": {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}}
    rounds = 3
    with subprocess.Popen(command, **options) as one, subprocess.Popen(command, **options) as other:
        for process in (one, other):
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        codes = []
        for _ in range(rounds):
            for process in (one, other):
                process.stdin.write("\n")
                process.stdin.flush()
            codes.append([int(process.stdout.readline()) for process in (one, other)])
        shown = "".join(process.communicate()[1] for process in (one, other))
    assert [sorted(pair) for pair in codes] == [[0, 2]] * rounds, shown
    said = [line for line in shown.splitlines() if line.startswith("maskel pretrain: ")]
    refused = re.compile(
        r"maskel pretrain: (\S+) (is in use by another process; wait|exists and is not empty; choose) .*"
    )
    found = [refused.fullmatch(line) for line in said]
    assert {match[1] for match in found if match} == {str(tmp_path / str(number)) for number in range(rounds)}
    assert len(said) == rounds, shown
    for number in range(1, rounds):
        tiny.assert_identical(*(tiny.state_of(RunFolder(tmp_path / str(run))) for run in (0, number)))
        names = [sorted(file.name for file in (tmp_path / str(run)).iterdir()) for run in (0, number)]
        assert names[0] == names[1]


def test_of_two_processes_that_start_at_once_in_one_folder_the_second_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"

    def second_comes(*given: Any) -> None:
        with pytest.raises(InputError, match="run is in use by another process"):
            RunFolder.create(out, "pretrain", {"seed": 2})
        write_atomically(*given)

    monkeypatch.setattr("maskel.training.run.write_atomically", second_comes)
    RunFolder.create(out, "pretrain", {"seed": 1})
    with pytest.raises(InputError, match="exists and is not empty"):
        RunFolder.create(out, "pretrain", {"seed": 2})
    assert RunFolder(out).read_config() == {"seed": 1}


def test_a_folder_stays_locked_until_the_command_ends(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with holding_locks():
        RunFolder.create(out, "pretrain", {"seed": 1})
        with locked(out):  # the same process goes on
            pass
        held = subprocess.run([sys.executable, "-c", HOLD, str(out)], input="", capture_output=True, text=True)
        assert "is in use by another process" in held.stderr
    assert [file.name for file in out.iterdir()] == ["config.yaml"]


def test_an_unfinished_run_of_a_command_that_cannot_go_on_is_taken_over(prepared: Path, tmp_path: Path) -> None:
    for command, taken in (("knn", False), ("pretrain", True), ("reproduce", True)):
        out = tmp_path / command
        out.mkdir()
        (out / "config.yaml").write_text(f"command: {command}\nseed: 1\n")
        (out / "predictions.csv").write_text("name,class,predicted\n")
        if taken:
            with pytest.raises(InputError, match="exists and is not empty") as refusal:
                RunFolder.create(out, "knn", {"seed": 2})
            assert ("--resume" in str(refusal.value)) == (command == "pretrain")
            continue
        RunFolder.create(out, "knn", {"seed": 2})
        assert [file.name for file in out.iterdir()] == ["config.yaml"]
        RunFolder(out).write_result({"kind": "knn"})
        with pytest.raises(InputError, match=r"not empty; choose another --out$"):
            RunFolder.create(out, "knn", {"seed": 2})


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    state = {
        "numbers": [1, -0.1, 1e-300, 1.7e308, True, None, "text"],
        "halves": torch.randn(3, 2).bfloat16(),
        "nested": {"empty": {}, "scalar": torch.tensor(7), "none": torch.zeros(0, 4), "row": torch.arange(6)[::2]},
    }
    write_state(tmp_path / "state", state, tmp_path / "previous")
    tiny.assert_identical(read_state(tmp_path / "state"), state)
    assert not (tmp_path / "previous").exists()


@pytest.mark.parametrize(
    "moments",
    [
        lambda known: known | {"0": known["0"] | {"exp_avg": torch.zeros(5)}},
        lambda known: known | {"0": known["0"] | {"exp_avg": torch.zeros(())}},
        lambda known: known | {"0": known["0"] | {"step": torch.zeros(known["0"]["exp_avg"].shape)}},
        lambda known: known | {"0": known["0"] | {"momentum_buffer": torch.zeros(())}},
        lambda known: known | {"0": {name: known["0"][name] for name in ("step", "exp_avg")}},
        lambda known: {number: known[number] for number in list(known)[1:]},
        lambda known: known | {"999": {}},
        lambda known: known | {"x": {}},
        lambda known: known | {"0": 3},
        lambda known: known | {"0": []},
        lambda known: {},
        lambda known: [],
    ],
)
def test_moments_that_do_not_fit_are_refused(
    moments: Callable[[dict[str, Any]], Any], stopped: RunFolder, prepared: Path
) -> None:
    state = stopped.load_state()
    state["optimizer"]["state"] = moments(state["optimizer"]["state"])
    stopped.save_state(state)
    with pytest.raises(InputError, match="does not fit this model"):
        tiny.tiny_pretrain(prepared, stopped.path, training=EVERY_STEP, resume=True)


@pytest.mark.parametrize("change", [{"step": -1}, {"step": 10}, {"step": 1.5}, {"rows": [{"loss": "x"}]}, {"rows": 3}])
def test_a_state_of_no_such_run_is_refused(change: dict[str, Any], stopped: RunFolder, prepared: Path) -> None:
    stopped.save_state(stopped.load_state() | change)
    with pytest.raises(InputError, match="does not fit this model"):
        tiny.tiny_pretrain(prepared, stopped.path, training=EVERY_STEP, resume=True)


def test_deterministic_algorithms_change_nothing_on_a_cpu(prepared: Path, tmp_path: Path) -> None:
    for wish in (False, True):
        tiny.tiny_pretrain(prepared, tmp_path / str(wish), training=replace(tiny.TRAINING, deterministic=wish))
        assert not torch.are_deterministic_algorithms_enabled()
    states = [tiny.state_of(RunFolder(tmp_path / str(wish))) for wish in (False, True)]
    tiny.assert_identical(states[0], states[1])


def test_deterministic_algorithms_refuse_others(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(RunFolder, "save_state", lambda *_: seen.append(torch.are_deterministic_algorithms_enabled()))
    tiny.tiny_pretrain(prepared, tmp_path / "run", training=replace(tiny.TRAINING, deterministic=True))
    assert seen == [True] * 3
