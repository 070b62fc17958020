"""What reading costs at most: memory and processor time of the worst files of every kind, each at its largest.

Run with ``python benchmarks/reading_limits.py [NAME ...]``; needs Linux and some 10 GB of disk. Each file is written
and read in processes of their own. Memory is that above what the process had before, without the bytes that the file
really holds. The exit code is 1 if a file takes more than 1 GiB, or its
refusal more than 20 seconds.
"""

import argparse
import os
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import torch

from hostile import ATTACKS, Attack
from maskel.errors import InputError

SECONDS, MEMORY = 20.0, 1 << 30
GIVEN_UP = 120  # seconds
ROOM = 6 << 30  # bytes that a reader may take before it is stopped


def in_process(work: Callable[[], str]) -> str:
    """What a process of its own says that does this work."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(read)
            os.write(write, work().encode(errors="backslashreplace"))
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as said:
        text = said.read()
    os.waitpid(child, 0)
    return text


def measured(attack: Attack, file: Path) -> str:
    """Seconds, bytes and outcome of reading the file once."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_CPU, (GIVEN_UP, GIVEN_UP))
    resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, size + ROOM))
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    start = os.times()
    try:
        attack.read(file)
        outcome = "read"
    except InputError as refusal:
        outcome = f"refused: {refusal}"
    except Exception as fault:  # noqa: BLE001 (shown)
        outcome = f"{type(fault).__name__}: {fault}"
    end = os.times()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return f"{end.user + end.system - start.user - start.system} {peak - before} {' '.join(outcome.split())}"


def kept(name: str, folder: Path, part: int) -> bool:
    """Print the line of a file; True if reading it keeps the bounds."""
    attack = ATTACKS[name]
    made = in_process(lambda: str(attack.make(folder, attack.most // part)))
    if not made:
        print(f"{name:26} could not be made", flush=True)
        return False
    file = Path(made)
    there = 512 * file.stat().st_blocks
    said = in_process(lambda: measured(attack, file))
    if not said:
        print(f"{name:26}{there / 2**20:9,.0f}  the process ended: more than {GIVEN_UP} s", flush=True)
        return False
    seconds, memory, outcome = said.split(" ", 2)
    above = max(0, int(memory) - there)
    over = above > MEMORY or (float(seconds) > SECONDS and outcome != "read")
    outcome = outcome.replace(str(folder), "")[:110] + (" BROKEN" if over else "")
    print(f"{name:26}{there / 2**20:9,.0f}{float(seconds):9.1f}{above / 2**20:7,.0f}  {outcome}", flush=True)
    return not over


def main(arguments: list[str]) -> int:
    """Print a table; the exit code is 1 if a bound is broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("names", nargs="*", help=", ".join(ATTACKS))
    parser.add_argument("--part", type=int, default=1, help="take files of this part of the size: for a first look")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    broken = 0
    print(f"{'file':26}{'of MiB':>9}{'seconds':>9}{'MiB':>7}  outcome", flush=True)
    for name in given.names or ATTACKS:
        with tempfile.TemporaryDirectory() as folder:
            broken += not kept(name, Path(folder), given.part)
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
