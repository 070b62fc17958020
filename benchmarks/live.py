"""Speed of windows over a long recording, and latency of a stream, at the size `small` with random weights.

    python benchmarks/live.py [--minutes 10] [--threads 2] [--profile]

One person, COCO's 17 joints in 3D at 30 frames a second. Windows are 60 frames long (2 s), and start every 15.
`predict` is timed from the file to the tables, without loading Python; every update of the stream that gives an answer
is timed alone, in one thread. Beside wall time stands the processor's, which other programs hardly change. `--profile`
lists the functions in which updates spend their time.
"""

import argparse
import cProfile
import pstats
import time
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

import numpy as np
import torch

from maskel import Stream
from maskel.commands.predict import predict
from maskel.datasets.base import Provenance
from maskel.layouts import layout_named
from maskel.methods.base import build_seeded
from maskel.methods.classifier import CLASSIFIER, FineTuneClassifier, LabelSpec
from maskel.models.encoder import Encoder, EncoderConfig
from maskel.models.familiarity import MOST_CLIPS, Familiarity

FPS, WINDOW = 30, 60
CLASSES = tuple(f"action {number}" for number in range(20))
SMALL = EncoderConfig(window=60, dim=128, depth=4, num_heads=4)


def classifier() -> FineTuneClassifier:
    """A classifier of the size `small` that remembers as many training clips as it may."""
    made = Provenance("folder", {"layout": "coco17", "fps": float(FPS), "channels": "xyz"})
    spec = LabelSpec(CLASSES, num_bodies=1, provenance=made, longest=2 * WINDOW, median=WINDOW)
    model = build_seeded(lambda: FineTuneClassifier(Encoder(layout_named("coco17"), SMALL), spec, head_dim=512), 0)
    clips = torch.randn(MOST_CLIPS, model.num_values, generator=torch.Generator().manual_seed(0))
    model.familiarity = Familiarity.of(clips)
    return model.eval()


def recording(frames: int) -> np.ndarray:
    """Joints (T, V, C) of a person who sways, in metres."""
    draws = np.random.default_rng(0)
    rest = draws.normal(size=(17, 3)) / 2
    return (
        rest + 0.2 * np.sin(0.3 * np.arange(frames)[:, None, None] + rest) + 0.01 * draws.normal(size=(frames, 17, 3))
    )


def main() -> None:
    """Time both and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the recording")
    parser.add_argument("--threads", type=int, default=2, help="threads of predict")
    parser.add_argument("--profile", action="store_true", help="list where updates spend their time")
    options = parser.parse_args()
    joints = recording(round(options.minutes * 60 * FPS))
    model = classifier()
    with TemporaryDirectory() as folder:
        place = Path(folder)
        np.save(place / "long.npy", joints)
        model.save(place / CLASSIFIER)
        torch.set_num_threads(options.threads)
        start, busy = time.perf_counter(), time.process_time()
        tables = {"out": place / "windows.csv", "segments": place / "segments.csv"}
        predict(place, place / "long.npy", source_fps=float(FPS), device="cpu", **tables)
        seconds, busy = time.perf_counter() - start, time.process_time() - busy
    print(
        f"predict: {options.minutes:g} minutes of one person in {seconds:.1f} s on {options.threads} threads, "
        f"{60 * options.minutes / seconds:.0f} times real time; {busy:.1f} s of the processor"
    )
    torch.set_num_threads(1)
    stream = Stream(model)
    quiet: list[float] = []
    updates: list[float] = []
    alone: list[float] = []
    profile = cProfile.Profile()
    for number, frame in enumerate(joints[: 120 * FPS]):
        if options.profile:
            profile.enable()
        start, busy = time.perf_counter(), time.process_time()
        answers = stream.push(frame[None], time=number / FPS, ids=["1"])
        (updates if answers else quiet).append(1000 * (time.perf_counter() - start))
        if answers:
            alone.append(1000 * (time.process_time() - busy))
        profile.disable()
    print(
        f"stream: {len(updates)} updates, median {median(updates):.1f} ms ({median(alone):.1f} ms of the processor), "
        f"95 % below {quantiles(updates, n=20)[-1]:.1f} ms; {len(quiet)} frames in between, median {median(quiet):.3f} "
        "ms; one thread"
    )
    if options.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(20)


if __name__ == "__main__":
    main()
