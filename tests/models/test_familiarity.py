import numpy as np
import pytest
import torch

from maskel.models.familiarity import MOST_VALUES, NEAREST, Familiarity


def features(clips: int = 30, values: int = 12, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(clips, values)) * 3 + 1).float()


def naive(known: np.ndarray, one: np.ndarray) -> float:
    return float(np.sort(np.linalg.norm(known - one, axis=1))[:NEAREST].mean())


def standard(some: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    values = some.double().numpy()
    mean, spread = values.mean(0), values.std(0, ddof=1)
    return (values - mean) / spread, mean, spread


def test_distances_are_those_to_the_nearest_training_clips() -> None:
    some, others = features(), features(5, seed=1)
    familiarity = Familiarity.of(some)
    known, mean, spread = standard(some)
    own = np.array([naive(np.delete(known, place, 0), known[place]) for place in range(len(known))])
    unit = np.sort(own)[(len(own) - 1) // 2]
    expected = [naive(known, (one - mean) / spread) / unit for one in others.double().numpy()]
    assert familiarity.distance(others).tolist() == pytest.approx(expected, rel=1e-5)
    assert familiarity.usual.tolist() == pytest.approx(sorted(own / unit), rel=1e-5)
    assert familiarity.percentile(1.0) == pytest.approx(50.0)
    assert (familiarity.percentile(0.0), familiarity.percentile(1e9)) == (0.0, 100.0)


def test_training_clips_are_compared_with_those_of_other_people() -> None:
    some = features(20)
    twice = torch.cat((some, some + 1e-3))  # each clip has a twin of the same person
    subjects = torch.arange(20).repeat(2)
    alone, apart = Familiarity.of(twice), Familiarity.of(twice, subjects)
    assert alone.unit < apart.unit
    known, _, _ = standard(twice)
    own = np.array([naive(known[np.arange(40) % 20 != place % 20], known[place]) for place in range(40)])
    assert apart.unit.item() == pytest.approx(np.sort(own)[19], rel=1e-4)
    assert torch.equal(Familiarity.of(twice, torch.zeros(40, dtype=torch.int64)).usual, alone.usual)  # one person


def test_what_is_unlike_every_training_clip_is_far() -> None:
    draws = np.random.default_rng(0)
    classes = draws.normal(size=(3, 1000)) * 3
    some = torch.from_numpy(np.concatenate([one + draws.normal(size=(30, 1000)) for one in classes])).float()
    familiarity = Familiarity.of(some)
    assert familiarity.known.shape == (90, MOST_VALUES)
    same = torch.from_numpy(classes + draws.normal(size=(3, 1000))).float()
    other = torch.from_numpy(draws.normal(size=(3, 1000)) * 6).float()
    assert (familiarity.distance(same) < 1.2).all()
    assert (familiarity.distance(other) > 2).all()
    exact = torch.cdist((same - some.mean(0)) / some.std(0), (some - some.mean(0)) / some.std(0))
    expected = exact.topk(NEAREST, largest=False).values.mean(1)
    assert (familiarity.distance(same) * familiarity.unit).tolist() == pytest.approx(expected.tolist(), rel=0.15)


@pytest.mark.parametrize("clips", [2, 3])
def test_few_and_equal_clips_have_a_distance(clips: int) -> None:
    same = torch.ones(clips, 4)
    assert Familiarity.of(same).distance(torch.ones(1, 4)).tolist() == [0.0]
    assert Familiarity.of(same).distance(torch.zeros(1, 4)).tolist() == [2.0]  # a spread of 0 counts as 1
    assert Familiarity.of(features(clips)).distance(features(2)).isfinite().all()
