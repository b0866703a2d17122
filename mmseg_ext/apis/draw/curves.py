"""Training curves: read them, draw them.

Source: mmengine 0.10.7 writes one JSON object a line to ``<time>/vis_data/scalars.json``; a record
of the training loop has the key ``iter``, one of a validation has ``step`` and the metrics in per
cent. A resumed run writes a second file; both belong to one curve here.
"""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Curve = dict[int, float]

# One look for every figure: the page is dark on light and the text must be readable on a telephone.
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
    """Yield the records of one ``scalars.json``; a line cut short by a kill is passed over."""
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
    """Read every scalar that a training left in its work folder.

    Args:
        files: Of one training, one for each of its resumed parts. Where two parts log the same
            steps, the later one counts: it is the one that the final weights come from.

    Returns:
        Name to ``{iteration: value}``; values of validations are named ``val/<metric>`` and stay in
        per cent. Empty if nothing was logged.
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
    # Without a date the same curve gives the same bytes, so a committed picture does not churn.
    metadata: dict[str, None] = {'Date': None} if file_format == 'svg' else {}
    figure.savefig(buffer, format=file_format, dpi=110, metadata=metadata)
    return buffer.getvalue()


def curve_summary(curve: Curve) -> str:
    """Say in words what a curve shows, for those who cannot see it."""
    steps: list[int] = sorted(curve)
    return (
        f'from {curve[steps[0]]:.4g} at iteration {steps[0]} '
        f'to {curve[steps[-1]]:.4g} at iteration {steps[-1]}'
    )
