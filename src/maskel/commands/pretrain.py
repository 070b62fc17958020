"""``maskel pretrain``: learn an encoder from unlabelled clips."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from maskel import distributed
from maskel.datasets.provenance import provenance_of
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.methods import METHODS
from maskel.methods.base import build_seeded
from maskel.methods.masked import MaskedMethod
from maskel.models.encoder import Encoder, EncoderConfig
from maskel.sequence import SingleBody
from maskel.training.check import Check, check_run
from maskel.training.engine import fit
from maskel.training.fitting import fitted, say_fitted
from maskel.training.loading import ClipBatches, Resident, keep_resident, pretraining_part
from maskel.training.optim import AdamWConfig
from maskel.training.precision import resolved
from maskel.training.pretrained import method_options
from maskel.training.run import ENCODER, RunFolder, describe, open_run, options_of
from maskel.transforms import TrainView


def pretrain(
    data: Path,
    method: str = "mamp",
    benchmark: str = "xsub",
    options: Mapping[str, Any] | None = None,
    encoder: EncoderConfig = EncoderConfig(),
    view: TrainView = TrainView(),
    single_body: SingleBody = "zero",
    training: AdamWConfig = AdamWConfig(),
    seed: int = 0,
    device: str = "auto",
    resident: Resident = "auto",
    out: Path | None = None,
    resume: bool = False,
    check: bool = False,
) -> RunFolder | Check:
    """Pre-train an encoder on the training part of a benchmark, and on clips without a label that belong to it.

    Labels are not looked at, and no clip of a test subject is seen, but by the benchmark ``all``.

    Args:
        data: A prepared set.
        method: Name of the method.
        benchmark: Whose training part to learn from.
        options: The method's own options, by name of its constructor's arguments.
        encoder: Sizes of the encoder.
        view: The random view of each clip.
        single_body: What stands in the second slot of a clip with one body.
        training: The recipe.
        seed: Of weights, views, masks and order.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        resident: Keep the joints of the whole set on the device and put batches together there; ``auto``: on a GPU
            that has ten times their size free. ``config.yaml`` says what was done.
        out: The run folder; by default the next free one under ``runs``.
        resume: Go on with the run in ``out``.
        check: Only build everything, train two steps and say what the run would take; nothing is written.

    Returns:
        The run folder, with ``encoder.safetensors`` and ``result.json``; or what the check found.

    Raises:
        InputError: If data, options and model do not fit each other.
        TrainingError: If a loss is not finite.
    """
    options = method_options(method, options or {})
    clips = SkeletonSet.open(data)
    positions = pretraining_part(clips, benchmark)
    _say_what_is_seen(clips, benchmark, positions)
    recipe, training = training, fitted(training, len(positions), out if resume else None)
    kept = options_of(pretrain, locals())
    config = {method if name == "options" else name: value for name, value in kept.items()}
    model = _build(method, clips, encoder, options, seed)
    if model.needs_whole_batch and training.accumulate != 1:
        raise InputError(f"training: {method} compares the clips of a whole batch; accumulate must be 1")
    model.encoder.provenance = provenance_of(clips)
    world = distributed.start(device)
    config["resident"] = keep_resident(clips, world.device, resident)
    model.to(world.device)
    batches = ClipBatches(clips, positions, training.batch_size, seed, encoder.window, view, single_body, world.device)
    say_fitted(recipe, training)
    if check:
        return check_run(model, world, training, batches)
    run = open_run(out, "pretrain", config, resume, world)
    outcome = fit(
        model,
        batches,
        training,
        run,
        world,
        resume=resume,
        data_hash=clips.names_hash(positions),
        name_clips=lambda some: [clips.clips[int(clip)].name for clip in some],
    )
    if world.leads:
        model.encoder.save(run.path / ENCODER)
        run.write_result(
            {
                "kind": "pretrain",
                "method": method,
                **describe(clips, benchmark),
                "clips": {
                    "labelled": len(clips.split(benchmark, "train")),
                    "unlabelled": len(clips.split(benchmark, "unlabelled")),
                    "hash": clips.names_hash(positions),
                },
                "seed": seed,
                "epochs": training.epochs,
                "precision": resolved(training.precision, world.device),
                "steps": training.epochs * batches.steps_per_epoch,
                "loss": outcome.rows[-1]["loss"],
                "parameters": sum(weight.numel() for weight in model.parameters()),
                "minutes": outcome.minutes,
                "processes": world.size,
            }
        )
    return run


def _say_what_is_seen(clips: SkeletonSet, benchmark: str, positions: Int64[np.ndarray, " n"]) -> None:
    """Say which benchmarks' test clips are trained on: a right answer on them is then not one on unseen clips."""
    seen = [
        name for name in clips.benchmarks if name != benchmark and np.isin(clips.split(name, "test"), positions).any()
    ]
    if seen and not len(clips.split(benchmark, "test")):
        distributed.tell(f"benchmark {benchmark} sees clips that test in {', '.join(seen)}; do not count answers there")


def _build(name: str, clips: SkeletonSet, config: EncoderConfig, options: Mapping[str, Any], seed: int) -> MaskedMethod:
    return build_seeded(lambda: METHODS[name](Encoder(clips.layout, config, clips.channels), **options), seed)
