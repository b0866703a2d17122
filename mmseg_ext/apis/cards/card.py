"""Generate the results section of a paper's README card from the committed results.

Only our own numbers: a number printed in the paper has no place in the files this reads.
"""

from pathlib import Path

from ...core.files import PathLike
from . import chart, convergence, figure
from .results_csv import read_records
from .results_table import results_section, rows_of, warning_lines
from .runs_page import has_runs_page, runs_link, runs_page, runs_page_name
from .speed import page_name, speed_lines, speed_page, speed_pictures
from .tables import tables_section

START, END = '<!-- results:start -->', '<!-- results:end -->'


def _strips(folder: PathLike) -> list[str]:
    """Show what ``docs/results`` has of a paper's predictions, ``<paper>_*_predictions.jpg``."""
    paper = Path(folder).resolve()
    found = sorted((paper.parents[1] / 'docs/results').glob(f'{paper.name}_*_predictions.jpg'))
    title = 'Image, truth, prediction, errors (wrong pixels red)'
    return [line for path in found
            for line in (f'![{title}](../../docs/results/{path.name})', '')]  # fmt: skip


def generate(folder: PathLike) -> tuple[str, str]:
    """Generate the README of a paper.

    Args:
        folder: ``configs/<paper>``, with ``README.md``, ``results.csv`` and ``results/*.json``.

    Returns:
        The README as it is, and as it should be.

    Raises:
        FileNotFoundError: If there is no README.
        ValueError: If it lacks the markers, or has them twice or in the wrong order.
    """
    path = Path(folder) / 'README.md'
    if not path.is_file():
        raise FileNotFoundError(f'{path} does not exist')
    text = path.read_text(encoding='utf-8')
    if text.count(START) != 1 or text.count(END) != 1 or text.index(START) > text.index(END):
        raise ValueError(f'{path} must contain the lines {START} and {END} once, in this order')
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    lines = [*_runs(folder), '', *_strips(folder), *tables_section(folder), *speed_lines(folder)]
    section = '\n'.join(lines).rstrip()
    return text, f'{before}{START}\n\n{section}\n\n{END}{after}'


def _runs(folder: PathLike) -> list[str]:
    """Show the runs: on a page of their own where tables say what was found."""
    paper, records = Path(folder).resolve().name, read_records(folder)
    if not has_runs_page(folder, records):
        return [results_section(records, paper)]
    return [
        *runs_link(records, paper),
        *warning_lines(records),
        *figure.section(rows_of(records), paper),
    ]


def pages(folder: PathLike) -> dict[str, str]:
    """Write the pages that the section leads to: name of the file in ``docs/results`` to text."""
    paper, records, found = Path(folder).resolve().name, read_records(folder), {}
    if has_runs_page(folder, records):
        found[runs_page_name(paper)] = runs_page(records, paper)
    if page := speed_page(folder):
        found[page_name(folder)] = page
    return found


def pictures(folder: PathLike) -> dict[str, bytes]:
    """Draw what the section or its pages show: name of the file in ``docs/results`` to content."""
    paper = Path(folder).resolve().name
    rows = rows_of(read_records(folder))
    return {
        **convergence.pictures(rows, paper),
        **figure.pictures(rows, paper),
        **chart.pictures(folder),
        **speed_pictures(folder),
    }
