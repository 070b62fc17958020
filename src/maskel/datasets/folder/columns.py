"""Meaning of a table's columns by their names: joints and their channels, people, and frames.

Names are compared without case, separators and brackets: ``frameIdx``, ``Frame_IDX`` and ``frame idx`` are one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from maskel.layouts import LAYOUTS, Layout

COORDINATES = ("x", "y", "z")
CHANNELS = {name: name for name in COORDINATES} | dict.fromkeys(
    "v vis visible visibility c conf confidence s score likelihood prob probability".split(), "score"
)
"""Name of a channel -> ``x``, ``y``, ``z`` or ``score``."""
_PRESENCE = "presence"  # MediaPipe gives it beside the visibility
_SUFFIXES = sorted((*CHANNELS, _PRESENCE), key=len, reverse=True)

FRAMES = frozenset(
    "frame frameid frameidx frameindex frameno framenr framenum framenumber framecount framecounter "
    "videoframe videoframeid fid imageidx imageindex imagenumber imgidx imgindex".split()
)
IMAGES = frozenset(
    "image imageid imagename imagefile imagefilename imagepath img imgid imgname imgpath framename framefile "
    "file filename filepath path".split()
)
PEOPLE = frozenset(
    f"{name}{ending}"
    for name in "person body skeleton track tracker tracking tracklet instance individual animal user player human "
    "object obj actor performer identity entity detection det pose bodytrack persontrack".split()
    for ending in ("", "id", "idx", "index", "no", "nr", "num", "number", "name")
) | frozenset(("pid", "tid", "who", "individuals"))
"""Names of columns that identify the person of a line."""
COUNTERS = frozenset(
    "unnamed0 unnamed01 index idx id uid no nr num number n level0 row rowid rowindex rownumber rownames line seq "
    "sample sampleid key".split()
) | {""}
"""Names of columns that may count lines, frames or people; their content decides."""
PERHAPS_PEOPLE = ("id", "idx", "uid")
TIMES = frozenset("t ts sec secs second seconds ms msec msecs milliseconds elapsed pts clock datetime date".split())
RECORDINGS = frozenset(
    "video videoid videoname videofile videopath clip clipid clipname recording recordingid recordingname sequence "
    "sequenceid sequencename subject subjectid subjectname participant participantid patient patientid session "
    "sessionid trial trialid take takeid camera cameraid cam camid view viewid".split()
)
"""Names of columns that identify the recording: they must not change, as one file is one clip."""
LABELS = frozenset(
    "label labels labelid labelname class classid classname cls action actionid actionname activity activityid "
    "category categoryid categoryname gesture annotation event phase state posture exercise behaviour behavior".split()
)
JOINTS = frozenset(
    f"{name}{ending}"
    for name in "joint landmark keypoint kp bodypart part node marker".split()
    for ending in ("", "id", "idx", "index", "no", "nr", "num", "number", "name", "type")
)
"""Names of the column that identifies the joint of a line in a long table."""
_ADDITIONAL = re.compile(
    r"fps|framerate|area|iscrowd|(num|n)(people|persons|bodies|keypoints|landmarks|joints|detections)|quality|"
    r"(image|img|frame|video)?(width|height)|(bbox|box|bb|boundingbox|rect|roi|crop).*|(x|y|w|h|x1|y1|x2|y2|cx|cy)|"
    r"left|top|right|bottom|[xy](min|max)|(min|max)[xy]"
)
_BOXES = re.compile(r"(bbox|box|bb|boundingbox|rect|roi|crop).*|centroid|centre|com")
_NUMBER = re.compile(r"(?:(?:pose|body)?(?:joint|landmark|keypoint|kp|kpt|point|marker|pose)s?|j|p)?(\d{1,4})")
_PREFIX = re.compile(r"^(pose)?(landmarks?|joint|keypoint|kp|pose|body)(?=\D)")


@dataclass(frozen=True)
class Column:
    """A column of a table with a heading.

    Args:
        shown: Its name as written in the table.
        joint: Name or number of its joint, if the heading has a line of its own for joints.
        channel: Name of its channel, if the heading has a line for channels.
        person: Name of its person, if the heading has a line for people.
    """

    shown: str
    joint: str = ""
    channel: str = ""
    person: str = ""

    @property
    def name(self) -> str:
        """The name in the form used for comparisons."""
        return squeeze(self.shown)


def squeeze(name: str) -> str:
    """Normalise a name: without case, separators and brackets."""
    return re.sub(r"[^a-z0-9]+", "", name.lower()).replace("center", "centre")


def is_time(name: str) -> bool:
    """Return True if a column of this name holds times."""
    return name in TIMES or "time" in name


def is_additional(name: str) -> bool:
    """Return True if a column of this name describes a frame, but no joint: boxes, sizes, rates."""
    return name in CHANNELS or _ADDITIONAL.fullmatch(name) is not None


def listed(names: Iterable[str], most: int = 8) -> str:
    """Join names of columns for a sentence; at most ``most`` of them."""
    shown = [("".join(filter(str.isprintable, name))[:30] or "one without a name") for name in names]
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "")


class JointNames:
    """The joints of a layout under all names that tables use for them.

    ``left_wrist`` is also ``leftWrist``, ``WristLeft``, ``LWrist`` or ``wrist_l``, maybe with ``landmark`` before it.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._places: dict[str, int] = {}
        for place, joint in enumerate(layout.joints):
            side = next((side for side in ("left", "right") if joint.startswith(side) or joint.endswith(side)), "")
            rest = squeeze(joint.replace(side, "", 1) if side else joint)
            names = {squeeze(joint), side + rest, rest + side, *((side[0] + rest, rest + side[0]) if side else ())}
            for name in names:
                self._places.setdefault(name, place)
        self._places |= {squeeze(joint): place for place, joint in enumerate(layout.joints)}

    def place(self, name: str) -> int | None:
        """Return the joint of a squeezed name; None if it is not the name of a joint."""
        if name in self._places:
            return self._places[name]
        return self._places.get(_PREFIX.sub("", name, count=1))

    def number(self, name: str) -> int | None:
        """Return the number in a squeezed name such as ``15`` or ``landmark15``; None if the layout knows the name."""
        match = _NUMBER.fullmatch(name)
        return int(match[1]) if match and self.place(name) is None else None

    def begins(self, name: str) -> bool:
        """Return True if a squeezed name begins with the name of a joint, as ``lefthandstate`` does."""
        return any(name.startswith(joint) for joint in self._places if len(joint) > 3)

    def split(self, name: str) -> tuple[str, str] | None:
        """Split the squeezed name of a column into joint (name or number) and channel; None if it has none."""
        for channel in _SUFFIXES:
            for joint in (name.removesuffix(channel), name.removeprefix(channel)):
                if joint not in ("", name) and (self.place(joint) is not None or self.number(joint) is not None):
                    return joint, channel
        return None


def unknown_joint(shown: str) -> str | None:
    """Return the probable joint in a name such as ``tail_x``, ``x_tail`` or ``tailX``; None if there is none."""
    match = re.fullmatch(r"(.+?)[^A-Za-z0-9]+[xyzXYZ]\W*|\W*[xyzXYZ][^A-Za-z0-9]+(.+)|(.*[a-z0-9])[XYZ]", shown)
    joint = next(filter(None, match.groups()), "") if match else ""
    return joint if joint and not _BOXES.fullmatch(squeeze(joint)) else None


def layouts_with(names: Iterable[str]) -> list[str]:
    """Return the layouts that know all of these columns."""
    wanted = [squeeze(name) for name in names]
    known = {name: JointNames(layout) for name, layout in LAYOUTS.items()}
    return [
        name
        for name, joints in known.items()
        if all((parts := joints.split(column)) and joints.place(parts[0]) is not None for column in wanted)
    ]
