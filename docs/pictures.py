"""Draw the pictures of the documentation: `make pictures`.

They come from `maskel demo` and one more pre-training on its data. The gallery's are cut out of the pages that
`maskel report`, `maskel view` and `maskel inspect` write; the first one, of a mask and a reconstruction, is drawn here.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from maskel.datasets.store import SkeletonSet
from maskel.models.encoder import Encoder
from maskel.pictures import skeletons
from maskel.pictures.markup import Markup, element, join, svg, text
from maskel.pictures.reconstructions import ShownClip, choose_clips, reconstruct_clip
from maskel.training.pretrained import load_method
from maskel.training.run import RunFolder

IMAGES = Path(__file__).resolve().parent / "images"
SVG = re.compile(r"<svg\b[^>]*viewBox=\"0 0 (?P<width>\d+) (?P<height>\d+)\".*?</svg>", re.DOTALL)
RULES = re.compile(r"^(?:svg [a-z.]|\.[a-z0-9-]+(?:\.[a-z]+)? \{ (?:fill|stroke))")
"""Lines of the pages' style that concern what is drawn."""
GAP, PANEL, HEIGHT = 8.0, 150.0, 200.0


def steps(demo: Path) -> list[list[str]]:
    """The commands behind the pictures; a step whose last word, its output, exists is not run again."""
    data, mamp, mae, plain = (str(demo / name) for name in ("set", "mamp", "mae", "mae-plain"))
    mae_step = ["pretrain", "--config", "mae", "--config", "demo", "--data", data]
    clip = ["--clip", "S001C001P002R001A007", "--draws", "1000"]
    evaluated = [str(demo / name) for name in ("linear", "linear-untrained", "baseline")]
    return [
        ["demo", "--out", str(demo)],
        [*mae_step, "--out", mae],
        [*mae_step, "--mae.normalize-target", "false", "--out", plain],
        ["report", mamp, mae, *evaluated, "--clips", "1", "--out", str(demo / "pictures.html")],
        ["view", "masks", mae, mamp, "--data", data, *clip, "--out", str(demo / "masks.html")],
        ["inspect", data, "--clips", "1", "--page", str(demo / "found.html")],
    ]


def cut(page: Path, heading: str, *columns: int) -> Markup:
    """The pictures below a heading of a page, in rows of so many, as one picture."""
    content = page.read_text()
    begin = content.index(f">{heading}</h")
    part = content[begin : (content + "<h2").index("<h2", begin + 1)]
    drawn = [(float(found["width"]), float(found["height"]), Markup(found[0])) for found in SVG.finditer(part)]
    rows, at = [], 0
    for count in columns:
        rows.append(drawn[at : at + count])
        at += count
    return stacked(rows)


def stacked(rows: Sequence[Sequence[tuple[float, float, Markup]]]) -> Markup:
    """Pictures (width, height, SVG) in rows, all rows as wide as the first."""
    width = sum(one[0] for one in rows[0]) + GAP * (len(rows[0]) - 1)
    placed, y = [], GAP
    for row in rows:
        own = sum(one[0] for one in row)
        scale = min(1.0, (width - GAP * (len(row) - 1)) / own)
        x = GAP
        for wide, high, picture in row:
            place = f'<svg x="{x:.1f}" y="{y:.1f}" width="{wide * scale:.1f}" height="{high * scale:.1f}"'
            tag, _, rest = picture.partition(">")
            tag = re.sub(r' (?:width|height)="\d+"', "", tag)  # its size on the page
            placed.append(Markup(f"{tag.replace('<svg', place, 1)}>{rest}"))
            x += wide * scale + GAP
        y += max(one[1] for one in row) * scale + GAP
    return alone(width + 2 * GAP, y, join(placed))


def alone(width: float, height: float, content: Markup) -> Markup:
    """A picture as a file of its own, in the pages' colours by day, on paper of its own: no page changes them."""
    colours, _, style = Path(skeletons.__file__).with_name("page.css").read_text().partition("@media")
    kept = colours + "\n".join(line for line in style.splitlines() if RULES.match(line))
    paper = element("rect", width=f"{width:.0f}", height=f"{height:.0f}", style="fill: var(--paper)")
    drawn = svg(width, height, "picture", element("style", Markup(f"\n{kept}\n")), paper, content)
    size = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}"'
    return Markup(drawn.replace("<svg", size, 1))


def mask_and_reconstruction(run: Path, data: Path) -> Markup:
    """Above, what the encoder sees of a test clip; below, the whole body as the decoder predicts it."""
    clips, folder = SkeletonSet.open(data), RunFolder(run)
    method = load_method(folder)
    position = next(at for at in choose_clips(clips, "xsub", 13) if clips.class_name(int(at)) == "kicking")
    shown = reconstruct_clip(method, clips, int(position), 0)
    frames = skeletons.shown_frames(method.encoder.config.window)
    view = skeletons.FrontView.of(shown.joints[frames])
    panels = [panel(method.encoder, shown, int(frame), view) for frame in frames]
    rows = [
        [(PANEL, HEIGHT, seen) for seen, _ in panels],
        [(PANEL, HEIGHT, guessed) for _, guessed in panels],
    ]
    return stacked(rows)


def panel(encoder: Encoder, shown: ShownClip, frame: int, view: skeletons.FrontView) -> tuple[Markup, Markup]:
    """One frame: the visible joints alone, and the prediction over the true body."""
    body = shown.joints[frame]
    hidden = shown.hidden[frame // encoder.config.patch_frames]
    true = view.place(body, body)
    guess = np.where(hidden[:, None], view.place(shown.predicted[frame], body), true)
    dots = [element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=3.4, class_="joint-seen") for x, y in true[~hidden]]
    predicted = Markup(skeletons.bones(guess, encoder.layout).replace('"bone"', '"predicted" style="stroke-width: 2"'))
    title = text(2.0, 11.0, f"frame {frame + 1}", "quiet")
    return (
        svg(PANEL, HEIGHT, "seen", title, *dots),
        svg(PANEL, HEIGHT, "predicted", skeletons.bones(true, encoder.layout), predicted, *dots),
    )


def main() -> None:
    """Run what is not there yet, then write docs/images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demo", type=Path, help="folder of `maskel demo`; made where it does not exist")
    demo = parser.parse_args().demo
    for step in steps(demo):
        if not Path(step[-1]).exists():
            subprocess.run([sys.executable, "-m", "maskel", *step], check=True)
    report = demo / "pictures.html"
    pictures = {
        "reconstruction": mask_and_reconstruction(demo / "mae-plain", demo / "set"),
        "mamp": cut(report, "mamp (mamp)", 6, 3),
        "mae": cut(report, "mae (mae)", 6, 3),
        "masks": cut(demo / "masks.html", "How often each token is hidden", 2),
        "curves": cut(report, "Pre-training, mamp (mamp)", 2),
        "confusions": cut(report, "linear (pre-trained)", 1),
        "inspect": cut(demo / "found.html", "jumps", 6),
    }
    IMAGES.mkdir(exist_ok=True)
    for name, picture in pictures.items():
        (IMAGES / f"{name}.svg").write_text(picture + "\n")


if __name__ == "__main__":
    main()
