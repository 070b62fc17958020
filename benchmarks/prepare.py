"""How fast `prepare` reads NTU-like files, what its journal costs, and that memory does not grow with their number.

    python benchmarks/prepare.py [--files 500 5000] [--workers 1 2]

Synthetic recordings are written once and linked under as many names as asked for; each run has a process of its own.
Memory is the peak resident set (VmHWM, Linux) of the main process and of the largest worker. Workers are forks of one
server that has imported torch, so most of a worker's memory is shared with the others.

The journal is what lets an interrupted preparation go on: its share of the time, and its bytes a file. ``resume s`` is
the time to check and take over all files of a preparation that was interrupted before its last step. The last line
extrapolates to the 114,480 files of NTU RGB+D 120 by their number, as if they were of the size of these.
"""

import argparse
import contextlib
import json
import multiprocessing
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

from maskel.commands.prepare import prepare
from maskel.datasets.base import Split
from maskel.datasets.ntu import NTU60
from maskel.datasets.store_writer import JOURNAL, SetWriter
from maskel.datasets.synthetic import synthesize
from maskel.errors import CutOffError

NTU120_FILES = 114_480


def link_recordings(recordings: list[Path], folder: Path, files: int) -> None:
    """Gives the recordings in turn the names of ``files`` different clips."""
    folder.mkdir()
    for number, recording in zip(range(files), cycle(recordings), strict=False):
        performer, replication = divmod(number, 999)
        name = f"S001C{1 + number % 3:03d}P{1 + performer:03d}R{1 + replication:03d}A{1 + number % 60:03d}.skeleton"
        (folder / name).hardlink_to(recording)


def peak_megabytes(pid: int | str) -> float:
    """Peak resident set of a process so far; 0 if it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0.0)


def run(raw: Path, out: Path, workers: int) -> dict[str, float]:
    """One `prepare` in this process, while a thread watches the workers."""
    ended = threading.Event()
    largest = [0.0]

    def watch() -> None:
        while not ended.wait(0.05):
            for child in multiprocessing.active_children():
                largest[0] = max(largest[0], peak_megabytes(child.pid or 0))

    journal = [0.0, 0.0]  # seconds, bytes
    record, finish = SetWriter.record, SetWriter.finish

    def timed(writer: SetWriter, note: dict[str, Any]) -> None:
        start = time.perf_counter()
        record(writer, note)
        journal[0] += time.perf_counter() - start

    def interrupt(writer: SetWriter, benchmarks: Mapping[str, Split]) -> None:
        journal[1] = (writer.partial / JOURNAL).stat().st_size
        raise CutOffError("interrupted for the benchmark")

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        SetWriter.record, SetWriter.finish = timed, interrupt  # type: ignore[method-assign]
        start = time.perf_counter()
        with contextlib.suppress(CutOffError):
            prepare(NTU60(), [raw], out, workers)
        seconds = time.perf_counter() - start
        SetWriter.record, SetWriter.finish = record, finish  # type: ignore[method-assign]
        summary = prepare(NTU60(), [raw], out, workers)
    finally:
        ended.set()
        watcher.join()
    return {
        "files/s": summary.files / seconds,
        "MB/s": summary.raw_size / 1e6 / seconds,
        "size/raw": summary.size / summary.raw_size,
        "journal %": 100 * journal[0] / seconds,
        "journal bytes/file": journal[1] / summary.files,
        "resume s": summary.seconds,
        "main MB": peak_megabytes("self"),
        "worker MB": largest[0],
    }


def main() -> None:
    """Runs every combination and prints a line for each, then how memory grows with the number of files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, nargs="+", default=[500, 5000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--run", nargs=3, metavar=("RAW", "OUT", "WORKERS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        raw, out, workers = arguments.run
        print(json.dumps(run(Path(raw), Path(out), int(workers))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        recordings = synthesize(folder / "recordings", performers=2, replications=1)
        megabytes = sum(path.stat().st_size for path in recordings) / len(recordings) / 1e6
        print(f"{len(recordings)} recordings of {megabytes:.2f} MB on average")
        for workers in arguments.workers:
            memory = {}
            for files in arguments.files:
                raw, out = folder / f"raw_{workers}_{files}", folder / f"set_{workers}_{files}"
                link_recordings(recordings, raw, files)
                command = [sys.executable, __file__, "--run", str(raw), str(out), str(workers)]
                result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
                memory[files] = result["main MB"], result["worker MB"]
                numbers = "  ".join(f"{name} {number:.3g}" for name, number in result.items())
                print(f"workers {workers}  files {files}  {numbers}", flush=True)
            (least_main, least_worker), (most_main, most_worker) = memory[min(memory)], memory[max(memory)]
            growth = f"main {most_main / least_main:.3f}"
            growth += f", worker {most_worker / least_worker:.3f}" if least_worker else ""
            minutes = NTU120_FILES / result["files/s"] / 60
            print(f"workers {workers}  {NTU120_FILES:,} files at this speed: {minutes:.1f} minutes")
            print(f"workers {workers}  memory at {max(memory)} files / at {min(memory)}: {growth}")


if __name__ == "__main__":
    main()
