"""Joint layouts: names of a skeleton's joints and the tree that they form.

One table per layout; nothing else in maskel holds a joint number. Names are those of the Kinect SDKs, OpenPose,
MediaPipe and SMPL; parents follow PYSKL and CTR-GCN, and the models' own trees where these say nothing. A joint that
two layouts share has the same name in both, but for the trunk's middle, where every model has its own;
`maskel.conversion` says which of those are the same.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from maskel.errors import InputError

REGIONS = ("trunk", "left_arm", "right_arm", "left_leg", "right_leg")
"""Parts of a body for pooling features; a joint's name tells its part."""
_LEG = frozenset("hip knee ankle foot heel toe".split())
_ARM = frozenset("collar shoulder elbow wrist hand thumb index middle ring pinky".split())
_TRUNK = frozenset("collar shoulder hip pelvis spine spine1 spine2 spine3 thorax".split())


@dataclass(frozen=True)
class Layout:
    """Joints of one kind of skeleton.

    Args:
        name: Name by which prepared sets and encoders refer to the layout.
        joints: Joint names, unique, in storage order. A joint with the word ``left`` in its name has a counterpart with
            ``right``.
        parents: For each joint the index of its parent; -1 for the one root of the tree.
        published_bones: Joint to neighbour, where the field's bone stream differs from the tree. A joint that is its
            own neighbour has a zero bone.
        roots: Names of the joints from which HA-CM measures the hierarchy of all others; not all of them. Without any,
            HA-CM does not run on the layout.
        up: Upward axis in the 3D coordinates of the tool that the layout belongs to, such as ``y`` or ``-y``; empty
            where tools differ.

    Raises:
        ValueError: If names repeat, counts differ, there is not exactly one root of the tree, the parents contain a
            cycle, or a bone or one of ``roots`` names a joint that does not exist.

    Examples:
        >>> from maskel.layouts import Layout
        >>> stick = Layout("stick", ("hip", "head", "left_hand", "right_hand"), (-1, 0, 0, 0), roots=("hip",))
        >>> stick.index("head"), stick.edges
        (1, ((0, 1), (0, 2), (0, 3)))
        >>> stick.mirror, stick.kept
        (((2, 3),), ('head', 'left_hand', 'right_hand'))
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    published_bones: Mapping[int, int] = field(default_factory=dict)
    roots: tuple[str, ...] = ()
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
        for joint, neighbour in self.published_bones.items():
            if not (0 <= joint < count and 0 <= neighbour < count):
                raise ValueError(f"layout {self.name}: bone {joint}:{neighbour} names a joint that does not exist")
        if len(set(self.roots)) != len(self.roots) or not set(self.roots) < set(self.joints):
            raise ValueError(
                f"layout {self.name}: roots repeat a joint, name one that does not exist, or are all joints"
            )

    def __str__(self) -> str:
        return self.name

    def __len__(self) -> int:
        """Return the number of joints V."""
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Return the index of the joint called ``joint``.

        Raises:
            KeyError: If the layout has no such joint.
        """
        try:
            return self.joints.index(joint)
        except ValueError:
            raise KeyError(f"layout {self.name} has no joint {joint!r}; it has {', '.join(self.joints)}") from None

    def group(self, name: str) -> tuple[int, ...]:
        """Return the indices of the joints of HA-CM's group ``kept`` or ``roots``.

        Raises:
            InputError: If the layout has no such group.
        """
        groups = {"kept": self.kept, "roots": self.roots} if self.roots else {}
        if name not in groups:
            known = ", ".join(groups) or "none"
            raise InputError(f"layout {self.name} has no group of joints called {name!r}; it has: {known}")
        return tuple(self.index(joint) for joint in groups[name])

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of the joints that HA-CM reads: all but ``roots``, in storage order."""
        return tuple(joint for joint in self.joints if joint not in self.roots)

    @cached_property
    def mirror(self) -> tuple[tuple[int, int], ...]:
        """Pairs (left, right) of joint indices: names that are equal but for the words ``left`` and ``right``.

        Raises:
            InputError: If a joint on one side has no counterpart on the other.
        """
        pairs = []
        for place, joint in enumerate(self.joints):
            words = joint.split("_")
            other = "_".join({"left": "right", "right": "left"}.get(word, word) for word in words)
            if other != joint and other not in self.joints:
                raise InputError(f"layout {self.name}: {joint} has no counterpart {other}, so nothing can be mirrored")
            if "left" in words:
                pairs.append((place, self.joints.index(other)))
        return tuple(pairs)

    @cached_property
    def root(self) -> int:
        """Index of the root joint."""
        return self.parents.index(-1)

    @cached_property
    def neighbours(self) -> tuple[int, ...]:
        """Start joint of each joint's bone: (V,). The root is its own neighbour."""
        tree = (self.root if parent == -1 else parent for parent in self.parents)
        return tuple(self.published_bones.get(joint, parent) for joint, parent in enumerate(tree))

    @cached_property
    def regions(self) -> dict[str, tuple[int, ...]]:
        """Joints of the trunk with head and face, of each arm, and of each leg; every joint is in one of them."""
        members: dict[str, list[int]] = {name: [] for name in REGIONS}
        for place, joint in enumerate(self.joints):
            words = set(joint.split("_"))
            side = next((side for side in ("left", "right") if side in words), "")
            limb = "leg" if words & _LEG else "arm" if words & _ARM else ""
            members[f"{side}_{limb}" if side and limb else "trunk"].append(place)
        return {name: tuple(joints) for name, joints in members.items()}

    @cached_property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """Pairs (parent, joint) of the tree, V - 1 of them; pictures draw them."""
        return tuple((parent, joint) for joint, parent in enumerate(self.parents) if parent != -1)

    @cached_property
    def head(self) -> tuple[int, ...]:
        """Indices of the joints of the head, by their names; empty if no name belongs to the head."""
        return self._called("head", "nose", "eye", "ear", "mouth")

    @cached_property
    def feet(self) -> tuple[int, ...]:
        """Indices of the joints of both feet, by their names; empty if no name belongs to a foot."""
        return self._called("foot", "ankle", "heel", "toe")

    def _called(self, *parts: str) -> tuple[int, ...]:
        return tuple(place for place, joint in enumerate(self.joints) if set(parts) & set(joint.split("_")))


def _layout(name: str, joints: str, parents: tuple[int, ...], neck_in_trunk: bool = False, **about: Any) -> Layout:
    """Return a layout whose ``roots`` follow one rule: trunk, shoulders and hips; limbs, neck and head are kept."""
    names = tuple(joints.split())
    trunk = _TRUNK | ({"neck"} if neck_in_trunk else set())
    roots = tuple(joint for joint in names if trunk & set(joint.split("_")))
    return Layout(name, names, parents, roots=roots, **about)


NTU25 = _layout(
    "ntu25",
    "spine_base spine_mid neck head "
    "left_shoulder left_elbow left_wrist left_hand right_shoulder right_elbow right_wrist right_hand "
    "left_hip left_knee left_ankle left_foot right_hip right_knee right_ankle right_foot "
    "spine_shoulder left_hand_tip left_thumb right_hand_tip right_thumb",
    parents=(1, 20, 20, 2, 20, 4, 5, 6, 20, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18, -1, 7, 7, 11, 11),
    published_bones={21: 22, 22: 7, 23: 24, 24: 11},
    up="y",
)

KINECT20 = _layout(
    "kinect20",
    "hip_centre spine shoulder_centre head "
    "left_shoulder left_elbow left_wrist left_hand right_shoulder right_elbow right_wrist right_hand "
    "left_hip left_knee left_ankle left_foot right_hip right_knee right_ankle right_foot",
    parents=(1, 2, -1, 2, 2, 4, 5, 6, 2, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18),
    up="y",
)

COCO17 = _layout(
    "coco17",
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow "
    "left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle",
    parents=(-1, 0, 0, 1, 2, 0, 0, 5, 6, 7, 8, 5, 6, 11, 12, 13, 14),
)

OPENPOSE18 = _layout(
    "openpose18",
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist "
    "right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear",
    parents=(1, -1, 1, 2, 3, 1, 5, 6, 2, 8, 9, 5, 11, 12, 0, 0, 14, 15),
    neck_in_trunk=True,
)

OPENPOSE25 = _layout(
    "openpose25",
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist "
    "mid_hip right_hip right_knee right_ankle left_hip left_knee left_ankle "
    "right_eye left_eye right_ear left_ear "
    "left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel",
    parents=(1, 8, 1, 2, 3, 1, 5, 6, -1, 8, 9, 10, 8, 12, 13, 0, 0, 15, 16, 14, 19, 14, 11, 22, 11),
    neck_in_trunk=True,
)

MEDIAPIPE33 = _layout(
    "mediapipe33",
    "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer left_ear right_ear "
    "mouth_left mouth_right left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist "
    "left_pinky right_pinky left_index right_index left_thumb right_thumb left_hip right_hip "
    "left_knee right_knee left_ankle right_ankle left_heel right_heel left_foot_index right_foot_index",
    # MediaPipe draws a graph with cycles; this tree is maskel's.
    parents=(
        *(-1, 0, 1, 2, 0, 4, 5, 3, 6, 0, 0, 0, 0, 11, 12, 13, 14),
        *(15, 16, 15, 16, 15, 16, 11, 12, 23, 24, 25, 26, 27, 28, 29, 30),
    ),
    up="-y",
)

SMPL24 = _layout(
    "smpl24",
    "pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3 "
    "left_foot right_foot neck left_collar right_collar head left_shoulder right_shoulder "
    "left_elbow right_elbow left_wrist right_wrist left_hand right_hand",
    parents=(-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21),
)

SMPL22 = Layout(name="smpl22", joints=SMPL24.joints[:22], parents=SMPL24.parents[:22], roots=SMPL24.roots)

_FINGERS = tuple(f"{finger}_{number}" for finger in "index middle pinky ring thumb".split() for number in (1, 2, 3))
"""One hand of MANO, as SMPL-H and SMPL-X store it: from the palm outwards."""


def _with_hands(name: str, *face: str) -> Layout:
    """Return SMPL's joints without hands, then joints of the face, then the fingers of the left and the right hand."""
    joints, parents = [*SMPL22.joints, *face], [*SMPL22.parents, *(15 for _ in face)]
    for side, wrist in (("left", 20), ("right", 21)):
        parents += [len(joints) + place - 1 if place % 3 else wrist for place in range(len(_FINGERS))]
        joints += [f"{side}_{joint}" for joint in _FINGERS]
    return Layout(name, tuple(joints), tuple(parents), roots=SMPL22.roots)


SMPLH52 = _with_hands("smplh52")
SMPLX55 = _with_hands("smplx55", "jaw", "left_eye", "right_eye")

H36M17 = _layout(
    "h36m17",
    "pelvis right_hip right_knee right_ankle left_hip left_knee left_ankle spine thorax nose head "
    "left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist",
    parents=(-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15),
)

HALPE26 = _layout(
    "halpe26",
    f"{' '.join(COCO17.joints)} head neck mid_hip "
    "left_big_toe right_big_toe left_small_toe right_small_toe left_heel right_heel",
    parents=(*(17, 0, 0, 1, 2, 18, 18, 5, 6, 7, 8, 19, 19, 11, 12, 13, 14), *(18, 19, -1, 15, 16, 20, 21, 15, 16)),
    neck_in_trunk=True,
)

AZURE32 = Layout(
    name="azure32",
    joints=tuple(
        "pelvis spine_navel spine_chest neck "
        "left_collar left_shoulder left_elbow left_wrist left_hand left_hand_tip left_thumb "
        "right_collar right_shoulder right_elbow right_wrist right_hand right_hand_tip right_thumb "
        "left_hip left_knee left_ankle left_foot right_hip right_knee right_ankle right_foot "
        "head nose left_eye left_ear right_eye right_ear".split()
    ),
    parents=(
        *(-1, 0, 1, 2, 2, 4, 5, 6, 7, 8, 7, 2, 11, 12, 13, 14, 15, 14),
        *(0, 18, 19, 20, 0, 22, 23, 24, 3, 26, 26, 26, 26, 26),
    ),
    roots=tuple(  # by the same rule; HA-CM adds them up in this order
        "pelvis spine_navel spine_chest left_collar right_collar left_shoulder right_shoulder "
        "left_hip right_hip".split()
    ),
    up="-y",  # the camera's y points down
)

FLORENCE15 = _layout(
    "florence15",
    "head neck spine left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist "
    "left_hip left_knee left_ankle right_hip right_knee right_ankle",
    parents=(1, 2, -1, 1, 3, 4, 1, 6, 7, 2, 9, 10, 2, 12, 13),
    up="y",
    neck_in_trunk=True,
)

LCRNET13 = _layout(
    "lcrnet13",
    "right_ankle left_ankle right_knee left_knee right_hip left_hip right_wrist left_wrist "
    "right_elbow left_elbow right_shoulder left_shoulder head",
    parents=(2, 3, 4, 5, 10, 11, 8, 9, 10, 11, 12, 12, -1),
)

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        *(NTU25, KINECT20, AZURE32, COCO17, HALPE26, OPENPOSE18, OPENPOSE25, MEDIAPIPE33),
        *(SMPL24, SMPL22, SMPLH52, SMPLX55, H36M17, LCRNET13, FLORENCE15),
    )
}


def layout_named(name: str) -> Layout:
    """Return the layout called ``name``.

    Raises:
        InputError: If there is none.

    Examples:
        >>> from maskel.layouts import layout_named
        >>> layout = layout_named("coco17")
        >>> len(layout), layout.joints[layout.root]
        (17, 'nose')
    """
    try:
        return LAYOUTS[name]
    except KeyError:
        near = difflib.get_close_matches(name, LAYOUTS, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise InputError(f"no joint layout is called {name!r}; {hint}known are {', '.join(sorted(LAYOUTS))}") from None
