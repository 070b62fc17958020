"""Which number type is taken on which hardware."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import tiny
from maskel.training import precision
from maskel.training.precision import autocast, multiplies_bf16, resolved

CPU = torch.device("cpu")


@pytest.fixture
def flags(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The processor's flags; a test appends to them."""
    found = ["flags\t\t:", "fpu", "avx2"]
    read = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda self: " ".join(found) if str(self) == "/proc/cpuinfo" else read(self))
    multiplies_bf16.cache_clear()
    yield found
    multiplies_bf16.cache_clear()


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16"])
def test_auto_takes_bf16_where_the_processor_multiplies_it(flags: list[str], flag: str) -> None:
    flags.append(flag)
    assert resolved("auto", CPU) == "bf16"
    with autocast("auto", CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


def test_auto_takes_fp32_elsewhere(flags: list[str]) -> None:
    assert resolved("auto", CPU) == "fp32"
    assert (resolved("fp32", CPU), resolved("bf16", CPU)) == ("fp32", "bf16")
    with autocast("auto", CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_auto_takes_fp32_where_nothing_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(path: Path) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(precision.Path, "read_text", absent)
    multiplies_bf16.cache_clear()
    assert resolved("auto", CPU) == "fp32"
    multiplies_bf16.cache_clear()


@pytest.mark.parametrize(("chosen", "said"), [("bf16", True), ("auto", False)])
def test_slow_bf16_is_named(
    prepared: Path, tmp_path: Path, flags: list[str], capsys: pytest.CaptureFixture[str], chosen: str, said: bool
) -> None:
    run = tiny.tiny_pretrain(prepared, tmp_path / "run", training=replace(tiny.TRAINING, epochs=1, precision=chosen))
    assert ("fp32 or auto is much faster here" in capsys.readouterr().err) is said
    assert run.result["precision"] == ("bf16" if said else "fp32")
