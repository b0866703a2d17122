"""A page with a row for each run, for papers whose card has a table for each printed one.

Those tables say what was found; the page has intervals, starts, hardware and commits, and how fast
rows of several seeds learned.
"""

from collections.abc import Sequence
from pathlib import Path

from ...core.files import PathLike
from ..tables.text import TABLE_FILES
from . import convergence
from .results_csv import Record, is_folds
from .results_table import rows_of, runs_lines

_HEAD = """# Runs: configs/{0}

Every run of the tables on [its card](../../configs/{0}/README.md), and those of no table.
"""


def has_runs_page(folder: PathLike, records: Sequence[Record]) -> bool:
    """Whether a paper has tables, so that its runs have a page of their own.

    Args:
        folder: ``configs/<paper>``.
        records: Its runs and cross validations.
    """
    return bool(records) and any((Path(folder) / 'results').glob(TABLE_FILES))


def runs_page_name(paper: str) -> str:
    """Name the page's file in ``docs/results``."""
    return f'{paper}_runs.md'


def runs_page(records: Sequence[Record], paper: str) -> str:
    """Write the page.

    Args:
        records: Runs and cross validations.
        paper: Name of the folder of its configs.
    """
    lines = runs_lines(records, f'../../configs/{paper}/results.csv')
    lines += convergence.section(rows_of(records), paper, place='')
    return '\n'.join([_HEAD.format(paper), *lines]).rstrip() + '\n'


def runs_link(records: Sequence[Record], paper: str) -> list[str]:
    """Lead from a card to its page."""
    count = len(rows_of(records)) + sum(map(is_folds, records))
    page = f'../../docs/results/{runs_page_name(paper)}'
    return [
        f'Each row of runs, with its interval, hardware and commit: [{count} rows]({page}).',
        '',
    ]
