"""One annotation of PYSKL's and MMAction2's pickles: key points, scores, image and frames, in their various forms."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

import numpy as np
from jaxtyping import Float64

from maskel.datasets.base import RawFile
from maskel.datasets.counts import Counts
from maskel.datasets.folder.arrays import parse_nested
from maskel.datasets.folder.axes import LETTERS, arrange
from maskel.datasets.folder.pose import Form, Pose
from maskel.datasets.folder.units import refuse_flat
from maskel.datasets.pickled import PickledArray, one_number
from maskel.errors import BadFileError
from maskel.files import described
from maskel.layouts import Layout

Annotation = Mapping[str, Any]
Image = tuple[int | float, int | float]
"""Height and width in pixels."""
OUTSIDE, FAR = 1.02, 2.0
"""Limits in halves of an image, from its middle: beyond them a joint is outside, or too far to belong to the image."""
NO_IMAGE = "clips without img_shape, read with original_shape"
BEYOND = "frames beyond total_frames, left out"
PROMISED = "frames that total_frames has and keypoint has not"


def shape_of(annotation: Annotation) -> tuple[int, ...]:
    """Return the shape of a clip's key points without reading them; for nested lists, from their first entries."""
    value = annotation.get("keypoint")
    shape: list[int] = []
    while isinstance(value, list | tuple) and value and len(shape) < 5:
        shape.append(len(value))
        value = value[0]
    return (*shape, *value.shape) if isinstance(value, PickledArray) else tuple(shape)


def read_keypoints(file: RawFile, annotation: Annotation, layout: Layout, read_as: str) -> Pose:
    """Read key points and scores of an annotation, as (M, T, V, …).

    Args:
        file: The annotation's place, for messages.
        annotation: The annotation.
        layout: Its joints.
        read_as: Names of the numbers of a joint in ``keypoint``, such as ``xys``; s is the score.

    Raises:
        BadFileError: If an array is missing, of another shape, or infinite somewhere.
    """
    numbers, scored = len(read_as), read_as == "xys"
    raw = _array(file, annotation, "keypoint")
    if raw.ndim not in (3, 4) or 0 in raw.shape or not {len(layout), numbers} <= set(raw.shape):
        raise _other_shape(file, raw, layout, numbers)
    scores = None if scored or annotation.get("keypoint_score") is None else _array(file, annotation, "keypoint_score")
    both = raw
    if scores is not None:
        scores = scores[..., np.newaxis] if scores.ndim == raw.ndim - 1 else scores
        if scores.shape != (*raw.shape[:-1], 1):
            found = f"keypoint_score of shape {scores.shape}"
            raise BadFileError(str(file), "wrong count", found, f"{raw.shape[:-1]}, as keypoint has")
        both = np.concatenate((raw, scores), -1)
    total = _total_frames(file, annotation)
    counts: dict[str, int] = {}
    if raw.shape[1:] != (total, len(layout), numbers):  # else total_frames says that the order is the usual one
        try:
            form = Form(layout, settled=(LETTERS,))
            both, found_axes = arrange(file.path / file.member, both, form, (both.shape[-1],))
        except BadFileError as error:
            raise _other_shape(file, raw, layout, numbers) from error
        counts |= found_axes
    frames = both.shape[1]
    if total is not None and total != frames:
        counts |= {BEYOND: frames - total} if total < frames else {PROMISED: total - frames}
        both = both[:, :total]
    coordinates = numbers - scored
    return Pose(both[..., :coordinates], both[..., -1] if both.shape[-1] > coordinates else None, counts)


def _other_shape(file: RawFile, raw: np.ndarray, layout: Layout, numbers: int) -> BadFileError:
    expected = f"keypoint of shape (bodies, frames, {len(layout)}, {numbers}) for layout {layout.name}"
    return BadFileError(str(file), "wrong count", f"keypoint of shape {raw.shape}", expected)


def _array(file: RawFile, annotation: Annotation, name: str) -> Float64[np.ndarray, "..."]:
    stored = annotation.get(name)
    if isinstance(stored, PickledArray):
        array = stored.read(file.path)
    elif isinstance(stored, list | tuple) and stored:
        array = parse_nested(file.path / file.member, _as_lists(file, stored))
    else:
        keys = ", ".join(str(key)[:30] for key in list(annotation)[:12])
        raise BadFileError(
            str(file), "wrong count", f"no {name} in {keys or 'an empty annotation'}", f"an array {name}"
        )
    values = array.astype(np.float64)
    with np.errstate(over="ignore"):
        infinite = np.isinf(values.astype(np.float32))
    if infinite.any():
        raise BadFileError(str(file), "not a number", f"an infinite value in {name}", "numbers, NaN where missing")
    return values


def _as_lists(file: RawFile, value: Any, depth: int = 0) -> Any:
    """Convert tuples, and arrays inside lists, to lists."""
    if isinstance(value, PickledArray):
        return value.read(file.path).tolist()
    if isinstance(value, list | tuple) and depth < 5:
        return [_as_lists(file, entry, depth + 1) for entry in value]
    return value


def _total_frames(file: RawFile, annotation: Annotation) -> int | None:
    total = one_number(file.path, annotation.get("total_frames"))
    if total is None:
        return None
    if isinstance(total, bool) or not isinstance(total, int | float) or not total >= 1 or total != total // 1:
        raise BadFileError(str(file), "not a number", f"total_frames {described(total)}", "a whole number from 1")
    return int(total)


def image_of(file: RawFile, annotation: Annotation) -> tuple[Image | None, Counts]:
    """Return height and width of a clip's image, from ``img_shape`` or ``original_shape``; counts the latter."""
    if image := _image(file, annotation.get("img_shape")):
        return image, {}
    image = _image(file, annotation.get("original_shape"))
    return image, {NO_IMAGE: 1} if image else {}


def _image(file: RawFile, value: Any) -> Image | None:
    """Return (height, width), None if malformed; a number of colours may follow them."""
    if isinstance(value, PickledArray) and len(value.shape) == 1 and value.shape[0] in (2, 3):
        value = value.read(file.path).tolist()
    if not isinstance(value, list | tuple) or len(value) not in (2, 3):
        return None
    sizes = [one_number(file.path, size) for size in value]
    numbers = all(isinstance(size, int | float) and not isinstance(size, bool) for size in sizes)
    if not numbers or (len(sizes) == 3 and sizes[2] not in (1, 3, 4)):
        return None
    height, width = (int(size) if isfinite(size) and size == size // 1 else size for size in sizes[:2])
    return (height, width) if 0 < height < 1e6 and 0 < width < 1e6 else None


def normalised(joints: Float64[np.ndarray, "m t v 2"], image: Image) -> Float64[np.ndarray, "m t v 2"]:
    """Convert pixels to halves of the image, from its middle."""
    half = np.array(image[::-1]) / 2  # (width, height)
    result: np.ndarray = (joints - half) / half
    return result


def outside(joints: Float64[np.ndarray, "m t v 2"], image: Image, limit: float = OUTSIDE) -> int:
    """Count the joints whose distance from the image's middle is above ``limit`` times half its side."""
    return int((np.abs(normalised(joints, image)) > limit).any(-1).sum())


def check_pixels(file: RawFile, joints: Float64[np.ndarray, "m t v 2"], image: Image) -> None:
    """Check that joints, NaN where missing, can be pixels of their image.

    Raises:
        BadFileError: If they are fractions of it, or most of them lie far outside of it.
    """
    low, high = float(np.nanmin(joints)), float(np.nanmax(joints))
    found = f"positions from {low:.4g} to {high:.4g} in an image of {image[0]:g} x {image[1]:g} (height, width)"
    if max(abs(low), abs(high)) <= 2 and min(image) > 16:
        expected = "pixels; --image-size 1 1 if they are fractions of the image, from 0 to 1"
        raise BadFileError(str(file), "wrong unit", found, expected)
    refuse_flat(str(file), joints)
    if 2 * outside(joints, image, FAR) > np.isfinite(joints).all(-1).sum():
        expected = "most joints inside of it; --image-size WIDTH HEIGHT says another size"
        raise BadFileError(str(file), "wrong unit", found, expected)
