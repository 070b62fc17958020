"""The page of ``maskel view importance``: joints that a classifier's answers rest on, drawn on moving clips."""

import numpy as np
from jaxtyping import Float64, Int64

from maskel.datasets.bodies import upward
from maskel.datasets.store import SkeletonSet
from maskel.methods.classifier import Classifier
from maskel.pictures.animation import SCRIPT, Moving, as_drawn, how_seen, moving, stage, unmoved
from maskel.pictures.charts import token_map
from maskel.pictures.markup import Markup, element, join, page, paragraph, table
from maskel.training.importance import importance

_BYTES = 40_000  # characters of a clip


def importance_page(dataset: SkeletonSet, model: Classifier, name: str, positions: Int64[np.ndarray, " n"]) -> str:
    """Render the page.

    Args:
        dataset: The set.
        model: A classifier of its layout, in eval mode.
        name: What that is called.
        positions: Clips to show.
    """
    up, task, layout = upward(dataset), model.label_spec, dataset.layout
    figures, total = [], np.zeros(len(layout))
    for position in positions.tolist():
        found = importance(model, dataset.gather(np.array([position]), task.num_bodies, task.single_body))
        values = np.abs(found.values[0].double().numpy())  # (M, T, V)
        total += values.sum((0, 1)) / max(float(values.sum()), 1e-300)
        body = int(values.sum((1, 2)).argmax())
        joints = found.joints[0, body, ..., : dataset.coordinates].numpy()
        weights = values[body] / max(float(values[body].max()), 1e-300)
        clip = Moving(as_drawn(joints[None], dataset, up), layout, weights=weights)
        answer = task.classes[int(found.labels[0])]
        figures.append(_figure(dataset, position, clip, weights, f"{answer}, {float(found.probabilities[0]):.0%}"))
    rows = [
        (layout.joints[joint], f"{100 * total[joint] / max(total.sum(), 1e-300):.1f} %")
        for joint in np.argsort(-total, kind="stable").tolist()
    ]
    about = (
        "Gradient times input: the larger an orange disc, the more the score of the class that the classifier names "
        "changes with this joint in this frame, to first order and up to its sign. Discs are relative to the clip's "
        "largest. The value depends on the origin of the joints, and says what the classifier uses, not what is right. "
        f"The clip is in the test view; of several bodies that with most importance is drawn. "
        f"{how_seen(up, dataset.coordinates)}"
    )
    title = f"{name}: importance of joints"
    return page(
        title,
        element("h1", title),
        paragraph(about, class_="note"),
        unmoved(),
        stage(layout, *figures, class_="figures"),
        element("h2", f"Share of each joint, mean over the {len(positions):,} clips shown"),
        table(("joint", "share"), rows),
        scripts=(SCRIPT, "tables.js"),
    )


def _figure(
    dataset: SkeletonSet, position: int, clip: Moving, weights: Float64[np.ndarray, "t v"], answer: str
) -> Markup:
    name, true = dataset.clips[position].name, dataset.class_name(position)
    right = "" if true == "no label" else (", right" if answer.rpartition(",")[0] == true else f", but it is {true}")
    said = join((f"{answer}{right}", element("span", name)))
    grid = token_map("importance", weights.T, list(dataset.layout.joints), 1, "the clip's largest")
    return element(
        "div", moving(clip, said, _BYTES, name=name), element("div", grid, class_="maps"), class_="clips beside"
    )
