"""Adaptation of an encoder to another joint layout or window than in pre-training, by mapping its embeddings."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from maskel.conversion import conversion
from maskel.errors import InputError
from maskel.layouts import Layout
from maskel.models.encoder import Encoder


def adapted(encoder: Encoder, layout: Layout, window: int | None = None) -> Encoder:
    """Return the same encoder for ``layout`` and ``window``; itself, if these are its own.

    The embedding of a joint is that of the same joint in the encoder's own layout; where it has none, the mean of those
    from which `maskel.conversion` estimates the joint, or that of the nearest joint. An encoder that reads the layout's
    group ``kept`` maps that group. The time embedding is resized to the new number of patches by bicubic interpolation
    (``align_corners=False``), as MAMP's public code does. All other weights stay.

    Args:
        encoder: A trained encoder.
        layout: Joint layout to read.
        window: Frames to read; the encoder's own by default.

    Returns:
        An encoder whose ``adapted`` describes the mapping.

    Raises:
        InputError: If the encoder's patches hold several joints, a joint has no counterpart, or ``window`` is no number
            of whole patches.
    """
    config = encoder.config if window is None else replace(encoder.config, window=window)
    if (layout.name, config.window) == (encoder.layout.name, encoder.config.window):
        return encoder
    new = Encoder(layout, config, encoder.channels)
    weights = dict(encoder.state_dict())
    said = []
    if layout.name != encoder.layout.name:
        weights["joint_embed"], sentence = _mapped(encoder, new)
        said.append(sentence)
    if new.grid[0] != encoder.grid[0]:
        image = encoder.time_embed.detach().permute(0, 3, 1, 2)
        resized = functional.interpolate(image, size=(new.grid[0], 1), mode="bicubic", align_corners=False)
        weights["time_embed"] = resized.permute(0, 2, 3, 1)
        said.append(f"time embedding resized from {encoder.grid[0]} to {new.grid[0]} patches")
    new.load_state_dict(weights)
    new.adapted = "; ".join(said)
    new.provenance = encoder.provenance
    return new.to(encoder.time_embed.device).train(encoder.training)


def _mapped(old: Encoder, new: Encoder) -> tuple[Tensor, str]:
    """Map the joint embedding to the new layout, (1, 1, V', D), and describe the mapping."""
    if old.config.patch_joints != 1:
        raise InputError(
            f"the encoder reads {old.layout.name} in patches of {old.config.patch_joints} joints, which cannot be "
            f"mapped to other layouts; found a set of {new.layout.name}"
        )
    made = conversion(old.layout, new.layout)
    rows = [new.layout.index(joint) for joint in new.joints]
    matrix = torch.from_numpy(made.matrix[rows][:, [old.layout.index(joint) for joint in old.joints]])
    total = matrix.sum(1, keepdim=True)
    if not total.all():
        joint = new.joints[int((total == 0).nonzero()[0, 0])]
        raise InputError(
            f"joint {joint} of {new.layout.name} has no counterpart among the joints of {old.layout.name} that the "
            f"encoder reads"
        )
    several = [joint for joint, sources in zip(new.joints, (matrix != 0).sum(1).tolist(), strict=True) if sources > 1]
    invented = [joint for joint, row in zip(new.joints, rows, strict=True) if row in made.invented]
    copied = len(rows) - len({*several, *invented})
    sentence = f"joint embeddings mapped from {old.layout.name} to {new.layout.name}: {copied} of {len(rows)} copied"
    for what, joints in (("means of others", several), ("the nearest joint's", invented)):
        if joints:
            sentence += f", {len(joints)} {what} ({', '.join(joints)})"
    embedding = old.joint_embed.detach()
    return (matrix / total).to(embedding) @ embedding, sentence
