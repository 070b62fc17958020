"""maskel: masked skeletons. Self-supervised learning on human skeleton sequences.

Everything below is imported when it is first used, so that ``maskel --help`` does not wait for PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from maskel.version import __version__ as __version__

if TYPE_CHECKING:
    from maskel.commands.baseline import baseline
    from maskel.commands.embed import embed
    from maskel.commands.ensemble import ensemble
    from maskel.commands.evaluate import evaluate
    from maskel.commands.finetune import finetune
    from maskel.commands.inspect import inspect
    from maskel.commands.knn import knn
    from maskel.commands.linear import linear
    from maskel.commands.predict import predict
    from maskel.commands.prepare import prepare
    from maskel.commands.pretrain import pretrain
    from maskel.commands.report import report
    from maskel.commands.results import results
    from maskel.datasets.store import SkeletonSet
    from maskel.datasets.synthetic import synthesize
    from maskel.live.stream import Stream
    from maskel.methods import AMR, HACM, MAE, MAMP, Masked
    from maskel.methods.released import load_release
    from maskel.models.encoder import Encoder, EncoderConfig
    from maskel.models.loading import load_encoder
    from maskel.training.classifiers import load_classifier

_MODULES = {
    "baseline": "commands.baseline",
    "embed": "commands.embed",
    "ensemble": "commands.ensemble",
    "evaluate": "commands.evaluate",
    "finetune": "commands.finetune",
    "inspect": "commands.inspect",
    "knn": "commands.knn",
    "linear": "commands.linear",
    "predict": "commands.predict",
    "prepare": "commands.prepare",
    "pretrain": "commands.pretrain",
    "report": "commands.report",
    "results": "commands.results",
    "synthesize": "datasets.synthetic",
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
}
"""Public name -> the module that holds it."""

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
    "finetune",
    "inspect",
    "knn",
    "linear",
    "load_classifier",
    "load_encoder",
    "load_release",
    "predict",
    "prepare",
    "pretrain",
    "report",
    "results",
    "synthesize",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"maskel.{_MODULES[name]}"), name)
    return value


def __dir__() -> list[str]:
    """Return the public names, also those that were not used yet."""
    return __all__
