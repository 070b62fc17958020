"""ETRI-Activity3D: 112,620 clips of 55 daily actions by 100 people, half of them over 64, seen by eight Kinect v2.

Jang, Kim, Park, Jang, Lee, Kim: ETRI-Activity3D: A Large-Scale RGB-D Dataset for Robots to Recognize Daily Activities
of the Elderly, IROS 2020. The files read here are the skeletons ``A001_P001_G001_C001.csv``, a line a frame and person.
"""

import re
from typing import ClassVar

from maskel.datasets.folder.pose import Missing
from maskel.datasets.named_files import NamedFiles
from maskel.layouts import NTU25, Layout
from maskel.sequence import Clip


class Etri(NamedFiles):
    """ETRI-Activity3D.

    25 joints of Kinect v2, metres; positions in the images, orientations and tracking states are not read. The origin
    is the middle of the first body's trunk in its first frame.

    Benchmark ``xsub`` tests on the 33 people whose number is a multiple of three.

    Args:
        missing: Missing joints (0, NaN) are interpolated in time, or stay zero.
        bodies: Bodies of a clip to keep; >= 1.
        scale: Factor from the files' unit to metres; by default the files must be in metres.

    Examples:
        >>> len(Etri.classes), Etri.classes[54]
        (55, 'lying down')
    """

    name: ClassVar[str] = "etri"
    layout: Layout = NTU25
    pattern = re.compile(
        r"(?P<name>A(?P<label>\d{3})_?P(?P<subject>\d{3})_?G(?P<setup>\d{3})_?C(?P<camera>\d{3}))\.csv"
    )
    form = "A001_P001_G001_C001.csv"
    classes: tuple[str, ...] = tuple(
        action.strip()
        for action in """
            eating food with a fork, pouring water into a cup, taking medicine, drinking water,
            putting food in the fridge/taking food from the fridge, trimming vegetables, peeling fruit,
            using a gas stove, cutting vegetable on the cutting board, brushing teeth, washing hands, washing face,
            wiping face with a towel, putting on cosmetics, putting on lipstick, brushing hair, blow drying hair,
            putting on a jacket, taking off a jacket, putting on/taking off shoes, putting on/taking off glasses,
            washing the dishes, vacuuming the floor, scrubbing the floor with a rag, wiping off the dining table,
            rubbing up furniture, spreading bedding/folding bedding, washing a towel by hands, hanging out laundry,
            looking around for something, using a remote control, reading a book, reading a newspaper, handwriting,
            talking on the phone, playing with a mobile phone, using a computer, smoking, clapping,
            rubbing face with hands, doing freehand exercise, doing neck roll exercise, massaging a shoulder oneself,
            taking a bow, talking to each other, handshaking, hugging each other, fighting each other, waving a hand,
            flapping a hand up and down (beckoning), pointing with a finger, opening the door and walking in,
            fallen on the floor, sitting up/standing up, lying down
        """.split(",")
    )

    def __init__(self, missing: Missing = "interpolate", bodies: int = 2, scale: float | None = None) -> None:
        super().__init__(missing, bodies, scale)

    def trains(self, clip: Clip) -> bool:
        """Return True for people whose number is not a multiple of three."""
        return int(clip.subject) % 3 != 0
