"""The generated tables of the documentation are those that `make results` makes."""

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest

import tiny
from maskel.commands.linear import linear
from maskel.commands.results import results
from maskel.training.run import RunFolder

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_documents_are_up_to_date(generate: ModuleType, tmp_path: Path) -> None:
    shutil.copytree(DOCS, tmp_path / "docs")
    assert generate.rebuild(tmp_path / "docs") == []
    assert "| `mamp`, `ntu60_xsub` | 84.9 | 93.0 | 66.0 | 88.0 |" in (DOCS / "recipes.md").read_text()


def test_results_are_rebuilt_from_what_was_collected(
    generate: ModuleType, pretrained: RunFolder, prepared: Path, tmp_path: Path
) -> None:
    run = linear(pretrained.path, prepared, training=tiny.PROBE, device="cpu", out=tmp_path / "probe")
    results([run.path], collect=tmp_path / "docs" / "runs" / "mine")
    document = tmp_path / "docs" / "results.md"
    document.write_text("Before.\n<!-- generated: mine -->\nan earlier table\n<!-- end of generated -->\nAfter.\n")
    assert generate.rebuild(tmp_path / "docs") == [document]
    text = document.read_text()
    assert f"{run.result['correct']} of {tiny.TEST}" in text
    assert text.startswith("Before.\n<!-- generated: mine -->\n")
    assert text.endswith("\n<!-- end of generated -->\nAfter.\n")
    assert "an earlier table" not in text
    assert str(tmp_path) not in text
    assert generate.rebuild(tmp_path / "docs") == []
