"""Importance of joints: gradient times input, against differences of the score itself."""

import numpy as np
import pytest
import torch

import tiny
from maskel.datasets.store import SkeletonSet
from maskel.training.importance import importance
from maskel.transforms import test_view


@pytest.mark.parametrize("kind", ["finetune", "linear"])
@pytest.mark.parametrize("single_body", ["zero", "copy"])
def test_importance_is_the_change_of_the_score(kind: str, single_body: str, tiny_set: SkeletonSet) -> None:
    model = tiny.tiny_classifier(kind).eval()
    batch = tiny_set.gather(np.array([3, 4, 5]), 2, single_body)
    found = importance(model, batch)
    view = test_view(batch, model.encoder.config.window)
    scores = model.logits(view).detach()
    assert found.labels.tolist() == scores.argmax(1).tolist()
    torch.testing.assert_close(found.probabilities, scores.softmax(1).max(1).values)
    assert found.values.shape == view.joints.shape[:-1]
    draws, step = np.random.default_rng(0), 0.02
    clips = np.repeat(np.arange(3), 6)
    places = [(clip, *map(int, draws.integers((2, 8, 25)))) for clip in clips.tolist()]
    for place in places:
        changed = []
        for sign in (1, -1):
            joints = view.joints.clone()
            joints[place] *= 1 + sign * step  # the joint's numbers grow by a small share of their own size
            score = model.logits(view.with_joints(joints)).detach()
            changed.append(score[place[0], found.labels[place[0]]])
        expected = float(changed[0] - changed[1]) / (2 * step)
        assert float(found.values[place]) == pytest.approx(expected, rel=0.03, abs=1e-4)
    assert found.values.abs().sum() > 0


def test_no_gradient_stays_on_the_model(tiny_set: SkeletonSet) -> None:
    model = tiny.tiny_classifier("finetune").eval()
    importance(model, tiny_set.gather(np.array([0]), 2))
    assert all(parameter.grad is None for parameter in model.parameters())
