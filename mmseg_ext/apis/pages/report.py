"""Write the HTML page about one run, several runs or a table. One run is a table of one row.

The page is made only from the work folders; nothing is trained, tested or measured. A folder must
hold ``results.json``. It may hold ``per_image.npz``, ``per_image_calibration.npz``, ``cost.json``,
``*/vis_data/scalars.json``, ``details.json``, the config, ``predictions/`` and ``worst/``. The page
leaves out what is absent. :func:`.complete.complete_runs` makes predictions, ``cost.json`` and the
calibration.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

from ...core.files import PathLike, write_bytes
from ...core.labels import voc_palette
from ..draw.blocks import Page, Section
from ..draw.html import render
from ..run.folder import RunFolder
from . import class_sections, run_sections, score_sections
from .after_sections import after_sections
from .examples import shared_examples
from .facts import CONSTANT, find_baselines, training_note
from .gather import RowData, TableRow, find_baseline, read_rows
from .pseudo_labels import pseudo_labels
from .worst import worst

SHOWN = ('mIoU', 'ECE', 'mDice', 'mPA', 'mPrecision', 'mF1', 'aAcc', 'FWIoU')


@dataclass(frozen=True)
class RunRow:
    """A row made from one work folder; see :class:`.gather.TableRow`."""

    label: str
    config: str
    runs: tuple[Path, ...]


def rows_of(work_dirs: Sequence[PathLike]) -> list[RunRow]:
    """Make one row for each work folder, with the folder's name as label.

    Raises:
        FileNotFoundError: If a run was not tested.
    """
    configs = [RunFolder(folder).results().config or '' for folder in work_dirs]
    return [
        RunRow(Path(folder).resolve().name, config, (Path(folder),))
        for folder, config in zip(work_dirs, configs)
    ]


def write_report(
    work_dirs: Union[PathLike, Sequence[PathLike]], out: PathLike, *, title: Optional[str] = None
) -> Path:
    """Write the report of one run, or of several runs that are compared with the first.

    Example::

        apis.write_report(['work_dirs/a', 'work_dirs/b'], 'report.html')

    Args:
        work_dirs: Folder of a tested run, or a list of them.
        out: HTML file; overwritten.
        title: Heading of the page; default: the config of one run, or the number of runs.

    Returns:
        The path of the file.

    Raises:
        FileNotFoundError: If a run was not tested.
        ValueError: If there is no folder; otherwise see :func:`write_table_report`.
    """
    folders = [work_dirs] if isinstance(work_dirs, (str, Path)) else work_dirs
    if not folders:
        raise ValueError('a report needs at least one work folder')
    rows = rows_of(folders)
    one = rows[0].config or rows[0].label
    return write_table_report(rows, out, title=title or (one if len(rows) == 1 else _many(rows)))


def _many(rows: Sequence[TableRow]) -> str:
    return f'{len(rows)} runs'


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
        rows: Label, config and work folders of each row. A row without folders is listed as not
            run.
        out: HTML file; overwritten in one step.
        title: Heading of the page.
        lead: Line below the heading; default: names the data set.
        baseline: Label of the row that the others are compared with; default: the first row that
            was run.
        metrics: Names of the scores to show. The first is the one that is compared. Scores that no
            row has are left out. A single row also shows all its other scores.

    Returns:
        The path of the file.

    Raises:
        FileNotFoundError: If a folder holds no ``results.json``.
        ValueError: If no row was run, or see :func:`.gather.read_rows`.
    """
    if not any(row.runs for row in rows):
        raise ValueError(f'no row of {title!r} was run: there is nothing to report')
    data = read_rows(rows, baseline=baseline, main=metrics[0])
    for row in data:
        row.training = '; '.join(dict.fromkeys(filter(None, map(training_note, row.runs))))
    folders = [str(run.folder) for row in data for run in row.runs]
    page = Page(
        title=title,
        lead=lead or _lead(data),
        sections=_sections(data, find_baseline(data, baseline), metrics),
        footer=f'Written by mmseg_ext from {", ".join(folders)}.',
    )
    return write_bytes(out, render(page))


def write_paper_report(table: Any, out: PathLike) -> Path:
    """Write the report of a paper's table.

    Args:
        table: An object with the fields ``paper``, ``table``, ``caption``, ``rows`` (with their
            runs), ``baseline``, ``metrics`` and ``dataset``.
        out: HTML file; overwritten in one step.

    Returns:
        The path of the file.

    Raises:
        FileNotFoundError: See :func:`write_table_report`.
        ValueError: See :func:`write_table_report`.
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


def _lead(rows: Sequence[RowData]) -> str:
    names = [run.results.described(run.cfg).name for row in rows for run in row.runs]
    known = list(dict.fromkeys(str(name) for name in names if name))
    return f'Semantic segmentation, {", ".join(known) or "unknown data"}'


def _sections(
    rows: list[RowData], base: Optional[RowData], metrics: Sequence[str]
) -> list[Section]:
    main, first = metrics[0], next(row.runs[0] for row in rows if row.runs)
    if len(rows) == 1:
        metrics = tuple(dict.fromkeys((*metrics, *rows[0].metrics)))
    shared, palette = shared_examples(rows)
    palette = palette or voc_palette(len(first.classes))
    baselines = find_baselines(first)
    found = [
        score_sections.result(rows, main, baselines),
        run_sections.examples(shared, rows, first.classes, palette) if len(rows) == 1 else None,
        score_sections.numbers(rows, metrics, base, baselines),
        score_sections.intervals(rows, main),
        score_sections.differences(rows, base, main),
        score_sections.costs(rows, main),
        class_sections.classes(rows, dict(zip(first.classes, palette))),
        run_sections.examples(shared, rows, first.classes, palette) if len(rows) > 1 else None,
        class_sections.calibration(rows),
        pseudo_labels(rows),
        run_sections.training(rows, baselines.get(CONSTANT)),
        class_sections.confusions(rows, base),
        worst(rows, palette),
        *after_sections(rows),
        run_sections.runs(rows),
    ]
    return [part for part in found if part is not None]
