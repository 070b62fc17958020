"""Refusals that a later one of several runs would meet, made before the first."""

from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from typing import Any

from maskel.datasets.store import SkeletonSet
from maskel.training.fitting import fitted
from maskel.training.labelled import choose_labelled
from maskel.training.regularised import divide

_CHOICE = ("benchmark", "labels", "stratified", "label_list", "validation", "seed")
"""Options by which a command chooses the clips whose labels it uses."""


def refuse_unfit(command: Callable[..., object], options: Mapping[str, Any], dataset: SkeletonSet) -> None:
    """Refuse a run whose labelled training clips are too few for it, or of one class.

    Args:
        command: The command's function.
        options: Options of the run; those that are missing have their defaults.
        dataset: The set.

    Raises:
        InputError: If the command would refuse them.
    """
    parameters = signature(command).parameters
    if "labels" not in parameters:
        return
    defaults = {name: entry.default for name, entry in parameters.items() if entry.default is not Parameter.empty}
    whole = defaults | dict(options)
    labelled = choose_labelled(dataset, **{name: whole[name] for name in _CHOICE if name in whole})
    if "training" in whole and whole.get("probe", "sgd") == "sgd":
        fitted(whole["training"], len(labelled.train), least=2)
    else:
        subjects = [dataset.clips[position].subject for position in labelled.train.tolist()]
        divide(dataset.labels[labelled.train], subjects, whole["seed"])
