"""Read a config, and merge the options of the command line into it.

As in mmseg, the command line comes before the file. A work folder that neither of them names is
named after the file.
"""

import ast
import contextlib
import logging
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Optional

from mmengine import hub
from mmengine.config import Config
from mmengine.logging import print_log

from ...core import refusals, signals
from ...core.files import PathLike
from ...core.words import did_you_mean, nearest
from ..config.check import check_config, check_options
from ..config.numbers import check_numbers
from ..config.reading import unreadable
from ..config.renamed import renew_types
from ..config.schedule import set_max_iters, set_val_interval, short_schedule
from ..userdata.apply import apply_dataset
from ..userdata.starts import run_name


def load_config(
    path: PathLike,
    *,
    options: Optional[dict] = None,
    work_dir: Optional[PathLike] = None,
    dataset: Optional[PathLike] = None,
) -> Config:
    """Read a config, merge options and decide on the work folder. Writes nothing.

    Example::

        cfg = apis.load_config('configs/fmsi/fmsi_xception_voc.py', options=dict(max_iters=1000))

    Args:
        path: A file, or ``package::path`` such as ``mmseg_ext::fmsi/fmsi_xception_voc.py``.
        options: ``--cfg-options``. ``max_iters`` rescales the whole schedule, except the settings
            that are given with it. ``val_interval`` sets the validation interval.
        work_dir: Work folder. By default, it is ``work_dirs/<config name>-<data set name>`` with a
            ``dataset``, else the one that the config names, else ``work_dirs/<config name>``.
        dataset: File that describes the user's data; see :func:`~..userdata.apply.apply_dataset`.

    Raises:
        FileNotFoundError: If there is no such config.
        UnknownKeyError: If the config or the options contain a key that nothing reads.
        ValueError: If the config cannot be read, or the data set file does not fit the data.
    """
    path = str(path)
    cfg = _read(path)
    name = Path(path.split('::')[-1]).stem
    if dataset is not None:
        name = run_name(path, apply_dataset(cfg, dataset, options).name)
    override(cfg, options)
    if work_dir is not None:
        cfg.work_dir = str(work_dir)
    elif dataset is not None or cfg.get('work_dir') is None:
        cfg.work_dir = os.path.join('work_dirs', name)
    cfg.launcher = cfg.get('launcher', 'none')
    return cfg


def _restates_start(path: str) -> bool:
    """Say whether a file or one of its bases sets start weights without an ``init_note``."""
    if not path.endswith('.py'):
        return False
    nodes = list(ast.walk(ast.parse(Path(path).read_text(encoding='utf-8'))))
    if any(isinstance(node, ast.Name) and node.id == 'init_note' for node in nodes):
        return False
    keys: set = {node.arg for node in nodes if isinstance(node, ast.keyword)}
    keys |= {node.value for node in nodes if isinstance(node, ast.Constant)}
    if keys & {'init_cfg', 'pretrained'}:
        return True
    bases = [Config._get_cfg_path(base, path)[0] for base in Config._get_base_files(path)]
    return any(map(_restates_start, bases))


def _read(path: str) -> Config:
    """Read a config; report any error in it as an error of that file."""
    packaged = '::' in path
    if not packaged and not Path(path).is_file():
        raise FileNotFoundError(f'no config {path}{_similar(Path(path))}')
    if Path(path).suffix not in ('.py', '.json'):  # mmengine would execute tags in a .yml
        raise ValueError(
            f'{path} is no config: they are .py files'
            + ('; your data go to --dataset' if Path(path).suffix in ('.yml', '.yaml') else '')
        )
    try:
        cfg = hub.get_config(path) if packaged else Config.fromfile(path)
        if not packaged and _restates_start(path):
            cfg.pop('init_note', None)  # a base's note on other weights
    except signals.Stopped:
        raise
    except (Exception, SystemExit) as error:  # a config may call sys.exit
        hint = _similar(_packaged(path)) if packaged and isinstance(error, OSError) else ''
        raise unreadable(path, error, hint) from error
    if not isinstance(cfg.get('model'), dict):
        raise ValueError(f'config {path} has no model: a part of a config, or something else')
    renew_types(cfg)
    return cfg


def _packaged(path: str) -> Path:
    """Return the path where mmengine looks for ``package::path``."""
    package, _, name = path.partition('::')
    spec = find_spec(package)
    folder = Path(spec.origin).parent if spec and spec.origin else Path()
    return folder / '.mim' / 'configs' / name


def _similar(path: Path) -> str:
    """Suggest configs in the same tree whose names resemble that of a missing one."""
    papers = [folder for folder in path.parents if folder.name == 'configs' and folder.is_dir()]
    root = next(iter(papers), path.parent if path.parent.is_dir() else Path('configs'))
    paths = {p.name: p for p in root.rglob('*.py')}
    hint = did_you_mean(paths[name] for name in nearest(path.name, paths))
    return hint and f'; {hint}'


def override(cfg: Config, options: Optional[dict]) -> None:
    """Merge ``--cfg-options`` into a config and check it.

    Args:
        cfg: Changed in place.
        options: Values by dotted key. ``max_iters`` rescales the whole schedule.

    Raises:
        UnknownKeyError: If the config or the options contain a key that nothing reads.
        ValueError: If an option does not fit the config.
    """
    check_options(cfg, options or {})
    # an attribute, because the options are no setting of the config
    object.__setattr__(cfg, '_overridden', tuple(options or ()))
    with explained(cfg, '--cfg-options cannot be merged'):
        _merge(cfg, dict(options or {}))
    _fit_workers(cfg)
    check_config(cfg)
    check_numbers(cfg)


def _merge(cfg: Config, options: dict) -> None:
    max_iters = options.pop('max_iters', None)
    if any(part in ('init_cfg', 'pretrained') for key in options for part in key.split('.')):
        cfg.pop('init_note', None)  # a note on other weights; results name the file instead
    if max_iters is not None:  # first, so that the other options override the rescaled values
        set_max_iters(cfg, max_iters)
    if 'val_interval' in options and cfg.get('train_cfg'):
        set_val_interval(cfg, options['val_interval'])
    cfg.merge_from_dict(options)
    note = short_schedule(cfg) if any(key.startswith('train_cfg') for key in options) else None
    if note:
        print_log(note, 'current', logging.WARNING)


def _fit_workers(cfg: Config) -> None:
    """Drop settings of worker processes from loaders without workers; torch refuses them."""
    for part in ('train', 'val', 'test'):
        loader = cfg.get(f'{part}_dataloader') or {}
        if loader.get('num_workers', 0) == 0:
            if loader.get('persistent_workers'):
                loader['persistent_workers'] = False
            for key in ('prefetch_factor', 'timeout'):
                loader.pop(key, None)


@contextlib.contextmanager
def explained(cfg: Config, what: str) -> Iterator[None]:
    """Turn an obscure error of a library into a ValueError that names the config.

    ``ValueError``, ``OSError``, ``ImportError`` and a failed write of torch pass through unchanged.

    Args:
        cfg: The config that the block uses.
        what: What failed, as part of the message.
    """
    try:
        yield
    except (ValueError, OSError, ImportError):
        raise
    except Exception as error:
        if refusals.is_refused_write(error):
            raise
        first = next(iter(str(error).strip().splitlines()), '')
        raise ValueError(
            f'{cfg.filename or "config"}{options_given(cfg)}: {what}, a setting does not fit the '
            f'others or is of another kind ({type(error).__name__}: {first})'
        ) from error


def options_given(cfg: Config) -> str:
    """Name the options that were merged into a config, to follow its name in a message."""
    options = ', '.join(getattr(cfg, '_overridden', ()))
    return f' with --cfg-options {options}' if options else ''
