import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from maskel import cli
from maskel.datasets.store import SkeletonSet
from maskel.protocols import PROTOCOLS
from maskel.training.run import RunFolder


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tiny tensors gain nothing from threads, and sums keep one order."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny prepared set: 24 clips, 16 of them for training; nobody writes to it."""
    return tiny.write_set(tmp_path_factory.mktemp("prepared") / "set")


@pytest.fixture(scope="session")
def tiny_set(prepared: Path) -> SkeletonSet:
    return SkeletonSet.open(prepared)


@pytest.fixture(scope="session")
def pretrained(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished tiny pre-training run; nobody writes to it."""
    return tiny.tiny_pretrain(prepared, tmp_path_factory.mktemp("pretrained") / "run")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Calls the command line; returns its exit code and all that a person would see."""

    def call(*arguments: object) -> tuple[int, str]:
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as leave:  # argparse leaves by itself after --help
            code = int(leave.code or 0)
        shown = capsys.readouterr()
        text = shown.out + shown.err
        assert "Traceback" not in text
        return code, text

    return call


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a command with recipes would be called with, instead of calling it."""
    found: dict[str, Any] = {}

    def stand_in(module: str, name: str) -> None:
        real = getattr(importlib.import_module(module), name)

        def call(**options: Any) -> RunFolder:
            found.clear()
            found.update(options)
            return RunFolder(Path("nowhere"))

        call.__signature__ = inspect.signature(real)  # type: ignore[attr-defined]
        call.__doc__ = real.__doc__
        call.__annotations__ = real.__annotations__
        monkeypatch.setattr(f"{module}.{name}", call)

    for name in (name for name, protocol in PROTOCOLS.items() if protocol.recipes):
        stand_in(f"maskel.commands.{name}", name)
    return found
