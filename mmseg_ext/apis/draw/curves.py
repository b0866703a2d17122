"""Read training curves, and draw them.

Source: mmengine 0.10.7 writes ``<time>/vis_data/scalars.json`` with one JSON object per line. A
record of the training loop has the key ``iter``. A record of a validation has ``step``, and its
metrics are in per cent. A resumed run writes another file; here both become one curve.
"""

import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Curve = dict[int, float]

# The style of every figure. Text must be readable on a phone.
STYLE: Any = {
    'font.size': 9.0,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'grid.color': '#dddddd',
    'grid.linewidth': 0.6,
    'axes.edgecolor': '#555555',
    'svg.fonttype': 'path',
    'svg.hashsalt': 'mmseg_ext',
    'legend.frameon': False,
}
COLORS = ('#1b6ca8', '#c2570c', '#3f7f3f')


def read_records(path: Path) -> Iterator[dict]:
    """Yield the records of one ``scalars.json``; lines that a killed run cut short are skipped."""
    for line in path.read_text(encoding='utf-8').splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict):
            yield record


def _add_record(curves: dict[str, Curve], record: Mapping) -> None:
    is_training = 'iter' in record
    step = record.get('step', record.get('iter'))
    if step is None:
        return
    for key, value in record.items():
        if key in ('step', 'iter', 'epoch') or isinstance(value, bool):
            continue
        if isinstance(value, (int, float)):
            name = key if is_training else f'val/{key}'
            curves.setdefault(name, {})[int(step)] = float(value)


def read_curves(files: Sequence[Path]) -> dict[str, Curve]:
    """Read all scalars that a training logged.

    Args:
        files: Files of one training in order of time, one for each resumed part. If two parts log
            the same iterations, the later part counts, because the final weights come from it.

    Returns:
        A curve ``{iteration: value}`` for each name. Metrics of validations are named
        ``val/<metric>`` and are in per cent. Empty if nothing was logged.
    """
    curves: dict[str, Curve] = {}
    for file in files:
        part: dict[str, Curve] = {}
        for record in read_records(file):
            _add_record(part, record)
        first = min((min(curve) for curve in part.values()), default=None)
        if first is None:
            continue
        curves = {
            name: {step: value for step, value in curve.items() if step < first}
            for name, curve in curves.items()
        }
        for name, curve in part.items():
            curves.setdefault(name, {}).update(curve)
    return {name: curve for name, curve in curves.items() if curve}


def save_figure(figure: 'Figure', file_format: str = 'svg') -> bytes:  # type: ignore[name-defined]  # noqa: F821
    """Return a figure as the content of a file."""
    buffer = io.BytesIO()
    # Without a date, the same curve always gives the same bytes.
    metadata: dict[str, None] = {'Date': None} if file_format == 'svg' else {}
    figure.savefig(buffer, format=file_format, dpi=110, metadata=metadata)
    content = buffer.getvalue()
    if file_format != 'svg':
        return content
    # indented lines and the font's name in each letter are a fifth of a file of letters
    content = re.sub(rb'(?m)^ +', b'', content)
    return re.sub(rb'(["#])DejaVuSans-(Bold-)?', lambda m: m[1] + (b'b' if m[2] else b'f'), content)


def curve_summary(curve: Curve) -> str:
    """Describe a curve by its two ends, for the alternative text of a figure."""
    steps: list[int] = sorted(curve)
    return (
        f'from {curve[steps[0]]:.4g} at iteration {steps[0]} '
        f'to {curve[steps[-1]]:.4g} at iteration {steps[-1]}'
    )
