"""Trained models as one graph for other runtimes: clips as a set holds them go in, features or classes come out.

View, stream and pooling are part of the graph. It has no branch and asks nothing of its input: a body or a frame that
is absent is all zero, as in prepared sets, and the number of valid frames follows from that.
"""

from typing import Any, get_args

import torch
from jaxtyping import Bool, Float32
from torch import Tensor, nn

from maskel.datasets.provenance import build_source
from maskel.errors import InputError
from maskel.methods.classifier import Classifier
from maskel.methods.masked import Bodies
from maskel.models.encoder import Encoder
from maskel.models.pooling import Pool
from maskel.sequence import SingleBody, num_coordinates
from maskel.transforms import centre_crop, view_frames


class DeployedEncoder(nn.Module):
    """Encoder with the test view before it and the pooling behind it.

    Args:
        encoder: A trained encoder.
        pool: Tokens to average.
        bodies: ``all`` averages over all body slots of the input, as ``maskel embed`` does; ``present`` over the bodies
            that are not all zero, as `Encoder.encode` does.
        single_body: Meaning of an empty second slot beside a first body: none there, or a copy of the only body. The
            mean over all slots depends on it.

    Raises:
        InputError: If ``bodies`` is another word.

    Examples:
        >>> import torch
        >>> from maskel import Encoder, EncoderConfig
        >>> from maskel.layouts import NTU25
        >>> from maskel.training.deployed import DeployedEncoder
        >>> model = DeployedEncoder(Encoder(NTU25, EncoderConfig(window=16, dim=32, depth=1, num_heads=4)))
        >>> model(torch.randn(2, 1, 100, 25, 3)).shape  # 2 clips of one body, 100 frames
        torch.Size([2, 32])
    """

    outputs: tuple[str, ...] = ("features",)

    def __init__(
        self, encoder: Encoder, pool: Pool = "mean", bodies: Bodies = "all", single_body: SingleBody = "zero"
    ) -> None:
        super().__init__()
        if bodies not in get_args(Bodies):
            raise InputError(f"bodies: found {bodies!r}, expected all or present")
        self.encoder = encoder
        self.pool = pool
        self.bodies = bodies
        self.single_body = single_body
        self.provenance = encoder.provenance

    def features(self, joints: Float32[Tensor, "b m t v c"]) -> Float32[Tensor, "b f"]:
        """Compute the features of whole clips; the same as `Encoder.pool` of their test view."""
        there = (joints != 0).flatten(3).any(3)  # (B, M, T)
        lengths = there.any(1).sum(1).clamp(min=1)
        seen = middle_frames(joints, lengths, self.encoder.config.window).flatten(0, 1)  # (B·M, W, V, C)
        tokens = self.encoder(self.encoder.stream(seen)).float()
        each = self.encoder.pooled(tokens, self.pool).unflatten(0, there.shape[:2])  # (B, M, F)
        shares = self._shares(there, lengths)[..., None]
        return (each * shares).sum(1) / shares.sum(1)

    def _shares(self, there: Bool[Tensor, "b m t"], lengths: Tensor) -> Float32[Tensor, "b m"]:
        """Compute 1 for each body slot that counts in the mean, else 0."""
        slots = torch.arange(there.shape[1], device=there.device)
        if self.bodies == "present":
            valid = torch.arange(there.shape[2], device=there.device) < lengths[:, None]
            present = (there & valid[:, None]).any(2)
            return (present | (~present.any(1, keepdim=True) & (slots == 0))).float()
        shares = torch.ones_like(there[..., 0], dtype=torch.float32)
        if self.single_body == "copy":  # of the only body: it changes no mean
            alone = ~(there.any(2) & (slots > 0)).any(1, keepdim=True)
            shares = shares * ~(alone & (slots == 1))
        return shares

    def forward(self, joints: Float32[Tensor, "b m t v c"]) -> Any:
        """Compute the outputs, named by `outputs`.

        Args:
            joints: (B, M, T, V, C) in the unit and with the origin of the training clips; absent bodies and frames, and
                those that fill up a shorter clip, are all zero.
        """
        return self.features(joints)

    def describe(self) -> dict[str, Any]:
        """Describe the input and how it must have been made, as JSON can hold it."""
        encoder = self.encoder
        made = self.provenance
        about = {
            "kind": "encoder",
            "layout": encoder.layout.name,
            "joints": list(encoder.layout.joints),
            "channels": list(encoder.channels),
            "window": encoder.config.window,
            "stream": encoder.config.stream,
            "pool": self.pool,
            "bodies": self.bodies,
            "single_body": self.single_body,
            "adapted": encoder.adapted,
            "provenance": None if made is None else vars(made),
        }
        try:
            conventions = {} if made is None else build_source(made).conventions(num_coordinates(encoder.channels))
        except InputError:  # of a source that this version has not
            conventions = {}
        return about | {name: conventions.get(name) for name in ("unit", "origin", "up")}


class DeployedClassifier(DeployedEncoder):
    """Classifier with the test view before it and the probabilities behind it.

    Args:
        classifier: A trained classifier.

    Examples:
        >>> import torch
        >>> from maskel import load_classifier
        >>> from maskel.training.deployed import DeployedClassifier
        >>> logits, probabilities = DeployedClassifier(load_classifier("classifier"))(torch.randn(4, 2, 50, 25, 3))
        >>> probabilities.shape
        torch.Size([4, 13])
    """

    outputs = ("logits", "probabilities")

    def __init__(self, classifier: Classifier) -> None:
        super().__init__(classifier.encoder, classifier.pool, classifier.bodies, classifier.label_spec.single_body)
        self.head = classifier.head
        self.label_spec = classifier.label_spec
        self.provenance = classifier.label_spec.provenance

    def forward(self, joints: Float32[Tensor, "b m t v c"]) -> Any:
        """Compute class scores and probabilities, both (B, classes); see `DeployedEncoder.forward`."""
        logits = self.head(self.features(joints)).float()
        return logits, logits.softmax(1)

    def describe(self) -> dict[str, Any]:
        """Describe input, classes and body slots."""
        return super().describe() | {
            "kind": "classifier",
            "classes": list(self.label_spec.classes),
            "spare": self.label_spec.spare,
            "num_bodies": self.label_spec.num_bodies,
        }


def middle_frames(joints: Float32[Tensor, "b m t v c"], lengths: Tensor, window: int) -> Float32[Tensor, "b m w v c"]:
    """Resample the middle of the valid frames as `maskel.transforms.test_view` does, by operations of all runtimes."""
    frames = view_frames(*centre_crop(lengths), window)

    def at(index: Tensor) -> Tensor:
        return joints.gather(2, index[:, None, :, None, None].expand(-1, joints.shape[1], -1, *joints.shape[3:]))

    weight = frames.weight[:, None, :, None, None]
    return at(frames.before) * (1 - weight) + at(frames.after) * weight
