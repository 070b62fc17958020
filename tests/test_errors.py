"""Every row of docs/errors.md happens as it says."""

import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import tiny
from faults import DEAD_PROCESS, FAULTS, Fault
from maskel import cli
from maskel.training.run import RunFolder

PAGE = Path(__file__).parents[1] / "docs" / "errors.md"


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture(scope="module")
def folder(prepared: Path, pretrained: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set, a finished run, and one that was killed after two of three epochs; nobody writes to it."""
    path = tmp_path_factory.mktemp("faults")
    shutil.copytree(prepared, path / "set")
    shutil.copytree(pretrained.path, path / "run")
    save = RunFolder.save_state

    def killed(self: RunFolder, state: dict) -> None:
        if state["step"] == 9:
            raise Killed
        save(self, state)

    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(path)
        patched.setattr(RunFolder, "save_state", killed)
        with pytest.raises(Killed):
            tiny.tiny_pretrain(Path("set"), Path("part"), training=replace(tiny.TRAINING, epochs=3))
    return path


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what)
def test_what_goes_wrong_is_said_in_one_line(
    fault: Fault, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    fault.arrange(monkeypatch)
    code = cli.main(shlex.split(fault.command))
    shown = capsys.readouterr().err
    assert code == fault.code, shown
    said = [line for line in shown.splitlines() if line.startswith("maskel")]
    assert len(said) == 1, shown
    assert re.fullmatch(".*".join(map(re.escape, fault.shown.split("…"))), said[0]), said[0]
    assert ("Traceback" in shown) == (fault.what == "a fault of maskel itself")


def test_the_page_lists_these_rows() -> None:
    found = [line for line in PAGE.read_text().splitlines() if re.match(r"\| .* \| \d+ \|$", line)]
    assert found == [fault.row for fault in (*FAULTS, DEAD_PROCESS)]
