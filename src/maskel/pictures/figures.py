"""Drawings of test clips for every pre-training run, with captions that explain them."""

from collections.abc import Sequence

import numpy as np

from maskel.datasets.bodies import Up, upward
from maskel.methods.masked import MaskedMethod
from maskel.models.encoder import Encoder
from maskel.pictures import skeletons
from maskel.pictures.animation import BODY, PREDICTED, TRUE, Moving, moving, stage
from maskel.pictures.charts import token_map
from maskel.pictures.markup import Markup, element, join, missing, of_each, paragraph
from maskel.pictures.reconstructions import ShownClip, choose_clips, form_drawn, per_token, reconstruct_clip, shown_part
from maskel.targets import MotionTarget
from maskel.training.finished import Run, open_pretrained


def reconstructions(runs: Sequence[Run], num_clips: int) -> Markup:
    """Draw a few test clips and their predictions by each pre-trained method."""
    if not num_clips:
        return missing("No clips were requested.")
    return of_each(
        (run for run in runs if run.pretrains),
        lambda run: f"{run.config['method']} ({run.name})",
        lambda run: _of_run(run, num_clips),
        "No pre-training run was given.",
    )


def _of_run(run: Run, count: int) -> Markup:
    method, dataset, seed = open_pretrained(run)
    chosen = choose_clips(dataset, run.about("benchmark"), count)
    shown = [reconstruct_clip(method, dataset, int(at), seed) for at in chosen]
    part = shown_part(dataset, run.about("benchmark"))
    drawn = stage(method.encoder.layout, *(_figure(method, clip_shown) for clip_shown in shown), class_="figures")
    return join((_how_to_read(method, part, upward(dataset)), drawn))


def _how_to_read(method: MaskedMethod, part: str, up: Up) -> Markup:
    config = method.encoder.config
    which = "Test clips" if part == "test" else "Training clips, as the benchmark tests none"
    depth = ", depth dropped" if method.encoder.coordinates == 3 else ""
    sentences = [
        f"{which}, chosen by a fixed draw, of different classes where there are enough. Each is in the test view: "
        f"the middle 95 % of its frames, resampled to {config.window}. A token is {config.patch_frames} frames of "
        f"{config.patch_joints} joint{'s' if config.patch_joints > 1 else ''}.",
        f"Skeletons: seen from the front, {up.across} to the right and {up} up ({up.why}){depth}, each panel centred "
        "on the body. Filled blue joints are visible to the encoder in this frame, hollow joints are masked.",
    ]
    if config.joints != "all":
        left_out = len(method.encoder.layout) - len(method.encoder.joints)
        sentences.append(f"The encoder never reads the {left_out} joints without a circle.")
    what = {"motion": "motion", "positions": "position", "maps": "target"}[method.target.drawn]
    if config.stream != "joint":
        sentences.append(
            f"The method reads the {config.stream} stream; its predictions are not positions or motions of joints and "
            "are drawn in the maps only."
        )
    elif method.target.drawn == "maps":
        sentences.append(
            f"The predictions of {type(method.target).__name__} are not positions or motions of joints and are drawn "
            "in the maps only."
        )
    elif method.target.drawn == "motion":
        sentences.append(
            "Arrows at masked joints show the true motion (in the colour of the text) and the predicted motion "
            "(orange). The factor on their length stands below each clip. The shortest arrows are left out."
        )
    else:
        sentences.append(
            "Orange crosses: predicted positions of masked joints, each joined by a line to the true position."
        )
    sentences.append(_how_to_read_maps(method))
    if within := method.standardised_within:
        sentences.append(
            f"The method predicts the {what} standardised within each {within}. For drawing, this is undone with the "
            f"true mean and standard deviation, which the method does not know: the overall size of the drawing comes "
            f"from the truth, its course within the {within} from the method."
        )
    return paragraph(" ".join(sentences), class_="note")


def _how_to_read_maps(method: MaskedMethod) -> str:
    start = "Maps: one cell per token, joints by row, time by column. First, what the encoder sees. Second, the "
    unit = ""
    if method.encoder.config.stream != "joint":
        unit = f", in hundredths of the {method.encoder.config.stream} stream's unit"
    elif method.target.drawn == "maps":
        unit = ", in hundredths of the target's unit"
    elif method.encoder.coordinates == 2:
        unit = ", in hundredths of the data's unit"
    if method.target.drawn == "maps":
        return (
            f"{start}true target, mean length in the token{unit}. Third, the same of the predicted target, with the "
            "same scale; visible tokens are not predicted and stay blank."
        )
    if isinstance(method.target, MotionTarget):
        stride = method.target.stride
        over = "from each frame to the next" if stride == 1 else f"over {stride} frames"
        return (
            f"{start}true motion {over} of the window, mean length in the token{unit}. Third, the same of the "
            "predicted motion, with the same scale; visible tokens are not predicted and stay blank."
        )
    return (
        f"{start}true motion from each frame to the next of the window, mean length in the token{unit}. Third, the "
        "mean distance of the prediction from the truth; visible tokens are not predicted and stay blank."
    )


def _figure(method: MaskedMethod, shown: ShownClip) -> Markup:
    panels, said = _panels(method, shown)
    hidden = int(shown.hidden.sum())
    body = f", body {shown.body} of {shown.bodies}" if shown.bodies > 1 else ""
    units = "of the standardised target" if method.target.normalize else "of the target"
    nothing = "each token's mean" if method.target.normalize else "0"
    caption = (
        f"{shown.clip.name}, class {shown.class_name}{body}. {hidden} of {shown.hidden.size} tokens are masked. {said}"
        f"Mean squared error {units} over them: {shown.error:.3f}; predicting {nothing} would give "
        f"{shown.error_of_zero:.3f}."
    )
    return element(
        "figure",
        _moving(method, shown),
        element("div", *panels, class_="panels"),
        element("div", *_maps(method, shown), class_="maps"),
        element("figcaption", caption),
    )


def _moving(method: MaskedMethod, shown: ShownClip) -> Markup:
    """Draw the whole window moving, with true and predicted motion, or predicted positions, of masked joints."""
    read, hidden = list(shown.read), shown.hidden_joints
    layers = {BODY: shown.joints}
    for name, values in ((TRUE, shown.true), (PREDICTED, shown.predicted)):
        ends = np.full_like(shown.joints, np.nan)
        if form_drawn(method) == "motion":
            known = np.where(np.isnan(shown.joints[:, read]), np.nan, shown.true)
            ends[:, read] = shown.joints[:, read] + skeletons.arrow_gain(known, shown.joints) * values
        elif form_drawn(method) == "positions" and name == PREDICTED:
            ends[:, read] = values
        else:
            continue
        ends[~hidden] = np.nan
        layers[name] = ends
    clip = Moving(np.stack(list(layers.values())), method.encoder.layout, layers=tuple(layers), hidden=hidden)
    return moving(clip, "The whole window; hollow joints are masked.", name=shown.clip.name)


def _panels(method: MaskedMethod, shown: ShownClip) -> tuple[list[Markup], str]:
    """Draw the skeletons, and return notes for the caption."""
    layout, read_joints = method.encoder.layout, list(shown.read)
    frames = skeletons.shown_frames(method.encoder.config.window)
    joints, masked = shown.joints[frames], shown.hidden_joints[frames][:, read_joints]
    view = skeletons.FrontView.of(joints)
    known = np.where(np.isnan(joints[:, read_joints]), np.nan, shown.true[frames])
    gain = skeletons.arrow_gain(known, joints)
    panels = []
    for frame, body, hidden in zip(frames, joints, masked, strict=True):
        marks: list[Markup] = []
        read = body[read_joints]
        starts = view.place(read, body)[hidden]
        if form_drawn(method) == "motion":
            for name, motion in (("true", shown.true), ("predicted", shown.predicted)):
                ends = view.place(read + gain * motion[frame], body)[hidden]
                marks.append(skeletons.arrows(starts, ends, name))
        elif form_drawn(method) == "positions":
            marks.append(skeletons.crosses(starts, view.place(shown.predicted[frame], body)[hidden], "predicted"))
        panels.append(skeletons.skeleton(f"frame {frame + 1}", body, shown.read, hidden, layout, view, marks))
    times = f"{gain} times as long as" if gain > 1 else "as long as"
    return panels, f"Arrows are {times} the motion. " if form_drawn(method) == "motion" else ""


def _maps(method: MaskedMethod, shown: ShownClip) -> list[Markup]:
    config = method.encoder.config
    rows = row_names(method.encoder)
    what = "target" if method.target.drawn == "maps" else "motion"
    if method.target.drawn != "positions":
        name, true, guess = f"predicted {what}", per_token(shown.true, config), per_token(shown.predicted, config)
        most_true = most_guess = float(max(true.max(), np.nanmax(guess)))  # one scale, so that the two can be compared
    else:
        motion = np.diff(shown.true, axis=0, append=shown.true[-1:])
        name, true = "distance of predicted from true", per_token(motion, config)
        guess = per_token(shown.predicted - shown.true, config)
        most_true, most_guess = float(true.max()), float(np.nanmax(guess))
    unit = "cm" if form_drawn(method) != "maps" and method.encoder.coordinates == 3 else "hundredths"
    return [
        token_map("visible tokens (filled)", (~shown.hidden).T.astype(float), rows, config.patch_frames),
        token_map(f"true {what}", true / (most_true or 1), rows, config.patch_frames, f"{100 * most_true:.2g} {unit}"),
        token_map(name, guess / (most_guess or 1), rows, config.patch_frames, f"{100 * most_guess:.2g} {unit}"),
    ]


def row_names(encoder: Encoder) -> list[str]:
    """Return the joint of each row of a map, or the first of each group of joints."""
    size = encoder.config.patch_joints
    return [joint + (" …" if size > 1 else "") for joint in encoder.joints[::size]]
