"""One training loop for every command.

It sees a method, batches and a recipe. Draws depend on (seed, epoch, clip) only, so a run that was stopped and resumed
equals one that was not, and neither processes nor micro-batches change the result but for rounding.
"""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields
from inspect import signature
from types import FrameType
from typing import Any

import torch
from torch import nn

from maskel.distributed import World, all_reduce, notify
from maskel.errors import InputError, ProcessLostError, Stopped, TrainingError
from maskel.files import damaged_as
from maskel.methods.base import Method
from maskel.signals import handled
from maskel.training.loading import Batches
from maskel.training.loggers import LogThread
from maskel.training.optim import TrainingConfig
from maskel.training.precision import multiplies_bf16
from maskel.training.progress import Progress
from maskel.training.run import Row, RunFolder
from maskel.training.steps import Steps, steps_ahead


@dataclass(frozen=True)
class Session:
    """Recipe, process and folder of a training run.

    Args:
        training: The recipe.
        run: Where state and metrics go.
        world: This process among all.
        resume: Go on from the run's saved state.
        kept: The folder stays, so that a run that ends early can be gone on with; and progress is shown.
        log: Logger beside ``metrics.csv``.
    """

    training: TrainingConfig
    run: RunFolder
    world: World
    resume: bool = False
    kept: bool = True
    log: LogThread | None = None


@dataclass(frozen=True)
class Outcome:
    """Outcome of a finished run.

    Args:
        rows: One row of metrics per epoch.
        minutes: Wall time of the training loop, earlier parts of a resumed run included.
    """

    rows: list[Row]
    minutes: float


@dataclass
class _State:
    """Progress of a run: its saved state without weights and optimiser."""

    step: int
    rows: list[Row]
    totals: dict[str, float]
    seconds: float
    data_hash: str


def fit(method: Method, batches: Batches, session: Session, after_epoch: Callable[[], Row] | None = None) -> Outcome:
    """Train ``method``.

    Args:
        method: Moved to the device already.
        batches: Batches of training clips; a run is resumed with the same clips only.
        session: Options of the training, and the run folder.
        after_epoch: Called after every epoch; its numbers join the epoch's row.

    Raises:
        InputError: If a batch cannot be shared by all processes and micro-batches.
        TrainingError: If a loss or gradient is not finite (a state from before that step is saved), a state cannot be
            written, or another process has ended.
        Stopped: After Ctrl-C or SIGTERM; the state is saved.
    """
    training, run, world = session.training, session.run, session.world
    if training.batch_size < world.size * training.accumulate:
        raise InputError(
            f"training: batch_size {training.batch_size} cannot be shared by {world.size} processes with accumulate "
            f"{training.accumulate}; every micro-batch needs a clip"
        )
    optimizer = training.optimizer(method)
    state = _State(0, [], {}, 0.0, batches.names_hash)
    steps = batches.steps_per_epoch
    if session.resume and run.has_state:
        state = _restore(run, method, optimizer, world, batches.names_hash, training.epochs * steps)
    todo = Steps(method, optimizer, batches, training, world, range(state.step, training.epochs * steps))
    clock = time.perf_counter() - state.seconds
    saved = state.step

    def save() -> None:
        nonlocal saved
        state.seconds = time.perf_counter() - clock
        if world.is_main:
            with writing():
                _save(run, state, method, optimizer, todo.rates)
        saved = state.step

    def count(ahead: int) -> bool:
        """Count the steps launched, but the last ``ahead``; return True if a process wishes to stop."""
        wished = False
        for report in todo.read(ahead):
            epoch, step = divmod(state.step, steps)
            rate = training.learning_rate(epoch + step / steps)
            if not report.finite:
                if state.step == 0:
                    optimizer.state.clear()  # moments come with the first step that is counted
                whole = all(bool(value.isfinite().all()) for value in method.state_dict().values())
                if whole:
                    save()
                clips, loss = batches.step_clips(epoch, step), report.sums["loss"]
                raise _not_finite(state.step, epoch, rate, loss, run, whole, len(clips), batches.names(clips[:8]))
            for name, value in report.sums.items():
                state.totals[name] = state.totals.get(name, 0.0) + value
            state.step += 1
            progress.step(report.sums["loss"] / report.sums["weight"], rate, batches.batch_size)
            wished |= report.stop
        return wished

    @contextmanager
    def writing() -> Iterator[None]:
        try:
            yield
        except OSError as fault:
            kept = f"what was learned after step {saved} is lost; make room and go on with --resume {run.path}"
            raise TrainingError(
                f"step {state.step} cannot be saved: {fault.filename}: {fault.strerror}; "
                f"{kept if session.kept else 'make room there'}"
            ) from fault

    _advise(training, world)
    method.train()
    with (
        run.in_use() if world.is_main else nullcontext(),
        _lost_process_advised(session),
        _deterministic(training.deterministic),
        _stop_signals() as stop,
        Progress(training.epochs * steps, state.step, show=session.kept and world.is_main) as progress,
    ):
        if session.log:  # not before `in_use`, which removes unfinished files
            session.log.start(state.rows)
        for launched in range(state.step, training.epochs * steps):
            epoch, step = divmod(launched, steps)
            rate = training.learning_rate(epoch + step / steps)
            todo.launch(rate, stop.is_set, epoch)
            wished = count(steps_ahead(world.device)) or (world.size == 1 and stop.is_set())
            last = step + 1 == steps
            ended = last and ((epoch + 1) % training.save_epochs == 0 or epoch + 1 == training.epochs)
            due = ended or (training.save_steps and (launched + 1) % training.save_steps == 0)
            if not (wished or last or due):
                continue
            count(0)
            if last:
                _end_epoch(state, epoch, rate, method, after_epoch)
                progress.epoch(epoch, training.epochs, state.rows[-1])
                if world.is_main:
                    with writing():
                        run.write_metrics(state.rows)
                if session.log:
                    session.log.row(state.rows[-1])
            if due:
                save()
            wished = stop.is_set()
            if world.size > 1:  # all must stop at the same step
                wished = bool(all_reduce(torch.tensor(float(wished), device=world.device)).item())
            if wished:  # after the last step too: what would follow this run must not start
                if saved < state.step:
                    save()
                advice = f"; go on with --resume {run.path}" if session.kept else ""
                raise Stopped(f"stopped after step {state.step}{advice}")
    return Outcome(state.rows, (time.perf_counter() - clock) / 60)


@contextmanager
def _lost_process_advised(session: Session) -> Iterator[None]:
    """Say how to go on where another process was lost."""
    try:
        yield
    except ProcessLostError as fault:
        advice = f"; when that is mended, go on with --resume {session.run.path}" if session.kept else ""
        raise TrainingError(f"{fault}{advice}") from fault


def try_steps(method: Method, batches: Batches, training: TrainingConfig, world: World, steps: int) -> list[float]:
    """Seconds that each of the first ``steps`` steps takes; nothing is saved, and the weights change.

    Raises:
        TrainingError: If a loss is not finite.
    """
    _advise(training, world)
    optimizer = training.optimizer(method.train())
    todo = Steps(method, optimizer, batches, training, world, range(steps + 1))  # each loads the next's clips too
    seconds = []
    for step in range(steps):
        started = time.perf_counter()
        todo.launch(training.lr)
        if not all(found.finite for found in todo.read()):
            raise TrainingError(f"the loss or gradient is not finite at step {step} of the check")
        seconds.append(time.perf_counter() - started)
    return seconds


def _not_finite(
    step: int, epoch: int, rate: float, loss: float, run: RunFolder, saved: bool, num_clips: int, names: list[str]
) -> TrainingError:
    what = "gradient" if math.isfinite(loss) else "loss"
    left = (
        f"the state before it is saved in {run.path}"
        if saved
        else "the weights were not finite either, so only earlier states are left"
    )
    return TrainingError(
        f"the {what} is not finite at step {step} (epoch {epoch}, learning rate {rate:.3g}); {left}; "
        f"the step's {num_clips} clips begin with {', '.join(names)}"
    )


def _advise(training: TrainingConfig, world: World) -> None:
    """Warn about settings that are legal but probably a mistake."""
    if training.precision == "bf16" and not multiplies_bf16(world.device):
        notify("this CPU has no native bf16: fp32 or auto is much faster here")
    if training.epochs <= training.warmup_epochs:
        notify(
            f"training: {training.epochs} epochs are no more than the {training.warmup_epochs:g} of the warm-up: the "
            f"learning rate never reaches {training.lr:g}; give fewer warmup_epochs"
        )


def _end_epoch(state: _State, epoch: int, rate: float, method: Method, after_epoch: Callable[[], Row] | None) -> None:
    weight = state.totals.pop("weight")
    row: Row = {"epoch": epoch + 1, "step": state.step, "lr": rate}
    row |= {name: total / weight for name, total in state.totals.items()}
    state.totals = {}
    if after_epoch is not None:
        method.eval()
        row |= after_epoch()
        method.train()
    state.rows.append(row)


def _save(run: RunFolder, state: _State, method: Method, optimizer: torch.optim.Optimizer, rates: list[float]) -> None:
    moments = optimizer.state_dict()
    moments["param_groups"] = [
        {**group, "lr": rate} for group, rate in zip(moments["param_groups"], rates, strict=True)
    ]
    run.save_state(
        {
            **vars(state),
            "method": {name: value for name, value in method.state_dict().items() if name not in _frozen(method)},
            "optimizer": moments,
        }
    )


def _restore(
    run: RunFolder, method: Method, optimizer: torch.optim.Optimizer, world: World, data_hash: str, last_step: int
) -> _State:
    saved = run.load_state(world.device)
    refusal = InputError(f"{run.path}: the saved state does not fit this model; start the run again")
    with damaged_as(lambda _: refusal):
        state = _State(**{entry.name: saved[entry.name] for entry in fields(_State)})
        numbers = (*state.totals.values(), state.seconds, *(value for row in state.rows for value in row.values()))
        if type(state.step) is not int or not 0 <= state.step <= last_step:
            raise ValueError("a step that the run does not have")
        if not all(isinstance(number, (int, float)) for number in numbers):
            raise TypeError("metrics that are not numbers")
        missing, unexpected = method.load_state_dict(saved["method"], strict=False)
        if set(missing) - _frozen(method) or unexpected:
            raise ValueError("other weights")
        _restore_optimizer(optimizer, saved["optimizer"]["state"], begun=state.step > 0)
    if state.data_hash != data_hash:
        raise InputError(f"{run.path} was started with other training clips; resume with the set it was started with")
    return state


def _restore_optimizer(optimizer: torch.optim.Optimizer, moments: dict[str, dict[str, Any]], begun: bool) -> None:
    """Load what the optimiser remembers of each parameter after its first step; its options are the recipe's."""
    saved_state = optimizer.state_dict()
    saved_state["state"] = {int(number): values for number, values in moments.items()}
    found = {
        number: {name: value.shape for name, value in values.items()} for number, values in saved_state["state"].items()
    }
    remembered = _remembered(optimizer) if begun else {}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    expected = {
        number: {name: (parameter.shape if whole else torch.Size()) for name, whole in remembered.items()}
        for number, parameter in enumerate(parameters if remembered else [])
    }
    if found != expected:  # fused kernels trust the sizes, and a parameter without moments would begin anew
        raise ValueError("other moments")
    optimizer.load_state_dict(saved_state)


def _remembered(optimizer: torch.optim.Optimizer) -> dict[str, bool]:
    """Names of the optimiser's per-parameter state, and whether each has the parameter's shape."""
    weight = nn.Parameter(torch.zeros(1))
    weight.grad = torch.zeros(1)
    parameters = signature(type(optimizer)).parameters
    other = type(optimizer)([weight], **{name: each for name, each in optimizer.defaults.items() if name in parameters})
    other.step()
    return {name: value.shape == weight.shape for name, value in other.state[weight].items()}


def _frozen(method: Method) -> set[str]:
    """Names of weights that never change; they come from elsewhere and are not saved."""
    return {name for name, parameter in method.named_parameters() if not parameter.requires_grad}


@contextmanager
def _deterministic(wish: bool) -> Iterator[None]:
    """PyTorch's deterministic algorithms, if wished for; afterwards as before."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(wish or before)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets; a second Ctrl-C interrupts at once."""
    event = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if event.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        event.set()

    with handled(ask, signal.SIGINT, signal.SIGTERM):
        yield event
