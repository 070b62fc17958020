"""Order of an array's axes: bodies M, frames T, joints V, and the numbers C of a joint.

Toolboxes store a clip as (M, T, V, C), (T, M, V, C) or (C, T, V, M), and some shapes fit two of them: (3, 60, 25, 2) is
three bodies in 2D, or two in 3D. The layout determines V, and C is 2, 3 or 4. A clip never has more bodies than frames,
nor more than `MAX_BODIES`. An order that is still ambiguous is refused, not guessed.
"""

from collections.abc import Collection, Iterable, Mapping
from itertools import permutations
from math import prod
from pathlib import Path

import numpy as np

from maskel.datasets.counts import Counts
from maskel.datasets.folder.joint_counts import whose_joints
from maskel.datasets.folder.pose import Form
from maskel.errors import BadFileError, InputError
from maskel.layouts import Layout

LETTERS = "MTVC"
"""Order of every clip in maskel; the last three letters for an array without M."""
MAX_BODIES = 12
"""Most bodies of an array; with more, another axis was taken for M."""
CUSTOMARY = ("MTVC", "TMVC", "CTVM", "TVC", "CTV", "VTC")
"""Orders that toolboxes write. Other orders are accepted only if none of these fits."""
MEANING = {"M": "bodies", "T": "frames", "V": "joints", "C": "numbers a joint"}

Shape = tuple[int, ...]


def parse_axes(text: str) -> str:
    """Parse an order that the user wrote (``CTVM``, ``t,v,c``) to capitals.

    Raises:
        InputError: If it is not the letters T, V, C, with M or without, each once.
    """
    order = "".join(letter for letter in text.upper() if letter not in " ,()")
    if sorted(order) not in (sorted(LETTERS), sorted(LETTERS[1:])):
        expected = "the letters M, T, V, C (bodies, frames, joints, numbers), each once, M may be missing: CTVM, TVC"
        raise InputError(f"--axes: found {text!r}, expected {expected}")
    return order


def settle(shapes: Iterable[Shape], joints: int, numbers: Collection[int]) -> list[str]:
    """Find the possible orders of a set's arrays, all with the same number of axes; one if their shapes decide it.

    An array of 25 frames and 25 joints may be (T, V, C) or (V, T, C); another clip of the same set may decide.

    Args:
        shapes: Shapes of the arrays, all of 3 or all of 4 axes; a shape that fits no order is ignored.
        joints: Joints V.
        numbers: Possible sizes of C.
    """
    each = [fits for shape in shapes if (fits := _fitting(shape, joints, numbers))]
    shared = [order for order in (each[0] if each else ()) if all(order in fits for fits in each)]
    return _likely({order: max(fits[order] for fits in each) for order in shared})


def arrange(path: Path, array: np.ndarray, form: Form, numbers: Collection[int]) -> tuple[np.ndarray, Counts]:
    """Transpose a clip to (M, T, V, C) from any order of axes.

    Args:
        path: The file, for messages.
        array: The clip, with an axis M or without.
        form: Its layout, and orders: `axes` also holds for arrays without M and with flat frames; if none of
            `settled` fits, the shape alone decides.
        numbers: Possible sizes of C.

    Returns:
        The array, and a count if its order was inferred and is not the documented one.

    Raises:
        BadFileError: If no order fits, several do, or the stated one does not.
    """
    if array.size == 0 and array.ndim:
        raise BadFileError(path, "empty", f"an array of shape {array.shape}", "at least one frame of one body")
    if array.ndim == 5 and len(array) == 1:
        array = array[0]
    layout, said = form.layout, form.axes
    if said:
        for shape, letters in _with_all_axes(array.shape, said, len(layout), numbers):
            return _moved(array.reshape(shape), letters), {}
        sizes = f"{len(layout)} joints V ({layout.name}), C {_listed(numbers)}, at most {MAX_BODIES} bodies M"
        expected = f"{_spelled(said)}, with {sizes} and no more than frames T"
        raise BadFileError(path, "wrong count", f"an array of shape {array.shape}", f"{expected}, as --axes says")
    fits = settle([array.shape], len(layout), numbers)
    fits = [order for order in form.settled if order in _fitting(array.shape, len(layout), numbers)] or fits
    if not fits:
        raise BadFileError(path, "wrong count", f"an array of shape {array.shape}", _expected(array, layout, numbers))
    if len(fits) > 1:
        readings = "; or ".join(f"{order}: {_sizes(array.shape, order)}" for order in fits)
        expected = f"one order of axes; say which with --axes {' or --axes '.join(fits)}"
        raise BadFileError(path, "ambiguous", f"an array of shape {array.shape}, which is {readings}", expected)
    (order,) = fits
    return _moved(array, order), {} if order in (LETTERS, LETTERS[1:]) else {f"arrays read as {_spelled(order)}": 1}


def _fitting(shape: Shape, joints: int, numbers: Collection[int]) -> dict[str, int]:
    """Return the possible orders of a shape, and its number of bodies in each."""
    fits: dict[str, int] = {}
    if len(shape) not in (3, 4):
        return fits
    for order in map("".join, permutations(LETTERS[-len(shape) :])):
        size = dict(zip(order, shape, strict=True))
        bodies = size.get("M", 1)
        if size["V"] == joints and size["C"] in numbers and 1 <= bodies <= min(MAX_BODIES, size["T"]):
            fits[order] = bodies
    return fits


def _likely(bodies: Mapping[str, int]) -> list[str]:
    """Select customary orders if any fit; only the documented order if all other orders mean more bodies."""
    fits = {order: bodies[order] for order in CUSTOMARY if order in bodies} or dict(bodies)
    documented = next((order for order in (LETTERS, LETTERS[1:]) if order in fits), None)
    if documented and all(count > fits[documented] for order, count in fits.items() if order != documented):
        return [documented]
    return list(fits)


def _with_all_axes(shape: Shape, order: str, joints: int, numbers: Collection[int]) -> list[tuple[Shape, str]]:
    """Return the array's full shape and letters under a known order: unchanged, without M, or with merged last axes.

    (T, V·C) is ``TVC`` with its last two axes merged, (T, M·V·C) is ``TMVC`` with its last three merged.
    """
    for letters in (order, order.replace("M", "")):
        apart = max(len(shape) - 1, 0)
        merged, found = letters[apart:], []
        if apart == 0 or len(letters) < len(shape):
            continue
        for count in numbers if "C" in merged and len(merged) > 1 else [0]:
            sizes_of = {"V": joints, "C": count}
            free = [letter for letter in merged if letter not in sizes_of] if len(merged) > 1 else [merged]
            rest = prod(sizes_of[letter] for letter in merged if letter not in free)
            if len(free) > 1 or rest == 0 or shape[-1] % rest or (not free and shape[-1] != rest):
                continue
            sizes_of |= dict.fromkeys(free, shape[-1] // rest) | dict(zip(letters, shape[:-1], strict=False))
            size = tuple(sizes_of[letter] for letter in letters)
            if letters in _fitting(size, joints, numbers):
                found.append((size, letters))
        if len(found) == 1:  # more where --channels leaves C open
            return found
    return []


def _moved(array: np.ndarray, order: str) -> np.ndarray:
    array = array.transpose([order.index(letter) for letter in LETTERS if letter in order])
    return array if array.ndim == 4 else array[np.newaxis]


def _expected(array: np.ndarray, layout: Layout, numbers: Collection[int]) -> str:
    if array.ndim == 5:
        return "one clip a file; prepare stgcn reads (N, C, T, V, M) with its labels"
    joints = len(layout)
    axes = f"(T, {joints}, C) or (M, T, {joints}, C) for layout {layout.name}, C {_listed(numbers)}"
    if array.ndim == 2:
        return (
            f"{axes}; if every frame is one row, say its order: --axes TVC (joint after joint) or --axes TCV (every x, "
            "then every y, …)"
        )
    whose = "" if joints in array.shape else next(filter(None, map(whose_joints, array.shape[:0:-1])), "")
    return (
        f"{axes}, or these axes in another order (--axes says which); at most {MAX_BODIES} bodies M, and no more than "
        f"frames T{whose}"
    )


def _sizes(shape: Shape, order: str) -> str:
    size = dict(zip(order, shape, strict=True))
    return ", ".join(f"{size[letter]} {MEANING[letter]}" for letter in LETTERS if letter in order)


def _spelled(order: str) -> str:
    return f"({', '.join(order)})"


def _listed(numbers: Collection[int]) -> str:
    *some, last = map(str, sorted(numbers))
    return f"{', '.join(some)} or {last}" if some else last
