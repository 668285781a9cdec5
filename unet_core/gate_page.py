"""The report of a night to look at: the verdict, what was learned, where both networks differ.

<folder>/report.html    needs nothing but its folder: no network, no script
<folder>/report.json    the same for a program
<folder>/*.jpg          the frames that changed most
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from string import Template
from typing import Any

from unet_core.data import Pair, read_pair
from unet_core.evaluation import cut_out
from unet_core.evaluation_views import views_of
from unet_core.files import write_file
from unet_core.gate import Compared, SliceRow, Verdict
from unet_core.images import encode_jpeg
from unet_core.segment import Segmenter

REPORT, PAGE = "report.json", "report.html"
SHOWN = 6


def write_pictures(
    folder: Path,
    champion: Segmenter,
    candidate: Segmenter,
    frames: Sequence[tuple[Compared, Pair]],
) -> list[str]:
    """Pictures of the frames on which both networks differ most, and the HTML that shows them."""
    rows = []
    ordered = sorted(frames, key=lambda each: -abs(each[0].gain))[:SHOWN]
    for number, (compared, pair) in enumerate(ordered, start=1):
        pixels, truth = read_pair(pair)
        cells = []
        for name, network in (("champion", champion), ("candidate", candidate)):
            whole, spot = views_of(pixels, cut_out(network, pixels), truth)
            for view, picture in (("whole", whole.error), ("spot", spot.error)):
                file = f"{number}-{name}-{view}.jpg"
                (folder / file).write_bytes(encode_jpeg(picture, subsampling="4:4:4"))
                alt = html.escape(f"{compared.frame} of {compared.car}, {name}, {view}")
                cells.append(f'<img src="{file}" alt="{alt}">')
        caption = (
            f"{compared.car}/{compared.frame} ({compared.kind}): "
            f"{compared.champion.dice:.4f} → {compared.candidate.dice:.4f}"
        )
        rows.append(f"<h3>{html.escape(caption)}</h3><div class=row>{''.join(cells)}</div>")
    return rows


def write_page(
    folder: Path,
    verdict: Verdict,
    *,
    title: str,
    pictures: Sequence[str],
    more: Sequence[str] = (),
) -> Path:
    """Writes ``report.html`` and says where it is; ``pictures`` and ``more``, which comes last, are
    HTML."""
    word = "Promoted" if verdict.promote else "Refused"
    page = _PAGE.substitute(
        title=html.escape(title),
        verdict=f"{word}: {html.escape(verdict.reason)}",
        figures=_figures(verdict),
        slices="".join(_slice(row) for row in verdict.slices),
        learned=_names("Right now", verdict.learned),
        not_learned=_names("Not learned yet", verdict.not_learned),
        pictures="\n".join(pictures),
        more="\n".join(more),
    )
    path = folder / PAGE
    path.write_text(page, encoding="utf-8", errors="replace")
    return path


def write_report(folder: Path, outcome: str, values: Mapping[str, Any]) -> Path:
    """Writes ``report.json``, whole: it is the mark that a run is over. ``outcome`` is
    ``promoted``, ``refused`` or ``failed``."""
    text = json.dumps({"outcome": outcome, **values}, indent=1, ensure_ascii=False)
    write_file(folder / REPORT, (text + "\n").encode())
    return folder / REPORT


def for_programs(verdict: Verdict) -> dict[str, Any]:
    """The verdict as JSON has it."""
    return asdict(verdict)


def _figures(verdict: Verdict) -> str:
    rows = [
        f"<tr><td>{name}</td><td>{verdict.champion[name]:.5f}</td>"
        f"<td>{verdict.candidate[name]:.5f}</td></tr>"
        for name in verdict.champion
    ]
    low, high = verdict.interval
    return (
        "<div class=wide><table><tr><th>holdout</th><th>champion</th><th>candidate</th></tr>"
        f"{''.join(rows)}</table></div>"
        f"<p>Dice by car {verdict.gain:+.5f}, 95 % interval {low:+.5f} to {high:+.5f}; "
        f"boundary F {verdict.boundary_gain:+.4f}; {verdict.times_as_long:.2f} times as long</p>"
    )


def _slice(row: SliceRow) -> str:
    """A line of the table with a bar: right of the middle is better, a hundredth is full."""
    length = min(1.0, abs(row.gain) / 0.01) * 50
    left = 50 if row.gain >= 0 else 50 - length
    kind = "up" if row.gain >= 0 else "down"
    bar = f'<div class=bar><i class={kind} style="left:{left:.1f}%;width:{length:.1f}%"></i></div>'
    return (
        f"<tr><td>{html.escape(row.name)}</td><td>{row.frames}</td><td>{row.cars}</td>"
        f"<td>{row.champion:.4f}</td><td>{row.candidate:.4f}</td><td>{row.gain:+.5f}</td>"
        f"<td>{bar}</td></tr>"
    )


def _names(head: str, names: Sequence[str]) -> str:
    listed = ", ".join(html.escape(name) for name in names) or "none"
    return f"<p><b>{head}</b> ({len(names)}): {listed}</p>"


_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>$title</title>
<style>
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1304px; padding: 0 1rem;
  overflow-wrap: anywhere }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
td, th { border-bottom: 1px solid #8884; padding: .15rem 1.2rem .15rem 0; text-align: right }
td:first-child, th:first-child { text-align: left }
.bar { position: relative; width: 12rem; height: .8rem; background:
  linear-gradient(#888, #888) center/1px 100% no-repeat }
.bar i { position: absolute; height: 100% }
.up { background: #3278ff } .down { background: #eb2828 }
.row { display: flex; flex-wrap: wrap; gap: 8px }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 8px }
.sheet figure { margin: 0 } .sheet img { width: 100% }
</style>
<h1>$title</h1>
<p><b>$verdict</b></p>
$figures
<h2>Corrections</h2>
$learned
$not_learned
<h2>Slices</h2>
<div class=wide><table>
<tr><th>slice</th><th>frames</th><th>cars</th><th>champion</th><th>candidate</th><th>gain</th>
<th></th></tr>$slices</table></div>
<h2>Where they differ most</h2>
<p>Champion, then candidate: whole, and the worst spot pixel by pixel. Red was taken for car and is
not, blue is car that was missed.</p>
$pictures
$more
</html>
""")
