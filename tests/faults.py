"""What can go wrong, and what a user then sees: the rows of docs/errors.md, each of them a test in `test_errors`."""

import errno
import fcntl
import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from maskel.datasets.store import SkeletonSet
from maskel.models.loading import load_encoder
from maskel.training.loading import ClipBatches
from maskel.training.run import RunFolder
from released import write_classifier

SIZES = (
    "--encoder.window 8 --encoder.dim 16 --encoder.depth 1 --encoder.num_heads 2 --device cpu "
    "--mamp.decoder_dim 16 --mamp.decoder_depth 1 --training.epochs 1 --training.warmup_epochs 0.5 --training.batch_size 8"
)
PRETRAIN = f"pretrain --data set --out new {SIZES}"
Arrange = Callable[[pytest.MonkeyPatch], Any]


@dataclass(frozen=True)
class Fault:
    """One row.

    Args:
        what: In words.
        command: What the user types after ``maskel``, beside a prepared set ``set``, a finished run ``run`` and a run
            ``part`` that was stopped after two of three epochs.
        shown: The line that is shown; … stands for what depends on the machine.
        code: Exit code.
        arrange: What is done before.
    """

    what: str
    command: str
    shown: str
    code: int = 2
    arrange: Arrange = lambda patch: None

    @property
    def row(self) -> str:
        """Its line in docs/errors.md."""
        shown = self.shown.split(": ", 1)[1]
        quoted = f"`` {shown} ``" if "`" in shown else f"`{shown}`"
        return f"| {self.what} | {quoted} | {self.code} |"


def write(name: str, content: str | bytes) -> Arrange:
    def act(patch: pytest.MonkeyPatch) -> None:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content.encode() if isinstance(content, str) else content)

    return act


def own_recordings(table: str, *names: str) -> Arrange:
    """Recordings of two frames, and what is known of them."""

    def act(patch: pytest.MonkeyPatch) -> None:
        Path("own").mkdir()
        Path("own/labels.csv").write_text(table)
        for name in names:
            Path(f"own/{name}.csv").write_text(f"{','.join(['0.5'] * 51)}\n" * 2)

    return act


def cut(*names: str) -> Arrange:
    """Lose the last bytes of files."""

    def act(patch: pytest.MonkeyPatch) -> None:
        for name in names:
            content = Path(name).read_bytes()
            Path(name).write_bytes(content[: len(content) // 2])

    return act


def encoder_that_claims(**sizes: int) -> Arrange:
    """An encoder file whose header names other sizes than its weights have."""

    def act(patch: pytest.MonkeyPatch) -> None:
        config = RunFolder(Path("run")).read_config()["encoder"] | sizes
        about = {"format": "maskel encoder 1", "layout": "ntu25", "coordinates": 3, "config": config}
        save_file(load_file("run/encoder.safetensors"), "other.safetensors", {"maskel": json.dumps(about)})

    return act


def encoder_not_finite(patch: pytest.MonkeyPatch) -> None:
    encoder_that_claims()(patch)
    encoder = load_encoder("run")
    encoder.joint_embed.data[0, 0, 0, 0] = float("nan")
    encoder.save(Path("other.safetensors"))


def set_with_bodies(patch: pytest.MonkeyPatch) -> None:
    table = Path("set/clips.csv")
    lines = table.read_text().splitlines()
    *before, _, frames = lines[1].split(",")
    lines[1] = ",".join([*before, "1000000000", frames])
    table.write_text("\n".join(lines) + "\n")


def set_not_finite(patch: pytest.MonkeyPatch) -> None:
    joints = np.load("set/joints.npy")
    joints[0] = np.nan
    np.save("set/joints.npy", joints)


def device_full(patch: pytest.MonkeyPatch) -> None:
    keep = SkeletonSet.keep_on

    def no_room(*shape: object, **options: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    def hooked(self: SkeletonSet, device: torch.device) -> None:
        with patch.context() as inside:
            inside.setattr(torch, "empty", no_room)
            keep(self, device)

    patch.setattr(SkeletonSet, "keep_on", hooked)


def loading(act: Callable[[Any], Any]) -> Arrange:
    """Do something with every batch that is loaded."""

    def arrange(patch: pytest.MonkeyPatch) -> None:
        load = ClipBatches.load
        patch.setattr(ClipBatches, "load", lambda self, epoch, clips: act(load(self, epoch, clips)))

    return arrange


def raising(fault: BaseException) -> Arrange:
    def act(batch: Any) -> Any:
        raise fault

    return loading(act)


def signalled(*signs: signal.Signals) -> Arrange:
    def act(batch: Any) -> Any:
        for sign in signs:
            os.kill(os.getpid(), sign)
        return batch

    return loading(act)


def released_classifier(patch: pytest.MonkeyPatch) -> None:
    write_classifier(Path("checkpoint.pth"), 60, "data/train.npz")


def in_use(patch: pytest.MonkeyPatch) -> None:
    def taken(*_: Any) -> None:
        raise BlockingIOError

    patch.setattr(fcntl, "flock", taken)


def disk_full(patch: pytest.MonkeyPatch) -> None:
    flush = os.fsync

    def no_room(handle: int) -> None:
        if "safetensors" in Path(f"/proc/self/fd/{handle}").readlink().name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(handle)

    patch.setattr(os, "fsync", no_room)


def unmappable(patch: pytest.MonkeyPatch) -> None:
    def no_room(*given: object) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    patch.setattr(np, "memmap", no_room)


DEAD_PROCESS = Fault(
    "one of several processes ends (here of 2)",
    f"(torchrun) {PRETRAIN}",
    "maskel pretrain: another of the 2 processes has ended or does not answer (…); its own lines say why; when that is "
    "mended, go on with --resume …",
    1,
)
"""Tested where several processes are, in `test_distributed`."""

FAULTS = [
    Fault("a misspelt command", "pretrian", "maskel: no command is called 'pretrian'; did you mean pretrain?"),
    Fault(
        "an option that does not exist",
        f"{PRETRAIN} --training.epoch 2",
        "maskel pretrain: unrecognized arguments: --training.epoch 2; did you mean --training.epochs? maskel pretrain "
        "--help lists the options",
    ),
    Fault(
        "a value of the wrong type",
        f"{PRETRAIN} --seed one",
        "maskel pretrain: Parser key \"seed\": Expected a <class 'int'>. Got value: one; maskel pretrain --help lists the options",
    ),
    Fault(
        "a required option is missing",
        "knn --encoder run",
        "maskel knn: the following arguments are required: data; maskel knn --help lists the options",
    ),
    Fault(
        "sizes that do not fit each other",
        f"{PRETRAIN} --encoder.dim 10 --encoder.num_heads 8",
        "maskel pretrain: encoder: num_heads 8 does not divide dim 10",
    ),
    Fault(
        "sizes that no machine has room for",
        f"{PRETRAIN} --encoder.dim 1000000000",
        "maskel pretrain: encoder: found dim 1000000000, expected 1 to 65536",
    ),
    Fault(
        "a recipe that does not exist",
        f"{PRETRAIN} --config mump",
        "maskel pretrain: no file and no recipe is called 'mump'; recipes are …",
    ),
    Fault(
        "a recipe with a misspelt option",
        f"{PRETRAIN} --config my.yaml",
        "maskel pretrain: my.yaml is no recipe for it: no option is called 'trainings'",
        arrange=write("my.yaml", "trainings: {epochs: 3}"),
    ),
    Fault(
        "a recipe with an option left empty",
        f"{PRETRAIN} --config my.yaml",
        "maskel pretrain: training.lr: found no value, expected one; leave the option out to have 0.001",
        arrange=write("my.yaml", "training: {lr: }"),
    ),
    Fault(
        "a recipe that is not YAML",
        f"{PRETRAIN} --config my.yaml",
        "maskel pretrain: my.yaml: not a YAML file (…)",
        arrange=write("my.yaml", "training: ["),
    ),
    Fault(
        "a recipe that would run code",
        f"{PRETRAIN} --config my.yaml",
        "maskel pretrain: my.yaml: not a YAML file (…)",
        arrange=write("my.yaml", "seed: !!python/name:os.system"),
    ),
    Fault(
        "a recipe full of aliases (a few lines can stand for gigabytes)",
        f"{PRETRAIN} --config my.yaml",
        "maskel pretrain: my.yaml: not a YAML file (it has more than 10 aliases; write the values out)",
        arrange=write("my.yaml", "a: &a [1]\nb: [" + ", ".join(["*a"] * 11) + "]"),
    ),
    Fault(
        "a recipe with an alias inside what it stands for",
        f"{PRETRAIN} --config my.yaml",
        "maskel pretrain: my.yaml: not a YAML file (*a stands inside what it stands for)",
        arrange=write("my.yaml", "a: &a [*a]"),
    ),
    Fault(
        "a recipe of a megabyte",
        f"{PRETRAIN} --config my.yaml",
        "maskel pretrain: my.yaml: not a YAML file (it is larger than 100,000 bytes)",
        arrange=write("my.yaml", "# " + "x" * 10**6),
    ),
    Fault(
        "no such prepared set",
        f"pretrain --data sett {SIZES}",
        "maskel pretrain: sett does not exist; write one with `maskel prepare`",
    ),
    Fault(
        "a prepared set that was not copied whole",
        PRETRAIN,
        "maskel pretrain: set cannot be read as a prepared set (…); prepare it again",
        arrange=cut("set/joints.npy"),
    ),
    Fault(
        "a prepared set that claims a billion bodies",
        PRETRAIN,
        "maskel pretrain: set cannot be read as a prepared set (clips.csv holds a clip with more bodies or frames than a set may hold); prepare it again",
        arrange=set_with_bodies,
    ),
    Fault(
        "a prepared set with a coordinate that is not a number",
        "knn --data set --encoder run --k 3",
        "maskel knn: set: clip clip00 holds a coordinate that is not finite; prepare the set again",
        arrange=set_not_finite,
    ),
    Fault(
        "`--resident` with a set that does not fit on the device",
        f"{PRETRAIN} --resident",
        "maskel pretrain: resident: the joints of set take 0.0 GiB, more than is free on cpu; leave the option out",
        arrange=device_full,
    ),
    Fault(
        "a benchmark that the set does not have",
        f"{PRETRAIN} --benchmark xview",
        "maskel pretrain: set has no benchmark called 'xview'; it has: xsub",
    ),
    Fault(
        "fewer clips than a batch",
        f"{PRETRAIN} --training.batch_size 100",
        "maskel: training: batches of 16, all training clips, instead of 100",
        code=0,
    ),
    Fault(
        "no folder with raw files",
        "prepare ntu60 nowhere --out ntu",
        "maskel prepare: nowhere is not a folder; unpack the archives of NTU RGB+D and give their folders",
    ),
    Fault(
        "a raw file that is cut off",
        "prepare ntu60 raw --out ntu",
        "maskel prepare: none of the 1 files gives a clip; 1 are bad, 0 left out; the first bad one: …/raw/S001C001P001R001A001.skeleton, line 2: truncated: found the end of the file, expected the bodyID of body 1 of 1 in frame 1",
        arrange=write("raw/S001C001P001R001A001.skeleton", "2\n1\n"),
    ),
    Fault(
        "own recordings with two spellings of a class",
        "prepare folder own --layout coco17 --out new",
        "maskel prepare: classes 'Wave' (1 clips) and 'wave' (1) differ in case, blanks, leading zeros or Unicode form only; "
        "write one of them everywhere, or names that differ in more",
        arrange=own_recordings("file,label\na,Wave\nb,wave\n", "a", "b"),
    ),
    Fault(
        "a range that is not in its recording",
        "prepare folder own --layout coco17 --out new",
        "maskel prepare: none of the 1 files gives a clip; 1 are bad, 0 left out; the first bad one: own/labels.csv, line 2: "
        "outside the recording: found frames 0 up to 9, the last not included, of own/a.csv, expected a part of its 2, numbered from 0 to 1",
        arrange=own_recordings("file,label,start,end\na,wave,0,9\n", "a"),
    ),
    Fault(
        "a device that is not there",
        f"{PRETRAIN} --device tpu",
        "maskel pretrain: device 'tpu' is unknown; expected auto, cpu, cuda or cuda:N",
    ),
    Fault(
        "a run folder that holds something",
        f"pretrain --data set --out part {SIZES}",
        "maskel pretrain: part exists and is not empty; choose another --out, or go on with --resume part",
    ),
    Fault(
        "a run folder that cannot be made",
        f"pretrain --data set --out my.yaml/new {SIZES}",
        "maskel pretrain: my.yaml/new cannot be written (Not a directory); choose another --out",
        arrange=write("my.yaml", ""),
    ),
    Fault(
        "a file that cannot be written; noticed before the work",
        "predict set --classifier nowhere --out my.yaml/p.csv",
        "maskel predict: my.yaml/p.csv cannot be written (Not a directory); choose another --out",
        arrange=write("my.yaml", ""),
    ),
    Fault(
        "a run folder in use by another process",
        "pretrain --resume part",
        "maskel pretrain: part is in use by another process; wait for it, or stop it first",
        arrange=in_use,
    ),
    Fault(
        "resuming what is no run",
        "pretrain --resume set",
        "maskel pretrain: set: no run folder to resume; it has no config.yaml",
    ),
    Fault(
        "resuming with other options",
        "pretrain --resume part --mamp.tau 0.5",
        "maskel pretrain: part was started with mamp.tau 0.8, found 0.5; resume with the same options, or start a new run",
    ),
    Fault(
        "resuming with more epochs",
        "pretrain --resume part --training.epochs 4",
        "maskel: part is extended from 3 to 4 epochs: new epochs have the learning rates of 4 epochs, finished ones those of 3, so the result differs from a run begun at 4",
        code=0,
    ),
    Fault(
        "resuming a run of another command",
        "linear --resume part",
        "maskel linear: part/config.yaml is not a run of maskel linear: no option is called 'method'",
    ),
    Fault(
        "the last saved state is damaged",
        "pretrain --resume part",
        "maskel: part/last.safetensors: not a whole saved state (SafetensorError); the state before it, previous.safetensors, is used",
        0,
        cut("part/last.safetensors"),
    ),
    Fault(
        "both saved states are damaged",
        "pretrain --resume part",
        "maskel pretrain: part/last.safetensors: not a whole saved state (SafetensorError), nor is previous.safetensors; start the run again",
        arrange=cut("part/last.safetensors", "part/previous.safetensors"),
    ),
    Fault(
        "no such encoder",
        "knn --data set --encoder nowhere --k 3",
        "maskel knn: nowhere: no such encoder; expected a run folder, an encoder.safetensors, a .pth file or the name of one that comes with maskel, synthetic-small",
    ),
    Fault(
        "an encoder on the Hub without its owner",
        "knn --data set --encoder hf://mamp --k 3",
        "maskel knn: hf://mamp: expected hf://user/name or hf://user/name@revision",
    ),
    Fault(
        "an encoder that was not copied whole",
        "knn --data set --encoder run --k 3",
        "maskel knn: run/encoder.safetensors: not a whole maskel encoder (…); train or copy it again",
        arrange=cut("run/encoder.safetensors"),
    ),
    Fault(
        "an encoder that claims a width of a billion",
        "knn --data set --encoder other.safetensors --k 3",
        "maskel knn: other.safetensors: not a whole maskel encoder (encoder: found dim 1000000000, expected 1 to 65536); train or copy it again",
        arrange=encoder_that_claims(dim=10**9, num_heads=10**6),
    ),
    Fault(
        "an encoder that claims more blocks than it has",
        "knn --data set --encoder other.safetensors --k 3",
        "maskel knn: other.safetensors: not a whole maskel encoder (900 blocks, but 30 tensors); train or copy it again",
        arrange=encoder_that_claims(depth=900),
    ),
    Fault(
        "an encoder with a weight that is not a number",
        "knn --data set --encoder other.safetensors --k 3",
        "maskel knn: other.safetensors: not a whole maskel encoder (a weight is not finite); train or copy it again",
        arrange=encoder_not_finite,
    ),
    Fault(
        "a released classifier of an unknown data set",
        "evaluate --classifier checkpoint.pth --data set --out new",
        "maskel evaluate: checkpoint.pth does not say which data set its 60 outputs stand for (its data_path is 'data/train.npz'); say it with --trained-on: ntu60, ntu120, pku1, pku2, or data for the classes of a prepared set given as --data",
        arrange=released_classifier,
    ),
    Fault(
        "a report of what is no run",
        "report set",
        "maskel report: set: expected a run folder of maskel pretrain, linear, finetune, knn, fewshot, retrieval, baseline, evaluate, detect, robustness or ensemble; it has no config.yaml",
    ),
    Fault(
        "a loss that is not finite",
        PRETRAIN,
        "maskel pretrain: the loss is not finite at step 0 (epoch 0, learning rate 0); the state before it is saved in new; the step's 8 clips begin with clip15, clip06, clip23, clip18, clip13, clip00, clip22, clip17",
        1,
        loading(lambda batch: batch.with_joints(batch.joints * np.inf)),
    ),
    Fault(
        "a full disk",
        PRETRAIN,
        "maskel pretrain: step 2 cannot be saved: new/last.safetensors: No space left on device; what was learned after step 0 is lost; make room and go on with --resume new",
        1,
        disk_full,
    ),
    Fault(
        "memory runs out",
        PRETRAIN,
        "maskel pretrain: out of memory; take a smaller training.batch_size or a smaller model, or cut the batch with training.accumulate",
        1,
        raising(torch.OutOfMemoryError("CUDA out of memory")),
    ),
    Fault(
        "memory that cannot be mapped",
        "inspect set",
        "maskel inspect: set/segments.npy: cannot be mapped into memory (Cannot allocate memory); free some, or copy it to another file system",
        1,
        unmappable,
    ),
    Fault(
        "variables of torchrun that do not fit each other",
        "results run",
        "maskel results: the variable RANK is 1, but WORLD_SIZE is 1; start several processes with torchrun, or unset it",
        arrange=lambda patch: patch.setenv("RANK", "1"),
    ),
    Fault(
        "a fault of maskel itself",
        PRETRAIN,
        "maskel pretrain: ZeroDivisionError in maskel …: a fault of the program, not of yours; please report it with the lines above",
        1,
        raising(ZeroDivisionError("division by zero")),
    ),
    Fault(
        "Ctrl-C, or SIGTERM of a batch system",
        f"pretrain --data set --out new --training.epochs 2 {SIZES}",
        "maskel pretrain: stopped after step 1; go on with --resume new",
        130,
        signalled(signal.SIGTERM),
    ),
    Fault(
        "Ctrl-C a second time",
        PRETRAIN,
        "maskel pretrain: stopped; nothing unfinished was kept",
        130,
        signalled(signal.SIGINT, signal.SIGINT),
    ),
]
