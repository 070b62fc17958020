"""The notebook of the documentation runs, and what it shows of clips, sets and runs is HTML of its own."""

import ast
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import maskel
import tiny
from maskel.layouts import COCO17, NTU25
from maskel.sequence import SCORE, Clip, SkeletonSequence
from maskel.training.run import RunFolder

NOTEBOOK = Path(__file__).parents[2] / "docs" / "own_data.ipynb"


def cells() -> list[dict[str, Any]]:
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def run_cells() -> list[object]:
    """Execute every cell of code in one namespace; what each shows, the value of its last expression."""
    shown, names = [], {"__name__": "__main__"}
    for cell in cells():
        if cell["cell_type"] == "code":
            *statements, last = ast.parse("".join(cell["source"])).body
            ends = isinstance(last, ast.Expr)
            exec(compile(ast.Module(statements + [last] * (not ends), []), NOTEBOOK.name, "exec"), names)
            shown.append(eval(compile(ast.Expression(last.value), NOTEBOOK.name, "eval"), names) if ends else None)
    return shown


class Page(HTMLParser):
    """The tags of a piece of HTML, each closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "style", "link", "iframe")
        self.open.append(tag)
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page(shown: object) -> Page:
    html = shown._repr_html_()
    assert len(html) < 120_000
    return Page(html)


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    shown = [value for value in run_cells() if value is not None]
    dataset, clip, encoder, classifier, wrong, disturbed = shown
    assert page(dataset).tags.count("animate") == 3  # a clip of each class
    assert "48 clips, 3 classes, 4 people; coco17" in page(dataset).text
    assert page(clip).tags.count("animate") == 1
    assert "in 20 epochs" in page(encoder).text
    assert "of 24 clips right" in page(classifier).text
    assert "24 clips right with 50 % of the joints missing" in page(disturbed).text
    assert set(wrong[0]) == {"name", "class", "predicted"}
    assert classifier.result["correct"] > 12  # chance is 8
    assert "squat" in Path("answer.csv").read_text()
    assert "| linear, regularised | amr |" in capsys.readouterr().out


def test_the_notebook_is_kept_without_outputs() -> None:
    assert len({cell["id"] for cell in cells()}) == len(cells())
    for cell in cells():
        assert cell["cell_type"] in ("code", "markdown")
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert 6 <= sum(cell["cell_type"] == "code" for cell in cells()) <= 10
    written = "".join("".join(cell["source"]) for cell in cells())
    for link, heading in re.findall(r"\]\((?!http)([^)#]+)#?([^)]*)\)", written):
        headings = re.findall(r"^#+ (.*)$", (NOTEBOOK.parent / link).read_text(), re.MULTILINE)
        assert not heading or heading in [name.lower().replace(" ", "-") for name in headings]


def test_clips_move_and_names_are_escaped() -> None:
    joints = np.zeros((2, 50, 25, 3), dtype=np.float32)
    joints[0] = np.random.default_rng(0).normal(size=(50, 25, 3))
    joints[1, 10:20] = 1 + joints[0, 10:20]
    html = SkeletonSequence(Clip("<b>&", 0), joints, NTU25)._repr_html_()
    assert "<b>" not in html
    (first, second) = re.findall(r'<animate values="([^"]*)"', html)
    assert len(first.split(";")) == len(second.split(";")) == 32
    assert all(path.count("M") == len(NTU25.edges) for path in first.split(";"))
    assert 5 <= sum(path != "M0 0" for path in second.split(";")) <= 8  # it is there for a fifth of the time
    for value in re.findall(r"[ML](\d+) (\d+)", html):
        assert 0 <= int(value[0]) <= 150
        assert 0 <= int(value[1]) <= 180
    assert "nan" not in html


def test_clips_stand_on_their_feet() -> None:
    for up, sign in ((1, 1), (1, -1), (2, 1)):
        joints = np.random.default_rng(1).normal(scale=0.01, size=(1, 3, 17, 3)).astype(np.float32)
        joints[:, :, list(COCO17.head), up] += 1.5 * sign
        html = SkeletonSequence(Clip("one", 0), joints, COCO17)._repr_html_()
        assert f"; {'-' if sign < 0 else ''}{'xyz'[up]} up" in html
    joints = np.zeros((1, 4, 17, 2), dtype=np.float32)
    assert "animate" in SkeletonSequence(Clip("empty", 0), joints, COCO17)._repr_html_()


def test_sets_of_every_kind_and_runs_are_shown(pretrained: RunFolder, prepared: Path, tmp_path: Path) -> None:
    scored = maskel.SkeletonSet.open(tiny.write_set(tmp_path / "scored", COCO17, channels=("x", "y", SCORE)))
    assert "24 clips, 3 classes, 4 people; coco17: x, y, score" in page(scored).text
    assert page(scored).tags.count("animate") >= 3
    shown = page(pretrained)
    assert shown.tags.count("polyline") == 1
    assert "loss: " in shown.text
    begun = RunFolder.create(tmp_path / "begun", "pretrain", {})
    assert "not finished" in page(begun).text
    (begun.path / "result.json").write_text("{")
    assert "result" in page(begun).text
