"""``maskel pretrain``: learn an encoder from unlabelled clips."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskel import distributed
from maskel.errors import InputError
from maskel.methods import METHODS
from maskel.methods.base import build_seeded
from maskel.models.encoder import Encoder, EncoderConfig
from maskel.sequence import SingleBody
from maskel.training.check import Check, check_run
from maskel.training.engine import fit
from maskel.training.fitting import fitted, say_fitted
from maskel.training.optim import AdamWConfig
from maskel.training.precision import resolved
from maskel.training.pretrained import method_options, start_from
from maskel.training.run import ENCODER, RunFolder, open_run, options_of, pretraining_of
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
    resident: bool = False,
    out: Path | None = None,
    resume: bool = False,
    check: bool = False,
) -> RunFolder | Check:
    """Pre-train an encoder on the training part of a benchmark, and on clips without a label that belong to it.

    Labels are not looked at, and no clip of a test subject is seen, but by the benchmark ``all``.

    Args:
        data: A prepared set, or several to learn from at once: their joints are matched by name, and a joint that a
            set lacks is masked in its clips.
        method: Name of the method.
        benchmark: Whose training part to learn from; of several sets one name for all, or one for each with commas
            between them.
        options: The method's own options, by name of its constructor's arguments.
        encoder: Sizes of the encoder.
        init: An encoder to go on from instead of random weights: a pre-training run folder, an
            ``encoder.safetensors`` file or a released ``.pth`` checkpoint, mapped to the set's joint layout. Its sizes
            are taken, not those of ``encoder``.
        to_layout: The joint layout that clips are mapped to; that of the first set by default.
        shares: Clips of each of several sets in an epoch, which has as many as all together: as many as it has
            (``size``, one pass over all), in proportion to the square root of that (``sqrt``), or ``equal``.
        view: The random view of each clip.
        single_body: What stands in the second slot of a clip with one body.
        training: The recipe.
        seed: Of weights, views, masks and order.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        resident: Keep the joints of the whole set on the device and put batches together there.
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
    learned = PretrainingSets.open(data, benchmark, to_layout, shares)
    clips = learned.clips
    start = None if init is None else start_from(init, learned, encoder)
    encoder = encoder if start is None else start.config
    recipe, training = training, fitted(training, learned.size, out if resume else None)
    kept = options_of(pretrain, locals())
    config = {method if name == "options" else name: value for name, value in kept.items()}
    model = build_seeded(
        lambda: METHODS[method](start or Encoder(clips.layout, encoder, clips.channels), **options), seed
    )
    if model.needs_whole_batch and training.accumulate != 1:
        raise InputError(f"training: {method} compares the clips of a whole batch; accumulate must be 1")
    learned.require_joints(method, model, view)
    model.encoder.provenance = learned.provenance
    world = distributed.start(device)
    if resident:
        clips.keep_on(world.device)
    model.to(world.device)
    batches = learned.batches(training.batch_size, seed, encoder.window, view, single_body, world.device)
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
        data_hash=learned.hash,
        name_clips=learned.name_clips,
    )
    if world.leads:
        model.encoder.save(run.path / ENCODER)
        run.write_result(
            {
                "kind": "pretrain",
                "method": method,
                **({} if init is None else {"init": {"encoder": str(init), "pretraining": pretraining_of(init)}}),
                **learned.describe(),
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
