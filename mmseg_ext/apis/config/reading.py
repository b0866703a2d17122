"""Read a config file. A config is a Python program, so any error in it is the user's."""

from typing import Union

from mmengine.config import Config

from ...core import signals
from ...core.files import PathLike
from .renamed import renew_types


def read_config(path: PathLike) -> Config:
    """Read a config file, and replace the old names of renamed types.

    Raises:
        ValueError: If the file cannot be read for any reason.
    """
    try:
        cfg = Config.fromfile(path)
    except signals.Stopped:
        raise
    except (Exception, SystemExit) as error:  # a config may call sys.exit
        raise unreadable(path, error) from error
    renew_types(cfg)
    return cfg


def unreadable(path: PathLike, error: Union[Exception, SystemExit], hint: str = '') -> ValueError:
    """Make an error that names the config, the line if it is known, and the cause."""
    where = error.lineno if isinstance(error, SyntaxError) else None
    line = '' if where is None else f', line {where}'
    return ValueError(f'config {path}{line} cannot be read: {type(error).__name__}: {error}{hint}')
