"""Importance of joints for a classifier's answer: gradient times input."""

from dataclasses import dataclass

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from maskel.errors import InputError
from maskel.methods.classifier import Classifier
from maskel.sequence import SkeletonBatch
from maskel.transforms import test_view


@dataclass(frozen=True)
class Importance:
    """Answers for clips, and the part of each joint in them.

    Args:
        labels: (B,) the most probable class.
        probabilities: (B,) its probability.
        joints: (B, M, T, V, C) the clips in the test view.
        values: (B, M, T, V) by how much the class's score grows for a relative growth of a joint's numbers; below 0
            where it shrinks.
    """

    labels: Int64[Tensor, " b"]
    probabilities: Float32[Tensor, " b"]
    joints: Float32[Tensor, "b m t v c"]
    values: Float32[Tensor, "b m t v"]


def importance(model: Classifier, batch: SkeletonBatch) -> Importance:
    """Compute gradient times input of the most probable class's score, summed over the numbers of each joint.

    To first order it is the change of the score if the joint's numbers in that frame grew by their own size. It depends
    on the origin of the joints. See Shrikumar et al., arXiv 1605.01713.

    Args:
        model: The classifier, in eval mode.
        batch: Clips as `SkeletonSet.gather` gives them for the classifier's task.

    Raises:
        InputError: If a score or gradient is not finite.
    """
    view = test_view(batch, model.encoder.config.window)
    joints = view.joints.detach().clone().requires_grad_()
    with torch.enable_grad():
        scores = model.scores(model.features(view.with_joints(joints)))
        labels = scores.argmax(1)
        chosen = scores.gather(1, labels[:, None]).sum()  # clips do not mix in eval mode
        (gradient,) = torch.autograd.grad(chosen, joints)
    if not (scores.isfinite().all() and gradient.isfinite().all()):
        raise InputError("a clip gives scores or gradients that are not finite; the model's weights are too large")
    shares = scores.detach().softmax(1)
    return Importance(
        labels, shares.gather(1, labels[:, None])[:, 0], joints.detach(), (gradient * joints.detach()).sum(-1)
    )
