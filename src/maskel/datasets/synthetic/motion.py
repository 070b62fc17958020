"""Movements as the verbs of the actions: they build one body's joint angles and path over a clip step by step."""

import numpy as np
from jaxtyping import Float64

from maskel.datasets.synthetic.body import SIDES, Performer, forward_kinematics, rotations
from maskel.layouts import NTU25

FRAME_RATE = 30.0

OTHER_HAND = 0.15
"""Probability that a performer uses the hand that is not the preferred one."""
PARTIAL = 0.2
"""Probability that a clip begins after its action's start, or stops before its end."""
WALKS_UP = 0.35
"""Probability that the performer walks a few steps before an action that starts from standing."""
SEATED = 0.3
"""Probability that an action of the arms is done sitting."""
FIDGETS = 3
"""Meaningless movements per clip: an arm is raised a little and sinks again."""

Curve = Float64[np.ndarray, " t"]


def rise(progress: Curve, start: float = 0.0, end: float = 1.0) -> Curve:
    """Rise smoothly from 0 at ``start`` to 1 at ``end``."""
    ramp = np.clip((progress - start) / (end - start), 0.0, 1.0)
    return ramp * ramp * (3.0 - 2.0 * ramp)


def held(progress: Curve, up: float, down: float) -> Curve:
    """Rise from 0 to 1 until ``up``, hold until ``down``, return to 0 at time 1."""
    return rise(progress, 0.0, up) * (1.0 - rise(progress, down, 1.0))


class Motion:
    """Motion of one body over one clip: it starts idle, then the methods move it.

    Angles are blended: a verb with weight 0 leaves a limb as it was, with weight 1 it sets it.

    Args:
        performer: Who moves.
        frames: Length of the clip.
        rng: Source of every draw; two motions of one performance share it.
    """

    def __init__(self, performer: Performer, frames: int, rng: np.random.Generator) -> None:
        self.performer = performer
        self.rng = rng
        self.seconds = np.arange(frames) / FRAME_RATE
        self.angles = np.zeros((frames, len(NTU25), 3))
        self.travel = np.zeros((frames, 3))
        self.bent = np.zeros(frames)
        self.lift = np.zeros(frames)
        self.heading = 0.0
        self.hand = SIDES[SIDES.index(performer.hand) ^ int(rng.random() < OTHER_HAND)]
        self._stand()
        self._sway()
        for _ in range(FIDGETS):
            self._fidget()

    def draw(self, low: float, high: float) -> float:
        """Return one uniform draw."""
        return float(self.rng.uniform(low, high))

    def window(self, low: float, high: float) -> Curve:
        """Return the progress (0 to 1) of an action that takes ``low`` to ``high`` seconds, anywhere in the clip."""
        clip = len(self.seconds) / FRAME_RATE
        duration = min(self.draw(low, high) / self.performer.tempo, clip)
        start = self.draw(0.0, clip - duration)
        if self.rng.random() < PARTIAL:
            start = self.draw(-0.3 * duration, clip - 0.7 * duration)
        return np.clip((self.seconds - start) / duration, 0.0, 1.0)

    def swing(self, low: float, high: float) -> Curve:
        """Return a sine of ``low`` to ``high`` beats a second that starts anywhere in its period."""
        beats = self.draw(low, high) * self.performer.tempo
        return np.sin(2 * np.pi * (beats * self.seconds + self.rng.random()))

    def arm(
        self,
        side: str,
        weight: Curve,
        forward: Curve | float,
        elbow: Curve | float,
        outward: Curve | float = 0.1,
        inward: Curve | float = 0.0,
    ) -> None:
        """Raise the upper arm forward and outward, turn it inward about itself, bend the elbow."""
        sign = 1.0 if side == "left" else -1.0
        shoulder = (np.negative(forward), np.multiply(-sign, inward), np.multiply(sign, outward))
        self._blend(f"{side}_shoulder", weight, *shoulder)
        self._blend(f"{side}_elbow", weight, np.negative(elbow))

    def leg(self, side: str, weight: Curve, forward: Curve | float, knee: Curve | float) -> None:
        """Swing the thigh forward and bend the knee; the foot stays nearly level."""
        sign = 1.0 if side == "left" else -1.0
        self._blend(f"{side}_hip", weight, np.negative(forward), 0.0, sign * self.performer.stance)
        self._blend(f"{side}_knee", weight, knee)
        self._blend(f"{side}_ankle", weight, np.subtract(forward, knee) * 0.7)

    def bend(self, angle: Curve) -> None:
        """Bend the upper body forward, part in the hips and part in the spine; the legs stay."""
        self.bent += angle

    def twist(self, side: str, angle: Curve) -> None:
        """Turn the upper body so that the shoulder of ``side`` comes forward."""
        self.angles[:, NTU25.index("spine_mid"), 1] += angle * (-1.0 if side == "left" else 1.0)

    def nod(self, angle: Curve) -> None:
        """Bend the head forward."""
        self.angles[:, NTU25.index("neck"), 0] += angle

    def squat(self, depth: Curve, angle: float) -> None:
        """Lower the pelvis backward as onto a chair: thighs forward by ``angle`` at depth 1, shanks upright."""
        for side in SIDES:
            self.leg(side, rise(depth, 0.0, 0.05), depth * angle, depth * angle)
        self.travel[:, 2] -= self.performer.length("left_knee") * np.sin(depth * angle)

    def walk(self, active: Curve) -> None:
        """Walk forward while ``active`` is 1: legs, arms and path."""
        stride = self.draw(0.3, 0.5) * self.performer.amplitude
        cadence = self.draw(0.7, 1.0) * self.performer.tempo
        phase = 2 * np.pi * (np.cumsum(active) * cadence / FRAME_RATE + self.rng.random())
        carried = self.draw(0.1, 0.9)
        for side, lead in zip(SIDES, (0.0, np.pi), strict=True):
            beat = phase + lead
            self.leg(side, active, stride * np.sin(beat), 0.12 + 0.7 * np.maximum(np.cos(beat), 0.0))
            self.arm(side, active * 0.7, -stride * carried * np.sin(beat), 0.4)
        step = 2 * self.performer.length("left_knee", "left_ankle") * np.sin(stride)
        self.travel[:, 2] += np.cumsum(active) * 2 * cadence * step / FRAME_RATE

    def reverse(self) -> None:
        """Reverse time."""
        for curve in (self.angles, self.travel, self.bent, self.lift):
            curve[:] = curve[::-1].copy()

    def joints(self) -> Float64[np.ndarray, "t v 3"]:
        """Return joint positions in metres: the lower foot is on the floor (y = 0), but for jumps."""
        angles = self.angles.copy()
        angles[:, NTU25.index("spine_base"), 0] += 0.6 * self.bent
        angles[:, NTU25.index("spine_mid"), 0] += 0.4 * self.bent
        for side in SIDES:  # the hips undo the pelvis, so the legs stay where they are
            angles[:, NTU25.index(f"{side}_hip"), 0] -= 0.6 * self.bent
        joints = forward_kinematics(self.performer.offsets, angles)
        feet = [NTU25.index(f"{side}_foot") for side in SIDES]
        floor = joints[:, feet, 1].min(axis=1)
        path = self.travel.copy()
        path[:, 1] = self.lift - floor
        return (joints + path[:, None]) @ rotations(np.array([0.0, self.heading, 0.0])).T

    def _blend(self, joint: str, weight: Curve, *targets: Curve | float) -> None:
        """Move the first angles (x, y, z) of ``joint`` towards ``targets``."""
        angles = self.angles[:, NTU25.index(joint)]
        for axis, target in enumerate(targets):
            angles[:, axis] += weight * (target - angles[:, axis])

    def _stand(self) -> None:
        """Set the performer's idle posture, with arms sometimes raised, crossed or on the hips."""
        whole = np.ones_like(self.seconds)
        for side in SIDES:
            forward, outward, inward, elbow = self.performer.carriage
            raised = self.rng.random() ** 3
            forward += raised * self.draw(-0.3, 1.2)
            outward += raised * self.draw(0.0, 0.7)
            self.arm(side, whole, forward, elbow + raised * self.draw(0.0, 2.0), outward, inward + self.draw(-0.3, 0.9))
            self.leg(side, whole, self.draw(0.0, 0.12), self.draw(0.03, 0.15))
        self.bend(whole * (self.performer.slouch + self.draw(-0.05, 0.1)))
        self.nod(whole * self.draw(-0.2, 0.3))

    def _sway(self) -> None:
        """Add a slow aimless movement of trunk, head and arms."""
        arms = (f"{side}_{part}" for side in SIDES for part in ("shoulder", "elbow"))
        for joint in ("spine_mid", "neck", *arms):
            for axis in range(3):
                size = self.performer.restlessness * self.draw(0.3, 1.2)
                self.angles[:, NTU25.index(joint), axis] += size * self.swing(0.1, 0.6)

    def _fidget(self) -> None:
        """Raise one arm a little and let it sink."""
        weight = held(self.window(0.7, 1.6), 0.4, 0.6) * self.draw(0.0, 0.8)
        side = SIDES[self.rng.integers(len(SIDES))]
        self.arm(side, weight, self.draw(-0.3, 1.5), self.draw(0.2, 2.2), self.draw(0.0, 1.2), self.draw(-0.6, 0.8))
