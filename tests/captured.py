"""Motion capture, generated: the text of a ``.bvh`` file, the content of a ``.c3d`` file."""

import struct
from collections.abc import Mapping, Sequence

import numpy as np

from maskel.layouts import SMPL22, Layout

REST = np.random.default_rng(3).uniform(-0.4, 0.4, (22, 3)).round(3)
ANGLES = np.random.default_rng(4).uniform(-170, 170, (5, 22, 3)).round(3)
PLACES = np.random.default_rng(5).uniform(-1, 1, (5, 3)).round(3)


def name(joint: str, family: Mapping[str, str]) -> str:
    """A joint's name as the family spells it, in capitals and small letters."""
    side = next((side for side in ("left", "right") if joint.startswith(side)), "")
    spelled = family.get(joint.replace(side, "*", 1) if side else joint)
    return "".join(word.title() for word in (spelled or joint).replace("*", f"{side}_").split("_"))


def bvh(
    family: Mapping[str, str], order: str = "zxy", prefix: str = "", layout: Layout = SMPL22, size: float = 1
) -> str:
    """A file of a body with these joints: rest offsets, angles in degrees, and the way of the hips."""
    joints, lines, columns = layout.joints, ["HIERARCHY"], []

    def add(joint: int, depth: int) -> None:
        pad = "\t" * depth
        root = layout.parents[joint] == -1
        rotations = [f"{axis.upper()}rotation" for axis in order]
        channels = ["Xposition", "Yposition", "Zposition", *rotations] if root else rotations
        lines.append(f"{pad}{'ROOT' if root else 'JOINT'} {prefix}{name(joints[joint], family)}")
        lines.append(f"{pad}{{\n{pad}\tOFFSET {' '.join(map(str, size * REST[joint]))}")
        lines.append(f"{pad}\tCHANNELS {len(channels)} {' '.join(channels)}")
        columns.append(joint)
        below = [child for child, parent in enumerate(layout.parents) if parent == joint]
        for child in below:
            add(child, depth + 1)
        if not below:
            lines.append(f"{pad}\tEnd Site\n{pad}\t{{\n{pad}\t\tOFFSET 0 0.1 0\n{pad}\t}}")
        lines.append(f"{pad}}}")

    add(layout.root, 0)
    lines += ["MOTION", f"Frames: {len(ANGLES)}", "Frame Time: 0.033333"]
    for place, angles in zip(PLACES, ANGLES, strict=True):
        lines.append(" ".join(map(str, [*(size * place), *angles[columns].ravel()])))
    return "\n".join(lines) + "\n"


def c3d(
    points: np.ndarray,
    names: Sequence[str],
    unit: str = "mm",
    scale: float = -1.0,
    analog: int = 3,
    processor: int = 84,
) -> bytes:
    """A file of points (T, P, 3), NaN where missing; numbers of 16 bits where the scale is above 0."""

    def group(number: int, name: str) -> bytes:
        return struct.pack("<bb", len(name), -number) + name.encode() + struct.pack("<hB", 3, 0)

    def parameter(number: int, name: str, sizes: Sequence[int], content: bytes) -> bytes:
        head = struct.pack("<bB", -1, len(sizes)) + bytes(sizes)
        step = struct.pack("<h", 2 + len(head) + len(content) + 1)
        return struct.pack("<bb", len(name), number) + name.encode() + step + head + content + b"\0"

    width = max(map(len, names))
    labels = "".join(name.ljust(width) for name in names).encode()
    body = group(1, "POINT") + parameter(1, "UNITS", [len(unit)], unit.encode())
    body += parameter(1, "LABELS", [width, len(names)], labels) + group(2, "TRIAL")
    blocks = -(-(4 + len(body) + 2) // 512)
    section = (bytes([1, 0x50, blocks, processor]) + body).ljust(512 * blocks, b"\0")
    frames, count = points.shape[:2]
    header = bytes([2, 0x50]) + struct.pack("<5H", count, analog, 1, frames, 10)
    header += struct.pack("<fHHf", scale, 2 + blocks, 1, 100.0)
    state = np.where(np.isnan(points).any(-1, keepdims=True), -1.0, 0.0)
    values = np.concatenate((np.nan_to_num(points) / (scale if scale > 0 else 1), state), -1).reshape(frames, -1)
    values = np.concatenate((values, np.zeros((frames, analog))), 1)
    data = values.round().astype("<i2") if scale > 0 else values.astype("<f4")
    return header.ljust(512, b"\0") + section + data.tobytes()
