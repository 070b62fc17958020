"""What a command leaves that was killed before its options were whole: --out takes it over, --resume says so."""

from collections.abc import Callable
from pathlib import Path

import pytest

from maskel.errors import InputError
from maskel.files import LOCK
from maskel.training.run import RunFolder

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def unborn(tmp_path: Path) -> Path:
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / LOCK).touch()
    (folder / ".config.yaml.00000000-1.partial").write_text("command: pre")
    return folder


@pytest.mark.parametrize("words", ["pretrain", "pretrain --seeds 2", "linear", "finetune", "knn"])
def test_resume_names_the_command_that_takes_the_folder_over(words: str, unborn: Path, run: Run) -> None:
    before = sorted(unborn.iterdir())
    code, text = run(*words.split(), "--resume", unborn)
    assert code == 2, text
    assert f"repeat it with --out {unborn} in place of --resume, it takes the folder over" in text
    assert sorted(unborn.iterdir()) == before


def test_out_takes_the_folder_over(unborn: Path) -> None:
    made = RunFolder.create(unborn, "pretrain", {"seed": 0})
    assert [path.name for path in made.path.iterdir() if path.name != LOCK] == ["config.yaml"]


def test_a_folder_with_something_else_is_no_run(unborn: Path, run: Run) -> None:
    (unborn / "letter.txt").write_text("mine")
    code, text = run("pretrain", "--resume", unborn)
    assert (code, "no run folder to resume; it has no config.yaml" in text) == (2, True), text
    with pytest.raises(InputError, match="is not empty"):
        RunFolder.create(unborn, "pretrain", {"seed": 0})
