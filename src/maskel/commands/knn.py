"""``maskel knn``: nearest neighbours of a frozen encoder's features; nothing is trained."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from maskel import distributed
from maskel.errors import InputError
from maskel.models.pooling import Pool
from maskel.sequence import SingleBody
from maskel.training.dry_run import Check
from maskel.training.experiment import Experiment
from maskel.training.features import require_power
from maskel.training.features import whiten as whitened
from maskel.training.loading import gallery_positions, split_positions
from maskel.training.metrics import count
from maskel.training.precision import Precision
from maskel.training.run import RunFolder, write_predictions

_TABLE = 2**27  # cosines at a time: 1 GiB
_ROWS = 1024  # clips at a time, where the gallery is not too large


def knn(
    encoder: Path,
    data: Path,
    benchmark: str = "xsub",
    window: int | None = None,
    pool: Pool = "mean",
    k: int = 20,
    whiten: float = 0.0,
    untrained: bool = False,
    single_body: SingleBody = "zero",
    precision: Precision = "fp32",
    seed: int = 0,
    device: str = "auto",
    out: Path | None = None,
    check: bool = False,
) -> RunFolder | Check:
    """Classify each test clip by its nearest training clips, by the cosine of their features.

    Reports 1-nearest-neighbour retrieval, and the vote of the ``k`` nearest.

    Args:
        benchmark: Name of the benchmark; neighbours of its test clips are searched in its training part, or among its
            exemplars.
        k: Neighbours that vote, 1 or more; all training clips where there are fewer.
        seed: Seed of the weights, when untrained.

    Returns:
        The run folder, with ``result.json`` and the 1-nearest-neighbour ``predictions.csv``; or what the check found.

    Raises:
        InputError: If data, options and encoder do not fit each other.

    Examples:
        >>> knn(Path("run"), Path("set"), k=1, out=Path("knn")).result["seen"]
        13
    """
    experiment = Experiment(knn, locals())
    dataset = experiment.dataset
    train, test = gallery_positions(dataset, benchmark), split_positions(dataset, benchmark, "test")
    experiment.refuse_taken()
    require_power(whiten)
    if k < 1:
        raise InputError(f"k: found {k}, expected 1 to {len(train)}, the number of training clips")
    neighbours, k = k, min(k, len(train))
    experiment.settle(k=k)
    frozen = experiment.start_frozen()
    read = partial(experiment.features, frozen)
    if k < neighbours:
        distributed.notify(f"k: all {k} training clips vote, instead of {neighbours}")
    if check:
        return experiment.check(frozen, read=read, positions=np.concatenate((train, test)))
    gallery, queries = whitened(read(train), read(test), whiten)
    labels = torch.tensor(dataset.labels, device=experiment.world.device)
    nearest, voted = vote(gallery, labels[train], queries, len(dataset.classes), k)
    run = experiment.open_run()
    if experiment.is_main:
        names = [dataset.clips[position].name for position in test.tolist()]
        write_predictions(run, names, dataset.labels[test].tolist(), nearest.tolist(), dataset.classes)
    return experiment.finish(
        seed=seed,
        **count(nearest, labels[test], dataset.classes, len(test)),
        precision=experiment.precision,
        vote={"k": k} | count(voted, labels[test], dataset.classes, len(test)),
    )


def vote(
    gallery: Float[Tensor, "n d"], labels: Int64[Tensor, " n"], queries: Float[Tensor, "q d"], classes: int, k: int
) -> tuple[Int64[Tensor, " q"], Int64[Tensor, " q"]]:
    """Class of the nearest known feature, and the class most of the ``k`` nearest have, by cosine.

    Equal votes go to the class whose voters are nearer in sum.
    """
    # In float64: cosines of near neighbours differ in the last digits of float32, and decide between equal votes.
    gallery, queries = functional.normalize(gallery.double()), functional.normalize(queries.double())
    near, voted = [], []
    for rows in queries.split(max(1, min(_ROWS, _TABLE // len(gallery)))):  # the full table of distances may not fit
        cosine, index = (rows @ gallery.T).topk(k, dim=1)
        ballots = labels[index]
        near.append(ballots[:, 0])
        tally = cosine.new_zeros(len(rows), classes)
        tally.scatter_add_(1, ballots, 1 + (cosine + 1) / (2 * k + 1) / k)  # a cosine never outweighs a vote
        voted.append(tally.argmax(1))
    return torch.cat(near), torch.cat(voted)
