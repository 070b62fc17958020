"""Parallel reader for a data set's raw files: in order, and with little in memory at any time."""

import math
import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol, runtime_checkable

from maskel.datasets.base import RawFile, Source
from maskel.datasets.store_writer import MOST_BODIES, MOST_BODY_FRAMES
from maskel.datasets.windows import Windows
from maskel.errors import BadFileError, CutOffError, InputError
from maskel.files import free_memory, one_line
from maskel.sequence import SkeletonSequence

CHUNK = 16
"""Most files per message of a worker: few messages, but little memory in flight."""

MOST_IN_FLIGHT = 64 * 2**20
"""Bytes of clips in a worker's message, of which at most three a worker are in flight."""
LARGEST_CLIP = MOST_BODY_FRAMES * 25 * 3 * 4
"""Bytes by which a message may exceed that: a clip is never divided."""
OURS = "fault of maskel itself"
"""Kind of the error where a reader failed in a way that it does not know."""

Reading = list[SkeletonSequence] | BadFileError
"""Result of reading one raw file: its clips, or the error."""


@runtime_checkable
class Reads(Protocol):
    """A reader of raw files; it travels to worker processes, so it must pickle."""

    def read(self, file: RawFile) -> list[SkeletonSequence]:
        """Read the clips of one raw file.

        Raises:
            BadFileError: If the file is not what it should be.
        """


@dataclass(frozen=True)
class WindowReader:
    """A reader of raw files in windows.

    Args:
        source: The data set.
        windows: Length and step of the windows.
    """

    source: Source
    windows: Windows

    def read(self, file: RawFile) -> list[SkeletonSequence]:
        """Read the windows of one raw file; see `Source.read_windows`."""
        return self.source.read_windows(file, self.windows)


def read_all(source: Reads, files: Sequence[RawFile], workers: int) -> Generator[Reading, None, None]:
    """Read files and yield the result of each, in the order of ``files``; closing the generator ends the workers.

    Args:
        source: The data set, or another reader of its files.
        files: Its raw files.
        workers: Number of reading processes, >= 1; with 1, this process reads.

    Raises:
        CutOffError: If a worker process is ended from outside.
    """
    if not files:
        return
    if workers == 1:
        for file in files:
            yield read_one(source, file)
        return
    chunk = max(1, min(CHUNK, len(files) // (4 * workers)))
    parts = (files[start : start + chunk] for start in range(0, len(files), chunk))
    with_server = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if with_server else "spawn")
    if with_server:
        context.set_forkserver_preload([__name__])  # the imports are made once; a worker is a fork of the server
    pool = ProcessPoolExecutor(min(workers, math.ceil(len(files) / chunk)), context, _start_worker, (source,))
    try:
        # never all chunks at once: the clips read but not yet written must stay few, and fit into memory
        ahead = int(min(3 * workers, max(1, free_memory() / 2 // (MOST_IN_FLIGHT + LARGEST_CLIP))))
        waiting = deque(pool.submit(_read_chunk, part) for part in islice(parts, ahead))
        while waiting:
            try:
                readings, left = waiting.popleft().result()
            except BrokenProcessPool as error:
                what = "a worker process was ended from outside (out of memory?); use fewer workers"
                raise CutOffError(what) from error
            if left:  # in its place, as readings come in the order of files
                waiting.appendleft(pool.submit(_read_chunk, left))
            else:
                waiting.extend(pool.submit(_read_chunk, part) for part in islice(parts, 1))
            yield from readings
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_worker_source: list[Reads] = []


def _start_worker(source: Reads) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the main one ends the workers
    _worker_source[:] = [source]
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this worker with its parent: a killed parent cannot end its workers, which would wait for ever."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _read_chunk(files: Sequence[RawFile]) -> tuple[list[Reading], Sequence[RawFile]]:
    """Read files until their clips take `MOST_IN_FLIGHT`, as a small file may claim many frames; also those left."""
    (source,) = _worker_source
    readings: list[Reading] = []
    size = 0
    for file in files:
        readings.append(reading := read_one(source, file))
        size += 0 if isinstance(reading, BadFileError) else sum(sequence.joints.nbytes for sequence in reading)
        if size > MOST_IN_FLIGHT:
            break
    return readings, files[len(readings) :]


def read_one(source: Reads, file: RawFile) -> Reading:
    """Read one file; whatever is wrong with it, others can be read after it.

    Raises:
        InputError: If the options are wrong.
    """
    try:
        return [_fitting(sequence, file) for sequence in source.read(file)]
    except BadFileError as error:
        return error
    except InputError:  # of the options
        raise
    except OSError as error:
        return BadFileError(str(file), "unreadable", error.strerror or str(error), "a readable file")
    except (MemoryError, RecursionError) as error:
        what = "more than the memory has room for" if isinstance(error, MemoryError) else "values nested too deeply"
        return BadFileError(str(file), "wrong count", what, "a recording; cut it into clips if it is one")
    except Exception as error:  # noqa: BLE001 (a fault of a reader must not cost the other files)
        *_, last = traceback.extract_tb(error.__traceback__)
        where = f"{Path(last.filename).name}, line {last.lineno}: {type(error).__name__}: {one_line(error, 100)}"
        return BadFileError(str(file), OURS, where, "none; it is not yours: please report it with this file")


def _fitting(sequence: SkeletonSequence, file: RawFile) -> SkeletonSequence:
    """Return a clip that a set can hold; refuse one that is too long."""
    bodies, frames = sequence.joints.shape[:2]
    if bodies > MOST_BODIES or bodies * frames > MOST_BODY_FRAMES:
        most = f"at most {MOST_BODIES} bodies and {MOST_BODY_FRAMES:,} body-frames; cut it"
        raise BadFileError(str(file), "wrong count", f"{bodies} bodies and {frames} frames", most)
    return sequence
