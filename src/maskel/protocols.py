"""Table of the commands that leave a run folder; command line, recipes, tables, reports and reproduce read it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Stage:
    """One run of a protocol in ``maskel reproduce``.

    Args:
        title: Name of its row; by default that of `Protocol.rows`.
        recipes: Recipes applied after those of the benchmark.
        runs: Number of seeds at the published size.
    """

    title: str = ""
    recipes: tuple[str, ...] = ()
    runs: int = 1


@dataclass(frozen=True)
class Protocol:
    """A command that leaves a run.

    Its code is the function of the command's name in the module of that name under ``maskel.commands``.

    Args:
        title: Heading in reports and in the command's help.
        purpose: One line for ``maskel --help``.
        rows: Names of its accuracies in tables, each under the entry of ``result.json`` that holds its counts; the
            counts of the result itself are under an empty name. ``{classifier}`` stands for what the counts hold under
            ``classifier``. Empty for a command that counts nothing, as pre-training.
        ways: The same names in reports, where they differ.
        trains: Whether it trains by epochs and writes ``metrics.csv``; with a classifier also a best epoch.
        scores: Whether reports draw the confusions of its ``predictions.csv``.
        recipes: Whether its options fit the recipes of benchmarks.
        needs: Options that each of its runs has.
        lacks: Entries of ``result.json`` that its runs do not have, so that reports do not miss them.
        untrimmed: Whether it reads sets of whole recordings, and counts frames of them in place of clips.
        several: The argument that takes all words of the command line without a dash.
        without_encoder: Words of reports in place of an encoder.
        stages: Its runs in ``maskel reproduce``, by folder.
    """

    title: str
    purpose: str
    rows: dict[str, str]
    ways: dict[str, str] = field(default_factory=dict)
    trains: bool = False
    scores: bool = False
    recipes: bool = True
    needs: tuple[str, ...] = ("encoder", "data")
    lacks: tuple[str, ...] = ()
    untrimmed: bool = False
    several: str = ""
    without_encoder: str = ""
    stages: Mapping[str, Stage] = field(default_factory=dict)


_OF_A_CLASSIFIER: dict[str, Any] = {"recipes": False, "needs": ("data", "classifier"), "lacks": ("seed",)}
"""Fields that protocols of a trained classifier have in common."""

PROTOCOLS: dict[str, Protocol] = {
    "pretrain": Protocol(
        "Pre-training",
        "learn an encoder from unlabelled clips",
        {},
        trains=True,
        needs=("data", "method"),
        stages={"pretrain": Stage("pretrain")},
    ),
    "linear": Protocol(
        "Linear evaluation",
        "train a linear layer on a frozen encoder and count right answers",
        {"": "linear"},
        trains=True,
        scores=True,
        stages={"linear": Stage("linear")},
    ),
    "finetune": Protocol(
        "Fine-tuning",
        "train encoder and head on labelled clips; some labels, another set, or from scratch",
        {"": "fine-tune"},
        ways={"": "finetune"},
        trains=True,
        scores=True,
        stages={
            "finetune": Stage("fine-tune"),
            "semi_1": Stage("1 % of the labels", ("semi_1",), runs=5),
            "semi_10": Stage("10 % of the labels", ("semi_10",), runs=5),
        },
    ),
    "knn": Protocol(
        "Nearest neighbours",
        "classify by nearest neighbours under a frozen encoder",
        {"": "1-NN", "vote": "{k}-NN vote"},
        stages={"knn": Stage()},
    ),
    "fewshot": Protocol(
        "Few examples",
        "classify by a few examples of each class under a frozen encoder, in drawn episodes",
        {"": "{ways}-way {shots}-shot"},
    ),
    "retrieval": Protocol(
        "Retrieval",
        "rank clips by their likeness under a frozen encoder: recall and mean average precision",
        {"": "recall@1", "wider": "recall@{k}"},
    ),
    "baseline": Protocol(
        "Raw joints",
        "classify raw joints with scikit-learn: the yardstick for every encoder",
        {"": "raw joints, {classifier}"},
        scores=True,
        recipes=False,
        needs=("data",),
        without_encoder="scikit-learn, without an encoder",
        stages={"baseline": Stage()},
    ),
    "evaluate": Protocol(
        "Evaluation",
        "count a trained classifier's right answers on any part of a benchmark",
        {"": "evaluate"},
        ways={"": "evaluate, {head} head"},
        scores=True,
        **_OF_A_CLASSIFIER,
    ),
    "detect": Protocol(
        "Detection",
        "find the actions in whole recordings with a trained classifier: average precision, F1, frames, edit score",
        {"": "detect, frames"},
        ways={"": "detect, frames, {head} head"},
        untrimmed=True,
        **_OF_A_CLASSIFIER,
    ),
    "robustness": Protocol(
        "Robustness",
        "count a classifier's right answers with missing joints, dropped frames, noise, fewer frames",
        {
            "": "robustness (no change)",
            "missing_joints": "robustness ({amount} of the joints missing)",
            "dropped_frames": "robustness ({amount} of the frames dropped)",
            "noise": "robustness (noise of {amount} of a body's size)",
            "lower_frame_rate": "robustness ({amount} fewer frames per second)",
        },
        scores=True,
        **_OF_A_CLASSIFIER,
    ),
    "ensemble": Protocol(
        "Sum of scores",
        "add up the scores of several runs: joint, bone, motion",
        {"": "ensemble"},
        ways={"": "sum of {scores}"},
        scores=True,
        recipes=False,
        needs=("runs", "weights"),
        several="runs",
        lacks=("seed", "minutes", "processes"),
    ),
}
"""Every command that leaves a run, in the order in which it is shown; adding a protocol is a file and an entry here."""


STAGES = {name: stage for protocol in PROTOCOLS.values() for name, stage in protocol.stages.items()}
"""The runs of ``maskel reproduce``, in order."""


def function_of(command: str) -> Callable[..., Any]:
    """The function of a protocol; its module is imported here, so that the table costs nothing."""
    return getattr(import_module(f"maskel.commands.{command}"), command)
