"""Writer of ``.skeleton`` files in the form of the NTU RGB+D data sets."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from maskel.datasets.synthetic.recording import SensedBody
from maskel.files import write_atomically
from maskel.layouts import NTU25

# Focal length and centre in pixels of Kinect v2's depth (512 x 424) and colour (1920 x 1080) pictures.
_DEPTH = (365.5, 255.0, 206.0)
_COLOUR = (1081.0, 960.0, 540.0)

# Orientation is all zero, as Kinect writes for a joint of unknown orientation.
_JOINT_LINE = "%.7g %.7g %.7g %.5f %.5f %.5f %.5f 0 0 0 0 %d\n"
_BODY = f"%d 0 1 1 1 1 0 %.7g %.7g 2\n{len(NTU25)}\n" + _JOINT_LINE * len(NTU25)


def write_skeleton_file(path: Path, bodies: Sequence[SensedBody], frames: int) -> None:
    """Write one recording, whole or not at all.

    Args:
        path: The file; a file of that name is replaced.
        bodies: The tracked bodies, each over all frames.
        frames: Length of the recording, with the frames that have no body.
    """
    blocks: list[list[str]] = [[] for _ in range(frames)]
    for body in bodies:
        for frame, values in zip(np.flatnonzero(body.seen), _body_values(body), strict=True):
            blocks[frame].append(_BODY % (body.body_id, *values))
    text = "".join(f"{len(block)}\n{''.join(block)}" for block in blocks)
    write_atomically(path, f"{frames}\n{text}", flush=False)


def _body_values(body: SensedBody) -> list[list[float]]:
    """Return, for each frame with the body, the values of ``_BODY`` after the id."""
    joints = body.joints[body.seen]
    picture = [_project(joints, *camera) for camera in (_DEPTH, _COLOUR)]
    state = np.where(body.inferred[body.seen], 1.0, 2.0)[..., None]
    table = np.concatenate([joints, *picture, state], axis=-1).reshape(len(joints), -1)
    spine = joints[:, NTU25.index("spine_shoulder")] - joints[:, NTU25.index("spine_base")]
    lean = spine[:, [0, 2]] / np.linalg.norm(spine, axis=1, keepdims=True) * (1.0, -1.0)
    values: list[list[float]] = np.concatenate([lean, table], axis=1).tolist()
    return values


def _project(
    joints: Float64[np.ndarray, "t v 3"], focal: float, centre_x: float, centre_y: float
) -> Float64[np.ndarray, "t v 2"]:
    """Project to pixels with a pinhole camera, y down."""
    flat = joints[..., :2] / np.maximum(joints[..., 2:], 0.1)
    return flat * (focal, -focal) + (centre_x, centre_y)
