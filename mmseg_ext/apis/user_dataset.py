"""Let any config train and test on the data of a user's file (see ``data_file.py``)."""

from pathlib import Path
from typing import Union

from mmengine.config import Config

from .data_file import DataFile, read_data_file

PathLike = Union[str, Path]


def apply_dataset(cfg: Config, path: PathLike) -> DataFile:
    """Change a config so that it trains and tests on the user's data. Writes nothing.

    Args:
        cfg: A complete config; changed in place. Apply the user's options afterwards.
        path: The data set file.

    Returns:
        What the file says; its ``name`` belongs into the name of the run.

    Raises:
        FileNotFoundError: If the file, a folder, a list or a mask is absent.
        ValueError: If the file contradicts itself or the masks, or a split is empty.
    """
    data = read_data_file(path)
    raise NotImplementedError(data.name)
