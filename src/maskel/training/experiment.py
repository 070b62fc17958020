"""One run of a command: the start and the end that pre-training and every evaluation have in common."""

import time
from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any, Literal

from jaxtyping import Float32
from torch import Tensor, nn

from maskel import distributed
from maskel.datasets.provenance import provenance_of
from maskel.datasets.store import SkeletonSet
from maskel.distributed import World
from maskel.methods.base import Method, build_seeded, check_seed
from maskel.methods.classifier import LabelSpec
from maskel.models.encoder import Encoder
from maskel.protocols import PROTOCOLS
from maskel.training.dry_run import CLIPS_READ, Check, peak_memory
from maskel.training.engine import Outcome, Session, fit, try_steps
from maskel.training.features import extract
from maskel.training.fitting import fitted, say_fitted
from maskel.training.labelled import Labelled, Positions, choose_labelled
from maskel.training.loading import Batches, ClipBatches, keep_resident
from maskel.training.loggers import CSV, LogThread, require_logger
from maskel.training.optim import TrainingConfig
from maskel.training.options import options_of, plain, under_method
from maskel.training.precision import Precision, resolved
from maskel.training.pretrained import load_fitting, say_fitting
from maskel.training.run import Row, RunFolder, open_run, refuse_taken
from maskel.training.sets import PretrainingSets, describe
from maskel.transforms import TrainView

_STEPS_ON_GPU = 10  # in the first ones a GPU makes plans and records, for each number of bodies


class Experiment:
    """One run of a command. Opening it opens the set; `start`, `open_run` and `finish` follow in this order.

    A command refuses what costs nothing between these: options before the set is opened, the set's content and a taken
    folder before `start`, a model that does not fit before `open_run`. Only `open_run` and what follows write.

    Args:
        command: The command's function; its name is that of the protocol.
        options: The value of every argument by name: the function's own ``locals()``.
        learned: The set or sets of pre-training, opened already; other commands have one set, ``data``.

    Attributes:
        about: First entries of ``result.json``, which say what was run.
        options: The value of every argument, as far as it is settled.
        dataset: The set; pre-training has ``learned`` instead.
        world: This process among all, from `start` on.
        labelled: Training clips whose labels are used, from `choose_labelled` on.
        run: The run folder, from `open_run` on.
        log: The logger beside ``metrics.csv``, if there is one, likewise.

    Raises:
        InputError: If there is no such set, or the seed is out of its range.
    """

    dataset: SkeletonSet
    world: World
    labelled: Labelled
    run: RunFolder

    def __init__(
        self, command: Callable[..., object], options: Mapping[str, Any], learned: PretrainingSets | None = None
    ) -> None:
        self._began = time.perf_counter()
        self._command = command
        self.options = {name: options[name] for name in signature(command).parameters}
        self._recipe: TrainingConfig | None = options.get("training")
        self._outcome: Outcome | None = None
        self.about: dict[str, Any] = {}
        self._learned = learned
        self.log: LogThread | None = None
        if (logger := options.get("log", CSV)) != CSV:
            require_logger(logger)
        check_seed(self.options.get("seed", 0))
        if learned is None:
            protocol = PROTOCOLS.get(command.__name__)
            self.dataset = SkeletonSet.open(options["data"], untrimmed=protocol is not None and protocol.untrimmed)

    def settle(self, **options: Any) -> None:
        """Replace options by what they come to on this set; ``config.yaml`` holds that."""
        self.options |= options

    def choose_labelled(self) -> Labelled:
        """Choose the training clips whose labels are used, by the options that say so.

        Raises:
            InputError: If a part is empty, or these options do not fit the set.
        """
        given = {name: self.options[name] for name in ("benchmark", "labels", "stratified", "label_list", "seed")}
        self.labelled = choose_labelled(self.dataset, **given, validation=self.options.get("validation", 0.0))
        return self.labelled

    def fit_training(self) -> None:
        """Shrink batches and warm-up where the training clips are too few for them.

        Raises:
            InputError: If there is no second clip where a classifier is trained, which normalises over a batch.
        """
        num_clips, least = (self._learned.size, 1) if self._learned else (len(self.labelled.train), 2)
        resumed = self.options["out"] if self.options["resume"] else None
        self.settle(training=fitted(self.training, num_clips, resumed, least))

    def refuse_taken(self) -> None:
        """Refuse a run folder that holds something already, before anything expensive is done.

        Raises:
            InputError: If it does, and the run does not go on with it.
        """
        refuse_taken(None if self.options.get("resume") else self.options["out"])

    def start_frozen(self) -> Encoder:
        """Load the encoder to evaluate, or one of its sizes with random weights; `start`, and return it on the device.

        Raises:
            InputError: If there is none, its channels are not the set's, it cannot be adapted, or there is no device.
        """
        path, untrained = self.options["encoder"], self.options.get("untrained", False)
        given = load_fitting(path, self.dataset, self.options.get("window"))
        if untrained:
            sizes = given.layout, given.config, given.channels
            encoder = build_seeded(lambda: Encoder(*sizes), self.options["seed"]).eval()
        else:
            encoder = given
            say_fitting(path, encoder, self.dataset)
        self.about = {"encoder": plain(path), "untrained": untrained, "adapted": encoder.adapted}
        self.start()
        return encoder.to(self.world.device)

    def start(self) -> None:
        """Join the other processes, choose the device, and keep the set on it if it shall be ``resident``.

        Raises:
            InputError: If there is no such device.
        """
        self.world = distributed.start(self.options.get("device", "cpu"))
        if "resident" in self.options:
            dataset = self._learned.dataset if self._learned else self.dataset
            self.settle(resident=keep_resident(dataset, self.world.device, self.options["resident"]))

    @property
    def is_main(self) -> bool:
        """True in the process that writes files."""
        return self.world.is_main

    @property
    def training(self) -> TrainingConfig:
        """The recipe, as far as it is settled."""
        training: TrainingConfig = self.options["training"]
        return training

    @property
    def precision(self) -> Literal["fp32", "bf16"]:
        """Number type of the matrix products."""
        training = self.options.get("training")
        wished: Precision = self.options.get("precision", training.precision if training else "fp32")
        return resolved(wished, self.world.device)

    def label_spec(self) -> LabelSpec:
        """Return what a classifier of the labelled training clips must know of them."""
        return LabelSpec.of(self.dataset, self.labelled.train, self.options["single_body"], provenance_of(self.dataset))

    def clip_batches(self, window: int, view: TrainView | None) -> ClipBatches:
        """Return batches of the labelled training clips.

        Args:
            window: Frames that the model reads.
            view: The random view; None for the test view.

        Raises:
            InputError: If the view asks more of the layout than it has.
        """
        size, seed, single_body = self.training.batch_size, self.options["seed"], self.options["single_body"]
        train, device = self.labelled.train, self.world.device
        return ClipBatches(self.dataset, train, size, seed, window, view, single_body, device)

    def features(self, encoder: Encoder, positions: Positions) -> Float32[Tensor, "n f"]:
        """Compute features of the clips at ``positions`` in the test view, each exactly once, on every process."""
        single_body, pool = self.options["single_body"], self.options.get("pool", "mean")
        return extract(encoder, self.dataset, positions, self.world, single_body, self.precision, pool=pool)

    def check(
        self,
        model: nn.Module,
        batches: Batches | None = None,
        read: Callable[[Positions], object] | None = None,
        positions: Positions | None = None,
        times: int = 1,
    ) -> Check:
        """Train two steps, read a few clips, and say what the whole run would take. The weights change.

        Args:
            model: Built and on the device.
            batches: Batches of training, where something is trained.
            read: Evaluates clips by position.
            positions: Clips of evaluation.
            times: Number of evaluations.

        Raises:
            TrainingError: If a loss is not finite.
        """
        self._say_fitted()
        device, weights = self.world.device, list(model.parameters())
        found: dict[str, Any] = {
            "parameters": sum(weight.numel() for weight in weights),
            "trained": sum(weight.numel() for weight in weights if weight.requires_grad),
        }
        if batches is not None and isinstance(model, Method):
            steps = _STEPS_ON_GPU if device.type == "cuda" else 2
            seconds = try_steps(model, batches, self.training, self.world, steps)
            found |= {"epochs": self.training.epochs, "steps_per_epoch": batches.steps_per_epoch}
            found["seconds_per_step"] = min(seconds[1:])
        if read is not None and positions is not None:
            sample = positions[:CLIPS_READ]
            read(sample)
            started = time.perf_counter()
            read(sample)
            found["seconds_per_clip"] = (time.perf_counter() - started) / len(sample)
            found["clips_read"] = len(positions) * times
        return Check(**found, memory=peak_memory(device))

    def open_run(self) -> RunFolder:
        """Open the run folder: a new one with its ``config.yaml``, or the one to go on with.

        Raises:
            InputError: If the folder is taken, or cannot be resumed with these options.
        """
        self._say_fitted()
        out, resume = self.options["out"], self.options.get("resume", False)
        config = under_method(options_of(self._command, self.options))
        self.run = open_run(out, self._command.__name__, config, resume, self.world)
        if self.is_main and (logger := self.options.get("log", CSV)) != CSV:
            self.log = LogThread(logger, self.run.path, config)
        return self.run

    def fit(self, method: Method, batches: Batches, after_epoch: Callable[[], Row] | None = None) -> Outcome:
        """Train ``method`` in the run folder; see `maskel.training.engine.fit`."""
        session = Session(self.training, self.run, self.world, self.options["resume"], log=self.log)
        try:
            self._outcome = fit(method, batches, session, after_epoch)
        except BaseException:
            if self.log:
                self.log.end({})
            raise
        return self._outcome

    def finish(self, **found: Any) -> RunFolder:
        """Write ``result.json``, in the leading process: `about`, the data, and what was found.

        Args:
            found: Entries after those of the data: counts, and measurements of the training.
        """
        if self.is_main:
            minutes = self._outcome.minutes if self._outcome else (time.perf_counter() - self._began) / 60
            data = self._learned.describe() if self._learned else describe(self.dataset, self.options["benchmark"])
            measured = {"minutes": minutes, "processes": self.world.size}
            result = {"kind": self._command.__name__, **self.about, **data, **found, **measured}
            self.run.write_result(result)
            if self.log:
                self.log.end(result)
        return self.run

    def _say_fitted(self) -> None:
        if self._recipe is not None:
            say_fitted(self._recipe, self.training)
