"""Generate the results section of a paper's README card from the committed results.

Only our own numbers: a number printed in the paper has no place in the files this reads.
"""

from collections.abc import Mapping
from pathlib import Path

from ...core.files import PathLike
from . import chart, convergence, figure
from .results_csv import is_folds, read_records
from .results_table import group, results_section
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
    section = '\n'.join(
        [
            results_section(read_records(folder), Path(folder).resolve().name),
            '',
            *_strips(folder),
            *tables_section(folder),
            *speed_lines(folder),
        ]
    ).rstrip()
    return text, f'{before}{START}\n\n{section}\n\n{END}{after}'


def pictures(folder: PathLike) -> Mapping[str, bytes]:
    """Make what the section shows or leads to: name of the file in ``docs/results`` to content."""
    paper = Path(folder).resolve().name
    runs = [record for record in read_records(folder) if not is_folds(record)]
    rows = group(runs)
    found = {**convergence.pictures(rows, paper), **figure.pictures(rows, paper)}
    page = speed_page(folder)
    found.update(chart.pictures(folder))
    found.update(speed_pictures(folder))
    return {**found, page_name(folder): page.encode()} if page else found
