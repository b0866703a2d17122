"""Whether the rows of a table can run on a user's data, told before anything runs."""

import contextlib
import shlex
from collections.abc import Callable

from ...core.words import USER_ERRORS
from ..config.semi import needs_unlabelled
from ..userdata.data import read_user_data
from ..userdata.read import read_data_file
from ..userdata.unlabelled import unlabelled_images
from .jobs import load_row
from .rows import Row, Table


def check_user_data(table: Table, dataset: str) -> None:
    """Refuse a table whose rows cannot all run on a user's data; one message instead of one a row.

    Args:
        table: The rows to run.
        dataset: File that describes the data.

    Raises:
        FileNotFoundError: If the data, or the unlabelled images of rows that need them, are absent.
        ValueError: If the data do not fit their file, it names no unlabelled images where rows need
            some, or rows choose images of their own data.
    """
    read_user_data(dataset)
    if any(map(_chooses_images, table.rows)):
        raise ValueError(
            f'table {table.table} has rows that choose images of their own data, which {dataset} '
            f'does not have{_others(table, _chooses_images)}'
        )
    try:
        unlabelled_images(read_data_file(dataset))
    except (ValueError, FileNotFoundError) as error:
        if any(map(_takes_unlabelled, table.rows)):
            raise type(error)(f'{error}{_others(table, _takes_unlabelled)}') from error


def _others(table: Table, left_out: Callable[[Row], bool]) -> str:
    """Say which rows would run; nothing if there are none."""
    labels = [row.label for row in table.rows if not left_out(row)]
    return f'; rows without them: --rows {shlex.quote(",".join(labels))}' if labels else ''


def _chooses_images(row: Row) -> bool:
    return any(key.endswith('.ann_file') for key in row.options)


def _takes_unlabelled(row: Row) -> bool:
    with contextlib.suppress(*USER_ERRORS, SyntaxError):  # told when the row's turn has come
        return row.path is not None and needs_unlabelled(load_row(row).model)
    return False
