"""Encoders and whole methods of earlier runs, fitted to the set that a command reads."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from maskel import distributed
from maskel.datasets.base import Provenance
from maskel.datasets.joined import JoinedSets
from maskel.datasets.provenance import differences, provenance_of
from maskel.datasets.store import SkeletonSet
from maskel.datasets.synthetic import Synthetic
from maskel.errors import InputError
from maskel.files import damaged_as
from maskel.hub import cached, is_reference
from maskel.methods import METHODS
from maskel.methods import method_options as method_options
from maskel.methods.base import build_seeded
from maskel.methods.masked import MaskedMethod
from maskel.models.adaptation import adapted
from maskel.models.encoder import Encoder, EncoderConfig
from maskel.models.loading import load_encoder
from maskel.models.weights import TYPES, refuse_others
from maskel.shipped import is_shipped
from maskel.training.loading import pretraining_positions
from maskel.training.optim import TrainingConfig
from maskel.training.run import ENCODER, STATE, RunFolder
from maskel.training.sets import PretrainingSets


def new_method(
    name: str,
    dataset: SkeletonSet | JoinedSets,
    encoder: EncoderConfig | Encoder,
    options: Mapping[str, Any],
    training: TrainingConfig,
    seed: int,
) -> MaskedMethod:
    """Make a method to train on a set; its weights are random, or those of an encoder to continue from.

    Args:
        name: Name of the method.
        dataset: The set, or several as one.
        encoder: Sizes of the encoder, or the one to go on from.
        options: The method's own options.
        training: The recipe.
        seed: Seed of the weights.

    Raises:
        InputError: If they do not fit each other.
    """

    def build() -> MaskedMethod:
        start = encoder if isinstance(encoder, Encoder) else Encoder(dataset.layout, encoder, dataset.channels)
        return METHODS[name](start, **options)

    model = build_seeded(build, seed)
    if model.needs_whole_batch and training.accumulate != 1:
        raise InputError(f"training: {name} compares the clips of a whole batch; accumulate must be 1")
    model.encoder.provenance = provenance_of(dataset) if isinstance(dataset, SkeletonSet) else dataset.provenance
    return model


def load_method(run: RunFolder) -> MaskedMethod:
    """The whole method of a pre-training run, decoder included, with its last saved weights, in eval mode.

    Raises:
        InputError: If the folder is not a pre-training run.
    """
    config = run.read_config()
    refusal = InputError(f"{run.path}: expected a pre-training run whose {STATE} fits its options")
    with damaged_as(lambda _: refusal):
        kind, options = METHODS[config["method"]], config[config["method"]]
        encoder, weights = load_encoder(run.path), run.load_state()["method"]
        found = {name: (TYPES[tensor.dtype], list(tensor.shape)) for name, tensor in weights.items()}
        refuse_others(lambda: kind(encoder, **options), found)
        method = kind(encoder, **options)
        method.load_state_dict(weights)
    return method.eval()


def load_fitting(path: Path, dataset: SkeletonSet | JoinedSets, window: int | None) -> Encoder:
    """The encoder at ``path``, adapted to the set's joint layout and to the window.

    Raises:
        InputError: If there is none, its channels are not the set's, or it cannot be adapted.
    """
    encoder = adapted(load_encoder(path), dataset.layout, window)
    require_fit(path, encoder, dataset)
    return encoder


def start_from(path: Path, learned: PretrainingSets, sizes: EncoderConfig) -> Encoder:
    """The encoder to go on pre-training, adapted to the sets' layout; says what differs from what was expected of it.

    Args:
        path: The encoder.
        learned: The sets, whose test clips the encoder should not have seen.
        sizes: Sizes in the options; a line names those that are not the encoder's.

    Raises:
        InputError: If there is none, its channels are not the set's, or it cannot be adapted.
    """
    encoder = load_fitting(path, learned.dataset, None)
    if encoder.adapted:
        distributed.notify(encoder.adapted)
    given, usual, actual = asdict(sizes), asdict(EncoderConfig()), asdict(encoder.config)
    if idle := [f"{name} {value}" for name, value in given.items() if value not in (usual[name], actual[name])]:
        distributed.notify(f"the encoder has the sizes of {path}: the options {', '.join(idle)} have no effect")
    seen = names_of_pretraining(path, *learned.sets) or set()
    for dataset, benchmark in zip(learned.sets, learned.names, strict=True):
        say_differences(path, encoder.provenance, dataset)
        test = {dataset.clips[position].name for position in dataset.split(benchmark, "test").tolist()}
        if met := len(test & seen):
            distributed.notify(
                f"{path} was pre-trained on {met:,} of the {len(test):,} test clips of {dataset.path}, without their "
                "labels"
            )
    return encoder


def names_of_pretraining(encoder: Path, *near: SkeletonSet) -> set[str] | None:
    """Names of all clips that an encoder was pre-trained on, and the encoder that it went on from; None if not known.

    A run says the benchmark and the hash of its clips; their names are those of a set that still has the same.

    Args:
        encoder: A run folder or the file in it.
        near: Sets that may be the one, if that of the run's path is not.
    """
    run = RunFolder(encoder.parent if encoder.name == ENCODER else cached(encoder))
    try:
        result = run.result
        if is_shipped(encoder):  # it has seen generated recordings alone, whose names NTU RGB+D has too
            return None if any(dataset.source == Synthetic.name for dataset in near) else set()
        if is_reference(encoder) and result.get("init"):
            return None  # a stranger's file is not followed to other files
        names = [_names(entry, near) for entry in result.get("sets", [result])]
        if result.get("init"):
            names.append(names_of_pretraining(Path(result["init"]["encoder"]), *near))
    except (InputError, KeyError, TypeError):
        return None
    return None if None in names else set().union(*filter(None, names))


def _names(about: Mapping[str, Any], near: Sequence[SkeletonSet]) -> set[str] | None:
    """Names of the clips that a result says were trained on, from the set that has them; None where none does."""
    benchmark = about["benchmark"]
    trained = about.get("clips") or about["split"]["train"]  # versions before unlabelled clips had no `clips`
    for dataset in (*near, SkeletonSet.open(about["data"]["path"])):
        if benchmark in dataset.benchmarks:
            positions = pretraining_positions(dataset, benchmark)
            if dataset.names_hash(positions) == trained["hash"]:
                return {dataset.clips[position].name for position in positions.tolist()}
    return None


def say_fitting(path: Path, encoder: Encoder, dataset: SkeletonSet) -> None:
    """Say how an encoder was adapted to a set, and how the set was prepared otherwise than its training clips."""
    if encoder.adapted:
        distributed.notify(encoder.adapted)
    say_differences(path, encoder.provenance, dataset)


def say_differences(path: Path, made: Provenance | None, dataset: SkeletonSet) -> None:
    """Say in one sentence how a set was prepared otherwise than the training clips of a model.

    Args:
        path: The encoder or classifier that reads it.
        made: Provenance of its training clips; None where that is not known.
        dataset: The set.
    """
    here = provenance_of(dataset)
    if made and here and (how := differences(here, made, dataset.coordinates)):
        distributed.notify(
            f"{dataset.path} was prepared with {how}, as {path} learned from; its answers may be wrong where that "
            "changes unit, origin or frame rate"
        )


def require_fit(path: Path | str, encoder: Encoder, dataset: SkeletonSet | JoinedSets) -> None:
    """Refuse a set that an encoder cannot read.

    Raises:
        InputError: If its layout or channels are not the set's.
    """
    if (encoder.layout.name, encoder.channels) != (dataset.layout.name, dataset.channels):
        raise InputError(
            f"{path} reads layout {encoder.layout.name} ({', '.join(encoder.channels)}), but {dataset.path} holds "
            f"{dataset.layout.name} ({', '.join(dataset.channels)}); expected a set of the same layout and channels"
        )
