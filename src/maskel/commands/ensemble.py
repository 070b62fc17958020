"""``maskel ensemble``: the sum of several runs' scores, as joint, bone and motion streams are combined."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from maskel.errors import InputError
from maskel.training.finished import Run
from maskel.training.run import RunFolder, refuse_taken
from maskel.training.scores import Scores


def ensemble(
    runs: list[Path],
    weights: Sequence[float] | None = None,
    scores: Literal["logits", "softmax"] = "logits",
    out: Path | None = None,
) -> RunFolder:
    """Add up the scores of several runs on the same clips, and count right answers.

    Args:
        runs: Run folders of linear, finetune, evaluate or ensemble, two or more.
        weights: Weight of each run's scores, 0 or more; 1 for all by default.
        scores: Scores to add up: the logits, as published, or the probabilities.

    Returns:
        The run folder, with ``result.json``, ``predictions.csv`` and ``scores.npz``.

    Raises:
        InputError: If the runs were counted on different clips, or the weights do not fit, or ``out`` is taken.

    Examples:
        >>> ensemble([Path("classifier"), Path("classifier")], out=Path("together")).result["seen"]
        13
    """
    if len(runs) < 2:
        raise InputError(f"ensemble: found {len(runs)} run, expected two or more")
    weights = [1.0] * len(runs) if weights is None else list(weights)
    if len(weights) != len(runs):
        raise InputError(f"weights: found {len(weights)} for {len(runs)} runs, expected one for each")
    if not (np.isfinite(weights).all() and min(weights) >= 0 and max(weights) > 0):
        raise InputError(f"weights: found {', '.join(map(str, weights))}; expected 0 or more, one of them above 0")
    refuse_taken(out)
    found = [Scores.read(run) for run in runs]
    first = found[0]
    for run, other in zip(runs[1:], found[1:], strict=True):
        if (other.hash, other.classes) != (first.hash, first.classes):
            raise InputError(
                f"{run} scored {len(other.names)} clips (hash {other.hash}) of {len(other.classes)} classes, {runs[0]} "
                f"{len(first.names)} (hash {first.hash}) of {len(first.classes)}; expected the same clips and classes"
            )
        if not np.array_equal(other.labels, first.labels):
            raise InputError(f"{run} and {runs[0]} disagree on the classes of the clips; expected runs on one set")
    added = np.zeros(first.scores.shape)
    with np.errstate(over="ignore", invalid="ignore"):  # refused below
        for weight, scores_of_run in zip(weights, found, strict=True):
            logits = torch.from_numpy(scores_of_run.scores).double()
            added += weight * (logits.softmax(1) if scores == "softmax" else logits).numpy()
    if not (np.abs(added) <= np.finfo(np.float32).max).all():  # NaN neither
        raise InputError("the runs' scores times their weights are too large to add up; give smaller weights")
    total = Scores(first.names, first.labels, first.classes, added.astype(np.float32))
    results = [RunFolder(run).result for run in runs]
    about, origins = results[0], [Run.of(result).origin for result in results]
    counts = [scores_of_run.count(len(scores_of_run.names)) for scores_of_run in found]
    alone = [{name: counted[name] for name in ("correct", "seen", "accuracy")} for counted in counts]
    seeds = {origin.get("seed") for origin in origins}
    config = {"runs": [str(run) for run in runs], "weights": weights, "scores": scores}
    folder = RunFolder.create(out, "ensemble", config)
    total.write(folder)
    folder.write_result(
        {
            "kind": "ensemble",
            "scores": scores,
            "runs": [
                {"run": str(run), "weight": weight, **counted, "trained": origin}
                for run, weight, counted, origin in zip(runs, weights, alone, origins, strict=True)
            ],
            **({"seed": seeds.pop()} if len(seeds) == 1 else {}),
            **{name: about[name] for name in ("data", "benchmark", "split", "part") if name in about},
            "hash": total.hash,
            **total.count(len(total.names)),
        }
    )
    return folder
