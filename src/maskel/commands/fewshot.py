"""``maskel fewshot``: classes known by a few clips each, under a frozen encoder; nothing is trained."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor
from torch.nn import functional

from maskel import distributed
from maskel.datasets import exemplar_names
from maskel.datasets.store import SkeletonSet
from maskel.draws import Purpose, order_drawn
from maskel.errors import InputError
from maskel.intervals import Z
from maskel.models.pooling import Pool
from maskel.sequence import SingleBody
from maskel.training.answers import HALF_INTERVAL
from maskel.training.dry_run import Check
from maskel.training.experiment import Experiment
from maskel.training.loading import gallery_positions, split_positions
from maskel.training.metrics import count
from maskel.training.precision import Precision
from maskel.training.run import RunFolder, write_predictions

WAYS, SHOTS, QUERIES, EPISODES = 5, 1, 15, 600
"""Sizes and number of episodes by default, as in the few-shot literature."""
Positions = Int64[np.ndarray, " _"]


def fewshot(
    encoder: Path,
    data: Path,
    benchmark: str = "xsub",
    window: int | None = None,
    pool: Pool = "mean",
    ways: int | None = None,
    shots: int | None = None,
    queries: int | None = None,
    episodes: int | None = None,
    untrained: bool = False,
    single_body: SingleBody = "zero",
    precision: Precision = "fp32",
    seed: int = 0,
    device: str = "auto",
    out: Path | None = None,
    check: bool = False,
) -> RunFolder | Check:
    """Classify clips of a few classes, given a few clips of each, in many drawn episodes.

    An episode draws classes, then some training clips (shots) and test clips (queries) of each class. A query gets the
    class whose shots' mean feature is nearest, by the cosine; features are normalised before they are averaged. The
    result is the mean accuracy of all episodes with its 95 % interval.

    A benchmark with exemplars, as NTU RGB+D 120's ``oneshot``, is one episode: the exemplars are the shots, and every
    test clip is a query once.

    Args:
        benchmark: Name of the benchmark; its training part gives the shots, its test part the queries.
        ways: Classes of an episode, 2 or more; 5 by default.
        shots: Training clips of each class, 1 or more; 1 by default.
        queries: Test clips of each class, 1 or more; 15 by default, or as many as every class has.
        episodes: Number of episodes, 2 or more; 600 by default.
        seed: Seed of the episodes (and of the weights, when untrained).

    Returns:
        The run folder, with ``result.json``; with exemplars also ``predictions.csv``; or what the check found.

    Raises:
        InputError: If data, options and encoder do not fit each other.

    Examples:
        >>> run = fewshot(Path("run"), Path("set"), ways=2, queries=1, episodes=3, out=Path("fewshot"))
        >>> run.result["episodes"]
        3
    """
    experiment = Experiment(fewshot, locals())
    dataset = experiment.dataset
    train, test = gallery_positions(dataset, benchmark), split_positions(dataset, benchmark, "test")
    experiment.refuse_taken()
    drawn: Episodes | None = None
    sizes: dict[str, float] = {}
    if not exemplar_names(dataset.source, benchmark):
        drawn = Episodes.of(dataset, train, test, ways, shots, queries, episodes, seed)
        sizes = {"ways": drawn.ways, "shots": drawn.shots, "queries": drawn.queries, "episodes": drawn.number}
        experiment.settle(**sizes)
    elif (ways, shots, queries, episodes) != (None,) * 4:
        raise InputError(
            f"benchmark {benchmark} has exemplars of its own and is one episode; leave out ways, shots, queries and "
            "episodes"
        )
    frozen = experiment.start_frozen()
    world = experiment.world
    read = partial(experiment.features, frozen)
    if check:
        return experiment.check(frozen, read=read, positions=np.concatenate((train, test)))
    features = torch.zeros(len(dataset), frozen.num_features(pool), dtype=torch.float64, device=world.device)
    for positions in (train, test):
        features[torch.from_numpy(positions)] = functional.normalize(read(positions).double())
    labels = torch.tensor(dataset.labels, device=world.device)
    answers, true_labels, right = [], [], []
    for episode in range(drawn.number if drawn else 1):
        support, query = map(torch.from_numpy, drawn.draw(episode) if drawn else (train, test))
        answers.append(nearest_class(features, labels, support, query))
        true_labels.append(labels[query])
        right.append(float((answers[-1] == true_labels[-1]).double().mean()))
    counted = count(torch.cat(answers), torch.cat(true_labels), dataset.classes, sum(map(len, true_labels)))
    assert abs(mean(right) - counted["accuracy"]) < 1e-9  # all episodes have equally many queries
    about: dict[str, float] = {"ways": len(set(dataset.labels[train].tolist())), "shots": 1}
    if drawn:
        about = sizes | {HALF_INTERVAL: Z * stdev(right) / len(right) ** 0.5}
    run = experiment.open_run()
    if experiment.is_main and not drawn:
        names = [dataset.clips[position].name for position in test.tolist()]
        write_predictions(run, names, dataset.labels[test].tolist(), answers[0].tolist(), dataset.classes)
    return experiment.finish(seed=seed, **about, **counted, precision=experiment.precision)


@dataclass(frozen=True)
class Episodes:
    """Drawn episodes, each a function of seed and number.

    Args:
        dataset: The set.
        train: Clips that shots come from.
        test: Clips that queries come from.
        classes: Classes to draw from.
        ways: Classes of an episode.
        shots: Training clips of each.
        queries: Test clips of each.
        number: Number of episodes.
        seed: The run's seed.
    """

    dataset: SkeletonSet
    train: Positions
    test: Positions
    classes: Int64[np.ndarray, " k"]
    ways: int
    shots: int
    queries: int
    number: int
    seed: int

    @classmethod
    def of(
        cls,
        dataset: SkeletonSet,
        train: Positions,
        test: Positions,
        ways: int | None,
        shots: int | None,
        queries: int | None,
        number: int | None,
        seed: int,
    ) -> "Episodes":
        """Episodes of a set, with default sizes where they are None; arguments as above.

        By default every class has as many queries as that with fewest test clips, at most `QUERIES`. A class with too
        few clips is left out, and a line says so.

        Raises:
            InputError: If a number is out of range, or the set has too few classes or clips.
        """
        ways, shots = WAYS if ways is None else ways, SHOTS if shots is None else shots
        number, least = EPISODES if number is None else number, 1 if queries is None else queries
        for name, value, smallest in (
            *(("ways", ways, 2), ("shots", shots, 1), ("queries", least, 1), ("episodes", number, 2)),
        ):
            if value < smallest:
                raise InputError(f"{name}: found {value}, expected {smallest} or more")
        support_sizes, query_sizes = (
            np.bincount(dataset.labels[positions], minlength=len(dataset.classes)) for positions in (train, test)
        )
        enough = (support_sizes >= shots) & (query_sizes >= least)
        classes = np.flatnonzero(enough)
        if len(classes) < ways:
            raise InputError(
                f"ways: found {ways}, but {dataset.path} has {len(classes)} classes with {shots} training clips and "
                f"{least} test clips or more; ask for fewer ways, shots or queries"
            )
        if lacking := np.flatnonzero((support_sizes + query_sizes > 0) & ~enough).tolist():
            names = ", ".join(dataset.classes[label] for label in lacking)
            distributed.notify(f"no episode has {names}: too few clips for {shots} shots and {least} queries")
        if queries is None:
            queries = min(QUERIES, int(query_sizes[classes].min()))
            if queries < QUERIES:
                distributed.notify(
                    f"queries: {queries} of each class instead of {QUERIES}, as the smallest has no more"
                )
        return cls(dataset, train, test, classes, ways, shots, queries, number, seed)

    def draw(self, episode: int) -> tuple[Positions, Positions]:
        """Shots and queries of one episode, class by class."""
        chosen = self._first(self.classes, self.ways, Purpose.CLASSES, episode).tolist()
        support, queries = (
            [self._first(part[self.dataset.labels[part] == label], size, Purpose.SHOTS, episode) for label in chosen]
            for part, size in ((self.train, self.shots), (self.test, self.queries))
        )
        return np.concatenate(support), np.concatenate(queries)

    def _first(self, candidates: Positions, size: int, what: Purpose, episode: int) -> Positions:
        """Return the candidates with the smallest draws."""
        return np.asarray(candidates[order_drawn(self.seed, episode, candidates, what)[:size]])


def nearest_class(
    features: Float64[Tensor, "n d"],
    labels: Int64[Tensor, " n"],
    known: Int64[Tensor, " s"],
    queries: Int64[Tensor, " q"],
) -> Int64[Tensor, " q"]:
    """Return the class whose known clips have the mean nearest to each query, by the cosine; the first if several do.

    Args:
        features: (N, D) of all clips, of length 1.
        labels: (N,) classes.
        known: (S,) positions of clips whose classes are known.
        queries: (Q,) positions of clips to classify.
    """
    classes, which = labels[known].unique(return_inverse=True)
    sums = features.new_zeros(len(classes), features.shape[1]).index_add(0, which, features[known])
    return classes[(features[queries] @ functional.normalize(sums).T).argmax(1)]
