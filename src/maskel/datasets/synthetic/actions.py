"""The actions. Only their movement tells them apart: they share poses, but not the movement between them."""

from collections.abc import Callable

import numpy as np

from maskel.datasets.synthetic.body import SIDES
from maskel.datasets.synthetic.motion import SEATED, WALKS_UP, Curve, Motion, held, rise


def _walk_up(body: Motion) -> None:
    """Sometimes walk a few steps before the action, ending on the spot."""
    if body.rng.random() < WALKS_UP:
        share = body.draw(0.2, 0.5)
        progress = body.seconds / body.seconds[-1]
        body.walk(1.0 - rise(progress, share - 0.1, share + 0.1))
        body.travel -= body.travel[-1]


def _settle(body: Motion) -> None:
    """Sit for the whole clip, or walk a few steps, or just stand."""
    if body.rng.random() < SEATED:
        body.squat(np.ones_like(body.seconds), body.draw(1.1, 1.5))
    else:
        _walk_up(body)


def wave(body: Motion) -> None:
    """Raise one hand and swing it from side to side."""
    _settle(body)
    swing = body.swing(1.2, 2.4) * body.draw(0.3, 0.7) * body.performer.amplitude
    raised = held(body.window(1.4, 2.4), 0.25, 0.8)
    outward, elbow = body.draw(0.3, 1.3), body.draw(1.1, 2.0)
    body.arm(body.hand, raised, body.draw(0.5, 1.5), elbow, outward, swing - body.draw(0.0, 0.8))


def drink(body: Motion) -> None:
    """Move one hand to the mouth, hold it, tilt the head back, and return the hand."""
    _settle(body)
    progress = body.window(1.4, 2.4)
    at_mouth = held(progress, body.draw(0.25, 0.4), body.draw(0.6, 0.75))
    body.arm(body.hand, at_mouth, body.draw(0.5, 1.1), body.draw(1.9, 2.4), body.draw(0.1, 0.6), body.draw(0.2, 0.7))
    body.nod(-body.draw(0.0, 0.4) * held(progress, 0.5, 0.6))


def kick(body: Motion) -> None:
    """Swing one leg back, then forward, then down."""
    _walk_up(body)
    progress = body.window(0.8, 1.4)
    size = body.draw(0.7, 1.2) * body.performer.amplitude
    back = rise(progress, 0.0, 0.3) * (1.0 - rise(progress, 0.3, 0.45))
    front = rise(progress, 0.3, 0.55) * (1.0 - rise(progress, 0.65, 1.0))
    body.leg(body.hand, np.maximum(back, front), size * (front - 0.5 * back), back + 0.3 * (1.0 - front))
    body.bend(-0.2 * size * front)
    lifted = held(progress, 0.4, 0.7) * body.draw(0.0, 0.8)
    for side in SIDES:
        body.arm(side, lifted, body.draw(-0.3, 0.5), body.draw(0.2, 0.9), body.draw(0.2, 0.9))


def _chair(body: Motion, depth: Curve, turn: Curve) -> None:
    """Go down to a chair by share ``depth``, bent forward on the way."""
    body.squat(depth, body.draw(0.8, 1.5))
    body.bend(turn * body.draw(0.3, 0.8) * body.performer.amplitude + depth * body.draw(-0.1, 0.3))
    knees = body.draw(0.0, 1.0)
    for side in SIDES:
        body.arm(side, depth * knees, body.draw(0.3, 0.9), body.draw(0.4, 1.1), 0.15, body.draw(0.0, 0.5))
    body.travel -= body.travel.mean(axis=0)


def sit_down(body: Motion) -> None:
    """Sit down on a chair from standing."""
    progress = body.window(1.0, 1.7)
    _chair(body, rise(progress), 4.0 * progress * (1.0 - progress))


def stand_up(body: Motion) -> None:
    """Stand up from a chair: sitting down with time reversed."""
    sit_down(body)
    body.reverse()


def jump(body: Motion) -> None:
    """Crouch, leave the floor, land; once to three times."""
    _walk_up(body)
    jumps = int(body.rng.integers(1, 4))
    progress = body.window(0.8 * jumps, 1.1 * jumps)
    beat = np.where(progress < 1.0, progress * jumps % 1.0, 1.0)
    air = np.clip((beat - 0.35) / 0.4, 0.0, 1.0)
    crouch = np.sin(np.pi * np.clip(beat / 0.4, 0.0, 1.0)) + np.sin(np.pi * np.clip((beat - 0.7) / 0.3, 0.0, 1.0))
    for side in SIDES:
        body.leg(side, np.minimum(crouch, 1.0), 0.5 * crouch, 1.0 * crouch)
        body.arm(side, 0.7 * np.minimum(crouch, 1.0), body.draw(-0.6, 0.3), body.draw(0.3, 1.2), 0.2)
        body.arm(side, air * (1.0 - air) * body.draw(0.0, 4.0), body.draw(0.3, 1.5), body.draw(0.2, 0.9), 0.3)
    body.bend(0.3 * crouch)
    body.lift += body.draw(0.4, 0.9) * body.performer.amplitude * air * (1.0 - air)


def throw(body: Motion) -> None:
    """Move one hand up behind the shoulder, then fast forward and down."""
    _settle(body)
    progress = body.window(0.9, 1.6)
    raised, thrown = held(progress, 0.4, 0.75), rise(progress, 0.45, 0.62)
    forward = body.draw(0.0, 0.9) + thrown * body.draw(0.8, 1.4)
    outward = body.draw(0.9, 1.4) * (1.0 - 0.7 * thrown)
    body.arm(body.hand, raised, forward, 1.7 - 1.4 * thrown, outward, body.draw(0.6, 1.3) * (thrown - 1.0))
    wound = rise(progress, 0.0, 0.4) * (1.0 - thrown)
    body.twist(body.hand, body.performer.amplitude * (0.7 * thrown * raised - 0.5 * wound))
    body.bend(0.3 * thrown * raised)


def bow(body: Motion) -> None:
    """Bend the upper body forward, hold it, and come up."""
    _walk_up(body)
    bent = held(body.window(1.3, 2.2), body.draw(0.3, 0.4), body.draw(0.55, 0.7))
    body.bend(bent * body.draw(0.5, 1.1) * body.performer.amplitude)
    body.nod(bent * body.draw(0.0, 0.4))


def walk(body: Motion) -> None:
    """Walk across the room, from the start or after a while."""
    body.walk(held(body.window(1.5, 3.5), 0.15, 0.85))
    body.travel -= body.travel.mean(axis=0)
    body.heading = body.draw(-2.0, 2.0)


def walk_backwards(body: Motion) -> None:
    """Walk backwards across the room: walking with time reversed."""
    walk(body)
    body.reverse()


def clap(body: Motion) -> None:
    """Clap both hands in front of the chest again and again."""
    _settle(body)
    raised = held(body.window(1.2, 2.4), 0.2, 0.85)
    apart = (1.0 + body.swing(1.8, 3.5)) * body.draw(0.15, 0.35) * body.performer.amplitude
    forward, elbow, outward = body.draw(0.3, 1.0), body.draw(1.2, 1.9), body.draw(0.1, 0.4)
    for side in SIDES:
        body.arm(side, raised, forward, elbow, outward, 0.75 - apart)


def punch(first: Motion, second: Motion) -> None:
    """Let one performer punch at the other one to three times; the other flinches."""
    _walk_up(first)
    strikes = int(first.rng.integers(1, 4))
    progress = first.window(0.6 * strikes, 0.9 * strikes)
    beat = np.where(progress < 1.0, progress * strikes % 1.0, 1.0)
    out = rise(beat, 0.3, 0.5) * (1.0 - rise(beat, 0.6, 1.0))
    guard = held(progress, 0.2, 0.8)
    first.arm(first.hand, guard, 0.4 + out * first.draw(0.7, 1.1), 2.0 - 1.8 * out, first.draw(0.1, 0.5))
    first.twist(first.hand, 0.5 * out * first.performer.amplitude)
    second.bend(-first.draw(0.1, 0.5) * out)
    second.travel[:, 2] -= first.draw(0.0, 0.3) * rise(progress, 0.3, 0.7)


def shake_hands(first: Motion, second: Motion) -> None:
    """Let both performers hold out the right hand, join hands, and move them up and down together."""
    _walk_up(first)
    joined = held(first.window(1.3, 2.3), 0.3, 0.75)
    up = first.swing(1.5, 3.0) * first.draw(0.08, 0.22) * first.performer.amplitude
    for body in (first, second):
        body.arm("right", joined, first.draw(0.5, 0.9) + up, first.draw(0.5, 0.9) + 0.5 * up, 0.05, 0.2)
        body.bend(joined * first.draw(0.0, 0.2))


SOLO: dict[str, Callable[[Motion], None]] = {
    "waving": wave,
    "drinking": drink,
    "kicking": kick,
    "sitting down": sit_down,
    "standing up": stand_up,
    "jumping": jump,
    "throwing": throw,
    "bowing": bow,
    "walking": walk,
    "walking backwards": walk_backwards,
    "clapping": clap,
}
PAIR: dict[str, Callable[[Motion, Motion], None]] = {"punching the other": punch, "shaking hands": shake_hands}

CLASSES = (*SOLO, *PAIR)
"""Class names; action number a (from 1, as in a file's name) is ``CLASSES[a - 1]``."""
