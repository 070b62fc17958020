"""Trained classifiers from their files: maskel's own, and those of the public releases."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.hub import fetched
from maskel.methods.classifier import (
    CLASSIFIER,
    CLASSIFIERS,
    FORMAT,
    Classifier,
    FineTuneClassifier,
    LabelSpec,
    LinearProbe,
)
from maskel.models.encoder import build_encoder
from maskel.models.familiarity import MOST_CLIPS, Familiarity
from maskel.models.released import Release, build_released, read_release
from maskel.models.torch_file import is_torch_file
from maskel.models.weights import load_weights
from maskel.training.trained_on import TrainedOn, training_set


def load_classifier(
    path: Path | str,
    device: torch.device | str = "cpu",
    trained_on: TrainedOn | None = None,
    dataset: SkeletonSet | None = None,
) -> Classifier:
    """The trained classifier of a run folder, its file, or a checkpoint of a public release, in eval mode.

    A release's checkpoint has no class names: those of the data set that it was trained on are used, in order. For NTU
    RGB+D 120 a single body is copied into the second slot, as published. Outputs beyond the set's classes stand for no
    class.

    Args:
        path: A run folder of ``maskel finetune`` or ``maskel linear``, its ``classifier.safetensors``,
            ``hf://user/name`` on the Hugging Face Hub, or a ``.pth`` file of MAMP's or HA-CM's public code, after
            linear evaluation or fine-tuning.
        device: Where to put it.
        trained_on: The data set of a ``.pth`` file that does not say it: ``ntu60``, ``ntu120``, ``pku1``, ``pku2``, or
            ``data`` for the classes of ``dataset``.
        dataset: The set that it shall read; its source decides where nothing else does.

    Raises:
        InputError: If there is no such file, it is not a whole maskel classifier, or nothing says its data set.

    Examples:
        >>> dataset = SkeletonSet.open("set")
        >>> model = load_classifier("classifier")
        >>> spec = model.label_spec
        >>> batch = dataset.gather(dataset.split("xsub", "test")[:2], spec.num_bodies, spec.single_body)
        >>> model.classify(batch).shape
        torch.Size([2, 13])
    """
    path = fetched(path, CLASSIFIER)
    file = path / CLASSIFIER if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"{file}: no such classifier; expected a run folder of maskel finetune or linear, or its file")
    if is_torch_file(file):
        return _from_release(read_release(file), trained_on, dataset).to(device)
    if trained_on is not None:
        raise InputError(f"trained_on: {file} knows its classes; leave the option out, it is for released .pth files")
    return load_weights(file, "classifier", FORMAT, _build).to(device)


def _from_release(release: Release, trained_on: TrainedOn | None, dataset: SkeletonSet | None) -> Classifier:
    about, _ = release.encoder
    options = {}
    if "head.fc1.weight" in release.weights:
        kind, last = FineTuneClassifier.kind, "head.fc2.weight"
        options["head_dim"] = release.weight("head.fc1.weight", 2).shape[0]
    else:
        kind, last = LinearProbe.kind, "head.fc.1.weight"
    outputs = release.weight(last, 2).shape[0]
    chosen = training_set(release, outputs, trained_on, dataset)
    spare = [f"no class (output {number + 1})" for number in range(len(chosen.classes), outputs)]
    label_spec = replace(chosen, classes=(*chosen.classes, *spare), spare=len(spare))

    def build() -> Classifier:
        return CLASSIFIERS[kind](build_encoder(about), label_spec, **options)

    return build_released(release.path, build, release.parameters)


def _build(about: Mapping[str, Any]) -> Classifier:
    made = CLASSIFIERS[about["head"]](build_encoder(about), LabelSpec.read(about["task"]), **about["options"])
    if "familiarity" in about:
        clips = about["familiarity"]
        if type(clips) is not int or not 2 <= clips <= MOST_CLIPS:
            raise ValueError(f"features of {clips!r} training clips, expected 2 to {MOST_CLIPS}")
        made.familiarity = Familiarity(made.num_values, clips)
    return made
