"""Share of the time in which the GPU computes while `maskel pretrain` trains; for the rest it waits for the processor.

    python benchmarks/busy.py [--steps 50] [OPTIONS OF maskel pretrain]

For example with ``--config mamp --config ntu60_xsub --training.precision auto --resident``. The clips are generated.
The run is traced by PyTorch's profiler over so many steps, after as many to warm up, and then stopped; what the
profiler itself costs the processor is counted as waiting.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from maskel import cli
from maskel.datasets.stand_in import write_stand_in
from maskel.training.loading import MicroBatches


class Traced(BaseException):
    """The trace is complete."""


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of intervals."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(end - max(start, reached), 0.0)
        reached = max(reached, end)
    return total


def shares(trace: Mapping[str, Any]) -> tuple[float, float]:
    """Shares of the time in which a GPU computes, and in which it computes or copies.

    The time is that from the first to the end of the last thing it does, of all its streams.

    Args:
        trace: As PyTorch's profiler exports it.

    Raises:
        ValueError: If the GPU does nothing in it.
    """
    found: dict[str, list[tuple[float, float]]] = {"kernel": [], "gpu_memcpy": [], "gpu_memset": []}
    for event in trace["traceEvents"]:
        if event.get("cat") in found:
            found[event["cat"]].append((event["ts"], event["ts"] + event["dur"]))
    everything = [span for spans in found.values() for span in spans]
    if not everything:
        raise ValueError("the trace shows nothing that a GPU did")
    whole = max(end for _, end in everything) - min(start for start, _ in everything)
    return covered(found["kernel"]) / whole, covered(everything) / whole


def trace_run(words: list[str], steps: int, folder: Path) -> Mapping[str, Any]:
    """The trace of the second ``steps`` micro-batches of ``maskel pretrain`` with these options."""
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    profiler = torch.profiler.profile(activities=activities)
    take, taken = MicroBatches.take, 0

    def counted(batches: MicroBatches) -> object:
        nonlocal taken
        taken += 1
        if taken == steps + 1:
            profiler.start()
        if taken == 2 * steps + 1:
            torch.cuda.synchronize()
            profiler.stop()
            raise Traced
        return take(batches)

    MicroBatches.take = counted  # type: ignore[method-assign, assignment]
    data = write_stand_in(folder / "set", "ntu60", "xsub")
    with suppress(Traced):
        code = cli.main(["pretrain", *words, f"--data={data}", f"--out={folder / 'run'}", "--device=cuda"])
        sys.exit(code or f"the run ended before {2 * steps} micro-batches were seen; ask for fewer --steps")
    profiler.export_chrome_trace(str(folder / "trace.json"))
    return json.loads((folder / "trace.json").read_text())


def main() -> None:
    """Print both shares, or that there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=50)
    options, words = parser.parse_known_args()
    if not torch.cuda.is_available():
        print("busy.py measures how long a GPU waits, and PyTorch finds no GPU here: nothing was measured")
        return
    with TemporaryDirectory(prefix="maskel-busy-") as folder:
        computing, busy = shares(trace_run(words, options.steps, Path(folder)))
    print(f"{torch.cuda.get_device_name()}, {options.steps} steps of maskel pretrain {' '.join(words)}")
    print(f"computing {computing:.1%} of the time, copying only {busy - computing:.1%}, idle {1 - busy:.1%}")


if __name__ == "__main__":
    main()
