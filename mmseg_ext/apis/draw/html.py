"""The frame of the report: one HTML file that needs nothing else, on any screen.

The markup is well-formed XML as well, so that a test can parse it strictly.
"""

import base64
from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
:root { color-scheme: light; --ink: #1c2733; --soft: #55626f; --line: #d9dee3; --accent: #1b6ca8 }
* { box-sizing: border-box }
body { margin: 0; background: #f4f6f8; color: var(--ink); overflow-wrap: anywhere;
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif }
main, header, footer { max-width: 1140px; margin: 0 auto; padding: 0 1rem }
header { padding-top: 1.5rem }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem }
h2 { font-size: 1.35rem; margin: 2rem 0 .5rem }
h3 { font-size: 1.08rem; margin: 0 0 .6rem }
p { margin: .4rem 0 } .soft, footer { color: var(--soft); font-size: .92rem }
section { background: #fff; border: 1px solid var(--line); border-radius: 8px;
  padding: 1rem 1.2rem; margin: 1rem 0 }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(220px, 1fr));
  padding: 0; margin: 0; list-style: none }
.cards li { border: 1px solid var(--line); border-radius: 8px; padding: .7rem 1rem }
.cards .first { border: 2px solid var(--accent) }
.cards strong { display: block; font-size: 2rem; line-height: 1.25 }
.scroll { overflow-x: auto; max-width: 100% }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; overflow-wrap: normal }
th, td { padding: .22rem .6rem; text-align: right; border-bottom: 1px solid var(--line) }
th:first-child { text-align: left; font-weight: 500 }
thead th { color: var(--soft); font-weight: 600; font-size: .88rem; vertical-align: bottom }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 0 }
dt { color: var(--soft) } dd { margin: 0 }
pre { background: #f4f6f8; border-radius: 6px; padding: .7rem; overflow-x: auto; margin: .4rem 0;
  font-size: .88rem }
.curves { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)) }
figure { margin: 0 } img { display: block; width: 100%; height: auto }
figcaption { font-size: .9rem; margin-top: .3rem }
.bars { width: 100%; table-layout: fixed } .bars th { width: 9.5rem } .bars .num { width: 4.4rem }
.bars .ends { width: 6.2rem; color: var(--soft); font-size: .82rem }
.bars td { border: 0; padding: .1rem .3rem } .bars th { border: 0; padding: .1rem .3rem .1rem 0 }
.bar { display: block; height: .95rem; border-radius: 2px; background: var(--accent);
  min-width: 1px }
.swatch { display: inline-block; width: .85rem; height: .85rem; border-radius: 2px;
  border: 1px solid #00000055; margin-right: .35rem; vertical-align: -.08rem }
.matrix { font-size: .74rem; border-collapse: separate; border-spacing: 1px }
.matrix th, .matrix td { border: 0; padding: .12rem .2rem }
.matrix thead th { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left;
  font-weight: 500; font-size: .74rem; color: var(--ink); padding: .2rem .12rem }
.matrix tbody th { position: sticky; left: 0; background: #fff; white-space: nowrap;
  text-align: right; z-index: 1 }
.matrix td { min-width: 1.75rem; text-align: center } .matrix .dark { color: #fff }
.examples { display: grid; gap: 1.4rem }
.strip { display: grid; gap: .4rem; grid-template-columns: repeat(4, 1fr) }
.strip div { font-size: .85rem; color: var(--soft) }
.labels img { image-rendering: pixelated }
.legend { display: flex; flex-wrap: wrap; gap: .1rem .9rem; list-style: none; padding: 0;
  margin: .3rem 0 0; font-size: .88rem }
@media (max-width: 640px) {
  section { padding: .8rem } .strip { grid-template-columns: repeat(2, 1fr) }
  .bars th { width: 8rem; font-size: .82rem } h1 { font-size: 1.35rem }
  dl { grid-template-columns: 1fr } dt { margin-top: .35rem }
}
""".strip()


def page(*, title: str, lead: str, body: str, footer: str, style: str = '') -> str:
    """Put the parts into one document; all but ``body`` and ``style`` are plain text."""
    heading = escape(title).replace('_', '_<wbr/>')  # a telephone may break a long name there
    text = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>{escape(title)}</title>
<link rel="icon" href="data:,"/>
<style>
{STYLE}
{style}
</style>
</head>
<body>
<header><h1>{heading}</h1><p class="soft">{escape(lead)}</p></header>
<main>
{body}
</main>
<footer><p>{escape(footer)}</p></footer>
</body>
</html>
"""
    return text.encode('utf-8', 'backslashreplace').decode()  # names may be bytes that are no text


def section(heading: str, body: str) -> str:
    """Wrap markup under a heading of the third level."""
    return f'<section>\n<h3>{escape(heading)}</h3>\n{body}\n</section>'


def picture(content: bytes, *, kind: str, alt: str) -> str:
    """Embed a picture; ``kind`` is its media type without ``image/``."""
    data = base64.b64encode(content).decode('ascii')
    return f'<img alt="{escape(alt)}" src="data:image/{kind};base64,{data}"/>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out plain text; the first cell of each row is its heading."""
    columns = ''.join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    lines = []
    for first, *others in rows:
        cells = ''.join(f'<td>{escape(cell)}</td>' for cell in others)
        lines.append(f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>')
    return (
        f'<div class="scroll"><table><thead><tr>{columns}</tr></thead>\n'
        f'<tbody>{"".join(lines)}</tbody></table></div>'
    )


def swatch(color: Sequence[int]) -> str:
    """Show a small square of a color."""
    red, green, blue = color
    return f'<span class="swatch" style="background:rgb({red},{green},{blue})"></span>'
