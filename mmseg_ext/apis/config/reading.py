"""Read a config file, which is a program: any error in it is reported as the user's."""

from typing import Union

from mmengine.config import Config

from ...core import signals
from ...core.files import PathLike
from .renamed import renew_types


def read_config(path: PathLike) -> Config:
    """Read a config file that is there; types that have another name today get it.

    Raises:
        ValueError: If it cannot be read, for any reason.
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
    """Return an error that names the config, the line if known, and the cause."""
    where = error.lineno if isinstance(error, SyntaxError) else None
    line = '' if where is None else f', line {where}'
    return ValueError(f'config {path}{line} cannot be read: {type(error).__name__}: {error}{hint}')
