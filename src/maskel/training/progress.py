"""Progress of a run on the terminal."""

import time

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from maskel.console import BARS, standard_error
from maskel.training.run import Row

_LINES = 20  # without a terminal: about so many lines a run, so that logs stay bounded


class Progress:
    """A bar with loss, learning rate, clips/s and time left; without a terminal, a line every few epochs.

    Args:
        steps: Steps of the whole run.
        done: Steps done before (a resumed run).
        show: False on all processes but one.
    """

    def __init__(self, steps: int, done: int, show: bool) -> None:
        self.console = standard_error()
        self.show = show
        self.bar = Bar(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("loss {task.fields[loss]:.4f}  lr {task.fields[rate]:.2e}  {task.fields[speed]:.0f} clips/s"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=self.console,
            disable=not (show and self.console.is_terminal),
        )
        self.task = self.bar.add_task("", total=steps, completed=done, loss=float("nan"), rate=0.0, speed=0.0)
        self.clips = 0
        self.started = time.perf_counter()

    def __enter__(self) -> "Progress":
        self.bar.start()
        BARS.append(self.bar)
        self.started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        BARS.remove(self.bar)
        self.bar.stop()

    @property
    def clips_per_second(self) -> float:
        """Clips trained on per second since the start."""
        return self.clips / max(time.perf_counter() - self.started, 1e-9)

    def step(self, loss: float, rate: float, num_clips: int) -> None:
        """One step is done."""
        self.clips += num_clips
        self.bar.update(self.task, advance=1, loss=loss, rate=rate, speed=self.clips_per_second)

    def epoch(self, epoch: int, epochs: int, row: Row) -> None:
        """One epoch is done."""
        if not self.show or self.console.is_terminal:
            return
        if (epoch + 1) % max(epochs // _LINES, 1) == 0 or epoch + 1 == epochs:
            numbers = "  ".join(f"{name} {value:.4g}" for name, value in row.items() if name not in ("epoch", "step"))
            self.console.print(f"epoch {epoch + 1}/{epochs}  {numbers}  {self.clips_per_second:.0f} clips/s")
