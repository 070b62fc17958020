"""scikit-learn's interface: an encoder as a transformer, and a classifier that pre-trains on what it is fitted to.

Clips are a list of arrays (T, V, C) or (M, T, V, C), or positions in a prepared set, so that scikit-learn's splits,
pipelines and searches work on them. No run folder is written.
"""

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias, get_args

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d
from torch import Tensor

from maskel import distributed
from maskel.datasets.arrays import positions_in, write_arrays
from maskel.datasets.provenance import provenance_of
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.files import scratch_folder
from maskel.layouts import Layout, layout_named
from maskel.methods.base import build_seeded
from maskel.methods.classifier import FineTuneClassifier, LabelSpec
from maskel.methods.masked import Bodies
from maskel.models.adaptation import adapted
from maskel.models.encoder import Encoder, EncoderConfig
from maskel.models.loading import load_encoder
from maskel.models.pooling import Pool
from maskel.sequence import XYZ, Channels, SkeletonBatch
from maskel.training.features import read_clips
from maskel.training.optim import AdamWConfig, FinetuneConfig
from maskel.training.precision import Precision
from maskel.training.pretrained import method_options, new_method, require_fit, say_fitting
from maskel.training.regularised import FittedProbe, Linear, divide, fit_features
from maskel.training.supervised import check_training, head_reader
from maskel.training.unkept import train_unkept
from maskel.transforms import TrainView

Clips: TypeAlias = Any
"""Arrays of clips, or positions in a set: what scikit-learn calls X."""
ClassifierKind: TypeAlias = FittedProbe | Literal["finetune"]
"""A probe on features of a frozen encoder; or fine-tuning, which trains the encoder and a head together."""


class _SkeletonEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Common part of both estimators: reading clips, and their features under a frozen encoder."""

    pool: Pool
    bodies: Bodies
    window: int | None
    layout: str | None
    data: Path | str | None
    device: str
    encoder_: Encoder
    num_bodies_: int
    _precision: Precision = "fp32"
    _fitted: ClassVar[str]  # what `fit` sets last

    def __sklearn_tags__(self) -> Any:
        """Say that clips are not the rows of one matrix."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        return tags

    @contextmanager
    def _opened(
        self, given: Clips, layout: Layout, channels: Channels
    ) -> Iterator[tuple[SkeletonSet, Int64[np.ndarray, " n"]]]:
        """Open the set that clips are positions of, or make one of arrays for as long as it is needed."""
        if self.data is not None:
            dataset = SkeletonSet.open(self.data)
            yield dataset, positions_in(given, dataset)
            return
        with scratch_folder() as folder:
            dataset = write_arrays(given, layout, channels, folder / "set")
            yield dataset, np.arange(len(dataset))

    def _check(self, **more: tuple[object, ...]) -> None:
        """Refuse an option that is none of its words."""
        for name, known in ({"pool": get_args(Pool), "bodies": get_args(Bodies)} | more).items():
            if getattr(self, name) not in known:
                raise InputError(f"{name}: found {getattr(self, name)!r}, expected {' or '.join(map(str, known))}")

    def _adopt(self, encoder: Encoder, dataset: SkeletonSet) -> None:
        """Adopt an encoder and the number of body slots."""
        self.encoder_ = encoder.requires_grad_(False).eval()
        self.num_bodies_ = dataset.max_bodies

    def _load(self, encoder: Encoder | Path | str) -> Encoder:
        """Load the encoder, mapped to the layout and window that are wanted; the caller's own stays as it is."""
        own = copy.deepcopy(encoder) if isinstance(encoder, Encoder) else load_encoder(encoder)
        if self.data is not None:
            if self.layout is not None:
                raise InputError(f"layout: {self.data} says its layout itself; leave it out")
            layout = SkeletonSet.open(self.data).layout
        else:
            layout = own.layout if self.layout is None else layout_named(self.layout)
        return adapted(own, layout, self.window)

    def _reader(self) -> Callable[[SkeletonBatch], Tensor]:
        """Return the function that makes one row of every clip of a batch: its features."""
        encoder, every = self.encoder_, self.bodies == "all"
        return lambda batch: encoder.pool(batch, absent_bodies=every, pool=self.pool)

    def _rows(self, dataset: SkeletonSet, positions: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, "n f"]:
        """Compute one row of every clip in the test view."""
        world = distributed.start(self.device)
        encoder = self.encoder_.to(world.device)
        slots = self.num_bodies_ if self.bodies == "all" else dataset.max_bodies
        if more := int((dataset.bodies[positions] > slots).sum()):
            warnings.warn(
                f"{more} of {len(positions)} clips have more bodies than the {slots} of the clips that were fitted; "
                f"only the first {slots} of each are used",
                stacklevel=3,
            )
        window, precision = encoder.config.window, self._precision
        rows = read_clips(self._reader(), window, slots, "zero", dataset, positions, world, precision)
        return rows.cpu().numpy()

    def _read(self, given: Clips) -> Float32[np.ndarray, "n f"]:
        """Compute one row of every clip with what was fitted."""
        check_is_fitted(self, self._fitted)
        encoder = self.encoder_
        with self._opened(given, encoder.layout, encoder.channels) as (dataset, positions):
            require_fit(self._name(), encoder, dataset)
            return self._rows(dataset, positions)

    def _name(self) -> Path:
        """Name the encoder, for messages."""
        given = getattr(self, "encoder", None)
        return Path(given) if isinstance(given, str | Path) else Path("the encoder")


class SkeletonTransformer(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    _SkeletonEstimator,
):
    """Turns clips into the features of a frozen encoder, those of ``maskel embed``.

    Fitting learns nothing from clips but how many body slots they have: the features of ``bodies="all"`` are a mean
    over these.

    Args:
        encoder: A run folder of pretrain, its ``encoder.safetensors``, ``hf://user/name``, a released ``.pth`` file,
            or an `Encoder`.
        pool: Tokens to average, see `maskel.models.pooling.Pool`.
        bodies: ``all`` averages over all body slots, absent ones included, as published; ``present`` over the bodies
            there, so that features do not depend on the number of slots.
        window: Frames that the encoder reads, if others than in pre-training.
        layout: Joint layout of arrays, if another than the encoder's, which is then mapped to it.
        data: A prepared set; X is then positions in it.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Attributes:
        encoder_: The encoder, mapped to layout and window.
        num_bodies_: Body slots.

    Examples:
        >>> import numpy as np
        >>> from maskel.sklearn import SkeletonTransformer
        >>> clips = [np.random.default_rng(0).normal(size=(frames, 25, 3)) for frames in (30, 50)]
        >>> SkeletonTransformer("run", pool="regions").fit_transform(clips).shape
        (2, 80)
        >>> SkeletonTransformer("run", data="set").fit_transform([0, 1, 2]).shape
        (3, 16)
    """

    _fitted = "_n_features_out"

    def __init__(
        self,
        encoder: Encoder | Path | str | None = None,
        pool: Pool = "mean",
        bodies: Bodies = "all",
        window: int | None = None,
        layout: str | None = None,
        data: Path | str | None = None,
        device: str = "auto",
    ) -> None:
        self.encoder = encoder
        self.pool = pool
        self.bodies = bodies
        self.window = window
        self.layout = layout
        self.data = data
        self.device = device

    def __sklearn_tags__(self) -> Any:
        """Say that features are float32, whatever type clips are of."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    def fit(self, X: Clips, y: object = None) -> "SkeletonTransformer":
        """Load the encoder and count body slots; of a set those of all its clips.

        Raises:
            InputError: If encoder and clips do not fit each other.
        """
        self._check()
        if self.encoder is None:
            raise InputError("encoder: found None, expected a run folder of pretrain, an encoder's file or an Encoder")
        encoder = self._load(self.encoder)
        with self._opened(X, encoder.layout, encoder.channels) as (dataset, _):
            require_fit(self._name(), encoder, dataset)
            say_fitting(self._name(), encoder, dataset)
            self._adopt(encoder, dataset)
        self._n_features_out = encoder.num_features(self.pool)
        return self

    def transform(self, X: Clips) -> Float32[np.ndarray, "n f"]:
        """Compute one row of features per clip, in the test view.

        Raises:
            InputError: If clips do not fit the encoder.
            NotFittedError: If `fit` was not called.
        """
        return self._read(X)


class SkeletonClassifier(ClassifierMixin, _SkeletonEstimator):  # type: ignore[misc]
    """Fits a classifier to an encoder: a given one, or one pre-trained on the same clips.

    Pre-training does not look at labels. The classifier is that of ``maskel linear --probe regularised``, linear on the
    features: the strength of its penalty is chosen on clips held out by subject where groups are known. With
    ``probe="finetune"`` it is that of ``maskel finetune``: encoder and head are trained together.

    Args:
        encoder: As for `SkeletonTransformer`; or the sizes of one to pre-train in `fit`, by default MAMP's.
        method: Pre-training method, where one is pre-trained.
        options: The method's options.
        training: Recipe of pre-training, by default that of ``maskel pretrain``.
        view: Random view of pre-training and of fine-tuning, by default the published one.
        probe: ``regularised``, a logistic regression; or ``svm``, linear support vector machines, which have no
            probabilities; or ``finetune``, which trains a copy of the encoder with a head.
        pool: Tokens to average, see `maskel.models.pooling.Pool`; the head of fine-tuning has its own.
        bodies: Body slots to average over, as for `SkeletonTransformer`.
        window: Frames that a given encoder reads, if others than in pre-training.
        layout: Joint layout of arrays; by default that of a given encoder.
        channels: Names of the C values of a joint in arrays, where an encoder is pre-trained; x, y, z by default.
        data: A prepared set; X is then positions in it, and its subjects are the groups.
        random_state: Seed of weights, views, masks and order.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        finetuning: Recipe of ``probe="finetune"``, by default that of ``maskel finetune``.

    Attributes:
        classes_: Labels, sorted.
        encoder_: The encoder, frozen; the fine-tuned one with ``probe="finetune"``.
        num_bodies_: Body slots.
        strength_: Inverse strength C of the penalty that was chosen; not of fine-tuning.
        chosen_on_: Clips that it was chosen on, in words; not of fine-tuning.

    Examples:
        >>> import numpy as np
        >>> from maskel import SkeletonSet
        >>> from maskel.sklearn import SkeletonClassifier
        >>> from maskel.training.optim import FinetuneConfig
        >>> dataset = SkeletonSet.open("set")
        >>> train, test = dataset.split("xsub", "train"), dataset.split("xsub", "test")
        >>> model = SkeletonClassifier("run", data="set").fit(train, dataset.labels[train])
        >>> model.predict_proba(test).shape
        (13, 13)
        >>> recipe = FinetuneConfig(epochs=1, batch_size=8)
        >>> tuned = SkeletonClassifier("run", data="set", probe="finetune", finetuning=recipe)
        >>> tuned.fit(train, dataset.labels[train]).predict(test).shape
        (13,)
    """

    classes_: np.ndarray
    _scores: Linear  # of a probe
    _tuned: FineTuneClassifier | None = None
    _fitted = "classes_"

    def __init__(
        self,
        encoder: Encoder | EncoderConfig | Path | str | None = None,
        method: str = "mamp",
        options: Mapping[str, Any] | None = None,
        training: AdamWConfig | None = None,
        view: TrainView | None = None,
        probe: ClassifierKind = "regularised",
        pool: Pool = "mean",
        bodies: Bodies = "all",
        window: int | None = None,
        layout: str | None = None,
        channels: Channels | None = None,
        data: Path | str | None = None,
        random_state: int = 0,
        device: str = "auto",
        finetuning: FinetuneConfig | None = None,
    ) -> None:
        self.encoder = encoder
        self.method = method
        self.options = options
        self.training = training
        self.view = view
        self.probe = probe
        self.pool = pool
        self.bodies = bodies
        self.window = window
        self.layout = layout
        self.channels = channels
        self.data = data
        self.random_state = random_state
        self.device = device
        self.finetuning = finetuning

    def fit(self, X: Clips, y: Any, groups: Sequence[object] | None = None) -> "SkeletonClassifier":
        """Pre-train on the clips, where no encoder is given, and fit the classifier to their features, or fine-tune.

        Args:
            X: Clips.
            y: (N,) their labels, of any type.
            groups: (N,) subject of each clip; of a prepared set its own by default. The strength of the penalty is
                chosen on clips of held-out subjects, or of held-out clips where there are no groups. Fine-tuning
                chooses nothing and needs none.

        Raises:
            InputError: If clips, labels and options do not fit each other.
        """
        self._check(probe=(*get_args(FittedProbe), "finetune"))
        self._check_recipe()
        check_consistent_length(X, y)
        check_classification_targets(y)
        classes, labels = np.unique(column_or_1d(y), return_inverse=True)
        seed = self.random_state
        if not isinstance(seed, Integral) or not 0 <= seed < 2**63:
            raise InputError(f"random_state: found {seed}, expected a whole number of 0 or more, and less than 2^63")
        given = None if self.encoder is None or isinstance(self.encoder, EncoderConfig) else self._load(self.encoder)
        with self._opened(X, *self._form(given)) as (dataset, positions):
            if groups is None:
                groups = [dataset.clips[position].subject for position in positions.tolist()]
            check_consistent_length(X, groups)
            folds, chosen_on = divide(labels, [str(group) for group in groups], seed)
            if given is not None:
                require_fit(self._name(), given, dataset)
                say_fitting(self._name(), given, dataset)
            encoder = self._pretrain(dataset, positions) if given is None else given
            if self.probe == "finetune":
                self._finetune(encoder, dataset, positions, labels, classes)
            else:
                self._adopt(encoder, dataset)
                self._tuned, self._precision = None, "fp32"
                features = self._rows(dataset, positions).astype(np.float64)
                found = fit_features(self.probe, features, labels, folds, balanced=False)
                self._scores, self.strength_, self.chosen_on_ = found.scores, found.strength, chosen_on
        self.classes_ = classes
        return self

    def _check_recipe(self) -> None:
        """Refuse options that would do nothing, and a recipe that fine-tuning cannot use, before anything is done."""
        if self.probe == "finetune" and self.pool != "mean":
            raise InputError(f"pool: found {self.pool!r}, but the head of probe='finetune' has its own; leave it out")
        if self.probe != "finetune" and self.finetuning is not None:
            raise InputError(f"finetuning: does nothing with probe={self.probe!r}; leave it out, or choose 'finetune'")
        if self.finetuning is not None:
            check_training(self.finetuning)

    def _finetune(
        self,
        encoder: Encoder,
        dataset: SkeletonSet,
        positions: Int64[np.ndarray, " n"],
        labels: Int64[np.ndarray, " n"],
        classes: np.ndarray,
    ) -> None:
        """Train the encoder and a head; of an earlier fit of a probe nothing is left."""
        relabelled = np.zeros(len(dataset), np.int64)
        relabelled[positions] = labels
        if (unlike := relabelled[positions] != labels).any():
            name = dataset.clips[int(positions[unlike][0])].name
            raise InputError(f"y: found two labels for clip {name}, which X has twice; expected one label a clip")
        recipe = self.finetuning or FinetuneConfig()
        if recipe.layer_decay is None:
            recipe = replace(recipe, layer_decay=0.8)
        of_clips = LabelSpec.of(dataset, positions, "zero", provenance_of(dataset))
        label_spec = replace(of_clips, classes=tuple(map(str, classes)))
        encoder.requires_grad_(True)  # that of a fitted estimator is frozen
        seed, view = int(self.random_state), self.view or TrainView()
        tuned = build_seeded(lambda: FineTuneClassifier(encoder, label_spec, self.bodies), seed)
        train_unkept(tuned, recipe, dataset, positions, view, seed, self.device, relabelled)
        self._adopt(tuned.encoder, dataset)
        self._tuned, self._precision = tuned.requires_grad_(False).eval(), recipe.precision
        for name in ("_scores", "strength_", "chosen_on_"):
            self.__dict__.pop(name, None)

    def _form(self, given: Encoder | None) -> tuple[Layout, Channels]:
        """Return the joint layout and the channels of arrays."""
        if self.data is not None:
            dataset = SkeletonSet.open(self.data)
            if self.layout is not None or self.channels is not None:
                raise InputError(f"layout, channels: {self.data} says its own; leave them out")
            return dataset.layout, dataset.channels
        if given is not None:
            return given.layout, self.channels or given.channels
        if self.layout is None:
            raise InputError("layout: found none, expected the joint layout of the arrays by name, such as ntu25")
        return layout_named(self.layout), tuple(self.channels or XYZ)

    def _pretrain(self, dataset: SkeletonSet, positions: Int64[np.ndarray, " n"]) -> Encoder:
        """Pre-train an encoder on clips."""
        if self.window is not None:
            raise InputError("window: of an encoder that is pre-trained here it is in its sizes; leave it out")
        config = self.encoder if isinstance(self.encoder, EncoderConfig) else EncoderConfig()
        recipe, options = self.training or AdamWConfig(), method_options(self.method, self.options or {})
        model = new_method(self.method, dataset, config, options, recipe, self.random_state)
        train_unkept(model, recipe, dataset, positions, self.view or TrainView(), self.random_state, self.device)
        return model.encoder

    def _scored(self, given: Clips) -> Float64[np.ndarray, "n k"]:
        rows = self._read(given).astype(np.float64)
        return self._scores(rows) if self._tuned is None else rows

    def _reader(self) -> Callable[[SkeletonBatch], Tensor]:
        """Return the function that makes features; or class scores, where the classifier was fine-tuned."""
        if self._tuned is None:
            return super()._reader()
        tuned = self._tuned.to(self.encoder_.patch_embed.weight.device)
        return head_reader(tuned, tuned.scores)

    def decision_function(self, X: Clips) -> Float64[np.ndarray, "n *k"]:
        """Compute class scores (N, K); of two classes one score (N,), above 0 for the second."""
        scores = self._scored(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: Clips) -> np.ndarray:
        """Return the label of each clip with the highest score."""
        best = self._scored(X).argmax(1)
        labels: np.ndarray = self.classes_[best]
        return labels

    @available_if(lambda classifier: classifier.probe != "svm")  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Clips) -> Float64[np.ndarray, "n k"]:
        """Compute the probability of each class; not of ``probe="svm"``."""
        return torch.from_numpy(self._scored(X)).softmax(1).numpy()
