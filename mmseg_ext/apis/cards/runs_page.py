"""A page with a row for each run, for papers whose card has a table for each printed one.

Those tables say what was found; the page has intervals, starts, hardware and commits, and how fast
rows of several seeds learned.
"""

from collections.abc import Sequence
from pathlib import Path

from ...core.files import PathLike
from ..tables.text import TABLE_FILES
from . import convergence
from .results_csv import Record, is_folds, read_records
from .results_table import group, runs_lines

_HEAD = """# Runs: configs/{0}

Every run of the tables on [its card](../../configs/{0}/README.md), and those of no table.
"""


def has_runs_page(folder: PathLike) -> bool:
    """Whether a paper has tables, so that its runs have a page of their own.

    Args:
        folder: ``configs/<paper>``.
    """
    return any((Path(folder) / 'results').glob(TABLE_FILES)) and bool(read_records(folder))


def runs_page_name(paper: str) -> str:
    """Name the page's file in ``docs/results``."""
    return f'{paper}_runs.md'


def runs_page(records: Sequence[Record], paper: str) -> str:
    """Write the page.

    Args:
        records: Runs and cross validations.
        paper: Name of the folder of its configs.
    """
    rows = group([record for record in records if not is_folds(record)])
    lines = runs_lines(records, f'../../configs/{paper}/results.csv')
    lines += convergence.section(rows, paper, place='')
    return '\n'.join([_HEAD.format(paper), *lines]).rstrip() + '\n'


def runs_link(records: Sequence[Record], paper: str) -> list[str]:
    """Lead from a card to its page."""
    runs = [record for record in records if not is_folds(record)]
    count = len(group(runs)) + len(records) - len(runs)
    page = f'../../docs/results/{runs_page_name(paper)}'
    return [
        f'Each row of runs, with its interval, hardware and commit: [{count} rows]({page}).',
        '',
    ]
