"""maskel: masked skeletons. Self-supervised learning on human skeleton sequences.

Everything below is imported when it is first used, so that ``maskel --help`` does not wait for PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from maskel.version import __version__ as __version__

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from maskel.commands.embed import Features
    from maskel.commands.inspect import Inspection
    from maskel.commands.prepare import PrepareSummary
    from maskel.datasets.store import SkeletonSet
    from maskel.live.stream import Stream
    from maskel.methods import AMR, HACM, MAE, MAMP, Masked
    from maskel.methods.released import load_release
    from maskel.models.encoder import Encoder, EncoderConfig
    from maskel.models.loading import load_encoder
    from maskel.pictures.plotting import plot
    from maskel.training.classifiers import load_classifier
    from maskel.training.run import RunFolder

    baseline: Callable[..., RunFolder]
    detect: Callable[..., RunFolder]
    embed: Callable[..., Path]
    ensemble: Callable[..., RunFolder]
    evaluate: Callable[..., RunFolder]
    features: Callable[..., Features]
    fewshot: Callable[..., RunFolder]
    finetune: Callable[..., RunFolder]
    inspect: Callable[..., Inspection]
    knn: Callable[..., RunFolder]
    linear: Callable[..., RunFolder]
    predict: Callable[..., Path]
    prepare: Callable[..., PrepareSummary]
    pretrain: Callable[..., RunFolder]
    report: Callable[..., Path]
    results: Callable[..., str]
    retrieval: Callable[..., RunFolder]
    robustness: Callable[..., RunFolder]
    synthesize: Callable[..., list[Path]]

_COMMANDS = (
    *("baseline", "detect", "embed", "ensemble", "evaluate", "features", "fewshot", "finetune", "inspect", "knn"),
    *("linear", "predict", "prepare", "pretrain", "report", "results", "retrieval", "robustness", "synthesize"),
)
"""Public names that are commands: functions that take plain values."""
_MODULES = {
    "SkeletonSet": "datasets.store",
    "Stream": "live.stream",
    "AMR": "methods",
    "HACM": "methods",
    "MAE": "methods",
    "MAMP": "methods",
    "Masked": "methods",
    "load_release": "methods.released",
    "Encoder": "models.encoder",
    "EncoderConfig": "models.encoder",
    "load_encoder": "models.loading",
    "load_classifier": "training.classifiers",
    "plot": "pictures.plotting",
}
"""Other public names -> the module that holds each."""

__all__ = [
    "AMR",
    "HACM",
    "MAE",
    "MAMP",
    "Encoder",
    "EncoderConfig",
    "Masked",
    "SkeletonSet",
    "Stream",
    "__version__",
    "baseline",
    "embed",
    "ensemble",
    "evaluate",
    "features",
    "fewshot",
    "finetune",
    "inspect",
    "knn",
    "linear",
    "load_classifier",
    "load_encoder",
    "load_release",
    "plot",
    "predict",
    "prepare",
    "pretrain",
    "report",
    "results",
    "retrieval",
    "robustness",
    "synthesize",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name in _COMMANDS:
        value = import_module("maskel.commands").callable_of(name)
    elif name in _MODULES:
        value = getattr(import_module(f"maskel.{_MODULES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, also unused ones."""
    return __all__
