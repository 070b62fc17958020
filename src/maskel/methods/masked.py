"""Masked modelling: hide most tokens, encode the rest, predict what was hidden."""

from abc import abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any, ClassVar, Literal, TypeVar

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from maskel.arguments import OF_METHODS, completed
from maskel.draws import Purpose, body_keys, uniform
from maskel.errors import InputError
from maskel.losses import masked_mean_squared_error
from maskel.masking import MASKINGS, Masking, TokenMask
from maskel.masking.base import mask_columns
from maskel.methods.base import Method, fold_bodies
from maskel.models.decoder import Decoder, DecoderKind, QueryDecoder
from maskel.models.encoder import Encoder
from maskel.models.patches import take_tokens, to_patches
from maskel.sequence import SkeletonBatch
from maskel.targets import TARGETS, MotionTarget, Target

_Part = TypeVar("_Part", Masking, Target)
Bodies = Literal["all", "present"]
"""Bodies to train on: all M slots as published, absent ones included, or only those that were recorded."""


@dataclass(frozen=True)
class Reconstruction:
    """Outcome of one forward pass of masked modelling for R bodies.

    Args:
        mask: Visible and hidden tokens.
        visible: (R, K, D) the encoder's normed tokens, in the order of ``mask.keep``.
        predicted: (R, N - K, P) predictions for the masked tokens, in the order of ``mask.masked``.
        target: (R, N - K, P) their true values.
    """

    mask: TokenMask
    visible: Float[Tensor, "r k d"]
    predicted: Float[Tensor, "r h p"]
    target: Float32[Tensor, "r h p"]


class MaskedMethod(Method):
    """Common ground of all masked modelling: the parts and calls that pictures rely on.

    Attributes:
        decoder: Predicts the target; thrown away after pre-training.
        target: Signal to predict, or the part of it that pictures draw.
        bodies: Bodies to train on.
        may_lack_joints: Whether `forward` leaves out joints that clips lack (`SkeletonBatch.parts`).
        switches: Dataclass whose fields the constructor takes as further keyword arguments; None for no such.

    The docstring of a subclass need not describe arguments that `maskel.arguments.OF_METHODS` describes.
    """

    switches: ClassVar[type[Any] | None] = None
    decoder: Decoder | QueryDecoder
    target: Target
    bodies: Bodies
    may_lack_joints: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.__doc__:
            cls.__doc__ = completed(cls.__doc__, signature(cls).parameters, OF_METHODS)

    @property
    def standardised_within(self) -> str:
        """Extent over which the target is standardised, in words; empty if it is not."""
        return "token" if self.target.normalize else ""

    def forward(self, batch: SkeletonBatch, keys: Int64[Tensor, " b"]) -> dict[str, Tensor]:
        """Compute the loss of a batch: of clips that lack joints the mean of their parts' losses, by their weights."""
        if not batch.parts:
            return self.loss(batch, keys, None)
        losses = [self.loss(batch.take(part.rows), keys[part.rows], part.joints) for part in batch.parts]
        weight = torch.stack([entry["weight"] for entry in losses]).sum()
        return {
            "loss": torch.stack([each["loss"] * each["weight"] for each in losses]).sum() / weight,
            "weight": weight,
        }

    @abstractmethod
    def loss(self, batch: SkeletonBatch, keys: Int64[Tensor, " b"], there: Collection[int] | None) -> dict[str, Tensor]:
        """Compute what `forward` returns, of clips that all have the joints ``there``; None stands for all joints."""

    @abstractmethod
    def mask(self, joints: Float32[Tensor, "r t v c"], draws: Float32[Tensor, "r n"]) -> TokenMask:
        """Choose the tokens to hide.

        Args:
            joints: (R, T, V, C) a body each, in the encoder's stream.
            draws: (R, N) uniform on [0, 1), one per token; they decide the mask.
        """

    @abstractmethod
    def reconstruct(self, joints: Float32[Tensor, "r t v c"], draws: Float32[Tensor, "r n"]) -> Reconstruction:
        """Mask, encode, decode; arguments as for `mask`."""

    def masked_inputs(
        self, batch: SkeletonBatch, keys: Int64[Tensor, " b"]
    ) -> tuple[Float32[Tensor, "r t v c"], Float32[Tensor, "r n"]]:
        """Return the batch's bodies to train on, in the encoder's stream, and the draws that mask them.

        Args:
            batch: Clips resampled to the encoder's window, joint positions.
            keys: (B,) one per clip and epoch.
        """
        joints, rows = fold_bodies(batch, body_keys(keys, batch.joints.shape[1]), self.bodies == "present")
        return self.encoder.stream(joints), uniform(rows, Purpose.MASK, self.encoder.num_tokens)

    def row_weights(self, batch: SkeletonBatch) -> Float32[Tensor, " r"] | None:
        """Return the weights in the loss of the bodies that `masked_inputs` returns; None where all weigh alike."""
        return batch.weights if self.bodies == "present" else None

    def row_count(self, batch: SkeletonBatch) -> Float32[Tensor, ""]:
        """Return the number of bodies that the loss is the mean of."""
        weights = self.row_weights(batch)
        if weights is not None:
            return weights.sum()
        rows = len(batch.present_bodies()) if self.bodies == "present" else batch.present.numel()
        return torch.full((), rows, dtype=torch.float32, device=batch.joints.device)


class MaskedAutoencoder(MaskedMethod):
    """Encoder, decoder, masking and target, composed.

    Args:
        masking: Strategy that hides tokens.
        target: Signal to predict.
        bodies: ``all`` as published, or ``present`` to skip absent bodies.
        decoder: Tokens that masked tokens attend to: ``full`` or ``cross``.

    Raises:
        InputError: If the mask would keep no token, the decoder's sizes are impossible, or a motion target's stride
            is not below the window.

    Examples:
        >>> import torch
        >>> from maskel import Encoder, EncoderConfig
        >>> from maskel.layouts import NTU25
        >>> from maskel.masking import RandomMasking
        >>> from maskel.methods import MaskedAutoencoder
        >>> from maskel.targets import MotionTarget
        >>> encoder = Encoder(NTU25, EncoderConfig(window=16, dim=32, depth=1, num_heads=4))
        >>> method = MaskedAutoencoder(encoder, RandomMasking(0.9), MotionTarget(), 32, 1, "all")
        >>> result = method.reconstruct(torch.randn(2, 16, 25, 3), torch.rand(2, encoder.num_tokens))
        >>> result.predicted.shape  # 91 of 100 tokens are masked, each of 4 x 1 x 3 values
        torch.Size([2, 91, 12])
    """

    decoder: Decoder
    may_lack_joints = True

    def __init__(
        self,
        encoder: Encoder,
        masking: Masking,
        target: Target,
        decoder_dim: int,
        decoder_depth: int,
        bodies: Bodies,
        decoder: DecoderKind = "full",
    ) -> None:
        super().__init__()
        masking.num_kept(encoder.num_tokens)  # a ratio that keeps nothing is refused before the first step
        window = encoder.config.window
        if isinstance(target, MotionTarget) and target.stride >= window:
            raise InputError(
                f"target: found a motion stride of {target.stride}, expected less than the window of {window} frames; "
                f"beyond it nothing moves"
            )
        self.encoder = encoder
        self.decoder = Decoder(encoder, decoder_dim, decoder_depth, decoder)
        self.masking = masking
        self.target = target
        self.bodies = bodies

    def mask(
        self,
        joints: Float32[Tensor, "r t v c"],
        draws: Float32[Tensor, "r n"],
        there: Collection[int] | None = None,
    ) -> TokenMask:
        """Choose the tokens to hide by the masking strategy, which sees patches of positions, without scores.

        Args:
            joints: (R, T, V, C) a body each, in the encoder's stream.
            draws: (R, N) one per token.
            there: Joints that the bodies have; tokens of others are neither visible nor masked. All by default.
        """
        config = self.encoder.config
        patches = to_patches(self.encoder.positions(joints), config.patch_frames, config.patch_joints)
        if there is None:
            return self.masking(patches, draws)
        return mask_columns(self.masking, patches, draws, self.encoder.columns(there))

    def reconstruct(
        self,
        joints: Float32[Tensor, "r t v c"],
        draws: Float32[Tensor, "r n"],
        there: Collection[int] | None = None,
    ) -> Reconstruction:
        """Mask, encode, decode; arguments as for `mask`."""
        config = self.encoder.config
        mask = self.mask(joints, draws, there)
        visible = self.encoder(joints, mask.keep)
        predicted = self.decoder(visible, mask)
        target = self.target(self.encoder.positions(joints), config.patch_frames, config.patch_joints)
        return Reconstruction(mask, visible, predicted, take_tokens(target, mask.masked))

    def loss(self, batch: SkeletonBatch, keys: Int64[Tensor, " b"], there: Collection[int] | None) -> dict[str, Tensor]:
        """Compute the mean squared error on the masked tokens of the batch's bodies."""
        result = self.reconstruct(*self.masked_inputs(batch, keys), there)
        error = masked_mean_squared_error(result.predicted, result.target, self.row_weights(batch))
        return {"loss": error, "weight": self.row_count(batch)}


class Masked(MaskedAutoencoder):
    """Masked modelling with masking, target and decoder chosen by name; `MAE` and `MAMP` are two presets of it.

    Args:
        masking: Strategy that hides tokens: ``random`` or ``motion_aware``.
        target: Signal to predict: ``joints``, ``motion`` or ``hyperbolic_motion`` (that of HA-CM's released code).
        tau: Temperature of ``motion_aware`` masking, 0.8 by default; 0 or less masks uniformly. Refused with other
            maskings, where it does nothing.
        motion_stride: Frames between the two positions whose difference is the motion, 1 by default, below the window.
            Refused with the target ``joints``, where it does nothing.

    Raises:
        InputError: If a name is unknown, an option is out of range, or one does nothing for the parts chosen.

    Examples:
        >>> from maskel import Encoder, EncoderConfig, Masked
        >>> from maskel.layouts import NTU25
        >>> encoder = Encoder(NTU25, EncoderConfig(window=16, dim=32, depth=1, num_heads=4))
        >>> method = Masked(encoder, masking="motion_aware", target="joints", tau=0.75)
        >>> type(method.masking).__name__, type(method.target).__name__
        ('MotionAwareMasking', 'JointTarget')
    """

    def __init__(
        self,
        encoder: Encoder,
        masking: str = "motion_aware",
        target: str = "joints",
        ratio: float = 0.9,
        tau: float | None = None,
        motion_stride: int | None = None,
        normalize_target: bool = True,
        decoder_dim: int = 256,
        decoder_depth: int = 3,
        decoder: DecoderKind = "full",
        bodies: Bodies = "all",
    ) -> None:
        hides = _part("masking", masking, MASKINGS, "tau", "tau", tau, ratio=ratio)
        predicts = _part(
            "target", target, TARGETS, "motion_stride", "stride", motion_stride, normalize=normalize_target
        )
        super().__init__(encoder, hides, predicts, decoder_dim, decoder_depth, bodies, decoder)


def _part(
    what: str, name: str, parts: Mapping[str, type[_Part]], option: str, argument: str, value: Any, **shared: Any
) -> _Part:
    """Build the part called ``name`` of arguments that all parts have, and of one that only some have.

    ``value`` is what the user gave as ``option`` for that one, None for nothing; where it does nothing it is refused.
    """
    if name not in parts:
        raise InputError(f"{what}: found {name!r}, expected one of {', '.join(parts)}")
    if value is None:
        return parts[name](**shared)
    having = [other for other, kind in parts.items() if argument in signature(kind).parameters]
    if name not in having:
        raise InputError(
            f"{option}: does nothing with {what} {name}; leave it out, or choose {what} {' or '.join(having)}"
        )
    return parts[name](**shared, **{argument: value})
