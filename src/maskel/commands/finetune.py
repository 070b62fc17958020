"""``maskel finetune``: train encoder and head together; semi-supervised, transfer and from scratch as well."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from maskel import distributed
from maskel.errors import InputError
from maskel.methods.base import build_seeded
from maskel.methods.classifier import ClassWeights, FineTuneClassifier, HeadKind
from maskel.methods.masked import Bodies
from maskel.models.encoder import Encoder, EncoderConfig
from maskel.sequence import SingleBody
from maskel.training.dry_run import Check
from maskel.training.experiment import Experiment
from maskel.training.fitting import require_memory
from maskel.training.labelled import Positions
from maskel.training.loading import Resident
from maskel.training.loggers import Log
from maskel.training.optim import FinetuneConfig
from maskel.training.options import plain
from maskel.training.pretrained import load_fitting, say_fitting
from maskel.training.run import RunFolder
from maskel.training.supervised import check_training, make_ready, score_clips, train_classifier
from maskel.transforms import TrainView

_HEAD_DIM = 2048


def finetune(
    data: Path,
    encoder: Path | EncoderConfig = EncoderConfig(),
    benchmark: str = "xsub",
    window: int | None = None,
    labels: float = 1.0,
    stratified: bool = True,
    label_list: Path | None = None,
    validation: float = 0.0,
    class_weights: ClassWeights = "none",
    bodies: Bodies = "all",
    freeze_epochs: int = 0,
    head: HeadKind = "mlp",
    head_dim: int = _HEAD_DIM,
    drop_path: float = 0.3,
    dropout: float = 0.3,
    label_smoothing: float = 0.1,
    view: TrainView = TrainView(),
    single_body: SingleBody = "zero",
    training: FinetuneConfig = FinetuneConfig(),
    seed: int = 0,
    device: str = "auto",
    resident: Resident = "auto",
    log: Log = "csv",
    out: Path | None = None,
    resume: bool = False,
    check: bool = False,
) -> RunFolder | Check:
    """Train an encoder and the published head on labelled clips and count right answers on the test part.

    With a share of the labels this is the semi-supervised protocol, with an encoder from another set it is transfer,
    and without an encoder it is training from scratch. The result is the last epoch's accuracy; the best epoch's is
    reported beside it, and named as such.

    Args:
        encoder: A run folder of pretrain, its ``encoder.safetensors``, ``hf://user/name``, ``synthetic-small``, or a
            released ``.pth`` file; or the sizes of an encoder to train from scratch (``--encoder.window 60``, or a
            recipe's section ``encoder``), which is what happens without it.
        window: Frames that a pre-trained encoder reads; if other than in pre-training, its time embedding is resized.
        bodies: ``all`` averages over all body slots, absent ones included, as published; ``present`` skips these.
        freeze_epochs: Epochs at the start in which the head alone learns and the encoder keeps its weights; 0, as
            published, for none.
        head: ``mlp`` as published; ``linear``: BatchNorm and one linear layer, for few labels; or ``fitted``: the same,
            beginning as the regularised probe of ``maskel linear`` on the encoder as it is given (with ``view.mirror``
            fitted to mirror images too).
        head_dim: Width of the ``mlp`` head between its two layers, 1 or more.
        drop_path: Share of branches that stochastic depth drops in the last block, in [0, 1).
        dropout: Share of the token values dropped before the head, in [0, 1).
        label_smoothing: Share of each label that is spread over all classes, in [0, 1].
        seed: Seed of head, labels, views, order, dropout and stochastic depth (and of the encoder, from scratch).

    Returns:
        The run folder, with ``result.json``, ``predictions.csv``, ``scores.npz`` and ``classifier.safetensors``;
        or what the check found.

    Raises:
        InputError: If data, options and encoder do not fit each other.
        TrainingError: If a loss is not finite.

    Examples:
        >>> training = FinetuneConfig(epochs=1, batch_size=8)
        >>> run = finetune(Path("set"), Path("run"), head_dim=16, training=training, out=Path("finetuned"))
        >>> run.result["seen"]
        13
    """
    check_training(training)
    scratch = isinstance(encoder, EncoderConfig)
    if scratch and window is not None:
        raise InputError("window: there is no pre-trained encoder to resize; use --encoder.window instead")
    if not 0 <= freeze_epochs < training.epochs or (scratch and freeze_epochs):
        wanted = (
            "0, as there is no encoder to keep" if scratch else f"0 to {training.epochs - 1}, fewer than all epochs"
        )
        raise InputError(f"freeze_epochs: found {freeze_epochs}, expected {wanted}")
    if head != "mlp" and head_dim != _HEAD_DIM:
        raise InputError(f"head_dim: does nothing with --head {head}; leave it out, or choose --head mlp")
    if head == "fitted" and scratch:
        raise InputError("head: fitted begins as a probe of a pre-trained encoder; give --encoder, or another --head")
    if scratch:
        distributed.notify("no pre-trained --encoder: this trains from scratch")
    if training.layer_decay is None:
        training = replace(training, layer_decay=1.0 if scratch else 0.8)
    experiment = Experiment(finetune, locals())
    dataset = experiment.dataset
    labelled = experiment.choose_labelled()
    experiment.fit_training()
    experiment.refuse_taken()
    given = encoder if isinstance(encoder, EncoderConfig) else load_fitting(encoder, dataset, window)
    if isinstance(encoder, Path) and isinstance(given, Encoder):
        say_fitting(encoder, given, dataset)

    def build() -> FineTuneClassifier:
        start = given if isinstance(given, Encoder) else Encoder(dataset.layout, given, dataset.channels)
        label_spec = experiment.label_spec()
        made = FineTuneClassifier(start, label_spec, bodies, head_dim, drop_path, dropout, label_smoothing, head)
        made.freeze_epochs = freeze_epochs
        return made

    classifier = build_seeded(build, seed)
    experiment.start()
    require_memory(experiment.training, classifier.encoder, experiment.world)
    make_ready(experiment, classifier)
    batches = experiment.clip_batches(classifier.encoder.config.window, view)

    def scores_of(positions: Positions) -> Tensor:
        return score_clips(classifier, dataset, positions, experiment.world, training.precision)

    if check:
        scored = np.concatenate(list(labelled.eval_positions.values()))
        return experiment.check(classifier, batches, scores_of, scored, times=training.epochs)
    experiment.about = {
        "encoder": None if scratch else plain(encoder),
        "from_scratch": scratch,
        "adapted": classifier.encoder.adapted,
        "seed": seed,
    }
    if head == "fitted":
        from maskel.training.probes import fit_head  # scikit-learn takes a second to import

        experiment.about["fitted_head"] = fit_head(experiment, "regularised", classifier)
    return train_classifier(experiment, classifier, batches, lambda name: scores_of(labelled.eval_positions[name]))
