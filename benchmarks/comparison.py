"""Measures variants of one piece of work fairly: each in a process of its own, alternated, medians.

A benchmark is a script with a table of variants, name -> function that sets the work up and returns it. `compare` runs
the script itself once per variant and round; the first variant is the plain way that the others are held against. The
work returns a number that all variants must agree on, as far as the variant promises.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Work = Callable[[], float]
"""One piece of work, a training step say; returns a number to compare, a loss say."""


@dataclass(frozen=True)
class Variant:
    """One way of doing the work.

    Args:
        build: Sets it up for a device; what it returns is timed.
        agrees: Relative tolerance to which its number is the plain way's; None where it promises another result.
        bf16: Held against the bf16 peak of matrix products instead of the fp32 one.
    """

    build: Callable[[torch.device], Work]
    agrees: float | None = 1e-5
    bf16: bool = False


def training_step(
    method: nn.Module, loss: Callable[[], Tensor], device: torch.device, *, bf16: bool = False, fused: bool = True
) -> Work:
    """Loss, gradient and AdamW, at a rate of 0: every step must come to the same loss."""
    optimizer = torch.optim.AdamW(method.parameters(), lr=0.0, fused=fused, foreach=False)

    def step() -> float:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            found = loss()
        found.backward()
        optimizer.step()
        optimizer.zero_grad()
        return found.item()

    return step


def compare(script: str, title: str, variants: Mapping[str, Variant], per: int, unit: str, flop: float = 0.0) -> None:
    """Run the script's variants as its command line says and print a table.

    Args:
        script: ``__file__`` of the benchmark.
        title: What is measured, for the heading.
        variants: The plain way first.
        per: Units (clips, say) in one piece of work.
        unit: Their name.
        flop: Floating-point operations of the plain work, 0 if unknown; the share of the peak is printed then.
    """
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--variant", choices=variants)
    parser.add_argument("--only", nargs="+", choices=variants, help="measure these, beside the plain way")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    if options.variant:
        _measure(variants[options.variant], torch.device(options.device), options.repeats)
        return
    plain = next(iter(variants))
    chosen = [name for name in variants if not options.only or name == plain or name in options.only]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in chosen}
    for _ in range(options.rounds):
        for name in chosen:
            command = [sys.executable, script, "--variant", name, "--device", options.device]
            command += ["--repeats", str(options.repeats)]
            run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found[name].append(json.loads(run.stdout))
    print(f"{title}; {options.device}, {torch.get_num_threads()} threads, median of {options.rounds} processes")
    expected = found[plain][0]["number"]
    base = statistics.median(run["seconds"] for run in found[plain])
    for name in chosen:
        number, tolerance = found[name][0]["number"], variants[name].agrees
        assert tolerance is None or abs(number / expected - 1) <= tolerance, (name, number, expected)
        seconds = statistics.median(run["seconds"] for run in found[name])
        line = f"{name:26} {seconds:8.3f} s {per / seconds:9.1f} {unit}/s {base / seconds:6.2f} x"
        line += f" {max(run['megabytes'] for run in found[name]):7.0f} MB"
        if flop:
            peak = statistics.median(run["bf16" if variants[name].bf16 else "fp32"] for run in found[name])
            line += f" {flop / seconds / 1e9:7.0f} GFLOP/s of the plain work, {flop / seconds / peak:5.0%} of the peak"
        print(line, flush=True)


def _measure(variant: Variant, device: torch.device, repeats: int) -> None:
    work = variant.build(device)
    work()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        number = work()
        _wait(device)
        seconds.append(time.perf_counter() - started)
    if device.type == "cuda":
        megabytes = torch.cuda.max_memory_allocated() / 2**20
    else:
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {"seconds": statistics.median(seconds), "number": number, "megabytes": megabytes}
    found |= {"fp32": _peak(device, torch.float32)}
    found |= {"bf16": _peak(device, torch.bfloat16) if variant.bf16 else 0.0}
    print(json.dumps(found))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _peak(device: torch.device, kind: torch.dtype) -> float:
    """FLOP/s of a large matrix product."""
    size = 8192 if device.type == "cuda" else 1024
    one = torch.ones(size, size, dtype=kind, device=device)
    taken = []
    for _ in range(6):
        started = time.perf_counter()
        one @ one
        _wait(device)
        taken.append(time.perf_counter() - started)
    return 2 * size**3 / min(taken)
