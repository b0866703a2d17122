"""Folders that init writes: marked as its own, and gone again if anything goes wrong."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from ...core.files import write_bytes
from .find.folders import MADE


@contextlib.contextmanager
def made(*folders: Path) -> Iterator[None]:
    """Mark folders when the block ends; if it raises, remove those that were not there before.

    Args:
        folders: Folders that the block fills.
    """
    new = [folder for folder in folders if not folder.exists()]
    try:
        yield
        for folder in folders:
            write_bytes(folder / MADE, b'')
    except BaseException:
        for folder in new:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def refuse_foreign(folder: Path) -> None:
    """Refuse to write into a folder that holds something else.

    Raises:
        FileExistsError: If it is there without the mark.
    """
    if folder.exists() and not (folder / MADE).is_file():
        raise FileExistsError(
            f'{folder} is there already: give another --out, for images beside it'
        )
