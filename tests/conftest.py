from pathlib import Path

import pytest
import torch

import tiny
from maskel.datasets.store import SkeletonSet
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
