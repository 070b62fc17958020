"""Units of coordinates: conversion as the options say, and checks that the result is a plausible body."""

from pathlib import Path

import numpy as np
from jaxtyping import Float64

from maskel.datasets.counts import Counts
from maskel.datasets.folder.gaps import all_may_be_missing
from maskel.datasets.folder.missing import PIXELS
from maskel.datasets.folder.pose import Form
from maskel.errors import BadFileError
from maskel.layouts import MEDIAPIPE33

MAX_COORDINATE = 100
"""Metres. Larger coordinates are in another unit: no body is 100 m from the origin."""
SMALLEST, LARGEST = {2: 0.01, 3: 0.2}, {2: 10.0, 3: 10.0}
"""Smallest and largest plausible size of a body: the diagonal of its bounding box, in 3D in metres."""
FRACTIONS = (MEDIAPIPE33,)
"""Layouts whose detector writes positions in the image as fractions of its width (x, z) and height (y)."""
LARGEST_FRACTION = 2.0
"""Largest typical size of fractions of an image; joints outside of the image exceed 1."""
FLAT = 0.01
"""Smallest ratio of a body's extents along two axes; below it, one axis has another unit, or is not recorded."""
READ_AS_FRACTIONS = "clips in fractions of the image"
"""Phrase for clips of other detectors in fractions instead of pixels."""
MAYBE_FRACTIONS = "clips from 0 to 1, maybe fractions of an image (--image-size), taken as they stand"
"""Phrase for clips that may have the proportions of the image."""
IN_A_CORNER = "clips in the top left quarter of the image, maybe of a smaller one (--image-size)"
"""Phrase for clips in one quarter of the image: the stated image size may be larger than the video."""
AS_IT_STANDS = "bodies of an unlikely size, taken as they stand"


def place(
    path: Path, values: Float64[np.ndarray, "m t v c"], form: Form, scale: float | None, may_be_score: bool
) -> tuple[Float64[np.ndarray, "m t v c"], Counts]:
    """Convert coordinates to the set's unit: metres in 3D, halves of the image's longer side in 2D.

    Args:
        path: The file, for messages.
        values: Coordinates; NaN where missing.
        form: Their layout, and the image in which they are, if any.
        scale: Factor to metres. ``1`` accepts bodies of every size; None is 1 with a check of the size.
        may_be_score: The meaning of the last coordinate is not stated, so that it may be a score.

    Raises:
        BadFileError: If the coordinates must be in another unit, or a score stands in the place of z.
    """
    count = values.shape[-1]
    if np.isnan(values).all():
        return values, {}
    if count == 3 and may_be_score:
        _refuse_scores(path, values)
    if form.in_image:
        _refuse_mixed(path, values, may_be_score)
        placed, counts = _in_image(path, values, form, scale or 1.0)
        option = "--image-size, which may be that of another video"
    else:
        if scale is None and form.layout in FRACTIONS:
            _refuse_fractions(path, values)
        placed, counts = values * (scale or 1.0), {}
        if count == 2 and scale is None and np.nanmin(values) >= 0 and np.nanmax(values) <= 1:
            counts = {MAYBE_FRACTIONS: 1}
        option = "--scale 0.001 for millimetres, 0.01 for centimetres" if count == 3 else "--image-size"
    unit = "metres" if count == 3 else "a body of size 1"
    largest = float(np.nanmax(np.abs(placed), initial=0.0))
    if largest > MAX_COORDINATE:
        expected = f"{unit}, at most {MAX_COORDINATE} from the origin; is it another unit ({option})?"
        raise BadFileError(path, "wrong unit", f"a coordinate of {largest:.6g}", expected)
    size = _size(placed)
    if 0 < size < SMALLEST[count] or size > LARGEST[count]:
        if scale != 1:
            said = f" by --scale {scale:g}" if scale else ""
            expected = (
                f"{unit}, from {SMALLEST[count]:g} to {LARGEST[count]:g} ({option}; --scale 1 takes it as it stands)"
            )
            raise BadFileError(path, "wrong unit", f"bodies of size {size:.3g}{said}", expected)
        counts = {**counts, AS_IT_STANDS: len(values)}
    return placed, counts


def _in_image(path: Path, values: np.ndarray, form: Form, scale: float) -> tuple[np.ndarray, Counts]:
    """Convert positions to -1 to 1 along the image's longer side; fractions are recognised by their size."""
    width, height = form.image_size
    longer, count = max(width, height), values.shape[-1]
    flat = values[..., :2][~np.isnan(values[..., :2]).any(-1)]  # (N, 2)
    origin = np.array([width, height, 0][:count], np.float64) / longer
    span = f"coordinates from {flat.min():.3g} to {flat.max():.3g}"
    if np.median(np.abs(flat)) <= LARGEST_FRACTION:
        if (flat < 0).mean() > 0.25:
            found = f"{span}, a quarter or more of them negative"
            expected = "positions in the image, as --image-size says: pixels, or fractions from 0 to 1; leave it out"
            raise BadFileError(path, "wrong unit", found, expected)
        factors = np.array([width, height, width][:count]) * 2 / longer
        return values * factors - origin, {} if form.layout in FRACTIONS else {READ_AS_FRACTIONS: 1}
    pixels = flat * scale
    outside, swapped = (
        float((pixels > 1.02 * np.array(size)).any(1).mean()) for size in ((width, height), (height, width))
    )
    reach = f"x up to {pixels[:, 0].max():.5g} and y up to {pixels[:, 1].max():.5g}"
    if outside > 0.02 and swapped < outside / 10:
        expected = f"an image of {width} x {height}; is it --image-size {height} {width}?"
        raise BadFileError(path, "wrong unit", reach, expected)
    if outside > 0.3:
        found = f"{reach}, {outside:.0%} of the joints outside an image of {width} x {height}"
        raise BadFileError(path, "wrong unit", found, "--image-size WIDTH HEIGHT of the video that the joints are from")
    corner = (pixels < np.array(form.image_size) / 2).all()
    return values * (2 / longer * scale) - origin, {IN_A_CORNER: 1} if corner else {}


def _refuse_mixed(path: Path, values: np.ndarray, may_be_flat: bool) -> None:
    """Refuse pixels mixed with fractions (in some frames or along one axis), and bodies without depth."""
    with all_may_be_missing():  # nobody in a frame
        typical = np.nanmedian(np.abs(values[..., :2]), (2, 3))  # (M, T)
    small = typical <= LARGEST_FRACTION
    if small.any() and (typical > PIXELS).any():
        frames = np.flatnonzero(small.any(0))
        found = f"fractions in {len(frames)} frames, the first of them {frames[0]}, and pixels in others"
        raise BadFileError(path, "wrong unit", found, "all in pixels, or all in fractions of the image")
    refuse_flat(path, values if may_be_flat else values[..., :2])


def refuse_flat(path: Path | str, values: Float64[np.ndarray, "m t v c"]) -> None:
    """Check that x, y and z (if there is one; NaN where missing) have one unit: a body extends along each axis.

    Raises:
        BadFileError: If bodies are flat along one axis.
    """
    whole = values[(~np.isnan(values).any(-1)).sum(-1) >= 3]  # (N, V, C)
    if not len(whole):
        return
    reach = np.median(np.nanmax(whole, 1) - np.nanmin(whole, 1), axis=0)
    axes = "xyz"[: len(reach)]
    small = [axis for axis, side in zip(axes, reach, strict=True) if side < FLAT * reach.max()]
    if small:
        found = ", ".join(f"{axis} over {side:.3g}" for axis, side in zip(axes, reach, strict=True))
        remedy = "; --channels xyz takes z as it stands, without z the clip is in 2D" if small == ["z"] else ""
        expected = f"one unit for {', '.join(axes)}, but {' and '.join(small)} seems to be in another, or empty{remedy}"
        raise BadFileError(path, "wrong unit", f"bodies that reach {found}", expected)


def _refuse_scores(path: Path, values: np.ndarray) -> None:
    """Refuse scores as depth: a third number from 0 to 1 beside pixels, or a high or restless one beside fractions."""
    x_y, z = values[..., :2], values[..., 2:]
    low, high = float(np.nanmin(z)), float(np.nanmax(z))
    if low < 0 or high > 1 or low == high == 0:
        return
    if np.nanmedian(np.abs(x_y)) < PIXELS:
        in_image = np.nanmin(x_y) >= 0 and np.nanmax(x_y) <= 1.2
        restless = _restlessness(z) > max(3 * _restlessness(x_y), 0.1)
        if not in_image or not (restless or (high > 0.9 and np.nanmedian(z) > 0.7)):
            return
    found = f"x and y up to {np.nanmax(x_y):.5g}, and a third number from {low:.3g} to {high:.3g}"
    expected = "--channels xys if it is a score, --channels xyz if it is a coordinate"
    raise BadFileError(path, "wrong unit", found, expected)


def _restlessness(values: np.ndarray) -> float:
    """Return the mean step of a number between frames, as a share of its spread over joints."""
    with all_may_be_missing():  # one frame, or nobody in it
        steps = np.nanmean(np.abs(np.diff(values, axis=1)))
        spread = np.nanmean(np.nanstd(values, axis=2))
    return float(steps / spread) if steps > 0 and spread > 0 else 0.0


def _refuse_fractions(path: Path, values: np.ndarray) -> None:
    """Refuse MediaPipe's landmarks in the image as metres: z starts at the hips, but x and y do not."""
    count = values.shape[-1]
    hips = [MEDIAPIPE33.index("left_hip"), MEDIAPIPE33.index("right_hip")]
    with all_may_be_missing():  # no hip in any frame
        middle = np.nanmean(values[..., hips, :], (0, 1, 2))
    x_y = values[..., :2][~np.isnan(values[..., :2]).any(-1)]
    z_from_hips = count == 2 or abs(middle[2]) < 0.02
    if z_from_hips and np.abs(middle[:2]).max() > 0.1 and (x_y > 0).mean() > 0.9 and np.median(x_y) < 1:
        found = f"x and y from {x_y.min():.3g} to {x_y.max():.3g}, fractions of an image"
        expected = (
            "--image-size WIDTH HEIGHT, so that bodies keep their proportions, or --scale 1 to take them as they are"
        )
        raise BadFileError(path, "wrong unit", found, expected)


def _size(values: Float64[np.ndarray, "m t v c"]) -> float:
    """Return the median diagonal of a body's bounding box; 0 if no frame has half of the joints."""
    whole = values[(~np.isnan(values).any(-1)).mean(-1) >= 0.5]  # (N, V, C)
    if not len(whole):
        return 0.0
    return float(np.median(np.linalg.norm(np.nanmax(whole, 1) - np.nanmin(whole, 1), axis=-1)))
