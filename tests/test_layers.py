"""The order of layers in docs/layers.md holds: no import goes up, and no modules import each other in a circle."""

import ast
import re
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import maskel
from maskel.datasets import SOURCES

SOURCE = Path(maskel.__file__).parent
TABLE = Path(__file__).parents[1] / "docs" / "layers.md"

Imports = Mapping[str, set[str]]
"""The modules of a package by name, and which others of it each imports."""


def read_imports(package: Path) -> Imports:
    """Every import of one module of a package by another, also those inside functions and for type checkers."""
    files = {
        ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in package.rglob("*.py")
    }
    return {name: {other for other in _imported(path, files) if other != name} for name, path in files.items()}


def _imported(path: Path, modules: Iterable[str]) -> Iterable[str]:
    known = set(modules)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in known or node.module in known:
                    yield inner if inner in known else str(node.module)


def read_layers(table: str) -> list[list[str]]:
    """The rows of the table, from the top: names of modules and packages."""
    rows = (line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    return [
        ["maskel" if name == "maskel" else f"maskel.{name}" for name in re.findall(r"`(\w+)`", row)] for row in rows
    ]


def height(module: str, layers: list[list[str]]) -> int:
    """Row of a module, counted from the bottom; that of its package, unless it has its own."""
    rows = {name: len(layers) - number for number, names in enumerate(layers) for name in names}
    if module in rows:
        return rows[module]
    package = ".".join(module.split(".")[:2])
    assert package in rows, f"{module} is in no row of {TABLE.name}"
    return rows[package]


def upward(imports: Imports, layers: list[list[str]]) -> list[str]:
    """Imports of a higher row, as ``importer -> imported``."""
    return [
        f"{module} -> {other}"
        for module, others in imports.items()
        for other in others
        if height(other, layers) > height(module, layers)
    ]


def circle(imports: Imports) -> list[str]:
    """Modules that import each other in a circle, the first again at the end; empty if there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as fault:
        return list(fault.args[1])
    return []


def reached(imports: Imports, start: str) -> set[str]:
    """What a module imports, through others too."""
    found: set[str] = set()
    todo = [start]
    while todo:
        new = imports[todo.pop()] - found
        found |= new
        todo += new
    return found


@pytest.fixture(scope="module")
def imports() -> Imports:
    return read_imports(SOURCE)


def test_no_import_goes_up(imports: Imports) -> None:
    layers = read_layers(TABLE.read_text(encoding="utf-8"))
    assert len(imports) > 100
    assert upward(imports, layers) == []


def test_no_modules_import_each_other_in_a_circle(imports: Imports) -> None:
    assert circle(imports) == []


def test_every_row_of_the_table_names_modules_that_exist(imports: Imports) -> None:
    names = [name for row in read_layers(TABLE.read_text(encoding="utf-8")) for name in row]
    assert len(set(names)) == len(names)
    assert set(names) <= set(imports)


def test_the_lowest_row_imports_nothing(imports: Imports) -> None:
    lowest = read_layers(TABLE.read_text(encoding="utf-8"))[-1]
    assert {name: imports[name] for name in lowest} == {name: set() for name in lowest}


def test_methods_and_models_read_no_raw_files(imports: Imports) -> None:
    parsers = {source.__module__ for source in SOURCES.values()}
    heart = [name for name in imports if name.startswith(("maskel.methods", "maskel.models", "maskel.masking"))]
    assert len(parsers) >= 8
    assert {name: reached(imports, name) & parsers for name in heart} == {name: set() for name in heart}


@pytest.mark.parametrize(
    ("low", "ups", "ring"),
    [
        ("", [], []),
        ("def f():\n    from maskel.high import g\n", ["maskel.low -> maskel.high"], ["maskel.high", "maskel.low"]),
        ("import maskel.high\n", ["maskel.low -> maskel.high"], ["maskel.high", "maskel.low"]),
        ("if False:\n    from maskel import high\n", ["maskel.low -> maskel.high"], ["maskel.high", "maskel.low"]),
    ],
)
def test_upward_imports_and_circles_are_found(tmp_path: Path, low: str, ups: list[str], ring: list[str]) -> None:
    package = tmp_path / "maskel"
    package.mkdir()
    for name, text in {"__init__": "", "high": "from maskel import low\n", "low": low}.items():
        (package / f"{name}.py").write_text(text)
    found = read_imports(package)
    assert upward(found, [["maskel"], ["maskel.high"], ["maskel.low"]]) == ups
    assert sorted(set(circle(found))) == ring
