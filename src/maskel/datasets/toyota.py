"""Toyota Smarthome, trimmed: 16,115 clips of 31 daily actions by 18 people over 60, seen by seven cameras.

Das, Dai, Koperski, Minciullo, Garattoni, Bremond, Francesca: Toyota Smarthome: Real-World Activities of Daily Living,
ICCV 2019. The files read here are the skeletons ``Cook.Cleandishes_p02_r00_v02_c03.json`` and
``…_pose3d.json`` (version 1.2) that LCR-Net estimated in the videos.
"""

import re
from typing import ClassVar

from maskel.datasets.named_files import NamedFiles
from maskel.layouts import LCRNET13, Layout
from maskel.sequence import Clip

TRAINING = frozenset("3 4 6 7 9 12 13 15 17 19 25".split())
"""Training subjects of ``xsub``; the others, 2, 10, 11, 14, 16, 18 and 20, test."""


class Toyota(NamedFiles):
    """Toyota Smarthome, trimmed.

    13 joints in 3D as LCR-Net estimates them from the image. The origin is the middle of the first body's trunk in its
    first frame.

    Benchmark ``xsub`` trains on 11 subjects and tests on 7.

    Args:
        missing: Missing joints (0, NaN) are interpolated in time, or stay zero.
        bodies: Bodies of a clip to keep; >= 1. LCR-Net sees one in most frames.
        scale: Factor from the files' unit to metres; by default the files must be in metres.

    Examples:
        >>> len(Toyota.classes), Toyota.classes[-1]
        (31, 'WatchTV')
    """

    name: ClassVar[str] = "toyota"
    layout: Layout = LCRNET13
    pattern = re.compile(
        r"(?P<name>(?P<label>[A-Za-z.]+)_p(?P<subject>0[234679]|1\d|20|25)_r(?P<replication>\d\d)"
        r"_(?P<setup>[a-z]?\d\d)_c(?P<camera>\d\d))(_pose3d)?\.json"
    )
    form = "Cook.Cleandishes_p02_r00_v02_c03.json"
    classes: tuple[str, ...] = tuple(
        "Cook.Cleandishes Cook.Cleanup Cook.Cut Cook.Stir Cook.Usestove Cutbread Drink.Frombottle Drink.Fromcan "
        "Drink.Fromcup Drink.Fromglass Eat.Attable Eat.Snack Enter Getup Laydown Leave Makecoffee.Pourgrains "
        "Makecoffee.Pourwater Maketea.Boilwater Maketea.Insertteabag Pour.Frombottle Pour.Fromcan Pour.Fromkettle "
        "Readbook Sitdown Takepills Uselaptop Usetablet Usetelephone Walk WatchTV".split()
    )

    def trains(self, clip: Clip) -> bool:
        """Return True for the training subjects."""
        return clip.subject in TRAINING
