"""Memory, open files and the size of the log over a long run: flat, or something leaks.

python benchmarks/long_run.py [--steps 1000] [--method mamp]
"""

import argparse
import contextlib
import gc
import io
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import tiny
from maskel.training.loading import ClipBatches
from maskel.training.optim import AdamWConfig


def reading() -> tuple[float, int]:
    """Resident memory in MiB, and open files."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20, len(list(Path("/proc/self/fd").iterdir()))


def main() -> None:
    """Train for so many steps of four an epoch, saving every ten; print a line every tenth of the run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--method", default="mamp")
    given = parser.parse_args()
    training = AdamWConfig(epochs=given.steps // 4, batch_size=4, warmup_epochs=1.0, save_epochs=5, save_steps=10)
    found: list[tuple[float, int]] = []
    load = ClipBatches.load
    steps = 0

    def counted(self: ClipBatches, epoch: int, clips: np.ndarray) -> object:
        nonlocal steps
        steps += 1
        if steps % (given.steps // 10) == 0:
            gc.collect()
            found.append(reading())
        return load(self, epoch, clips)

    ClipBatches.load = counted  # type: ignore[method-assign, assignment]
    log = io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
        data = tiny.write_set(Path(folder) / "set")
        with contextlib.redirect_stderr(log):
            run = tiny.tiny_pretrain(data, Path(folder) / "run", method=given.method, training=training)
        files = sorted(file.name for file in run.path.iterdir())
    print("   step   MiB  open files")
    for place, (memory, handles) in enumerate(found, 1):
        print(f"{place * given.steps // 10:7}{memory:6.1f}{handles:12}")
    print(f"log: {len(log.getvalue().splitlines())} lines; run folder: {', '.join(files)}")


if __name__ == "__main__":
    main()
