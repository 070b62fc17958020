"""Which of PyTorch's attention backends is fastest for the numbers of tokens that the models have.

    python benchmarks/attention.py [--device cuda] [--bodies 160] [--rounds 5]

Heads of 32, forward and backward, medians over rounds in which the backends take turns. ``automatic`` is what maskel
calls: PyTorch chooses. ``spelled out`` is softmax(Q·Kᵀ/√d)·V in three operations. A backend that a device or a number
type does not have is left out of its row. ``first`` is the time of its first call, in which plans are made.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

HEADS, WIDTH = 8, 32
SHAPES = {
    "MAMP, MAE: visible tokens": (74, 74),
    "AMR: queries to visible tokens": (125, 74),
    "HA-CM: all tokens": (432, 432),
    "200 tokens": (200, 200),
    "600 tokens": (600, 600),
    "MAMP, MAE: all tokens": (750, 750),
    "cross decoder: masked to visible": (676, 74),
}
"""What attends to what -> numbers of queries and of keys."""
BACKENDS: dict[str, SDPBackend | None] = {
    "automatic": None,
    "flash": SDPBackend.FLASH_ATTENTION,
    "memory-efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cuDNN": SDPBackend.CUDNN_ATTENTION,
    "math": SDPBackend.MATH,
}


def spelled_out(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Compute softmax(Q·Kᵀ/√d)·V as it is written."""
    return torch.softmax((query * query.shape[-1] ** -0.5) @ key.transpose(2, 3), -1) @ value


def attention(backend: str) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Return the attention of a backend."""
    if backend == "spelled out":
        return spelled_out
    kind = BACKENDS[backend]

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        with chosen(kind):
            return scaled_dot_product_attention(query, key, value)

    return attend


def chosen(kind: SDPBackend | None) -> AbstractContextManager[None]:
    """Leave PyTorch this one backend, or all."""
    return nullcontext() if kind is None else sdpa_kernel(kind)


def measure(
    tokens: tuple[int, int], bodies: int, device: torch.device, kind: torch.dtype, rounds: int, calls: int
) -> dict[str, tuple[float, float]]:
    """Return the milliseconds of a call, and of the first one, of every backend that can compute it.

    Args:
        tokens: Numbers of queries and of keys.
        bodies: Sequences.
        device: Where.
        kind: Number type.
        rounds: Turns of each backend; the median counts.
        calls: Calls a turn.
    """
    query, key, value = (
        torch.randn(bodies, HEADS, count, WIDTH, device=device, dtype=kind, requires_grad=True)
        for count in (tokens[0], tokens[1], tokens[1])
    )

    def seconds(attend: Callable[[Tensor, Tensor, Tensor], Tensor], calls: int) -> float:
        started = time.perf_counter()
        for _ in range(calls):
            attend(query, key, value).sum().backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return (time.perf_counter() - started) / calls

    first: dict[str, float] = {}
    for name in (*BACKENDS, "spelled out"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it says at length why it has not
                first[name] = seconds(attention(name), 1)
        except RuntimeError:  # the device does not have it, or not for these numbers
            continue
    found: dict[str, list[float]] = {name: [] for name in first}
    for _ in range(rounds):
        for name, taken in found.items():
            taken.append(seconds(attention(name), calls))
    return {name: (1e3 * statistics.median(taken), 1e3 * first[name]) for name, taken in found.items()}


def main() -> None:
    """Print a table for each number type."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--bodies", type=int, help="by default 160 on a GPU, 4 on a CPU")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    device = torch.device(options.device)
    on_gpu = device.type == "cuda"
    bodies = options.bodies or (160 if on_gpu else 4)
    name = torch.cuda.get_device_name(device) if on_gpu else f"CPU, {torch.get_num_threads()} threads"
    names = [*BACKENDS, "spelled out"]
    for kind in (torch.float32, torch.bfloat16):
        print(f"{name}, PyTorch {torch.__version__}, {kind}, {bodies} bodies, {HEADS} heads of {WIDTH}; ms (first)")
        print(f"{'':34}" + "".join(f"{each:>21}" for each in names) + "  fastest")
        for what, tokens in SHAPES.items():
            found = measure(tokens, bodies, device, kind, options.rounds, 20 if on_gpu else 1)
            cells = [f"{found[each][0]:.2f} ({found[each][1]:.0f})" if each in found else "-" for each in names]
            fastest = min((each for each in found if each != "automatic"), key=lambda each: found[each][0])
            print(f"{what:34}" + "".join(f"{cell:>21}" for cell in cells) + f"  {fastest}", flush=True)


if __name__ == "__main__":
    main()
