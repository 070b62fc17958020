"""Loggers: where a run's rows go beside ``metrics.csv``. None can change a run, stop it, or hold it up for long."""

import queue
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from jaxtyping import Int64, UInt8

from maskel.console import notify
from maskel.errors import InputError
from maskel.files import read_text, write_atomically, yaml_text
from maskel.training.run import Row

CSV = "csv"
Log = Literal["csv", "tensorboard", "wandb", "trackio"]
"""Logger of a run; ``csv`` is ``metrics.csv`` alone, which every run writes."""
Pixels = UInt8[np.ndarray, "h w 3"]
PATIENCE = 30.0
"""Seconds that a finished or stopped run waits for its logger."""
_OTHER_NAMES = {"step": "steps"}  # of columns whose names trackio keeps for itself
_CELL = 8  # pixels of a cell of a picture


class Logger(Protocol):
    """Methods of a logger, in the order of their calls, in a thread of its own. Each may raise anything."""

    def start(self, run: Path, config: Mapping[str, Any], rows: Sequence[Row]) -> None:
        """Begin or go on.

        Args:
            run: The run folder.
            config: Options of the run.
            rows: Rows of the epochs before, in a resumed run; a logger may have some, all or none of them already.
        """

    def row(self, row: Row) -> None:
        """Log the row of an epoch: what a line of ``metrics.csv`` holds, with the number ``epoch``, from 1."""

    def picture(self, name: str, pixels: Pixels) -> None:
        """Log a picture (H, W, 3)."""

    def end(self, result: Mapping[str, Any]) -> None:
        """Finish; ``result`` is what ``result.json`` holds, and empty for a run that stopped."""


class TensorBoard:
    """Event files in the folder ``tensorboard`` of the run."""

    package = "tensorboard"
    _writer: Any

    def start(self, run: Path, config: Mapping[str, Any], rows: Sequence[Row]) -> None:
        """Open a new event file and log all rows anew; TensorBoard drops what earlier files hold."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(run / "tensorboard"), purge_step=0)
        self._writer.add_text("config", f"```yaml\n{yaml_text(config)}```")
        for row in rows:
            self.row(row)

    def row(self, row: Row) -> None:
        """Log each number over the epoch."""
        for name, value in row.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, row["epoch"])
        self._writer.flush()

    def picture(self, name: str, pixels: Pixels) -> None:
        """Log an image."""
        self._writer.add_image(name, pixels, dataformats="HWC")

    def end(self, result: Mapping[str, Any]) -> None:
        """Log the numbers of the result, and close the file."""
        for name, value in _numbers(result).items():
            self._writer.add_scalar(f"result/{name}", value)
        self._writer.close()


class WandB:
    """A run of Weights & Biases, in the project ``maskel``; its files lie in the run folder."""

    package = "wandb"
    _module: Any
    _run: Any

    def start(self, run: Path, config: Mapping[str, Any], rows: Sequence[Row]) -> None:
        """Begin a run with all rows, or go on with the one that the run folder names."""
        self._module = import_module(self.package)
        identity, known = _id_of(run, self.package)
        self._run = self._module.init(project="maskel", config=dict(config), **self._which(run, identity))
        for row in () if known else rows:
            self.row(row)

    def _which(self, run: Path, identity: str) -> dict[str, Any]:
        return {"name": run.name, "id": identity, "resume": "allow", "dir": str(run)}

    def row(self, row: Row) -> None:
        """Log the row at its epoch; of one that came before, the library keeps the first, which is the same."""
        values = {_OTHER_NAMES.get(name, name): value for name, value in row.items()}
        self._run.log(values, step=int(row["epoch"]))

    def picture(self, name: str, pixels: Pixels) -> None:
        """Log an image."""
        self._run.log({name: self._module.Image(pixels)})

    def end(self, result: Mapping[str, Any]) -> None:
        """Log the numbers of the result, and finish."""
        if numbers := _numbers(result):
            self._run.log({f"result/{name}": value for name, value in numbers.items()})
        self._run.finish()


class Trackio(WandB):
    """A run of trackio, in the project ``maskel`` of this machine."""

    package = "trackio"

    def _which(self, run: Path, identity: str) -> dict[str, Any]:
        return {"name": f"{run.name}-{identity}", "resume": "allow"}


LOGGERS: dict[str, Callable[[], Logger]] = {"tensorboard": TensorBoard, "wandb": WandB, "trackio": Trackio}
"""Name -> logger; the extra has the same name. The package that it needs, if any, is the logger's ``package``."""


class LogThread:
    """A logger in a thread of its own, given copies of everything.

    What it raises becomes one line, and it is left alone from then on. A run ends after `PATIENCE` at most, whatever
    its logger still does.

    Args:
        name: A name of `LOGGERS`.
        run: The run folder.
        config: Options of the run.
    """

    def __init__(self, name: str, run: Path, config: Mapping[str, Any]) -> None:
        self._name, self._run, self._config = name, run, deepcopy(dict(config))
        self._calls: queue.Queue[tuple[str, tuple[Any, ...]] | None] = queue.Queue()
        self._fault: BaseException | None = None
        self._said = False
        self._thread = threading.Thread(target=self._work, name=f"log-{name}", daemon=True)

    def start(self, rows: Sequence[Row] = ()) -> None:
        """Begin behind the rows of a resumed run; a second call does nothing."""
        if self._thread.ident is None and self._fault is None:
            try:
                self._thread.start()
            except RuntimeError as fault:  # of a system that gives no thread
                self._fault = fault
            self._call("start", self._run, self._config, deepcopy(list(rows)))

    def row(self, row: Row) -> None:
        """Log the row of an epoch."""
        self._call("row", dict(row))

    def picture(self, name: str, pixels: Pixels) -> None:
        """Log a picture."""
        self.start()
        self._call("picture", name, pixels.copy())

    def end(self, result: Mapping[str, Any]) -> None:
        """Finish, and wait for it, but not for ever."""
        self.start()
        self._call("end", deepcopy(dict(result)))
        self._calls.put(None)
        waited = f"not done after {PATIENCE:.0f} s"
        try:
            if self._thread.ident is not None:
                self._thread.join(PATIENCE)
        except KeyboardInterrupt:  # what the run leaves is written already
            waited = "not waited for"
        if self._thread.is_alive():
            self._said = True
            notify(f"--log {self._name}: {waited}; the run is whole without it")
        self._say()

    def _call(self, method: str, *values: Any) -> None:
        self._say()
        if self._fault is None:
            self._calls.put((method, values))

    def _work(self) -> None:
        try:
            logger = LOGGERS[self._name]()
            while (call := self._calls.get()) is not None:
                getattr(logger, call[0])(*call[1])
        except BaseException as fault:  # noqa: BLE001 - even a logger that exits must not end the run
            self._fault = fault

    def _say(self) -> None:
        """Say what the logger raised, once; in the run's own thread, so that lines do not mix."""
        if self._fault is not None and not self._said:
            self._said = True
            why = " ".join(str(self._fault).split())
            notify(
                f"--log {self._name}: {type(self._fault).__name__}{': ' if why else ''}{why[:200]}; nothing more is "
                "logged there, and the run goes on; metrics.csv holds all rows"
            )


def require_logger(name: str) -> None:
    """Refuse a logger whose package is not installed, before there is a run.

    Raises:
        InputError: If it is not.
    """
    package = getattr(LOGGERS[name], "package", None)
    if package is None:
        return
    found = find_spec(package)
    if found is None or found.origin is None:  # a mere folder of that name, as a logger leaves one
        raise InputError(
            f"{package} is not installed, which --log {name} needs; install it with: pip install 'maskel[{name}]', or "
            "leave it with --log csv"
        )


def confusion_pixels(
    labels: Int64[np.ndarray, " n"], predicted: Int64[np.ndarray, " n"], num_classes: int
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw confusions: a cell for each true class (row) and predicted class (column), darker for a larger share.

    Args:
        labels: (N,) true classes.
        predicted: (N,) predicted classes.
        num_classes: Number of classes K.

    Returns:
        (8·K, 8·K, 3) pixels; a cell is black where all clips of the row are in it.
    """
    counts = np.zeros((num_classes, num_classes))
    np.add.at(counts, (labels, predicted), 1)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    grey = np.round(255 * (1 - shares)).astype(np.uint8)
    return np.repeat(grey.repeat(_CELL, 0).repeat(_CELL, 1)[..., None], 3, axis=2)


def _numbers(result: Mapping[str, Any]) -> dict[str, float | int]:
    """The numbers of a result that stand in it directly."""
    return {name: value for name, value in result.items() if type(value) in (int, float)}


def _id_of(run: Path, service: str) -> tuple[str, bool]:
    """The name under which a service knows the run, and whether it knew it before; a resumed run goes on with it."""
    file = run / f"{service}-id.txt"
    if known := file.is_file():
        return read_text(file, most=100).strip(), known
    write_atomically(file, identity := uuid.uuid4().hex[:12])
    return identity, known
