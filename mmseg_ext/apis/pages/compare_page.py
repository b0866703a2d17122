"""Write one HTML page about a table: every row beside the others, from the files of its runs only.

:func:`write_table_report` reads of each work folder ``results.json`` and, where they are there,
``per_image.npz``, ``per_image_calibration.npz``, ``cost.json``, ``*/vis_data/scalars.json`` and
``predictions/``; it trains, tests and measures nothing. What is absent is left out of the page;
:func:`complete_runs` makes the predictions, ``cost.json`` and the calibration.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from mmengine.logging import print_log

from ...core.files import PathLike, write_bytes
from ...core.labels import voc_palette
from ..draw.curves import Curve, read_curves
from ..draw.html import page
from ..run.cost import ensure_cost
from ..run.folder import converted_note, describe_dataset, read_results
from . import compare_sections as parts
from .calibration import ensure_calibration
from .compare_data import RowData, TableRow, find_baseline, read_rows, read_run, replicas_of
from .examples import NUM_IMAGES, ensure_predictions, example_images, shared_examples

SHOWN = ('mIoU', 'mDice', 'mPA', 'mPrecision', 'aAcc', 'FWIoU')

_FACTS: dict[str, Callable[[dict], Any]] = {
    'config': lambda r: r.get('config'),
    'tested on': lambda r: _tested_on(r),
    'start': lambda r: r.get('init'),
    'converted weights': lambda r: converted_note(r.get('converted')),
    'seed': lambda r: r.get('seed'),
    'iterations': lambda r: r.get('iterations'),
    'checkpoint': lambda r: r.get('checkpoint'),
    'commit': lambda r: _commit(r),
    'hardware': lambda r: r.get('hardware'),
    'date': lambda r: r.get('date'),
}


def _tested_on(results: dict) -> str:
    dataset = describe_dataset(results, None)
    images = f'{dataset["num_images"]} images' if dataset['num_images'] else None
    return ', '.join(str(v) for v in (dataset['name'], dataset['split'], images) if v)


def _commit(results: dict) -> Optional[str]:
    commit = results.get('commit')
    changed = ' with local changes' if results.get('dirty') else ''
    return f'{commit[:12]}{changed}' if commit else None


@dataclass(frozen=True)
class RunRow:
    """A row made of one folder; see :class:`TableRow`."""

    label: str
    config: str
    runs: tuple[Path, ...]


def rows_of(work_dirs: Sequence[PathLike]) -> list[RunRow]:
    """Make one row of each work folder, named by the folder.

    Raises:
        FileNotFoundError: If one was not tested.
    """
    configs = [str(read_results(folder).get('config') or '') for folder in work_dirs]
    return [
        RunRow(Path(folder).resolve().name, config, (Path(folder),))
        for folder, config in zip(work_dirs, configs)
    ]


def write_table_report(
    rows: Sequence[TableRow],
    out: PathLike,
    *,
    title: str,
    lead: str = '',
    baseline: Optional[str] = None,
    metrics: Sequence[str] = SHOWN,
) -> Path:
    """Write the report of a table as one file that needs no other.

    Args:
        rows: Label, config and work folders of each row; one without folders is listed as not run.
        out: The HTML file; overwritten, whole or not at all.
        title: Heading of the page.
        lead: A line below it; says the data set if it is empty.
        baseline: Label of the row that the others are tested against; the first one that was run
            without it.
        metrics: Scores to show; those that no row has are left out. The first one is compared.

    Returns:
        The path of the file.

    Raises:
        FileNotFoundError: If a folder holds no ``results.json``.
        ValueError: If no row was run, there is no such baseline, or a run's files do not belong
            together.
    """
    if not any(row.runs for row in rows):
        raise ValueError(f'no row of {title!r} was run: there is nothing to report')
    data = read_rows(rows, baseline=baseline, main=metrics[0])
    content = page(
        title=title,
        lead=lead or _lead(data),
        body='\n'.join(part for part in _body(data, baseline, metrics) if part),
        footer=f'Written by mmseg_ext from {len([r for row in data for r in row.runs])} runs: '
        f'{", ".join(str(run.folder) for row in data for run in row.runs)}.',
        style=parts.STYLE,
    )
    return write_bytes(out, content.encode('utf-8'))


def _lead(rows: Sequence[RowData]) -> str:
    names = [describe_dataset(run.results, None)['name'] for row in rows for run in row.runs]
    known = list(dict.fromkeys(str(name) for name in names if name))
    return f'Semantic segmentation, {", ".join(known) or "unknown data"}'


def _body(data: list[RowData], baseline: Optional[str], metrics: Sequence[str]) -> list[str]:
    base, main = find_baseline(data, baseline), metrics[0]
    names = next(row.runs[0].classes for row in data if row.runs)
    shared, palette = shared_examples(data)
    palette = palette or voc_palette(len(names))
    curves: dict[int, list[dict[str, Curve]]] = {
        place: [read_curves(run.folder) for run in row.runs] for place, row in enumerate(data)
    }
    return [
        parts.numbers(data, metrics, base),
        parts.intervals(data, main),
        parts.differences(data, base, main),
        parts.costs(data, main),
        parts.classes(data, dict(zip(names, palette))),
        parts.examples(shared, data, names, palette),
        parts.calibration(data),
        parts.training(curves),
        parts.confusions(data, base),
        parts.runs(data, _FACTS),
    ]


def write_report(table: Any, out: PathLike) -> Path:
    """Write the report of a paper's table.

    Args:
        table: Has ``paper``, ``table``, ``caption``, ``rows`` with their runs, ``baseline``,
            ``metrics`` and ``dataset``.
        out: The HTML file.

    Returns:
        The path of the file.

    Raises:
        FileNotFoundError: See :func:`write_table_report`.
        ValueError: See there.
    """
    where = f'on {table.dataset}' if table.dataset else ''
    return write_table_report(
        table.rows,
        out,
        title=' '.join(part for part in (table.paper, 'table', table.table, where) if part),
        lead=f'Rows of: {table.caption}' if table.dataset else table.caption,
        baseline=table.baseline or None,
        metrics=tuple(dict.fromkeys((*table.metrics, *SHOWN))),
    )


def complete_runs(rows: Sequence[TableRow], *, num_images: int = NUM_IMAGES) -> list[str]:
    """Predict example images, time the network and count calibration of each row, where absent.

    A row that fails does not stop the others.

    Args:
        rows: Their folders get ``predictions``, ``cost.json`` and ``calibration`` in
            ``results.json``.
        num_images: Over all folds of a row.

    Returns:
        What failed, one line each.
    """
    failures = []
    for row in rows:
        try:
            runs = [read_run(folder) for folder in row.runs]
            replicas = replicas_of(runs, row.label)[0] if runs else []
            first = replicas[0] if replicas else []
            for run in first[:num_images]:
                count = -(-num_images // len(first))
                ensure_predictions(run.folder, example_images(run.folder, count))
            for run in first[:1]:
                ensure_cost(run.folder)
            for run in (run for replica in replicas for run in replica):
                ensure_calibration(run.folder)
        except (OSError, ValueError, RuntimeError) as error:
            failures.append(f'{row.label}: {error}')
            print_log(f'left out of the report: {failures[-1]}', 'current', logging.WARNING)
    return failures
