import re
from collections.abc import Callable
from pathlib import Path

import pytest

from maskel.commands.bench import Timing, bench
from maskel.commands.command import RunCommand
from maskel.training.dry_run import Check

SMALL = """
encoder: {window: 24, dim: 16, depth: 1, num_heads: 2}
mamp: {decoder_dim: 16, decoder_depth: 1}
"""


def test_every_recipe_is_timed_and_extrapolated(
    run: Callable[..., tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(SMALL)
    code, text = run("bench", "--method=mamp", "--device=cpu", "--clips=2", "--config=tiny.yaml")
    assert code == 0, text
    rows = re.findall(r"mamp\s*│\s*(\w+)\s*│\s*(\w+)\s*│\s*(\d+)\s*│\s*2\s*│\s*[\d.,]+\s*│\s*[\d.]+ \w+", text)
    benchmarks = ("ntu60_xsub", "ntu60_xview", "ntu120_xsub", "ntu120_xset")
    assert rows == [(name, bodies, "400") for name in benchmarks for bodies in ("all", "present")], text
    assert [file.name for file in tmp_path.iterdir()] == ["tiny.yaml"]


def test_the_whole_run_is_a_clips_time_times_its_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(command: RunCommand, name: str, words: object) -> tuple[Check, dict[str, object]]:
        return Check(1, 1, "", epochs=10, steps_per_epoch=40_091 // 3, seconds_per_step=1.5), {}

    monkeypatch.setattr(RunCommand, "run", answer)
    for timing in bench("mae", "ntu60_xsub", clips=3, device="cpu"):
        assert isinstance(timing, Timing)
        assert (timing.clips, timing.clips_per_second) == (3, 2.0)
        assert timing.check.hours * 3600 == pytest.approx(10 * 40_091 / 2, rel=1e-3)


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("--method=mump", "method: found 'mump', expected one of amr, hacm, mae, mamp"),
        ("--benchmark=pku1_xsub", "benchmark: found 'pku1_xsub', expected one of ntu60_xsub"),
        ("--clips=0", "clips: found 0, expected 1 or more"),
    ],
)
def test_what_is_not_known_is_refused(option: str, complaint: str, run: Callable[..., tuple[int, str]]) -> None:
    code, text = run("bench", option)
    assert (code, complaint in text) == (2, True), text
