"""Damaged and hostile files, thousands of them, through every reader: python tests/fuzz.py [--cases N] [FORMAT ...].

A case is a valid file, changed in a few places that follow from (seed, format, case). It passes if the reader gives a
result or refuses in a sentence; a traceback, more than `SECONDS` of time or more than `MEMORY` bytes above what the
process had before fail it. Each format is read in a process of its own, so that a crash is a failed case as well.

A new format is one line of `FORMATS`: how a valid one is written, and how it is read.
"""

import argparse
import contextlib
import json
import mmap
import os
import resource
import shutil
import signal
import struct
import sys
import tempfile
import traceback
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import tiny
from maskel import cli
from maskel.commands.linear import linear
from maskel.commands.pretrain import load_method
from maskel.datasets.base import RawFile
from maskel.datasets.ntu import NTU60
from maskel.datasets.nw_ucla import NwUcla
from maskel.datasets.store import SkeletonSet
from maskel.datasets.synthetic import synthesize
from maskel.errors import InputError
from maskel.models.encoder import load_encoder
from maskel.pictures.report import render
from maskel.pictures.runs import read_runs
from maskel.training.state import read_state

SECONDS = 20.0
MEMORY = 1 << 30
HOSTILE = [
    *(b"-1", b"0", b"1e400", b"NaN", b"999999999999", b"9" * 5000, b"1e308", b"", b"\x00", b"\xff\xfe", b"None", b"{}"),
    *(
        b"<script>alert(1)</script>",
        b"&a [*a]",
        b"[" * 2000,
        b"{" * 2000,
        b"../../../etc/passwd",
        b'"',
        b"\n",
        b",",
        b"\r",
    ),
    *(b"\x1b[2J", "\u202e\u2028é".encode(), b"!!python/object/apply:os.abort []", b"__reduce__", b"true", b"\x80\x04"),
]
Draws = np.random.Generator


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Args:
        make: Writes a valid one, with all that belongs to it, into an empty folder; returns the file to change.
        read: Reads what ``make`` returned.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], Any]


def a_recording(folder: Path) -> Path:
    (folder / "all").mkdir()
    files = synthesize(out=folder / "all", performers=1, replications=1)
    return Path(shutil.copy(files[0], folder / "S001C001P001R001A001.skeleton"))


def a_kinect_file(folder: Path) -> Path:
    file = folder / "a01_s01_e00_v01.json"
    joints = tiny.generated_clip(0, NwUcla.layout).joints[0].round(4).tolist()
    file.write_text(json.dumps({"file_name": "a01_s01_e00_v01", "skeletons": joints, "label": 1}))
    return file


def a_kinect_archive(folder: Path) -> Path:
    file = a_kinect_file(folder)
    with zipfile.ZipFile(folder / "all_sqe.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(file, file.name)
        archive.write(file, "all_sqe/a01_s01_e01_v01.json")
    return folder / "all_sqe.zip"


def in_set(name: str) -> Callable[[Path], Path]:
    return lambda folder: tiny.write_set(folder / "set", train=6, test=3) / name


def in_run(name: str) -> Callable[[Path], Path]:
    """A file of a finished linear run, beside the pre-training run that it evaluates."""

    def make(folder: Path) -> Path:
        data = tiny.write_set(folder / "set")
        run = tiny.tiny_pretrain(data, folder / "run", training=tiny.replace(tiny.TRAINING, epochs=1))
        linear(run.path, data, training=tiny.PROBE, device="cpu", out=folder / "linear")
        return folder / name

    return make


def use_set(file: Path) -> None:
    clips = SkeletonSet.open(file.parent)
    for position in range(len(clips)):
        clips.sequence(position)
    clips.gather(np.arange(len(clips)), clips.max_bodies)
    for benchmark in clips.benchmarks:
        clips.split_hash(benchmark, "train")
    assert len(clips.clips) == len(clips)


def use_archive(file: Path) -> None:
    source = NwUcla()
    for member in source.find([file]):
        source.read(member)


def use_encoder(file: Path) -> None:
    encoder = load_encoder(file)
    encoder.encode(torch.zeros(1, 1, encoder.config.window, len(encoder.layout), encoder.coordinates))


def use_report(file: Path) -> None:
    page = render(read_runs([file.parent, file.parents[1] / "linear", file.parents[1] / "run"]), 0)
    assert "<script" not in page.lower(), "a name became an element"
    page.encode(errors="backslashreplace")


def use_config(file: Path) -> None:
    """As a recipe of pretrain; the set that it names is never there, so that nothing is trained."""
    with contextlib.redirect_stderr(sys.stdout):
        code = cli.main(["pretrain", "--config", str(file), "--data", str(file.parent / "no such set")])
    assert code == 2, f"exit code {code}"


FORMATS: dict[str, Format] = {
    "skeleton": Format(a_recording, lambda file: NTU60().read(RawFile(file))),
    "nw_ucla_json": Format(a_kinect_file, lambda file: NwUcla().read(RawFile(file))),
    "nw_ucla_zip": Format(a_kinect_archive, use_archive),
    "set_joints": Format(in_set("joints.npy"), use_set),
    "set_segments": Format(in_set("segments.npy"), use_set),
    "set_clips": Format(in_set("clips.csv"), use_set),
    "set_splits": Format(in_set("splits.json"), use_set),
    "set_meta": Format(in_set("meta.json"), use_set),
    "encoder": Format(in_run("run/encoder.safetensors"), use_encoder),
    "state": Format(in_run("run/last.safetensors"), read_state),
    "config": Format(in_run("run/config.yaml"), use_config),
    "run_config": Format(in_run("run/config.yaml"), lambda file: load_method(tiny.RunFolder(file.parent))),
    "report_config": Format(in_run("linear/config.yaml"), use_report),
    "report_result": Format(in_run("linear/result.json"), use_report),
    "report_metrics": Format(in_run("linear/metrics.csv"), use_report),
    "report_predictions": Format(in_run("linear/predictions.csv"), use_report),
}


def changed(content: bytes, draws: Draws) -> bytes:
    """The file with one to four changes: bits, bytes, pieces lost, doubled, moved or cut off, numbers and words."""
    for _ in range(min(4, int(draws.geometric(0.6)))):
        size = len(content)
        # half of the changes fall into the first kilobyte, where headers are
        start = int(draws.integers(0, (min(size, 1024) if draws.random() < 0.5 else size) + 1))
        end = min(size, start + int(draws.integers(1, 64)))
        kind = int(draws.integers(0, 9))
        if kind == 0 and size:
            place = min(start, size - 1)
            content = content[:place] + bytes([content[place] ^ (1 << int(draws.integers(8)))]) + content[place + 1 :]
        elif kind == 1:
            content = content[:start] + draws.bytes(end - start) + content[end:]
        elif kind == 2:
            content = content[:start] + content[end:]
        elif kind == 3:
            content = content[:end] + content[start:end] * int(draws.integers(1, 50)) + content[end:]
        elif kind == 4:
            content = content[:start]
        elif kind == 5:
            other = int(draws.integers(0, size + 1))
            content = content[:start] + content[other : other + end - start] + content[end:]
        elif kind == 6:
            content = content[:start] + HOSTILE[int(draws.integers(len(HOSTILE)))] + content[end:]
        elif kind == 7:
            content = _other_word(content, draws)
        else:
            number = struct.pack("<Q", int(draws.integers(0, 2**63)) >> int(draws.integers(0, 63)))
            content = content[:start] + number + content[start + 8 :]
    return content


def _other_word(content: bytes, draws: Draws) -> bytes:
    """A number or word replaced by a hostile one, so that the text around it stays valid."""
    letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-_"
    places = [at for at in draws.integers(0, len(content) + 1, 20).tolist() if content[at : at + 1] in letters]
    if not places or not content[places[0] : places[0] + 1]:
        return content
    start = end = places[0]
    while start and content[start - 1] in letters:
        start -= 1
    while end < len(content) and content[end] in letters:
        end += 1
    return content[:start] + HOSTILE[int(draws.integers(len(HOSTILE)))] + content[end:]


class Tally:
    """Counts that outlive the process that counts: cases begun, results given, refusals."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 24)

    def __getitem__(self, place: int) -> int:
        return int(struct.unpack_from("<q", self._shared, 8 * place)[0])

    def add(self, place: int) -> None:
        struct.pack_into("<q", self._shared, 8 * place, self[place] + 1)


def read_cases(name: str, cases: range, seed: int, tally: Tally, log: Path) -> None:
    """Read these cases of a format; failed ones are described in ``log``, their files are kept beside it."""
    torch.set_num_threads(1)
    log.parent.mkdir(parents=True, exist_ok=True)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    with tempfile.TemporaryDirectory() as folder:
        file = FORMATS[name].make(Path(folder))
        FORMATS[name].read(file)  # the valid one; whatever is loaded once is loaded now
        whole = file.read_bytes()
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
        for case in cases:
            tally.add(0)
            file.write_bytes(changed(whole, np.random.default_rng((seed, zlib.crc32(name.encode()), case))))
            signal.setitimer(signal.ITIMER_REAL, SECONDS)  # nobody handles it: the process ends
            try:
                FORMATS[name].read(file)
                tally.add(1)
            except InputError:
                tally.add(2)
            except Exception:  # noqa: BLE001 (whatever else a reader raises is what is looked for)
                keep(log, name, case, file, traceback.format_exc())
            signal.setitimer(signal.ITIMER_REAL, 0)


def keep(log: Path, name: str, case: int, file: Path | None, what: str) -> None:
    with log.open("a") as out:
        out.write(f"== {name} {case}\n{what}\n")
    if file is not None:
        shutil.copy(file, log.parent / f"{name}-{case}-{file.name}")


def fuzz(name: str, cases: int, seed: int, log: Path) -> tuple[int, int, int]:
    """Cases that failed, gave a result, were refused."""
    tally = Tally()
    while tally[0] < cases:
        begun = tally[0]
        child = os.fork()
        if child == 0:
            code = 1
            try:
                read_cases(name, range(begun, cases), seed, tally, log)
                code = 0
            except BaseException:
                keep(log, name, tally[0] - 1, None, traceback.format_exc())
                raise
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code:
            keep(log, name, tally[0] - 1, None, f"the process ended with {code}")
        if tally[0] == begun:  # not one case could be begun
            return cases, 0, 0
    return cases - tally[1] - tally[2], tally[1], tally[2]


def main(arguments: list[str]) -> int:
    """Fuzz formats; the exit code is 1 if a case failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("formats", nargs="*", help=", ".join(FORMATS))
    parser.add_argument("--cases", type=int, default=10_000, help="of each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, default=Path(tempfile.gettempdir()) / "maskel-fuzz" / "failed.txt")
    given = parser.parse_args(arguments)
    failed = 0
    for name in given.formats or FORMATS:
        bad, right, refused = fuzz(name, given.cases, given.seed, given.log)
        failed += bad
        print(f"{name:20}{given.cases:7} cases: {refused} refused, {right} read, {bad} failed", flush=True)  # noqa: T201
    if failed:
        print(f"{failed} failed: {given.log}")  # noqa: T201
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
