"""``maskel pretrain``: learn an encoder from unlabelled clips."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from maskel import distributed
from maskel.datasets.store import SkeletonSet
from maskel.models.encoder import EncoderConfig
from maskel.sequence import SingleBody
from maskel.training.check import Check
from maskel.training.experiment import Experiment
from maskel.training.loading import Resident, pretraining_part
from maskel.training.optim import AdamWConfig
from maskel.training.pretrained import method_options, new_method
from maskel.training.run import ENCODER, RunFolder
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
        resident: Keep the set on the device; auto: a GPU with room for ten.
        out: The run folder; by default the next free one under ``runs``.
        resume: Go on with the run in ``out``.
        check: Only build everything, train two steps and say what the run would take; nothing is written.

    Returns:
        The run folder, with ``encoder.safetensors`` and ``result.json``; or what the check found.

    Raises:
        InputError: If data, options and model do not fit each other.
        TrainingError: If a loss is not finite.

    Examples:
        >>> small = EncoderConfig(window=8, dim=16, depth=1, num_heads=2)
        >>> training = AdamWConfig(epochs=1, batch_size=8)
        >>> run = pretrain(Path("set"), "mae", encoder=small, training=training, out=Path("mae"))
        >>> run.read_result()["method"]
        'mae'
    """
    options = method_options(method, options or {})
    experiment = Experiment(pretrain, locals())
    clips = experiment.clips
    positions = pretraining_part(clips, benchmark)
    _say_what_is_seen(clips, benchmark, positions)
    experiment.fit_training(len(positions))
    model = new_method(method, clips, encoder, options, training, seed)
    experiment.start()
    model.to(experiment.world.device)
    batches = experiment.clip_batches(positions, encoder.window, view)
    if check:
        return experiment.check(model, batches)
    run = experiment.open_run()
    outcome = experiment.fit(model, batches)
    if experiment.leads:
        model.encoder.save(run.path / ENCODER)
    return experiment.finish(
        {"method": method},
        {
            "clips": {
                "labelled": len(clips.split(benchmark, "train")),
                "unlabelled": len(clips.split(benchmark, "unlabelled")),
                "hash": batches.names_hash,
            },
            "seed": seed,
            "epochs": training.epochs,
            "precision": experiment.precision,
            "steps": training.epochs * batches.steps_per_epoch,
            "loss": outcome.rows[-1]["loss"],
            "parameters": sum(weight.numel() for weight in model.parameters()),
        },
    )


def _say_what_is_seen(clips: SkeletonSet, benchmark: str, positions: Int64[np.ndarray, " n"]) -> None:
    """Say which benchmarks' test clips are trained on: a right answer on them is then not one on unseen clips."""
    seen = [
        name for name in clips.benchmarks if name != benchmark and np.isin(clips.split(name, "test"), positions).any()
    ]
    if seen and not len(clips.split(benchmark, "test")):
        distributed.tell(f"benchmark {benchmark} sees clips that test in {', '.join(seen)}; do not count answers there")
