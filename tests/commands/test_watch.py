import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from long import long_one, train
from maskel import Stream
from maskel.training.run import RunFolder

Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return train(tmp_path_factory.mktemp("trained"), scale=0.001, fps=15.0, source_fps=30.0)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Makes bytes the standard input."""

    def put(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return put


def lines(joints: np.ndarray, ids: bool = True) -> list[dict[str, Any]]:
    """Frames of a recording (M, T, V, C)."""
    return [
        {
            "time": frame / 30,
            "people": [
                {"joints": body[frame].tolist()} | ({"id": number} if ids else {})
                for number, body in enumerate(joints, 1)
            ],
        }
        for frame in range(joints.shape[1])
    ]


def written(frames: list[Any]) -> bytes:
    return b"".join(json.dumps(frame).encode() + b"\n" for frame in frames)


def test_each_answer_is_a_line_and_those_of_a_stream(
    trained: RunFolder, typed: Callable[[bytes], None], run: Run
) -> None:
    joints = long_one(2)
    frames = lines(joints)
    frames[5]["people"][0]["joints"][3] = None
    frames[6]["people"][0]["joints"][3] = [None, None, None]
    joints[0, 5:7, 3] = np.nan
    typed(written(frames))
    code, text = run(
        "watch", "--classifier", trained.path, "--fps=30", "--window-length=24", "--step=8", "--device=cpu"
    )
    assert code == 0
    *answers, said = text.splitlines()
    stream = Stream(trained.path, 30.0, "24", "8")
    expected = [update for frame in range(100) for update in stream.push(joints[:, frame], frame / 30, ids=["1", "2"])]
    assert said == f"maskel: 100 frames, {len(expected)} answers"
    assert len(answers) == len(expected) > 10
    for line, update in zip(map(json.loads, answers), expected, strict=True):
        assert line == {
            "person": update.person,
            "start_seconds": round(update.start, 6),
            "end_seconds": round(update.end, 6),
            "class": update.name,
            "probability": round(update.probability, 6),
            "most_probable": update.name,
            "distance": round(update.distance, 6),
        }
    typed(written(frames))
    code, text = run("watch", "--classifier", trained.path, "--min-probability=1", "--device=cpu")
    assert code == 0
    assert {json.loads(line)["class"] for line in text.splitlines()[:-1]} == {None}


def test_an_empty_input_ends_at_once(trained: RunFolder, typed: Callable[[bytes], None], run: Run) -> None:
    typed(b"")
    assert run("watch", "--classifier", trained.path, "--device=cpu") == (0, "maskel: 0 frames, 0 answers\n")
    typed(b'{"time": 0, "people": []}\n{"time": 1, "people": []}')
    assert run("watch", "--classifier", trained.path, "--device=cpu") == (0, "maskel: 2 frames, 0 answers\n")


BODY = json.dumps([[1, 2, 3]] * 17)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "found no JSON"),
        ("{", "found no JSON"),
        ("\x80", "found no JSON"),
        ("[" * 100_000, "found no JSON"),
        ("[1, 2]", "found [1, 2], expected"),
        ('{"people": []}', 'found {"people": []}, expected {"time"'),
        ('{"time": 1, "people": {}}', "expected {"),
        ('{"time": "1", "people": []}', 'found time "1", expected seconds'),
        ('{"time": true, "people": []}', "found time true, expected seconds"),
        ('{"time": null, "people": []}', "found time null, expected seconds"),
        ('{"time": NaN, "people": []}', "found time nan, expected seconds"),
        ('{"time": 0, "people": []}', "found a frame at 0 s after one at 0.5 s, expected a later one"),
        (f'{{"time": 1{"0" * 400}, "people": []}}', "expected"),
        ('{"time": 1, "people": [3]}', "found a person 3, expected an object with joints"),
        ('{"time": 1, "people": [{"id": 1}]}', "expected an object with joints"),
        ('{"time": 1, "people": [{"joints": [null]}]}', "found a person without any joint"),
        ('{"time": 1, "people": [{"joints": [[1, 2, 3], [1, 2]]}]}', "found joint 1: [1, 2], expected 3 numbers"),
        ('{"time": 1, "people": [{"joints": [[1, 2, "3"]]}]}', 'found joint 0: [1, 2, "3"]'),
        ('{"time": 1, "people": [{"joints": [[1, 2, 3]]}]}', "found joints (1, 1, 3), expected joints (P, 17, 3 or 4)"),
        (f'{{"time": 1, "people": [{{"joints": [[1, 2, 1{"0" * 400}]]}}]}}', "expected"),
        (f'{{"time": 1, "people": [{{"joints": {BODY}, "id": true}}]}}', "found a person called 'True'"),
        (f'{{"time": 1, "people": [{{"joints": {BODY}}}, {{"joints": [[1, 2, 3]]}}]}}', "(1, 3) and (17, 3) in one"),
    ],
)
def test_a_line_that_is_no_frame_is_named(
    line: str, message: str, trained: RunFolder, typed: Callable[[bytes], None], run: Run
) -> None:
    typed(b'{"time": 0.5, "people": []}\n' + line.encode("latin-1") + b"\n")
    code, text = run("watch", "--classifier", trained.path, "--device=cpu")
    assert code == 2
    assert text.startswith("maskel watch: line 2 of standard input: ")
    assert message in text
    assert text.count("\n") == 1


class Ends(io.BytesIO):
    """A standard input at whose end Ctrl-C is typed."""

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        if not line:
            raise KeyboardInterrupt
        return line


def test_ctrl_c_ends_it_with_a_count(trained: RunFolder, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Ends(written(lines(long_one())[:40]))))
    code, text = run("watch", "--classifier", trained.path, "--device=cpu")
    assert code == 0
    assert text.splitlines()[-1] == f"maskel: 40 frames, {text.count('most_probable')} answers"


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals and pipes as POSIX has them")
@pytest.mark.parametrize("how", ["ctrl-c", "closed"])
def test_a_process_ends_cleanly(how: str, trained: RunFolder, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "maskel", "watch", "--classifier", str(trained.path), "--device=cpu"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        env=os.environ | {"PYTHONPATH": path()},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a suite in the background ignores it
    ) as asked:
        assert asked.stdin
        assert asked.stdout
        assert asked.stderr
        asked.stdin.write(written(lines(long_one())[:80]))
        asked.stdin.flush()
        assert json.loads(asked.stdout.readline())["person"] == "1"
        if how == "ctrl-c":
            asked.send_signal(signal.SIGINT)
        else:
            asked.stdout.close()
            with suppress(BrokenPipeError):  # it may have ended before all is written
                later = lines(long_one(4))
                asked.stdin.write(written([frame | {"time": frame["time"] + 10} for frame in later]))
                asked.stdin.flush()
        said = asked.stderr.read().decode()
        assert asked.wait() == 0, said
        assert said.endswith("answers\n")
        assert said.count("\n") == 1


def path() -> str:
    return os.pathsep.join(entry for entry in sys.path if entry)
