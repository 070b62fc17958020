"""Arguments that several commands have, described once; the docstring of a command has the others."""

import re
from collections.abc import Iterable, Mapping
from inspect import cleandoc
from textwrap import fill

ARGUMENTS: Mapping[str, str] = {
    "encoder": "A run folder of pretrain, its ``encoder.safetensors``, ``hf://user/name``, ``synthetic-small``, which "
    "comes with maskel, or a released ``.pth`` file.",
    "classifier": "A run folder of linear or finetune, its ``classifier.safetensors``, ``hf://user/name``, or a "
    "released ``.pth`` file.",
    "run": "A run folder of pretrain, linear or finetune; its ``encoder.safetensors`` or ``classifier.safetensors``; "
    "``hf://user/name``; or a released ``.pth`` file.",
    "data": "A prepared set; an encoder of another joint layout is mapped to the set's.",
    "benchmark": "Name of the benchmark to train and test on.",
    "window": "Frames that the encoder reads; if other than in pre-training, its time embedding is resized.",
    "pool": "Tokens to average: all (``mean``, as published), or keep the body's regions, its joints, or regions in "
    "each third of the time apart (``regions``, ``joints``, ``regions_time``).",
    "whiten": "Divide each principal component of the features by this power, 0 to 1, of its standard deviation among "
    "the clips searched; 0, as published, for none.",
    "bodies": "Body slots to average an encoder's features over: all, as in ``maskel embed``, or those that are "
    "not all zero.",
    "labels": "Share of the training labels to use, in (0, 1]; which ones depends on ``seed`` alone.",
    "stratified": "Sample per class, at least one clip each; otherwise sample from all clips.",
    "label_list": "A ``labels.csv`` of an earlier run: the clips whose labels to use, instead of a draw.",
    "validation": "Share of the training subjects, in [0, 1), to hold out and count on after every epoch.",
    "class_weights": "Weight of a clip in the loss: N / (K·n) with ``balanced``, for a class with n of N training "
    "clips and K classes; 1 with ``none``, as published.",
    "trained_on": "The data set of a released ``.pth`` file that does not say it: ``ntu60``, ``ntu120``, ``pku1``, "
    "``pku2``, or ``data`` for the classes of ``--data``; by default the source of ``--data`` decides then.",
    "untrained": "Use the encoder with random weights instead.",
    "window_length": "Length of a window, in frames (``64``) or seconds (``2.5s``); by default that of the median "
    "training clip.",
    "step": "Distance between the starts of two windows, likewise; by default a quarter of the window.",
    "view": "The random view of training clips.",
    "single_body": "Filling of the second body slot of a clip with one body: ``zero`` or ``copy``.",
    "training": "The recipe.",
    "precision": "Number type of the model's matrix products.",
    "device": "``auto``, ``cpu``, ``cuda`` or ``cuda:N``.",
    "resident": "Keep the set on the device; auto: on a GPU with room for ten such sets.",
    "log": "A logger beside ``metrics.csv``, which is always written: ``tensorboard``, ``wandb`` or ``trackio``, each "
    "an extra of its name. Its faults never stop a run.",
    "out": "The run folder; by default the next free one under ``runs``.",
    "resume": "Go on with the run in ``out``.",
    "check": "Dry run: build all, try a few steps or clips, estimate time and memory, write nothing.",
}
"""Name -> meaning. Help, ``help(maskel.linear)`` and the reference show it where a docstring does not name it."""
OF_METHODS: Mapping[str, str] = {
    "encoder": "The encoder to pre-train.",
    "ratio": "Share of tokens to mask, in (0, 1).",
    "normalize_target": "Standardise the target of each patch.",
    "decoder_dim": "Width of the decoder.",
    "decoder_depth": "Blocks of the decoder.",
    "decoder": "``full`` as published, or ``cross``: masked tokens attend to visible ones only, which is faster.",
    "bodies": "``all`` trains on absent bodies too, as published; ``present`` skips them.",
}
"""The same for the arguments of pre-training methods."""


def completed(docstring: str, names: Iterable[str], shared: Mapping[str, str] = ARGUMENTS) -> str:
    r"""Return a docstring whose section ``Args`` describes every argument, in the order of the signature.

    Args:
        docstring: The docstring; it stays as it is without such a section.
        names: All arguments.
        shared: Meanings of the arguments that it leaves out.

    Examples:
        >>> print(completed("Count.\n\nArgs:\n    k: Number.\n\nReturns:\n    It.", ["k", "seed", "device"]))
        Count.
        <BLANKLINE>
        Args:
            k: Number.
            device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        <BLANKLINE>
        Returns:
            It.
    """
    head, title, rest = cleandoc(docstring).partition("\n\nArgs:\n")
    described, gap, rest = rest.partition("\n\n")
    own = {entry.strip().partition(":")[0]: entry for entry in re.split(r"\n(?=    \S)", described)}
    entries = (
        fill(f"    {name}: {shared[name]}", 120, subsequent_indent=" " * 8) if name not in own else own[name]
        for name in names
        if name in own.keys() | shared
    )
    return head + title + "\n".join(entries) + gap + rest if title else head
