"""UTD-MHAD: 861 clips of 27 actions by eight subjects, seen by one Kinect v1.

Chen, Jafari, Kehtarnavaz: UTD-MHAD: A Multimodal Dataset for Human Action Recognition Utilizing a Depth Camera and a
Wearable Inertial Sensor, ICIP 2015. The files read here are the skeletons ``aA_sS_tT_skeleton.mat``, each with an array
``d_skel`` of 20 joints, x, y, z, and frames, in metres.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from maskel.datasets.folder.arrays import to_pose
from maskel.datasets.folder.mat import UTD_MHAD, mat_arrays
from maskel.datasets.folder.pose import Pose
from maskel.datasets.named_files import NamedFiles
from maskel.errors import BadFileError
from maskel.layouts import KINECT20, Layout
from maskel.sequence import Clip

ORDER = tuple("head shoulder_centre spine hip_centre".split()) + KINECT20.joints[4:]
"""Joints in the files' order: the trunk from the head down, and the limbs as the Kinect's SDK has them."""


class UtdMhad(NamedFiles):
    """UTD-MHAD.

    One body, 20 joints, metres. The origin is the middle of the trunk in the first frame.

    Benchmark ``xsub`` trains on subjects with odd numbers.

    Args:
        missing: Missing joints (0, NaN) are interpolated in time, or stay zero.
        bodies: Bodies of a clip to keep; >= 1. There is one.
        scale: Factor from the files' unit to metres; by default the files must be in metres.

    Examples:
        >>> len(UtdMhad.classes), UtdMhad.published
        (27, {'xsub': (431, 430)})
    """

    name: ClassVar[str] = "utd_mhad"
    layout: Layout = KINECT20
    pattern = re.compile(r"(?P<name>a(?P<label>\d{1,2})_s(?P<subject>[1-8])_t(?P<replication>[1-4]))_skeleton\.mat")
    form = "a1_s1_t1_skeleton.mat"
    classes: tuple[str, ...] = (
        *("swipe left", "swipe right", "wave", "clap", "throw", "arm cross", "basketball shoot", "draw x"),
        *("draw circle clockwise", "draw circle counter clockwise", "draw triangle", "bowling", "boxing"),
        *("baseball swing", "tennis swing", "arm curl", "tennis serve", "push", "knock", "catch", "pick up and throw"),
        *("jog", "walk", "sit to stand", "stand to sit", "lunge", "squat"),
    )
    published: Mapping[str, tuple[int, int]] = {"xsub": (431, 430)}

    def trains(self, clip: Clip) -> bool:
        """Return True for subjects with odd numbers."""
        return int(clip.subject) % 2 == 1

    def pose(self, path: Path) -> Pose:
        """Read the body of one file.

        Raises:
            BadFileError: If it holds no array ``d_skel`` of 20 joints.
        """
        arrays = mat_arrays(path)
        array = arrays.get(UTD_MHAD, np.zeros(0))
        if array.ndim != 3 or array.shape[:2] != (len(ORDER), 3):
            found = ", ".join(f"{name[:20]} of shape {one.shape}" for name, one in list(arrays.items())[:4]) or "none"
            raise BadFileError(path, "wrong count", f"arrays {found}", f"{UTD_MHAD} of shape (20, 3, frames)")
        order = [ORDER.index(joint) for joint in self.layout.joints]
        return to_pose(path, array.transpose(2, 0, 1)[:, order], self.layout, "xyz")
