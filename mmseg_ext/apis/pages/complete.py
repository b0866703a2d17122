"""Make what a page shows beyond the test: example predictions, cost and calibration."""

import logging
from collections.abc import Sequence

from mmengine.logging import print_log

from ..run.network.cost import ensure_cost
from .calibration import ensure_calibration
from .examples import NUM_IMAGES, ensure_predictions, example_images
from .gather import TableRow
from .runs import read_run, replicas_of
from .worst import ensure_worst


def complete_runs(rows: Sequence[TableRow], *, num_images: int = NUM_IMAGES) -> list[str]:
    """Predict example and worst images, time the network and measure the calibration of each row.

    What exists already is not made again. A row that fails does not stop the others.

    Args:
        rows: Rows of the page. ``predictions``, ``worst``, ``cost.json`` and the ``calibration`` in
            ``results.json`` are written into their folders.
        num_images: Number of example images of a row, over all of its folds, and of the worst ones
            of a row of one run.

    Returns:
        One line for each row that failed.
    """
    failures = []
    for row in rows:
        try:
            _complete(row, num_images)
        except (OSError, ValueError, RuntimeError) as error:
            failures.append(f'{row.label}: {error}')
            print_log(f'left out of the report: {failures[-1]}', 'current', logging.WARNING)
    return failures


def _complete(row: TableRow, num_images: int) -> None:
    runs = [read_run(folder) for folder in row.runs]
    replicas = replicas_of(runs, row.label)[0] if runs else []
    first = replicas[0] if replicas else []
    for run in first[:num_images]:
        count = -(-num_images // len(first))
        ensure_predictions(run.folder, example_images(run.folder, count))
    for run in first[:1]:
        ensure_cost(run.folder)
    if len(runs) == 1:
        ensure_worst(runs[0].folder, num_images)
    for run in (run for replica in replicas for run in replica):
        ensure_calibration(run.folder)
