"""What goes with a release: one version, a table of extras, and examples that name only what exists."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import maskel
import tiny
from maskel.commands.demo import demo
from maskel.parsing import parser_of

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "examples"


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_version_comes_from_one_place(project: dict[str, Any]) -> None:
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "src/maskel/version.py"
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == maskel.__version__
    assert re.search(rf"^## {re.escape(maskel.__version__)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    others = [path for path in (ROOT / "src").rglob("*.py") if maskel.__version__ in path.read_text(encoding="utf-8")]
    assert [path.name for path in others] == ["version.py"]


def test_the_table_of_extras_is_whole(project: dict[str, Any]) -> None:
    text = (ROOT / "docs" / "install.md").read_text().partition("## Extras")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*)", text, re.MULTILINE))
    assert set(rows) == set(project["project"]["optional-dependencies"])


def steps() -> list[str]:
    jobs = yaml.safe_load((EXAMPLES / "ci.yml").read_text())["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


def test_the_workflow_names_what_exists(project: dict[str, Any]) -> None:
    workflow = yaml.safe_load((EXAMPLES / "ci.yml").read_text())
    lowest = project["project"]["requires-python"].removeprefix(">=")
    for job in ("tests", "demo"):
        matrix = workflow["jobs"][job]["strategy"]["matrix"]
        assert matrix["python"] == [lowest, "3.12", "3.13", "3.14"]
    assert [name.partition("-")[0] for name in matrix["os"]] == ["ubuntu", "macos", "windows"]
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    written = steps()
    made = {target for step in written for target in re.findall(r"\bmake (\w+)", step)}
    assert {"test", "dist", "docs"} <= made <= set(targets)
    for step in [*written, (EXAMPLES / "Dockerfile").read_text()]:
        for names in re.findall(r"\.\[([\w,]+)\]", step):
            assert set(names.split(",")) <= set(project["project"]["optional-dependencies"])
    parser_of("demo", demo).read(next(step for step in written if step.startswith("maskel demo")).split()[2:])


def test_the_image_holds_what_the_wheel_is_built_of(project: dict[str, Any]) -> None:
    text = (EXAMPLES / "Dockerfile").read_text()
    copied = [name for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE) for name in line.split()[:-1]]
    assert all((ROOT / name).exists() for name in copied)
    needed = {"pyproject.toml", "constraints.txt", "src", project["project"]["readme"]}
    assert needed | set(project["project"]["license-files"]) <= set(copied)
    command = json.loads(re.search(r"^CMD (.*)$", text, re.MULTILINE)[1])
    assert json.loads(re.search(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)[1]) == ["maskel"]
    assert command[0] == "demo"
    parser_of("demo", demo).read(command[1:])


def test_letters_that_a_code_page_lacks_are_shown_as_codes(tmp_path: Path) -> None:
    tiny.write_set(tmp_path / "手")
    words = [sys.executable, "-m", "maskel", "inspect", "手"]
    done = subprocess.run(words, cwd=tmp_path, env=os.environ | {"PYTHONIOENCODING": "cp1252"}, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert rb"prepared set \u624b" in done.stdout
