"""How fast `prepare npz` and `export npz` stream, and that their memory does not grow with the file.

    python benchmarks/npz.py [--clips 2000 10000] [--frames 80]

Each file has MAMP's form: clips of one body and ``--frames`` frames, padded to 300 (180 kB a clip), once deflated and
once stored. Each step has a process of its own; memory is its peak resident set (VmHWM, Linux). ``import`` is what a
process takes that only imports maskel, ``np.load`` the plain way: x_train and x_test read with numpy. MB/s are of the
arrays as numpy would hold them, by processor time, which other programs on the machine disturb less than the clock.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from maskel.commands.export import export_npz
from maskel.commands.prepare import prepare
from maskel.datasets.npz import Npz, write_npz

FRAMES, WIDTH, CLASSES = 300, 150, 60


def write_file(out: Path, clips: int, frames: int) -> None:
    """An npz of ``clips`` clips, a fifth of them for testing; deflated if its name says so."""
    rng = np.random.default_rng(0)

    def rows(count: int) -> Iterator[np.ndarray]:
        for _ in range(count):
            row = np.zeros((FRAMES, WIDTH), dtype=np.float32)
            row[:frames, : WIDTH // 2] = rng.normal(size=(frames, WIDTH // 2))
            yield row

    sizes = {"train": clips - clips // 5, "test": clips // 5}
    parts = {part: (rows(size), rng.integers(0, CLASSES, size)) for part, size in sizes.items()}
    write_npz(out, parts, FRAMES, WIDTH, CLASSES, "<f8")
    if "deflated" in out.name:
        whole = out.with_suffix(".deflated")
        with (
            zipfile.ZipFile(out) as stored,
            zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target,
        ):
            for name in stored.namelist():
                with stored.open(name) as source, target.open(name, "w", force_zip64=True) as member:
                    while block := source.read(2**20):
                        member.write(block)
        whole.replace(out)


def run(step: str, file: Path, out: Path) -> None:
    """One step in this process: its seconds of processor time and its peak memory."""
    started = time.process_time()
    if step == "prepare":
        prepare(Npz(), [file], out)
    elif step == "export":
        export_npz(out, file.with_name("exported.npz"))
    elif step == "np.load":
        with np.load(file) as arrays:
            _ = arrays["x_train"], arrays["x_test"]
    seconds = time.process_time() - started
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
    print(json.dumps([seconds, peak]))


def main() -> None:
    """Prints a line for every file and step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[2000, 10000])
    parser.add_argument("--frames", type=int, default=80)
    parser.add_argument("--steps", nargs="+", default=["import", "prepare", "export", "np.load"])
    parser.add_argument("--run", nargs=3, metavar=("STEP", "FILE", "OUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        step, file, out = arguments.run
        run(step, Path(file), Path(out))
        return
    for clips in arguments.clips:
        for form in ("deflated", "stored"):
            with tempfile.TemporaryDirectory() as temporary:
                file, out = Path(temporary) / f"{form}_xsub.npz", Path(temporary) / "set"
                write_file(file, clips, arguments.frames)
                megabytes = clips * FRAMES * WIDTH * 4 / 1e6
                print(f"{clips} clips {form}: arrays {megabytes:.0f} MB, file {file.stat().st_size / 1e6:.0f} MB")
                for step in arguments.steps:
                    command = [sys.executable, __file__, "--run", step, str(file), str(out)]
                    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                    seconds, peak = json.loads(done)
                    speed = f"{seconds:6.1f} s  {megabytes / seconds:6.0f} MB/s  " if step != "import" else ""
                    print(f"  {step:<8}{speed}peak {peak:.0f} MB", flush=True)


if __name__ == "__main__":
    main()
