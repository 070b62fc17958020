"""Motion capture, generated: the text of a ``.bvh`` file."""

from collections.abc import Mapping

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


def bvh(family: Mapping[str, str], order: str = "zxy", prefix: str = "", layout: Layout = SMPL22) -> str:
    """A file of a body with these joints: rest offsets, angles in degrees, and the way of the hips."""
    joints, lines, columns = layout.joints, ["HIERARCHY"], []

    def add(joint: int, depth: int) -> None:
        pad = "\t" * depth
        root = layout.parents[joint] == -1
        rotations = [f"{axis.upper()}rotation" for axis in order]
        channels = ["Xposition", "Yposition", "Zposition", *rotations] if root else rotations
        lines.append(f"{pad}{'ROOT' if root else 'JOINT'} {prefix}{name(joints[joint], family)}")
        lines.append(f"{pad}{{\n{pad}\tOFFSET {' '.join(map(str, REST[joint]))}")
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
        lines.append(" ".join(map(str, [*place, *angles[columns].ravel()])))
    return "\n".join(lines) + "\n"
