"""``maskel export onnx`` and ``maskel export torch``: the model of a run, as one file that runs without maskel."""

import io
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from maskel import distributed
from maskel.errors import InputError
from maskel.files import (
    damaged_as,
    json_text,
    one_line,
    open_tensors,
    refuse_unwritable,
    require_suffix,
    stream_of,
    write_output,
)
from maskel.hub import ENCODER, fetched
from maskel.methods.classifier import CLASSIFIER, FORMAT
from maskel.methods.masked import Bodies
from maskel.models.loading import load_encoder
from maskel.models.pooling import Pool
from maskel.models.released import read_release
from maskel.models.torch_file import is_torch_file
from maskel.training.classifiers import load_classifier
from maskel.training.deployed import DeployedClassifier, DeployedEncoder
from maskel.training.trained_on import TrainedOn
from maskel.version import __version__

ONNX_BYTES = 2**31
"""Size that an ONNX file cannot have: its lengths are signed numbers of 32 bits."""
MOST_DIFFERENCE = 1e-4
"""Largest difference to PyTorch, over the value where that is above 1, with which a model is written."""


def export_onnx(
    run: Path,
    out: Path,
    pool: Pool = "mean",
    bodies: Bodies = "all",
    frames: int | None = None,
    trained_on: TrainedOn | None = None,
) -> Path:
    """Write an encoder or a classifier as ONNX, and compare it with PyTorch in onnxruntime.

    The input are clips as in a prepared set, (B, M, T, V, C); the model contains the test view, stream and pooling. The
    output are features, or logits and probabilities. The metadata describe the input.

    Args:
        out: The ``.onnx`` file; must not exist.
        frames: Frames T that every clip has, shorter ones filled up with zeros, for runtimes that need fixed sizes; by
            default any number.
        trained_on: The data set of a released classifier that does not say it: ``ntu60``, ``ntu120``, ``pku1`` or
            ``pku2``.

    Returns:
        The file.

    Raises:
        InputError: If there is no model, an option does not fit it, the file exists or cannot be written, or the extra
            ``onnx`` is not installed.
    """
    onnxruntime = _imported_onnx()
    model = _opened(run, out, ".onnx", pool, bodies, frames, trained_on)
    weights = sum(weight.numel() * weight.element_size() for weight in model.state_dict().values())
    if weights >= ONNX_BYTES:
        raise InputError(f"{run}: found {weights / 2**30:.1f} GiB of weights, and an ONNX file takes less than 2 GiB")
    program = _traced(model, frames)
    with _quiet():
        exported: Any = torch.onnx.export(
            program, input_names=["joints"], output_names=list(model.outputs), dynamo=True, verbose=False
        )
    proto = exported.model_proto
    _tidy(proto)
    proto.producer_name, proto.producer_version = "maskel", __version__
    about = proto.metadata_props.add()
    about.key, about.value = "maskel", json_text(_about(model, frames)).rstrip("\n")
    content = proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found = _difference(model, frames, lambda joints: session.run(None, {"joints": joints}))
    _refuse_different(run, f"onnxruntime {onnxruntime.__version__}", found)
    return write_output(out, content)


def export_torch(
    run: Path,
    out: Path,
    pool: Pool = "mean",
    bodies: Bodies = "all",
    frames: int | None = None,
    trained_on: TrainedOn | None = None,
) -> Path:
    """Write an encoder or a classifier as a program of ``torch.export``, which runs without maskel.

    Input, outputs and description are those of ``maskel export onnx``.

    Args:
        out: The ``.pt2`` file; must not exist.
        frames: Frames T that every clip has, shorter ones filled up with zeros; by default any number.
        trained_on: The data set of a released classifier that does not say it: ``ntu60``, ``ntu120``, ``pku1`` or
            ``pku2``.

    Returns:
        The file.

    Raises:
        InputError: If there is no model, an option does not fit it, or the file exists or cannot be written.
    """
    model = _opened(run, out, ".pt2", pool, bodies, frames, trained_on)
    program = _traced(model, frames)
    buffer = io.BytesIO()
    with _quiet():
        torch.export.save(program, buffer, extra_files={"maskel.json": json_text(_about(model, frames)).rstrip("\n")})
        module = torch.export.load(io.BytesIO(buffer.getvalue())).module()

    def again(joints: np.ndarray) -> Sequence[np.ndarray]:
        return [output.numpy() for output in _several(module(torch.from_numpy(joints)))]

    _refuse_different(run, "torch.export", _difference(model, frames, again))
    return write_output(out, buffer.getvalue())


def _imported_onnx() -> Any:
    """Import what export onnx needs beside PyTorch; return onnxruntime."""
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as fault:
        raise InputError(
            f"{fault.name} is not installed, which export onnx needs; install it with: pip install 'maskel[onnx]'"
        ) from fault
    return onnxruntime


def _opened(
    run: Path,
    out: Path,
    ending: str,
    pool: Pool,
    bodies: Bodies,
    frames: int | None,
    trained_on: TrainedOn | None,
) -> DeployedEncoder:
    """Load the model of a run, once the options are known to make sense."""
    require_suffix(out, ending)
    if out.exists() and stream_of(out) is None:
        raise InputError(f"{out} exists already; remove it or choose another name")
    refuse_unwritable(out)
    if frames is not None and frames < 1:
        raise InputError(f"frames: found {frames}, expected 1 or more")
    run = fetched(run, CLASSIFIER, ENCODER)
    if _classifies(run):
        if (pool, bodies) != ("mean", "all"):
            option = "pool" if pool != "mean" else "bodies"
            raise InputError(f"{option}: {run} is a classifier, which fixes what is averaged; leave the option out")
        return DeployedClassifier(load_classifier(run, trained_on=trained_on)).eval().requires_grad_(False)
    if trained_on is not None:
        raise InputError(f"trained_on: {run} is no released classifier; leave it out")
    encoder = load_encoder(run)
    model = DeployedEncoder(encoder, pool, bodies).eval().requires_grad_(False)
    encoder.pooled(torch.zeros(1, encoder.num_tokens, encoder.config.dim), pool)  # refuses what the grid does not have
    return model


def _classifies(run: Path) -> bool:
    """Return whether a run folder or a file holds a classifier; `load_encoder` refuses the rest."""
    if not run.is_file():
        return (run / CLASSIFIER).is_file()
    if is_torch_file(run):
        return bool(read_release(run).head)
    what = f"{run}: expected a run folder, an encoder.safetensors, a classifier.safetensors or a .pth file"
    with damaged_as(lambda fault: InputError(f"{what} ({one_line(fault)})")), open_tensors(run) as (_, about):
        return bool(about.get("format") == FORMAT)


def _sizes(model: DeployedEncoder, frames: int | None) -> list[int | None]:
    """List the sizes of the input, None where they are free."""
    bodies = model.label_spec.num_bodies if isinstance(model, DeployedClassifier) else None
    return [None, bodies, frames, len(model.encoder.layout), len(model.encoder.channels)]


def _about(model: DeployedEncoder, frames: int | None) -> dict[str, Any]:
    """Describe the model as its file holds it."""
    free = ["clips", "bodies", "frames"]
    shape = [free[place] if size is None else size for place, size in enumerate(_sizes(model, frames))]
    return {"maskel": __version__, "input": {"joints": shape}, "outputs": list(model.outputs), **model.describe()}


def _traced(model: DeployedEncoder, frames: int | None) -> ExportedProgram:
    """Trace the model with the number of clips free, and that of bodies and frames where nothing fixes it."""
    sizes = _sizes(model, frames)
    usual = [2, 2, model.encoder.config.window + 3]
    example = torch.zeros([size or usual[place] for place, size in enumerate(sizes)])
    names = ("clips", "bodies", "frames")
    free = {place: Dim(name, min=1) for place, name in enumerate(names) if sizes[place] is None}
    with _quiet(), torch.no_grad():
        program = torch.export.export(model, (example,), dynamic_shapes=(free,))
    for part in program.graph_module.modules():
        for node in getattr(part, "graph", torch.fx.Graph()).nodes:
            node.meta.pop("stack_trace", None)  # paths of this machine
    return program


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what PyTorch says of its own inside while it exports."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)  # of operators of torchvision, which is not needed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _tidy(proto: Any) -> None:
    """Name the free sizes, and remove what tells of the machine and the code that wrote the graph."""
    graph = proto.graph
    sizes = graph.input[0].type.tensor_type.shape.dim
    names = {dim.dim_param: name for dim, name in zip(sizes, ("clips", "bodies", "frames"), strict=False)}
    for value in [*graph.input, *graph.output, *graph.value_info]:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = names.get(dim.dim_param, dim.dim_param)
    for described in [graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer]:
        del described.metadata_props[:]


def _difference(model: DeployedEncoder, frames: int | None, run: Callable[[np.ndarray], Sequence[np.ndarray]]) -> float:
    """Compare outputs on random clips: one alone, and several with absent bodies and of several lengths."""
    generator = torch.Generator().manual_seed(0)
    largest = 0.0
    for usual in ((1, 1, 2), (3, 2, 2 * model.encoder.config.window + 5)):
        sizes = [size or theirs for size, theirs in zip(_sizes(model, frames), (*usual, 0, 0), strict=True)]
        sizes[0] = usual[0]
        joints = torch.randn(sizes, generator=generator)
        joints[0, 1:] = 0
        joints[-1, :, sizes[2] // 2 + 1 :] = 0
        expected = _several(model(joints))
        if not all(bool(output.isfinite().all()) for output in expected):
            raise InputError("the model's outputs on random clips are not finite; its weights are too large")
        for ours, theirs in zip(expected, run(joints.numpy()), strict=True):
            apart = (ours - torch.from_numpy(theirs)).abs() / ours.abs().clamp(min=1)
            largest = max(largest, float(apart.nan_to_num(math.inf).max()))  # the runtime's may be NaN
    return largest


def _several(outputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)


def _refuse_different(run: Path, runtime: str, difference: float) -> None:
    """Refuse a model whose answers in a runtime differ from those in PyTorch."""
    if not difference <= MOST_DIFFERENCE:
        raise InputError(
            f"{run}: its outputs in {runtime} differ from those in PyTorch by {difference:.1g}, more than "
            f"{MOST_DIFFERENCE:g}; nothing is written"
        )
    distributed.notify(
        f"compared on random clips: outputs in {runtime} differ from those in PyTorch by {difference:.1g}"
    )
