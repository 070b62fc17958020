"""The examples in docstrings are run, in a folder that holds what they open."""

import ast
import doctest
import importlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import maskel
import tiny
from maskel.commands.prepare import prepare
from maskel.datasets import Synthetic
from maskel.datasets.synthetic import synthesize

PACKAGE = Path(maskel.__file__).parent


def examples() -> Iterator[tuple[str, str, str]]:
    """Module, name and docstring of everything whose docstring shows an example.

    Found in the source: doctest's own search passes over functions that shape checks wrap.
    """
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join((maskel.__name__, *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                docstring = ast.get_docstring(node) or ""
                if ">>>" in docstring:
                    yield module, getattr(node, "name", ""), docstring


EXAMPLES = list(examples())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds ``raw`` files, the ``set`` made of them, a pre-trained ``run``, a ``classifier`` and own ``recordings``."""
    root = tmp_path_factory.mktemp("examples")
    synthesize(root / "raw", performers=2, replications=1, cameras=1)
    prepare(Synthetic(), [root / "raw"], root / "set", workers=1)
    tiny.tiny_pretrain(root / "set", root / "run")
    tiny.tiny_finetune(root / "set", root / "classifier")
    for label, subject in itertools.product(("wave", "bow"), ("ann", "bob", "cy")):
        (root / "recordings" / label / subject).mkdir(parents=True)
        np.save(root / "recordings" / label / subject / "take0.npy", np.random.default_rng(0).normal(size=(40, 17, 3)))
    return root


@pytest.mark.parametrize(
    ("module", "name", "docstring"), EXAMPLES, ids=[f"{module}.{name}" for module, name, _ in EXAMPLES]
)
def test_the_example_runs(
    module: str, name: str, docstring: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "plot":
        pytest.importorskip("matplotlib", reason="matplotlib, of the extra plot, is not installed")
    monkeypatch.chdir(folder)
    names = dict(vars(importlib.import_module(module)))
    test = doctest.DocTestParser().get_doctest(docstring, names, f"{module}.{name}", None, None)
    shown: list[str] = []
    result = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=shown.append)
    assert result.attempted > 0
    assert result.failed == 0, "".join(shown)


def test_every_public_name_has_an_example() -> None:
    shown = {name for _, name, _ in EXAMPLES}
    assert set(maskel.__all__) - shown == {"__version__"}
