"""The numbers on the first page: one of our own for each paper, from its ``results.csv``.

The page says which config it wants, ``<!-- result: fmsi/fmsi_mobilenetv2_camvid180 -->``; what
follows, up to ``<!-- end -->``, is written here.
"""

import re
from pathlib import Path

from .results_csv import length_of, read_records
from .results_table import rows_of, score

_WANTED = re.compile(r'(<!-- result: ([\w-]+)/([\w-]+) -->).*?(<!-- end -->)', re.DOTALL)


def fill(text: str, configs: Path) -> str:
    """Write the numbers that a page asks for.

    Args:
        text: The page.
        configs: Folder of the papers' folders.

    Raises:
        ValueError: If a config that it names has no run.
    """
    return _WANTED.sub(
        lambda found: f'{found[1]}{_number(configs / found[2], found[3])}{found[4]}', text
    )


def _number(folder: Path, config: str) -> str:
    rows = [runs for runs in rows_of(read_records(folder)) if runs[0]['config'] == config]
    if not rows:
        raise ValueError(f'README.md asks for {folder.name}/{config}, of which there is no run')
    runs = max(rows, key=len)
    data, first = runs[0]['dataset'], runs[0]
    seeds = 'one seed' if len(runs) == 1 else f'{len(runs)} seeds'
    return (
        f'mIoU {score(runs, "mIoU")} on {data["name"]} {data["split"]} ({data["num_images"]} '
        f'images), {length_of(first)} iterations, {seeds}; start: {first["init"]}'
    )
