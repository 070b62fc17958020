"""``maskel convert``: checkpoints of MAMP's and HA-CM's public code into encoders of maskel, and the way back."""

from collections.abc import Iterator
from pathlib import Path

from maskel.errors import InputError
from maskel.files import refuse_unwritable
from maskel.hub import ENCODER, fetched
from maskel.methods.released import save_release
from maskel.models.encoder import Encoder
from maskel.models.loading import load_encoder
from maskel.models.released import Release, read_release
from maskel.models.torch_file import is_torch_file
from maskel.training.pretrained import load_method
from maskel.training.run import RunFolder


def convert(source: Path, out: Path) -> list[str]:
    """Write a public checkpoint's encoder as maskel's, or a run's method or an encoder as a public checkpoint.

    Args:
        source: A ``.pth`` checkpoint of MAMP's or HA-CM's public code; or a run folder of pretrain (the whole method is
            written) or an ``encoder.safetensors`` file.
        out: A ``.safetensors`` file for the first, a ``.pth`` file for the others; an earlier one is replaced.

    Returns:
        What was found, in lines for a person to read; the last names the file.

    Raises:
        InputError: If the source is none of these, ``out`` has another ending, or the public code has no such model.
    """
    source = fetched(source, ENCODER)
    if not source.exists():
        raise InputError(f"{source} does not exist; expected a .pth checkpoint, a run folder or an encoder.safetensors")
    public = source.is_file() and is_torch_file(source)
    ending = ".safetensors" if public else ".pth"
    if out.suffix != ending or not out.parent.is_dir():
        raise InputError(f"{out}: expected a file {ending} in a folder that exists, to convert {source} to")
    refuse_unwritable(out)
    if public:
        release = read_release(source)
        encoder = load_encoder(source)
        encoder.save(out)
        return [*_describe_release(release), *_describe_encoder(encoder, release), str(out)]
    run = RunFolder(source)
    model = load_method(run) if run.has_state else load_encoder(source)
    save_release(model, out)
    if isinstance(model, Encoder):
        return ["an encoder without a decoder", *_describe_encoder(model), str(out)]
    return [
        f"method: {type(model).__name__}, with its decoder",
        *_describe_encoder(model.encoder),
        str(out),
    ]


def _describe_release(release: Release) -> Iterator[str]:
    if release.is_hacm:
        yield "method: HA-CM, by its parameters"
    elif release.method is not None:
        yield f"method: {release.method.upper()}, by its argument model={release.argument('', 'model')}"
    elif release.has_decoder:
        yield "method: MAMP or MAE; both have the same parameters, and the file has no arguments that say which"
    else:
        yield "method: unknown; an encoder of a downstream model, without a decoder"
    if release.epoch is not None:
        yield f"trained: to epoch {release.epoch}, counted from 0"
    if release.has_decoder:
        width, depth = release.weight("decoder_pred.weight", 2).shape[1], release.depth("decoder_blocks")
        yield f"decoder: {width} wide, {depth} blocks; not part of an encoder, maskel.load_release reads it"
    if release.head:
        yield f"classifier: not part of an encoder, maskel.load_classifier reads it: {', '.join(release.head)}"
    if release.dead:
        yield f"dead: {len(release.dead)} parameters that no code reads: {', '.join(release.dead)}"


def _describe_encoder(encoder: Encoder, release: Release | None = None) -> Iterator[str]:
    config = encoder.config
    numbers = sum(weight.numel() for weight in encoder.parameters())
    heads_stated = release is None or release.argument("model_args", "num_heads") is not None
    yield (
        f"encoder: {config.depth} blocks, {config.dim} wide, {config.num_heads} heads"
        f"{'' if heads_stated else ' (assumed: the file does not say)'}, {numbers:,} numbers"
    )
    yield (
        f"reads: {len(encoder.joints)} joints of {encoder.layout.name}, {config.stream} stream, {config.window} frames "
        f"in patches of {config.patch_frames}; tokens are {config.geometry}"
    )
