"""A page to look at: the figures of checkpoints, and where their worst frames went wrong.

    <folder>/index.html    figures, then each checkpoint's worst frames
    <folder>/1-….jpg       pictures of the first checkpoint's frames, 2-… of the second's, …

It needs nothing but its folder: no network, no script.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from string import Template
from urllib.parse import quote

from unet_core.data import read_pair
from unet_core.evaluation import Score, best, by_angle, cut_out, summary, worst
from unet_core.evaluation_views import Views, views_of
from unet_core.images import encode_jpeg, encode_mask
from unet_core.metrics import NEAR_EDGE_PX, total
from unet_core.segment import Segmenter


class EvaluationPage:
    """Takes one checkpoint after the other, then writes the page."""

    def __init__(self, folder: Path, *, title: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.title = folder, title
        self._figures: dict[str, dict[str, float]] = {}
        self._sections: list[str] = []

    def add(self, segmenter: Segmenter, scores: Sequence[Score], *, name: str, frames: int) -> None:
        """A checkpoint's figures under its ``name``, and its worst ``frames``, cut out once more.

        Raises :class:`DataError` when a picture cannot be read any longer.
        """
        self._figures[name] = summary(scores)
        shown: list[str] = []
        for score in worst(scores, frames):
            pixels, truth = read_pair(score.pair)
            whole, spot = views_of(pixels, cut_out(segmenter, pixels), truth)
            name_of = score.pair.image.name  # no part of the files': it may be as long as one may
            stem = f"{len(self._figures)}-{len(shown) + 1:03}"
            rows = self._row(whole, stem, name_of) + self._row(spot, f"{stem}-spot", name_of)
            shown.append(f"<h3>{html.escape(score.pair.image.name)}</h3>\n{_caption(score)}{rows}")
        self._sections.append(
            f"<h2>Worst frames of {html.escape(name)}</h2>\n" + "\n".join(shown) + _details(scores)
        )

    def write(self) -> Path:
        """Writes ``index.html`` and says where it is."""
        path = self.folder / "index.html"
        values = {
            "title": html.escape(self.title),
            "figures": _comparison(self._figures),
            "sections": "\n".join(self._sections),
        }
        page = _PAGE.substitute(values)
        path.write_text(page, encoding="utf-8", errors="replace")  # names may be of any bytes
        return path

    def _row(self, views: Views, stem: str, frame: str) -> str:
        """Writes a row's pictures next to the page and gives its HTML."""
        cells = []
        for field in fields(views):
            picture = getattr(views, field.name)
            height, width = picture.shape[:2]
            if picture.ndim == 2:
                file, data = f"{stem}-{field.name}.png", encode_mask(picture)
            else:  # thin red lines smear when subsampled
                file = f"{stem}-{field.name}.jpg"
                data = encode_jpeg(picture, subsampling="4:4:4")
            (self.folder / file).write_bytes(data)
            link = quote(file, errors="surrogateescape")
            alt = html.escape(f"{frame}, {field.name}")
            cells.append(f'<img src="{link}" alt="{alt}" width="{width}" height="{height}">')
        return f'<div class="row">{"".join(cells)}</div>\n'


def _comparison(figures: Mapping[str, Mapping[str, float]]) -> str:
    """The summaries side by side, the best of each row in bold."""
    rows = []
    for name in next(iter(figures.values()), {}):
        values = [column[name] for column in figures.values()]
        first = best(name, values)
        cells = (f"<b>{value:g}</b>" if value == first else f"{value:g}" for value in values)
        rows.append([html.escape(name), *cells])
    return _table(["figure", *map(html.escape, figures)], rows)


def _caption(score: Score) -> str:
    edges = (score.boundary_f_1px, score.boundary_f_2px, score.boundary_f_4px)
    return (
        f"<p>Dice {score.dice:.4f} · IoU {score.iou:.4f} · boundary F at 1, 2, 4 px "
        f"{' '.join(f'{edge:.3f}' for edge in edges)} · "
        f"95 % Hausdorff {score.hausdorff_95_px:.1f} px</p>\n"
    )


def _details(scores: Sequence[Score]) -> str:
    """What one looks at when asked: figures by angle, and whether its confidence is true."""
    names = ("frames", "dice_mean", "dice_worst", "boundary_f_2px_mean", "hausdorff_95_px_mean")
    angles = [
        [str(angle), *(f"{figures[name]:g}" for name in names)]
        for angle, figures in by_angle(scores).items()
    ]
    reliability = [
        [f"{row.first}–{row.last}", f"{row.pixels:,}", f"{row.promised:.3f}", f"{row.true:.3f}"]
        for row in total(score.edge_counts for score in scores).reliability()
    ]
    promised = _table(["alpha", "pixels", "promised", "truly subject"], reliability)
    return (
        f"<details><summary>By angle</summary>{_table(['angle', *names], angles)}</details>\n"
        f"<details><summary>Is its confidence true? Pixels within {NEAR_EDGE_PX} px of the true "
        f"edge</summary>{promised}</details>\n"
    )


def _table(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are HTML already."""
    lines = ["<tr>" + "".join(f"<th>{cell}</th>" for cell in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    return '<div class="wide"><table>\n' + "\n".join(lines) + "\n</table></div>\n"


_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>$title</title>
<style>
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1d1f; --grey: #6b7076; --line: #dcdfe2;
  --red: #d01f1f; --blue: #1f5fd6 }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181a; --ink: #e6e8ea; --grey: #9aa0a6; --line: #34383c;
    --red: #ff6b6b; --blue: #7aa5ff }
}
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif;
  margin: 2rem auto; max-width: 1304px; padding: 0 1rem; overflow-wrap: anywhere }
h1 { font-size: 1.5rem } h2 { font-size: 1.2rem; margin-top: 2.5rem }
h3 { font-size: 1rem; margin: 1.5rem 0 0 } p { margin: 0.2rem 0 0.6rem; color: var(--grey) }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
td, th { border-bottom: 1px solid var(--line); padding: 0.15rem 1.2rem 0.15rem 0;
  text-align: right }
td:first-child, th:first-child { text-align: left }
th { color: var(--grey); font-weight: 500 }
.wide { overflow-x: auto }
.row { display: flex; flex-wrap: wrap; gap: 8px; margin-bottom: 8px }
details { margin-top: 1rem }
.red { color: var(--red) } .blue { color: var(--blue) }
</style>
<h1>$title</h1>
$figures
<p>Each frame twice: whole, and its worst spot (the yellow frame) pixel by pixel. From left to
right: photo, mask, truth, error. <b class="red">Red</b>: taken for subject and is not.
<b class="blue">Blue</b>: subject that was missed. In the whole frame, errors look thicker than
they are.</p>
$sections
</html>
""")
