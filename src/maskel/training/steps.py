"""The steps of a run: each is launched whole before one of its numbers is read.

A GPU is waited for only where the numbers of an earlier step are read. So everything that a step decides is decided on
the device: how far the gradient is clipped, and whether the weights change at all. A step whose loss or gradient is not
finite leaves weights, moments and running averages as they are, and so does every step after it.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from maskel.distributed import World, all_reduce, sum_gradients
from maskel.methods.base import Method
from maskel.sequence import move
from maskel.training.graph import Batch, Recorded, Recorder, records
from maskel.training.loading import Batches, MicroBatches
from maskel.training.optim import TrainingConfig
from maskel.training.precision import autocast


def steps_ahead(device: torch.device) -> int:
    """Return the number of steps that may be launched before their numbers are read: on a CPU none gains anything."""
    return 1 if device.type == "cuda" else 0


@dataclass(frozen=True)
class Found:
    """Findings of a step.

    Args:
        sums: Weighted sums, over all processes, of what is logged.
        finite: True if loss and gradient were finite, and those of every step before. If not, nothing has changed.
        stop: True if a process wished to stop when the step ended.
    """

    sums: dict[str, float]
    finite: bool
    stop: bool


class _Numbers:
    """Numbers on their way from the device, copied once it has computed them; there they may change afterwards."""

    def __init__(self, values: Float64[Tensor, " n"]) -> None:
        self._values = values.to("cpu", non_blocking=True, copy=True)  # of a GPU's into pinned memory
        self._arrived = torch.cuda.current_stream(values.device).record_event() if values.is_cuda else None

    def read(self) -> list[float]:
        """Wait for them."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._values.tolist()


class Steps:
    """The steps of a run, launched one after another.

    Args:
        method: Method to train.
        optimizer: Optimiser of its weights.
        batches: Batches of the run.
        training: The recipe.
        world: This process among all.
        steps: Steps of the run, by number.

    Attributes:
        rates: Learning rates of the last step launched, one for each group of the optimiser.
    """

    def __init__(
        self,
        method: Method,
        optimizer: torch.optim.Optimizer,
        batches: Batches,
        training: TrainingConfig,
        world: World,
        steps: range,
    ) -> None:
        self._trained = [parameter for parameter in method.parameters() if parameter.requires_grad]
        # Compiling must not rename parameters, so the module itself is saved; only the call goes through the compiler.
        self._forward: Callable[..., dict[str, Tensor]] = torch.compile(method) if training.compile else method
        self._names = ("loss", "weight", *method.logged)
        self._optimizer = optimizer
        self._training = training
        self._world = world
        self._seen = MicroBatches(batches, world, training.accumulate, steps)
        self._launched: deque[_Numbers] = deque()
        device = world.device
        self._sums = torch.zeros(len(self._names) + 1, dtype=torch.float64, device=device)  # the last: wishes to stop
        self._failed = torch.zeros((), device=device)  # 1 from the first step on that was not finite
        self._numbers = torch.zeros(len(self._sums) + 1, dtype=torch.float64, device=device)
        # The fused kernels want a GPU's rate in float32; a processor's is as exact as a number of Python.
        precise = torch.float32 if device.type == "cuda" else torch.float64
        self._rates = torch.zeros(len(optimizer.param_groups), dtype=precise, device=device)
        self.rates = [group["lr"] for group in optimizer.param_groups]
        for place, group in enumerate(optimizer.param_groups):
            group["lr"] = self._rates[place]
        self._skips = bool(optimizer.defaults.get("fused"))
        if self._skips:  # a fused optimiser looks at this before it changes anything
            optimizer.found_inf, optimizer.grad_scale = self._failed, None  # type: ignore[attr-defined]
        saved = method.state_dict()
        self._averages = [value for name, value in method.named_buffers() if name in saved]
        self._before: list[Tensor] = []
        self._gradients: list[Tensor] = []  # a recorded step adds to these; any other makes its own
        self._do_learn, self._do_update = self._learn, self._update
        if records(training.graph, method, world, batches.in_parts):
            self._gradients = [torch.zeros_like(parameter) for parameter in self._trained]
            recorded = Recorded(self._learn, self._update, Recorder(device), must=training.graph == "on")
            self._do_learn, self._do_update = recorded.learn, recorded.update

    def launch(self, rate: float, stop: Callable[[], bool] = lambda: False, epoch: int = 0) -> None:
        """Launch the next step.

        Args:
            rate: Learning rate.
            stop: Says at the step's end whether this process wishes to stop.
            epoch: The step's, from 0; weights whose group begins later stay as they are.
        """
        self.rates = [
            rate * group.get("scale", 1.0) if epoch >= group.get("from_epoch", 0) else 0.0  # layer decay
            for group in self._optimizer.param_groups
        ]
        rates = torch.tensor(self.rates, dtype=self._rates.dtype)
        self._rates.copy_(move(rates, self._world.device), non_blocking=True)
        self._sums.zero_()
        self._remember()
        if self._gradients:
            torch._foreach_zero_(self._gradients)
            self._place_gradients()
        for _ in range(self._training.accumulate):
            self._do_learn(*self._seen.take())
            self._seen.load_next()
        if stop():
            self._sums[-1] += 1
        sum_gradients(self._trained)
        if self._gradients and self._world.size > 1:  # their sum over the processes is elsewhere
            torch._foreach_copy_(self._gradients, self._found_gradients())
            self._place_gradients()
        all_reduce(self._sums)
        self._do_update()
        self._launched.append(_Numbers(self._numbers))
        if not self._gradients:
            self._optimizer.zero_grad(set_to_none=True)

    def read(self, ahead: int = 0) -> Iterator[Found]:
        """Read what steps found, in their order, until ``ahead`` of those launched are left; this waits for them."""
        while len(self._launched) > ahead:
            *found, stops, failed = self._launched.popleft().read()
            yield Found(dict(zip(self._names, found, strict=True)), failed == 0, stops > 0)

    def _remember(self) -> None:
        """Copy what is put back after a step that is not finite, to the same places each time."""
        kept = self._kept()
        if len(self._before) != len(kept):
            self._before = [value.detach().clone() for value in kept]
            return
        for before, value in zip(self._before, kept, strict=True):
            before.copy_(value.detach())

    def _place_gradients(self) -> None:
        for parameter, gradient in zip(self._trained, self._gradients, strict=True):
            parameter.grad = gradient

    def _found_gradients(self) -> list[Tensor]:
        return [parameter.grad for parameter in self._trained if parameter.grad is not None]

    def _learn(self, batch: Batch, keys: Tensor) -> None:
        """Add the gradient of a micro-batch, and what is logged of it, to those of the step."""
        with autocast(self._training.precision, self._world.device):
            logged = self._forward(batch, keys)
        weight = logged["weight"]
        (logged["loss"] * weight).backward()
        with torch.no_grad():
            means = torch.stack([logged[name].double() for name in self._names])
            self._sums[:-1] += torch.where(torch.arange(len(means), device=means.device) == 1, 1.0, means) * weight

    @torch.no_grad()
    def _update(self) -> None:
        """Change the weights by the mean gradient, unless this step or one before it was not finite."""
        gradients = self._found_gradients()
        torch._foreach_div_(gradients, self._sums[1].float())
        size = torch.stack(torch._foreach_norm(gradients)).norm()
        finite = self._sums[0].isfinite() & size.isfinite()
        self._failed.copy_(torch.maximum(self._failed, (~finite).float()))
        most = self._training.clip_grad
        if most > 0:
            factor = torch.where(size > most, most / size.double(), 1.0)
            torch._foreach_mul_(gradients, factor.float())
        self._optimizer.step()
        for value, before in zip(self._kept(), self._before, strict=False):  # moments made in this step have no before
            value.copy_(torch.where(self._failed > 0, before, value))
        self._numbers.copy_(torch.cat((self._sums, self._failed.double()[None])))

    def _kept(self) -> list[Tensor]:
        """Return what is put back after a step that is not finite.

        Running averages of batch norms; and weights and moments, unless the optimiser leaves them alone by itself.
        """
        if self._skips:
            return self._averages
        moments = (value for values in self._optimizer.state.values() for value in values.values())
        return [*self._averages, *self._trained, *(value for value in moments if isinstance(value, Tensor))]
