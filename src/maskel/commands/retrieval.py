"""``maskel retrieval``: clips of a class found by their likeness under a frozen encoder; nothing is trained."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor
from torch.nn import functional

from maskel import distributed
from maskel.draws import Purpose, order_drawn
from maskel.errors import InputError
from maskel.files import write_atomically
from maskel.models.pooling import Pool
from maskel.pictures.neighbours import Query, neighbours_page
from maskel.sequence import SingleBody
from maskel.training.answers import PRECISION
from maskel.training.dry_run import Check
from maskel.training.experiment import Experiment
from maskel.training.features import require_power
from maskel.training.features import whiten as whitened
from maskel.training.loading import gallery_positions, split_positions
from maskel.training.metrics import count
from maskel.training.precision import Precision
from maskel.training.run import RunFolder, write_predictions

Gallery = Literal["train", "test"]
"""Clips that are searched: the training part, or all other test clips (leave one out)."""
PAGE = "neighbours.html"
_ROWS = 256  # queries whose rankings are in memory at once
_TABLE = 2**25  # cosines of them at once: the tables of a ranking take some 40 bytes for each


def retrieval(
    encoder: Path,
    data: Path,
    benchmark: str = "xsub",
    window: int | None = None,
    pool: Pool = "mean",
    gallery: Gallery = "train",
    k: int = 5,
    clips: int = 8,
    whiten: float = 0.0,
    untrained: bool = False,
    single_body: SingleBody = "zero",
    precision: Precision = "fp32",
    seed: int = 0,
    device: str = "auto",
    out: Path | None = None,
    check: bool = False,
) -> RunFolder | Check:
    """Rank the gallery by the cosine of features to each test clip, and measure how early clips of its class come.

    Recall@k is the share of test clips with a clip of their class among the ``k`` nearest; 1 and ``k`` are reported.
    Mean average precision covers the whole ranking: the precision at each clip of the class, averaged for a test
    clip, then over all test clips. A test clip whose class is not in the gallery counts as 0 in both.

    Args:
        benchmark: Name of the benchmark; its test clips are searched for in its training part, or among its exemplars.
        gallery: Clips to search: the ``train`` part, or all other clips of the ``test`` part (leave one out).
        k: Nearest clips of the second recall, 1 or more; all of the gallery where there are fewer.
        clips: Test clips to draw with their ``k`` nearest on the page, 0 or more; ``seed`` chooses them.
        seed: Seed of the clips on the page (and of the weights, when untrained).

    Returns:
        The run folder, with ``result.json``, the nearest clips' classes in ``predictions.csv``, and
        ``neighbours.html``; or what the check found.

    Raises:
        InputError: If data, options and encoder do not fit each other.

    Examples:
        >>> retrieval(Path("run"), Path("set"), k=3, out=Path("retrieval")).result["seen"]
        13
    """
    experiment = Experiment(retrieval, locals())
    dataset = experiment.dataset
    test = split_positions(dataset, benchmark, "test")
    searched = gallery_positions(dataset, benchmark) if gallery == "train" else test
    experiment.refuse_taken()
    require_power(whiten)
    if k < 1 or clips < 0:
        raise InputError(f"found k {k} and clips {clips}, expected k of 1 or more and clips of 0 or more")
    size = len(searched) - (gallery == "test")
    if size < 1:
        raise InputError(f"gallery: the test part of {benchmark} has one clip, and no other to find")
    if size < k:
        distributed.notify(f"k: {size} instead of {k}, as there are no more clips")
    k = min(k, size)
    experiment.settle(k=k)
    frozen = experiment.start_frozen()
    read = partial(experiment.features, frozen)
    if check:
        return experiment.check(frozen, read=read, positions=np.concatenate((searched, test)))
    queries = read(test)
    candidates, queries = whitened(queries if gallery == "test" else read(searched), queries, whiten)
    labels = torch.tensor(dataset.labels, device=experiment.world.device)
    ranking = rank(candidates, labels[searched], queries, labels[test], k, leave_out=gallery == "test")
    absent = int((~torch.isin(labels[test], labels[searched])).sum())
    if absent:
        distributed.notify(f"{absent} test clips have a class that no clip of the gallery has; they count as not found")
    nearest, right = labels[searched][ranking.nearest], labels[test]
    counted = count(nearest[:, 0], right, dataset.classes, len(test))
    wider = count(
        torch.where((nearest == right[:, None]).any(1), right, nearest[:, 0]), right, dataset.classes, len(test)
    )
    wider.pop("macro_f1")  # of one right answer among several there is none
    run = experiment.open_run()
    if experiment.is_main:
        names = [dataset.clips[position].name for position in test.tolist()]
        write_predictions(run, names, dataset.labels[test].tolist(), nearest[:, 0].tolist(), dataset.classes)
        write_atomically(run.path / PAGE, neighbours_page(dataset, _shown(test, searched, ranking, clips, seed)))
    return experiment.finish(
        seed=seed,
        gallery={"part": gallery, "size": size, "without_their_class": absent},
        **counted,
        **{PRECISION: float(ranking.precision.mean())},
        wider={"k": k, **wider},
        precision=experiment.precision,
    )


@dataclass(frozen=True)
class Ranking:
    """Clips of a gallery that Q queries find.

    Args:
        nearest: (Q, k) places in the gallery, the nearest first; of equal ones that which stands first there.
        cosines: (Q, k) of these.
        precision: (Q,) average precision over the whole gallery.
    """

    nearest: Int64[Tensor, "q k"]
    cosines: Float64[Tensor, "q k"]
    precision: Float64[Tensor, " q"]


def rank(
    candidates: Float[Tensor, "n d"],
    labels: Int64[Tensor, " n"],
    queries: Float[Tensor, "q d"],
    right: Int64[Tensor, " q"],
    k: int,
    leave_out: bool = False,
) -> Ranking:
    """Rank a gallery by the cosine to each query.

    Args:
        candidates: (N, D) features of the gallery.
        labels: (N,) its classes.
        queries: (Q, D) features of the queries.
        right: (Q,) their classes.
        k: Nearest to name, at most N, or N - 1 with ``leave_out``.
        leave_out: The queries are the gallery, and none finds itself.
    """
    candidates, queries = functional.normalize(candidates.double()), functional.normalize(queries.double())

    def parts() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        size = max(1, min(_ROWS, _TABLE // len(candidates)))
        for start in range(0, len(queries), size):
            cosines = queries[start : start + size] @ candidates.T
            if leave_out:
                cosines[torch.arange(len(cosines)), torch.arange(start, start + len(cosines))] = -torch.inf
            cosines, order = cosines.sort(dim=1, descending=True, stable=True)
            if leave_out:
                cosines, order = cosines[:, :-1], order[:, :-1]
            hits = (labels[order] == right[start : start + size, None]).double()
            shares = hits.cumsum(1) / torch.arange(1, hits.shape[1] + 1, device=hits.device)
            yield order[:, :k], cosines[:, :k], (shares * hits).sum(1) / hits.sum(1).clamp(min=1)

    return Ranking(*(torch.cat(column) for column in zip(*parts(), strict=True)))


def _shown(
    test: Int64[np.ndarray, " q"], searched: Int64[np.ndarray, " n"], ranking: Ranking, number: int, seed: int
) -> list[Query]:
    """Queries for the page: those whose draws are smallest, in the order of the test part."""
    chosen = np.sort(order_drawn(seed, 0, test, Purpose.PICTURES)[:number]).tolist()
    nearest, cosines = ranking.nearest.cpu().numpy(), ranking.cosines.tolist()
    return [Query(int(test[row]), tuple(searched[nearest[row]].tolist()), tuple(cosines[row])) for row in chosen]
