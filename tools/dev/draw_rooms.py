"""Draw the rooms of the package from its imports: docs/rooms.svg, and the table beside it.

python tools/dev/draw_rooms.py            # writes both
python tools/dev/draw_rooms.py --check    # says whether they are what the code is, exit status 1

A room's floor is the longest way down to ``core``. An arrow that follows from others is left out:
whoever imports a room may import what that room imports.
"""

import argparse
import ast
import re
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Optional

sys.path.insert(0, str(Path(__file__).resolve().parent))

from imports import ROOT, files, imports_of, module_of  # noqa: E402

DOCS = ROOT.parent / 'docs'
PICTURE, PAGE = DOCS / 'rooms.svg', DOCS / 'architecture.md'
TABLE = re.compile(r'(<!-- rooms -->\n).*?(<!-- end of rooms -->)', re.DOTALL)
WIDTH, BOX, HEIGHT, STEP = 760, 112, 34, 84  # of the picture, of a box, and from floor to floor
APIS = ROOT / 'apis'

Node = tuple[str, int]  # a room, or the bend of an arrow: its name and floor
Edges = dict[str, set[str]]


def room_of(module: str) -> Optional[str]:
    """The room of a dotted name, ``None`` if it lies in none."""
    parts = module.split('.')
    if parts[:2] == ['mmseg_ext', 'apis']:
        return parts[2] if len(parts) > 2 and place_of(parts[2]) else None
    return parts[1] if parts[0] == 'mmseg_ext' and len(parts) > 1 and place_of(parts[1]) else None


def place_of(room: str) -> Optional[Path]:
    """The file whose docstring says what a room is for."""
    for path in (APIS / room / '__init__.py', APIS / f'{room}.py', ROOT / room / '__init__.py'):
        if path.is_file() and room not in ('apis', 'utils'):
            return path
    return None


def read_arrows() -> Edges:
    """Which rooms each room imports."""
    arrows: Edges = defaultdict(set)
    for path in files():
        here = room_of(module_of(path))
        there = {room_of(name) for name in imports_of(path)}
        if here is not None:
            arrows[here] |= {room for room in there if room not in (None, here)}  # type: ignore
    return dict(arrows)


def floors_of(arrows: Edges) -> dict[str, int]:
    """Count the steps of the longest way down from each room.

    Raises:
        RecursionError: If rooms import each other in a circle.
    """

    @cache
    def floor(room: str) -> int:
        return 1 + max((floor(below) for below in arrows[room]), default=-1)

    return {room: floor(room) for room in arrows}


def reduced(arrows: Edges) -> Edges:
    """Leave out the arrows that follow from others."""

    @cache
    def reach(room: str) -> frozenset:
        return frozenset(arrows[room]).union(*(reach(below) for below in arrows[room]))

    return {
        room: {b for b in below if not any(b in reach(other) for other in below)}
        for room, below in arrows.items()
    }


def way(room: str, below: str, floors: dict[str, int]) -> list[Node]:
    """The nodes of an arrow from top to bottom: it bends on the floors that it passes."""
    between = range(floors[room] - 1, floors[below], -1)
    bends = [(f'{room}>{below}', floor) for floor in between]
    return [(room, floors[room]), *bends, (below, floors[below])]


def spread(row: list[Node]) -> dict[Node, float]:
    """Give the nodes of a floor equal room, from 0 on the left to 1."""
    return {node: (index + 0.5) / len(row) for index, node in enumerate(row)}


def lay_out(arrows: Edges, floors: dict[str, int]) -> tuple[dict[Node, float], list[list[Node]]]:
    """Place rooms, and the bends of long arrows, so that neighbours stand above each other.

    Returns:
        The horizontal centre of each node, and the nodes of each arrow from top to bottom.
    """
    ways = [way(a, b, floors) for a in sorted(arrows) for b in sorted(arrows[a])]
    rows: dict[int, list[Node]] = defaultdict(list)
    for node in sorted({node for nodes in ways for node in nodes}):
        rows[node[1]].append(node)
    beside: dict[Node, set[Node]] = defaultdict(set)
    for nodes in ways:
        for one, other in zip(nodes, nodes[1:]):
            beside[one].add(other)
            beside[other].add(one)
    x: dict[Node, float] = {}
    for row in rows.values():
        x.update(spread(row))
    for sweep in range(40):  # each row in the order of the mean place of its neighbours
        up = sweep % 2 == 0
        for floor in sorted(rows, reverse=not up):
            near = {
                n: [x[m] for m in beside[n] if (m[1] < floor) == up] or [x[n]] for n in rows[floor]
            }
            rows[floor].sort(key=lambda n: (sum(near[n]) / len(near[n]), n))
            x.update(spread(rows[floor]))
    return x, ways


def draw(arrows: Edges) -> str:
    """Draw the rooms as SVG."""
    floors = floors_of(arrows)
    x, ways = lay_out(reduced(arrows), floors)
    top = max(floors.values())

    def at(node: Node) -> tuple[float, float]:
        return round(x[node] * WIDTH, 1), (top - node[1]) * STEP + 30

    lines = []
    for nodes in ways:
        points = [at(node) for node in nodes]
        (x0, y0), (x1, y1) = points[0], points[-1]
        points = [(x0, y0 + HEIGHT / 2), *points[1:-1], (x1, y1 - HEIGHT / 2 - 5)]
        text = ' '.join(f'{a:g},{b:g}' for a, b in points)
        lines.append(f'<polyline points="{text}" marker-end="url(#tip)"/>')
    boxes = []
    for room in sorted(floors, key=lambda r: (-floors[r], x[r, floors[r]])):
        a, b = at((room, floors[room]))
        kind = 'api' if (place_of(room) or ROOT).is_relative_to(APIS) else 'base'
        boxes.append(
            f'<rect class="{kind}" x="{a - BOX / 2:g}" y="{b - HEIGHT / 2:g}" width="{BOX}" '
            f'height="{HEIGHT}" rx="6"/><text x="{a:g}" y="{b + 5:g}">{room}</text>'
        )
    return FRAME.format(
        width=WIDTH, height=top * STEP + 60, lines='\n'.join(lines), boxes='\n'.join(boxes)
    )


FRAME = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>The rooms of mmseg_ext; an arrow points at what is imported</title>
<style>text {{ font: 15px sans-serif; text-anchor: middle; fill: #1a2733 }}
polyline {{ fill: none; stroke: #7a8894; stroke-width: 1.5 }}
rect {{ stroke: #35607f; stroke-width: 1.2 }}
.api {{ fill: #e3eef6 }} .base {{ fill: #f3ead6 }}</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7"
orient="auto"><path d="M0 0 8 4 0 8z" fill="#7a8894"/></marker></defs>
<rect width="100%" height="100%" fill="#ffffff" stroke="none" style="stroke: none"/>
{lines}
{boxes}
</svg>
"""


def purpose(room: str) -> str:
    """The first sentence of what a room says of itself."""
    text = ast.get_docstring(ast.parse((place_of(room) or ROOT).read_text(encoding='utf-8'))) or ''
    return ' '.join(text.split('\n\n')[0].split())


def table(arrows: Edges) -> str:
    """The rooms from the top floor down, as Markdown."""
    floors = floors_of(arrows)
    direct = reduced(arrows)
    lines = ['| room | what it is for | stands on |', '| --- | --- | --- |']
    for room in sorted(floors, key=lambda r: (-floors[r], r)):
        below = ', '.join(f'`{name}`' for name in sorted(direct[room])) or 'nothing of ours'
        lines.append(f'| `{room}` | {purpose(room)} | {below} |')
    return '\n'.join(lines) + '\n'


def current() -> dict[Path, str]:
    """What both files should hold."""
    arrows = read_arrows()
    page = PAGE.read_text(encoding='utf-8')
    return {
        PICTURE: draw(arrows),
        PAGE: TABLE.sub(lambda m: m[1] + table(arrows) + m[2], page),
    }


def main() -> int:
    """Write both files, or say which of them is not current."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--check', action='store_true', help='write nothing')
    check = parser.parse_args().check
    stale = []
    for path, text in current().items():
        if not path.is_file() or path.read_text(encoding='utf-8') != text:
            stale.append(path)
            if not check:
                path.write_text(text, encoding='utf-8')
    for path in stale:
        print(f'{path}: {"not current: python tools/dev/draw_rooms.py" if check else "written"}')
    return int(check and bool(stale))


if __name__ == '__main__':
    sys.exit(main())
