"""Maps of mask frequencies: how often a method hides each joint and time of a clip, over many draws of the mask."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.methods.masked import MaskedMethod
from maskel.pictures.charts import token_map
from maskel.pictures.figures import row_names
from maskel.pictures.markup import Markup, element, join, missing, not_shown, paragraph, table
from maskel.pictures.reconstructions import choose_clips, first_body, mask_draws
from maskel.training.finished import Run, open_pretrained
from maskel.training.pretrained import require_fit

_AT_ONCE = 50  # masks drawn at once; limits the memory
_OF_A_REPORT = 500  # draws
_TITLE = 44  # characters that fit above a map; a longer name stands before it


@dataclass(frozen=True)
class Hidden:
    """Frequency with which one method hides each token of a clip.

    Args:
        name: Name of the method and its run.
        rows: Names of the joints.
        shares: (V', T') frequencies in [0, 1].
        patch_frames: Frames of a token.
        draws: Number of drawn masks.
    """

    name: str
    rows: Sequence[str]
    shares: Float[np.ndarray, "v t"]
    patch_frames: int
    draws: int


@torch.no_grad()
def count_hidden(name: str, method: MaskedMethod, dataset: SkeletonSet, position: int, draws: int, seed: int) -> Hidden:
    """Draw a clip's mask as in ``draws`` epochs of training, on the first recorded body in the test view.

    Args:
        name: Name in the picture.
        method: The method, in eval mode, on the CPU.
        dataset: A set of its layout.
        position: Position of the clip.
        draws: Number of masks.
        seed: Seed of the masks.

    Raises:
        InputError: If the set has another layout or other channels.
    """
    encoder = method.encoder
    require_fit(name, encoder, dataset)
    joints, body = first_body(encoder, dataset, position)
    stream = encoder.stream(joints)
    counts = torch.zeros(encoder.num_tokens)
    for first in range(0, draws, _AT_ONCE):
        chunk = mask_draws(encoder, seed, range(first, min(first + _AT_ONCE, draws)), position, body)
        counts += method.mask(stream.expand(len(chunk), -1, -1, -1), chunk).hidden.sum(0)
    shares = (counts / draws).view(encoder.grid).T.numpy()
    return Hidden(name, row_names(encoder), shares, encoder.config.patch_frames, draws)


def mask_maps(clip: str, methods: Sequence[Hidden]) -> Markup:
    """Draw the maps side by side, all on one scale, with a summary in numbers.

    Args:
        clip: Name of the clip and its class.
        methods: One entry per method.
    """
    low = np.floor(20 * min(float(method.shares.min()) for method in methods)) / 20
    high = np.ceil(20 * max(float(method.shares.max()) for method in methods)) / 20
    maps = [
        element(
            "div",
            *([] if len(method.name) <= _TITLE else [paragraph(method.name, class_="note")]),
            token_map(
                method.name if len(method.name) <= _TITLE else "",
                (method.shares - low) / max(high - low, 0.05),
                method.rows,
                method.patch_frames,
                f"hidden in {100 * high:.0f} % of the draws",
                f"{100 * low:.0f} %",
            ),
        )
        for method in methods
    ]
    caption = (
        f"{clip}, first body, test view. One cell per token, joints by row, time by column: in how many of "
        f"{methods[0].draws} draws the token was hidden. All maps have the same scale; white is {100 * low:.0f} %."
    )
    figure = element("figure", element("div", *maps, class_="maps"), element("figcaption", caption))
    heading = (
        "method",
        "tokens",
        "hidden",
        "least hidden joint",
        "most hidden joint",
        "spread over tokens",
        "by chance",
    )
    how = (
        "Spread: standard deviation of the share over tokens. The last column is the spread that this number of draws "
        "causes even if a method hides every token equally often."
    )
    numbers = table(heading, [_numbers(method) for method in methods])
    return join((figure, numbers, paragraph(how, class_="note")))


def _numbers(hidden: Hidden) -> tuple[str, ...]:
    mean = float(hidden.shares.mean())
    joints = hidden.shares.mean(1)
    least, most = int(joints.argmin()), int(joints.argmax())
    chance = (mean * (1 - mean) / hidden.draws) ** 0.5
    return (
        hidden.name,
        str(hidden.shares.size),
        f"{100 * mean:.1f} %",
        f"{hidden.rows[least]}, {100 * joints[least]:.1f} %",
        f"{hidden.rows[most]}, {100 * joints[most]:.1f} %",
        f"{100 * float(hidden.shares.std()):.1f} points",
        f"{100 * chance:.1f} points",
    )


def masks_of_runs(runs: Sequence[Run], num_clips: int) -> Markup:
    """Draw all masks of one clip of each pre-training set: a test clip if there is any."""
    if not num_clips:
        return missing("No clips were requested.")
    masks_by_clip: dict[tuple[str, ...], list[Hidden]] = {}
    parts: list[Markup] = []
    for run in runs:
        if not run.pretrains:
            continue
        try:
            method, dataset, _ = open_pretrained(run)
        except InputError as fault:
            parts.append(not_shown(fault))
            continue
        position = int(choose_clips(dataset, run.about("benchmark"), 1)[0])
        clip = f"{dataset.clips[position].name}, class {dataset.class_name(position)}"
        name = f"{run.config['method']} ({run.name})"
        hidden = count_hidden(name, method, dataset, position, _OF_A_REPORT, 0)
        masks_by_clip.setdefault((clip, *run.counted_on), []).append(hidden)
    parts += [mask_maps(clip, counted) for (clip, *_), counted in masks_by_clip.items()]
    return join(parts) if parts else missing("No pre-training run was given.")
