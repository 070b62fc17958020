"""``maskel pretrain``: learn an encoder from unlabelled clips."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskel.models.encoder import EncoderConfig
from maskel.sequence import SingleBody
from maskel.training.dry_run import Check
from maskel.training.experiment import Experiment
from maskel.training.fitting import require_memory
from maskel.training.loading import Resident
from maskel.training.loggers import Log
from maskel.training.optim import AdamWConfig
from maskel.training.options import plain
from maskel.training.pretrained import method_options, new_method, start_from
from maskel.training.run import ENCODER, RunFolder, pretraining_of
from maskel.training.sets import PretrainingSets, Shares
from maskel.transforms import TrainView


def pretrain(
    data: Path | Sequence[Path],
    method: str = "mamp",
    benchmark: str = "xsub",
    options: Mapping[str, Any] | None = None,
    encoder: EncoderConfig = EncoderConfig(),
    init: Path | None = None,
    to_layout: str | None = None,
    shares: Shares = "size",
    view: TrainView = TrainView(),
    single_body: SingleBody = "zero",
    training: AdamWConfig = AdamWConfig(),
    seed: int = 0,
    device: str = "auto",
    resident: Resident = "auto",
    log: Log = "csv",
    out: Path | None = None,
    resume: bool = False,
    check: bool = False,
) -> RunFolder | Check:
    """Pre-train an encoder on the training part of a benchmark, and on clips without a label that belong to it.

    Labels are ignored. Clips of test subjects are never used, except with the benchmark ``all``.

    Args:
        data: A prepared set, or several to learn from at once: joints are matched by name, and those that a set lacks
            are masked in its clips.
        method: Name of the method.
        benchmark: Name of the benchmark to learn from; for several sets one name for all, or one each, with commas.
        options: The method's own options, by name of its constructor's arguments.
        encoder: Sizes of the encoder.
        init: An encoder to continue from, mapped to the set's joints: a run folder of pretrain, its
            ``encoder.safetensors``, ``hf://user/name``, ``synthetic-small``, or a released ``.pth`` file. Its sizes
            replace those of ``encoder``.
        to_layout: Joint layout of all clips; by default that of the first set.
        shares: Share of each of several sets in an epoch: in proportion to its ``size``, to the square root of that
            (``sqrt``), or ``equal``. An epoch has as many clips as all sets together.
        view: The random view of each clip.
        seed: Seed of weights, views, masks and order.

    Returns:
        The run folder, with ``encoder.safetensors`` and ``result.json``; or what the check found.

    Raises:
        InputError: If data, options and model do not fit each other.
        TrainingError: If a loss is not finite.

    Examples:
        >>> small = EncoderConfig(window=8, dim=16, depth=1, num_heads=2)
        >>> training = AdamWConfig(epochs=1, batch_size=8)
        >>> run = pretrain(Path("set"), "mae", encoder=small, training=training, out=Path("mae"))
        >>> run.result["method"]
        'mae'
    """
    options = method_options(method, options or {})
    learned = PretrainingSets.open(data, benchmark, to_layout, shares)
    experiment = Experiment(pretrain, locals(), learned)
    start = None if init is None else start_from(init, learned, encoder)
    encoder = encoder if start is None else start.config
    experiment.settle(encoder=encoder)
    experiment.fit_training()
    model = new_method(method, learned.dataset, start or encoder, options, training, seed)
    learned.require_joints(method, model, view)
    experiment.start()
    world = experiment.world
    require_memory(experiment.training, model.encoder, world)
    model.to(world.device)
    batches = learned.batches(experiment.training.batch_size, seed, encoder.window, view, single_body, world.device)
    if check:
        return experiment.check(model, batches)
    run = experiment.open_run()
    outcome = experiment.fit(model, batches)
    if experiment.is_main:
        model.encoder.save(run.path / ENCODER)
    experiment.about = {"method": method}
    if init is not None:
        experiment.about["init"] = {"encoder": plain(init), "pretraining": pretraining_of(init)}
    return experiment.finish(
        seed=seed,
        epochs=training.epochs,
        precision=experiment.precision,
        steps=training.epochs * batches.steps_per_epoch,
        loss=outcome.rows[-1]["loss"],
        parameters=sum(weight.numel() for weight in model.parameters()),
    )
