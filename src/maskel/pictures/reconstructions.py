"""Predictions of a pre-trained method for a few test clips, in the units of its signal."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from maskel.datasets.bodies import upward, without_missing
from maskel.datasets.store import SkeletonSet
from maskel.draws import Purpose, body_keys, clip_keys, uniform
from maskel.methods.masked import MaskedMethod
from maskel.models.encoder import Encoder, EncoderConfig
from maskel.models.patches import put_tokens, to_patches
from maskel.pictures.gallery import by_turns
from maskel.sequence import Clip
from maskel.targets import Drawn
from maskel.transforms import centre_crop, test_view, view_frames


@dataclass(frozen=True)
class ShownClip:
    """One body of one clip with its prediction: T frames of the window, T'·V' tokens of the R joints read.

    Args:
        clip: Name and label.
        class_name: Its class.
        body: Number of the body, from 1.
        bodies: Number of bodies of the clip.
        joints: (T, V, C) positions of all joints as in pictures: right, up, depth; NaN where missing.
        read: (R,) the joints that the method reads.
        hidden: (T', V') True where the token was masked.
        true: (T, R, C) the signal to predict: motion or positions of the stream.
        predicted: (T, R, C) the prediction in the same units; NaN where the token was visible.
        error: Mean squared error on the masked tokens, as in training.
        error_of_zero: The same for a prediction of 0 everywhere.
    """

    clip: Clip
    class_name: str
    body: int
    bodies: int
    joints: Float32[np.ndarray, "t v c"]
    read: tuple[int, ...]
    hidden: Bool[np.ndarray, "tp vp"]
    true: Float32[np.ndarray, "t r c"]
    predicted: Float32[np.ndarray, "t r c"]
    error: float
    error_of_zero: float

    @property
    def hidden_joints(self) -> Bool[np.ndarray, "t v"]:
        """(T, V) True where the token of a joint was masked; False for joints that the method does not read."""
        frames, joints = len(self.joints) // len(self.hidden), len(self.read) // self.hidden.shape[1]
        hidden = np.zeros(self.joints.shape[:2], dtype=bool)
        hidden[:, list(self.read)] = self.hidden.repeat(frames, 0).repeat(joints, 1)
        return hidden


def form_drawn(method: MaskedMethod) -> Drawn:
    """Return the form of the drawn predictions: only positions or motion of joints are drawn on the skeleton."""
    return method.target.drawn if method.encoder.config.stream == "joint" else "maps"


def shown_part(dataset: SkeletonSet, benchmark: str) -> str:
    """Return the part of a benchmark to show: the test part, else the training part, else clips without a label."""
    return next((part for part in ("test", "train") if len(dataset.split(benchmark, part))), "unlabelled")


def choose_clips(dataset: SkeletonSet, benchmark: str, count: int) -> Int64[np.ndarray, " n"]:
    """Choose clips to draw: always the same clips of a set, with different classes as far as possible.

    Args:
        dataset: The set.
        benchmark: The benchmark; clips of its `shown_part` are chosen.
        count: Number of clips; fewer if the part is smaller.
    """
    part = dataset.split(benchmark, shown_part(dataset, benchmark))
    return part[by_turns(dataset.labels[part])[:count]]


def first_body(encoder: Encoder, dataset: SkeletonSet, position: int) -> tuple[Float32[Tensor, "1 t v c"], int]:
    """Return joint positions and slot of the first recorded body of a clip in the test view."""
    batch = test_view(dataset.gather(np.array([position]), int(dataset.bodies[position])), encoder.config.window)
    body = int(batch.present[0].to(torch.int64).argmax())
    return batch.joints[:, body], body


def mask_draws(
    encoder: Encoder, seed: int, epochs: Sequence[int], position: int, body: int
) -> Float32[Tensor, "epochs n"]:
    """Return the draws that mask one body of a clip in each of the given epochs of training."""
    clip = torch.tensor([position])
    keys = [body_keys(clip_keys(seed, epoch, clip), body + 1)[:, body] for epoch in epochs]
    return uniform(torch.cat(keys), Purpose.MASK, encoder.num_tokens)


@torch.no_grad()
def reconstruct_clip(method: MaskedMethod, dataset: SkeletonSet, position: int, seed: int) -> ShownClip:
    """Mask the first recorded body of a clip in the test view, and predict the hidden tokens.

    Args:
        method: The method, in eval mode, on the CPU.
        dataset: A set of its layout.
        position: Position of the clip.
        seed: Seed of the mask, which depends on seed and clip only.
    """
    encoder, config = method.encoder, method.encoder.config
    joints, body = first_body(encoder, dataset, position)
    stream = encoder.stream(joints)
    result = method.reconstruct(stream, mask_draws(encoder, seed, [0], position, body))
    true = method.target.signal(encoder.positions(stream))
    raw = to_patches(true, config.patch_frames, config.patch_joints).flatten(1, 2)
    everywhere = put_tokens(torch.full_like(raw, torch.nan), result.mask.masked, result.predicted.float())
    shape = (config.window, len(encoder.joints), encoder.coordinates)
    clip, up = dataset.clips[position], upward(dataset)
    return ShownClip(
        clip=clip,
        class_name=dataset.class_name(position),
        body=body + 1,
        bodies=int(dataset.bodies[position]),
        joints=up.turn(_known(joints[0, ..., : encoder.coordinates].numpy(), dataset, position, body)),
        read=tuple(encoder.layout.index(joint) for joint in encoder.joints),
        hidden=result.mask.hidden[0].reshape(-1, shape[1] // config.patch_joints).numpy(),
        true=up.turn(true[0].numpy()),
        predicted=up.turn(_from_patches(method.target.restore(everywhere, raw)[0], shape, config).numpy()),
        error=float((result.predicted - result.target).square().mean()),
        error_of_zero=float(result.target.square().mean()),
    )


def _known(
    joints: Float32[np.ndarray, "t v c"], dataset: SkeletonSet, position: int, body: int
) -> Float32[np.ndarray, "t v c"]:
    """Set joints of a body in the test view to NaN if they are missing in one of the two frames blended."""
    recorded = dataset.sequence(position).joints[body, ..., : dataset.coordinates]
    missing = np.isnan(without_missing(recorded, dataset)).any(-1)  # (T of the clip, V)
    start, length = centre_crop(torch.from_numpy(dataset.valid_frames[[position]]))
    frames = view_frames(start, length, len(joints))
    before, after, weight = (part[0].numpy() for part in (frames.before, frames.after, frames.weight))
    gone = missing[before] | (missing[after] & (weight > 0)[:, np.newaxis])
    gone &= ~gone.all(1, keepdims=True)
    return np.where(gone[..., np.newaxis], np.float32(np.nan), joints)


def _from_patches(
    patches: Float32[Tensor, "n p"], shape: tuple[int, int, int], config: EncoderConfig
) -> Float32[Tensor, "t v c"]:
    frames, joints, coordinates = shape
    u, p = config.patch_frames, config.patch_joints
    return patches.reshape(frames // u, joints // p, u, p, coordinates).transpose(1, 2).reshape(shape)


def per_token(values: Float[np.ndarray, "t v c"], config: EncoderConfig) -> Float[np.ndarray, "vp tp"]:
    """Return the mean length of the vectors inside each token: joints by row, time by column."""
    lengths = np.linalg.norm(values, axis=-1)
    u, p = config.patch_frames, config.patch_joints
    return lengths.reshape(len(lengths) // u, u, lengths.shape[1] // p, p).mean((1, 3)).T
