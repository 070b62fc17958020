"""The number type of matrix products: float32, or bfloat16 where the hardware multiplies it."""

from functools import cache
from pathlib import Path
from typing import Literal

import torch

Precision = Literal["auto", "fp32", "bf16"]
"""``auto`` is bf16 where the device multiplies it by itself, and fp32 elsewhere."""


@cache
def multiplies_bf16(device: torch.device) -> bool:
    """Return whether ``device`` multiplies bfloat16 matrices natively.

    A processor without instructions for them computes them many times slower than float32 ones. On Linux its flags
    tell; elsewhere the answer is no.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    try:
        words = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(words)


def resolved(precision: Precision, device: torch.device) -> Literal["fp32", "bf16"]:
    """Return the precision that ``precision`` stands for on ``device``."""
    if precision == "auto":
        return "bf16" if multiplies_bf16(device) else "fp32"
    return precision


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """The context in which matrix products have this precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=resolved(precision, device) == "bf16")
