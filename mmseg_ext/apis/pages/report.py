"""Write the page about tested runs: one run, several, or a table. One run is a table of one row.

It is made from the work folders only, which hold ``results.json`` and, where they are there,
``per_image.npz``, ``per_image_calibration.npz``, ``cost.json``, ``*/vis_data/scalars.json``, the
config and ``predictions/``; nothing is trained, tested or measured. What is absent is left out of
the page; :func:`.complete.complete_runs` makes the predictions, ``cost.json`` and the calibration.
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
from .examples import shared_examples
from .facts import CONSTANT, find_baselines, training_note
from .gather import RowData, TableRow, find_baseline, read_rows

SHOWN = ('mIoU', 'mDice', 'mPA', 'mPrecision', 'mF1', 'aAcc', 'FWIoU')


@dataclass(frozen=True)
class RunRow:
    """A row made of one folder; see :class:`.gather.TableRow`."""

    label: str
    config: str
    runs: tuple[Path, ...]


def rows_of(work_dirs: Sequence[PathLike]) -> list[RunRow]:
    """Make one row of each work folder, named by the folder.

    Raises:
        FileNotFoundError: If one was not tested.
    """
    configs = [RunFolder(folder).results().config or '' for folder in work_dirs]
    return [
        RunRow(Path(folder).resolve().name, config, (Path(folder),))
        for folder, config in zip(work_dirs, configs)
    ]


def write_report(
    work_dirs: Union[PathLike, Sequence[PathLike]], out: PathLike, *, title: Optional[str] = None
) -> Path:
    """Write the report of one run, or of several that are compared with the first.

    Example::

        apis.write_report(['work_dirs/a', 'work_dirs/b'], 'report.html')

    Args:
        work_dirs: Folders of tested runs.
        out: The HTML file; overwritten.
        title: Heading of the page; derived from the runs if not given.

    Returns:
        The path of the file.

    Raises:
        FileNotFoundError: If a run was not tested.
        ValueError: See :func:`write_table_report`.
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
        rows: Label, config and work folders of each row; one without folders is listed as not run.
        out: The HTML file; overwritten, whole or not at all.
        title: Heading of the page.
        lead: A line below it; says the data set if it is empty.
        baseline: Label of the row that the others are tested against; the first one that was run
            without it.
        metrics: Scores to show; those that no row has are left out. The first one is compared. A
            single row shows all that it has.

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
        run_sections.training(rows, baselines.get(CONSTANT)),
        class_sections.confusions(rows, base),
        run_sections.runs(rows),
    ]
    return [part for part in found if part is not None]
