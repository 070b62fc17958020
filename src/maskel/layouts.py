"""Joint layouts: which joints a skeleton has and how they hang together.

One table per layout; nothing else in maskel holds a joint number. Names are those of the Kinect SDKs, OpenPose,
MediaPipe and SMPL; parents follow PYSKL and CTR-GCN, and the models' own trees where these say nothing. A joint that
two layouts share has the same name in both, but for the trunk's middle, where every model has its own;
`maskel.conversion` says which of those are the same.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from maskel.errors import InputError

REGIONS = ("trunk", "left_arm", "right_arm", "left_leg", "right_leg")
"""Parts of a body that features can be read of; the names of a layout's joints say which joint is in which."""
_LEG = frozenset("hip knee ankle foot heel toe".split())
_ARM = frozenset("collar shoulder elbow wrist hand thumb pinky index".split())


@dataclass(frozen=True)
class Layout:
    """The joints of one kind of skeleton.

    Args:
        name: Name by which prepared sets and encoders refer to the layout.
        joints: Joint names, unique, in storage order.
        parents: For each joint the index of its parent; -1 for the one root.
        mirror: Pairs (left, right) of joint indices.
        published_bones: Joint to neighbour, where the field's bone stream differs from the tree. A joint that is its
            own neighbour has a zero bone.
        groups: Named groups of joints, in the order in which a method reads them; no joint is in two. HA-CM needs
            ``kept`` (the joints it reads) and ``roots`` (those from which their hierarchy is measured).
        up: Which way is up in the 3D coordinates of the tool that the layout belongs to, such as ``y`` or ``-y``; empty
            where tools differ.

    Raises:
        ValueError: If names repeat, counts differ, there is not exactly one root, the parents contain a cycle, a pair,
            bone or group names a joint that does not exist, or groups share a joint.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    mirror: tuple[tuple[int, int], ...] = ()
    published_bones: Mapping[int, int] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    up: str = ""

    def __post_init__(self) -> None:
        count = len(self.joints)
        if len(set(self.joints)) != count:
            raise ValueError(f"layout {self.name}: joint names repeat")
        if len(self.parents) != count:
            raise ValueError(f"layout {self.name}: {count} joints but {len(self.parents)} parents")
        if sum(parent == -1 for parent in self.parents) != 1:
            raise ValueError(f"layout {self.name}: expected exactly one root (parent -1)")
        if any(not -1 <= parent < count for parent in self.parents):
            raise ValueError(f"layout {self.name}: a parent is not one of the {count} joints")
        for joint in range(count):
            seen: set[int] = set()
            while joint != -1:
                if joint in seen:
                    raise ValueError(f"layout {self.name}: the parents of {self.joints[joint]} form a cycle")
                seen.add(joint)
                joint = self.parents[joint]
        paired = [joint for pair in self.mirror for joint in pair]
        if len(set(paired)) != len(paired) or any(not 0 <= joint < count for joint in paired):
            raise ValueError(f"layout {self.name}: mirror pairs repeat a joint or name one that does not exist")
        for joint, neighbour in self.published_bones.items():
            if not (0 <= joint < count and 0 <= neighbour < count):
                raise ValueError(f"layout {self.name}: bone {joint}:{neighbour} names a joint that does not exist")
        grouped = [joint for group in self.groups.values() for joint in group]
        if len(set(grouped)) != len(grouped) or not set(grouped) <= set(self.joints):
            raise ValueError(f"layout {self.name}: groups share a joint or name one that does not exist")

    def __str__(self) -> str:
        return self.name

    def __len__(self) -> int:
        """Number of joints V."""
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Index of the joint called ``joint``.

        Raises:
            KeyError: If the layout has no such joint.
        """
        try:
            return self.joints.index(joint)
        except ValueError:
            raise KeyError(f"layout {self.name} has no joint {joint!r}; it has {', '.join(self.joints)}") from None

    def group(self, name: str) -> tuple[int, ...]:
        """Indices of the joints of the group called ``name``, in the group's order.

        Raises:
            InputError: If the layout has no such group.
        """
        if name not in self.groups:
            known = ", ".join(self.groups) or "none"
            raise InputError(f"layout {self.name} has no group of joints called {name!r}; it has: {known}")
        return tuple(self.index(joint) for joint in self.groups[name])

    @cached_property
    def root(self) -> int:
        """Index of the root joint."""
        return self.parents.index(-1)

    @cached_property
    def neighbours(self) -> tuple[int, ...]:
        """For each joint the joint its bone starts at: (V,). The root is its own neighbour."""
        tree = (self.root if parent == -1 else parent for parent in self.parents)
        return tuple(self.published_bones.get(joint, parent) for joint, parent in enumerate(tree))

    @cached_property
    def regions(self) -> dict[str, tuple[int, ...]]:
        """Joints of the trunk with head and face, of each arm, and of each leg; every joint is in one of them."""
        found: dict[str, list[int]] = {name: [] for name in REGIONS}
        for place, joint in enumerate(self.joints):
            words = set(joint.split("_"))
            side = next((side for side in ("left", "right") if side in words), "")
            limb = "leg" if words & _LEG else "arm" if words & _ARM else ""
            found[f"{side}_{limb}" if side and limb else "trunk"].append(place)
        return {name: tuple(joints) for name, joints in found.items()}

    @cached_property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """Pairs (parent, joint) of the tree, V - 1 of them; what a picture draws."""
        return tuple((parent, joint) for joint, parent in enumerate(self.parents) if parent != -1)

    @cached_property
    def head(self) -> tuple[int, ...]:
        """Indices of the joints of the head, by their names; none where no name says so."""
        return self._called("head", "nose", "eye", "ear", "mouth")

    @cached_property
    def feet(self) -> tuple[int, ...]:
        """Indices of the joints of both feet, by their names; none where no name says so."""
        return self._called("foot", "ankle", "heel", "toe")

    def _called(self, *parts: str) -> tuple[int, ...]:
        return tuple(place for place, joint in enumerate(self.joints) if set(parts) & set(joint.split("_")))


NTU25 = Layout(
    name="ntu25",
    joints=tuple(
        "spine_base spine_mid neck head "
        "left_shoulder left_elbow left_wrist left_hand right_shoulder right_elbow right_wrist right_hand "
        "left_hip left_knee left_ankle left_foot right_hip right_knee right_ankle right_foot "
        "spine_shoulder left_hand_tip left_thumb right_hand_tip right_thumb".split()
    ),
    parents=(1, 20, 20, 2, 20, 4, 5, 6, 20, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18, -1, 7, 7, 11, 11),
    mirror=((4, 8), (5, 9), (6, 10), (7, 11), (12, 16), (13, 17), (14, 18), (15, 19), (21, 23), (22, 24)),
    published_bones={21: 22, 22: 7, 23: 24, 24: 11},
    groups={
        "kept": tuple(
            "neck head left_elbow left_wrist left_hand right_elbow right_wrist right_hand "
            "left_knee left_ankle left_foot right_knee right_ankle right_foot "
            "left_hand_tip left_thumb right_hand_tip right_thumb".split()
        ),
        "roots": tuple("spine_base spine_mid left_shoulder right_shoulder left_hip right_hip spine_shoulder".split()),
    },
    up="y",
)

KINECT20 = Layout(
    name="kinect20",
    joints=tuple(
        "hip_centre spine shoulder_centre head "
        "left_shoulder left_elbow left_wrist left_hand right_shoulder right_elbow right_wrist right_hand "
        "left_hip left_knee left_ankle left_foot right_hip right_knee right_ankle right_foot".split()
    ),
    parents=(1, 2, -1, 2, 2, 4, 5, 6, 2, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18),
    mirror=((4, 8), (5, 9), (6, 10), (7, 11), (12, 16), (13, 17), (14, 18), (15, 19)),
    groups={
        "kept": tuple(
            "head left_elbow left_wrist left_hand right_elbow right_wrist right_hand "
            "left_knee left_ankle left_foot right_knee right_ankle right_foot".split()
        ),
        "roots": tuple("hip_centre spine shoulder_centre left_shoulder right_shoulder left_hip right_hip".split()),
    },
    up="y",
)

# HA-CM's groups follow one rule in all layouts: trunk, shoulders and hips are ``roots``; limbs, neck, head ``kept``.

COCO17 = Layout(
    name="coco17",
    joints=tuple(
        "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow "
        "left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle".split()
    ),
    parents=(-1, 0, 0, 1, 2, 0, 0, 5, 6, 7, 8, 5, 6, 11, 12, 13, 14),
    mirror=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
    groups={
        "kept": tuple(
            "nose left_eye right_eye left_ear right_ear left_elbow right_elbow left_wrist right_wrist "
            "left_knee right_knee left_ankle right_ankle".split()
        ),
        "roots": tuple("left_shoulder right_shoulder left_hip right_hip".split()),
    },
)

OPENPOSE18 = Layout(
    name="openpose18",
    joints=tuple(
        "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist "
        "right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear".split()
    ),
    parents=(1, -1, 1, 2, 3, 1, 5, 6, 2, 8, 9, 5, 11, 12, 0, 0, 14, 15),
    mirror=((5, 2), (6, 3), (7, 4), (11, 8), (12, 9), (13, 10), (15, 14), (17, 16)),
    groups={
        "kept": tuple(
            "nose right_elbow right_wrist left_elbow left_wrist right_knee right_ankle left_knee left_ankle "
            "right_eye left_eye right_ear left_ear".split()
        ),
        "roots": tuple("neck right_shoulder left_shoulder right_hip left_hip".split()),  # its neck lies on the trunk
    },
)

OPENPOSE25 = Layout(
    name="openpose25",
    joints=tuple(
        "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist "
        "mid_hip right_hip right_knee right_ankle left_hip left_knee left_ankle "
        "right_eye left_eye right_ear left_ear "
        "left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel".split()
    ),
    parents=(1, 8, 1, 2, 3, 1, 5, 6, -1, 8, 9, 10, 8, 12, 13, 0, 0, 15, 16, 14, 19, 14, 11, 22, 11),
    mirror=((5, 2), (6, 3), (7, 4), (12, 9), (13, 10), (14, 11), (16, 15), (18, 17), (19, 22), (20, 23), (21, 24)),
    groups={
        "kept": tuple(
            "nose right_elbow right_wrist left_elbow left_wrist right_knee right_ankle left_knee left_ankle "
            "right_eye left_eye right_ear left_ear "
            "left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel".split()
        ),
        "roots": tuple("neck right_shoulder left_shoulder mid_hip right_hip left_hip".split()),
    },
)

MEDIAPIPE33 = Layout(
    name="mediapipe33",
    joints=tuple(
        "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer left_ear right_ear "
        "mouth_left mouth_right left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist "
        "left_pinky right_pinky left_index right_index left_thumb right_thumb left_hip right_hip "
        "left_knee right_knee left_ankle right_ankle left_heel right_heel left_foot_index right_foot_index".split()
    ),
    # MediaPipe draws a graph with cycles; this tree is maskel's.
    parents=(
        *(-1, 0, 1, 2, 0, 4, 5, 3, 6, 0, 0, 0, 0, 11, 12, 13, 14),
        *(15, 16, 15, 16, 15, 16, 11, 12, 23, 24, 25, 26, 27, 28, 29, 30),
    ),
    mirror=(
        *((1, 4), (2, 5), (3, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
        *((17, 18), (19, 20), (21, 22), (23, 24), (25, 26), (27, 28), (29, 30), (31, 32)),
    ),
    groups={
        "kept": tuple(
            "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer left_ear right_ear "
            "mouth_left mouth_right left_elbow right_elbow left_wrist right_wrist "
            "left_pinky right_pinky left_index right_index left_thumb right_thumb "
            "left_knee right_knee left_ankle right_ankle left_heel right_heel left_foot_index right_foot_index".split()
        ),
        "roots": tuple("left_shoulder right_shoulder left_hip right_hip".split()),
    },
    up="-y",
)

SMPL24 = Layout(
    name="smpl24",
    joints=tuple(
        "pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3 "
        "left_foot right_foot neck left_collar right_collar head left_shoulder right_shoulder "
        "left_elbow right_elbow left_wrist right_wrist left_hand right_hand".split()
    ),
    parents=(-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21),
    mirror=((1, 2), (4, 5), (7, 8), (10, 11), (13, 14), (16, 17), (18, 19), (20, 21), (22, 23)),
    groups={
        "kept": tuple(
            "left_knee right_knee left_ankle right_ankle left_foot right_foot neck head "
            "left_elbow right_elbow left_wrist right_wrist left_hand right_hand".split()
        ),
        "roots": tuple(
            "pelvis left_hip right_hip spine1 spine2 spine3 left_collar right_collar "
            "left_shoulder right_shoulder".split()
        ),
    },
)

SMPL22 = Layout(
    name="smpl22",
    joints=SMPL24.joints[:22],
    parents=SMPL24.parents[:22],
    mirror=SMPL24.mirror[:8],
    groups={"kept": SMPL24.groups["kept"][:12], "roots": SMPL24.groups["roots"]},
)

H36M17 = Layout(
    name="h36m17",
    joints=tuple(
        "pelvis right_hip right_knee right_ankle left_hip left_knee left_ankle spine thorax nose head "
        "left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist".split()
    ),
    parents=(-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15),
    mirror=((4, 1), (5, 2), (6, 3), (11, 14), (12, 15), (13, 16)),
    groups={
        "kept": tuple(
            "right_knee right_ankle left_knee left_ankle nose head "
            "left_elbow left_wrist right_elbow right_wrist".split()
        ),
        "roots": tuple("pelvis right_hip left_hip spine thorax left_shoulder right_shoulder".split()),
    },
)

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (NTU25, KINECT20, COCO17, OPENPOSE18, OPENPOSE25, MEDIAPIPE33, SMPL24, SMPL22, H36M17)
}


def layout_named(name: str) -> Layout:
    """The layout called ``name``.

    Raises:
        InputError: If there is none.
    """
    try:
        return LAYOUTS[name]
    except KeyError:
        near = difflib.get_close_matches(name, LAYOUTS, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise InputError(f"no joint layout is called {name!r}; {hint}known are {', '.join(sorted(LAYOUTS))}") from None
