"""Turn a finished run into what is committed: a row of ``results.csv``.

Its options are worked out from the config that mmengine left in the work folder, against the one in
the repository, so that a setting changed on the command line is not lost.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config

from ...core.files import PathLike
from ..config.schedule import set_max_iters
from ..draw.curves import Curve, read_curves
from ..run.folder import RunFolder
from ..run.network.build import build, flops_of_image, tested_parameters
from ..run.network.cost import input_size
from ..run.outcome.results import RUN_FACTS, RunResults
from .results_csv import Record, add_record, is_folds

# Where a run keeps what is its own affair: paths, resuming, and the seed, which has its own flag.
PRIVATE = ('data_root', 'work_dir', 'resume', 'load_from', 'launcher', 'seed', 'custom_imports')


def network_counts(cfg: Config) -> dict[str, Optional[int]]:
    """Build the model of a config and count it, auxiliary heads left out.

    Returns:
        ``parameters``, and ``flops`` of one image of the size that the config trains on, a
        multiply-add being two; ``None`` where they cannot be counted.
    """
    network = build(cfg).eval()
    try:
        flops = flops_of_image(network, input_size(cfg))[0]
    except ValueError:  # the config does not say its size
        flops = None
    return dict(parameters=tested_parameters(network), flops=flops)


def _leaves(value: Any, name: str = '') -> dict[str, Any]:
    """Flatten nested dicts and lists of dicts into dotted names."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, (list, tuple)) and any(isinstance(item, dict) for item in value):
        items = {str(index): item for index, item in enumerate(value)}.items()
    else:
        return {name: list(value) if isinstance(value, tuple) else value}
    found: dict[str, Any] = {}
    for key, item in items:
        if key not in PRIVATE:
            found.update(_leaves(item, f'{name}.{key}' if name else str(key)))
    return found


# Parts of a config that decide about a result; the rest is names, hooks and logging.
_DECISIVE = (
    'model',
    'train_dataloader',
    'test_dataloader',
    'optim_wrapper',
    'param_scheduler',
    'train_cfg',
)


def changed_settings(used: Config, written: Config) -> list[str]:
    """List what a run changed in its config, as arguments of ``--cfg-options``.

    Args:
        used: The config left in the work folder.
        written: The one in the repository; not changed.
    """
    written = Config(written.to_dict())
    options = []
    length = used.get('train_cfg', {}).get('max_iters')
    if length and length != written.get('train_cfg', {}).get('max_iters'):
        set_max_iters(written, length)
        options.append(f'max_iters={length}')
    for part in _DECISIVE:
        old, new = _leaves(written.get(part), part), _leaves(used.get(part), part)
        options += [f'{key}={new[key]}' for key in new if not _same(new[key], old.get(key))]
    return options


def _same(new: Any, old: Any) -> bool:
    """Compare two values; a file is the same wherever this machine keeps it."""
    paths = isinstance(new, str) and isinstance(old, str) and '/' in new + old
    return new == old or (paths and Path(new).name == Path(old).name)


def _converter(converted: dict) -> str:
    """Write the converter of public weights with its source and the file to read."""
    name, file = converted['source'], converted['file']
    return f'deeplabv2.py {file}' if name == 'deeplabv2' else f'convert.py --source {name} {file}'


def command(record: Record, paper: str) -> str:
    """Write what repeats a run, from the root of the repository; then it is tested.

    Args:
        record: A row of ``results.csv``.
        paper: Name of its folder.
    """
    config = f'configs/{paper}/{record["config"]}.py'
    converted = record.get('converted') or {}
    if converted.get('part') == 'model':
        target = f'work_dirs/{record["config"]}/converted.pth'
        return f'python tools/model_converters/{_converter(converted)} {target}'
    words = [f'python tools/{"kfold" if is_folds(record) else "train"}.py {config}']
    if is_folds(record):
        words.append(f'--num-folds {record["num_folds"]} --pool {record["pool"]}')
        words += [f'--split-seed {record["split_seed"]}'] if record.get('split_seed') else []
    words += [f'--seed {record["seed"]}'] if isinstance(record.get('seed'), int) else []
    return ' '.join([*words, record['options']] if record.get('options') else words)


def foreground(per_class: Mapping[str, Mapping]) -> dict[str, Any]:
    """Name the second of two classes and its Dice, which the mean over both hides."""
    dice = dict(per_class.get('Dice') or {})
    name = list(dice)[-1] if len(dice) == 2 else None
    return {} if name is None else dict(foreground=name, foreground_Dice=dice[name])


def slim(results: RunResults, *, config: PathLike, used: Optional[Config]) -> Record:
    """Keep what a card prints, and add what needs the model or the arrays."""
    content = results.as_content()
    changed = changed_settings(used, Config.fromfile(config)) if used is not None else []
    return dict(
        {key: content[key] for key in RUN_FACTS},
        metrics=content['metrics'],
        intervals=results.intervals or dict(unit='image', units=results.num_images),
        old_interval=not results.intervals and any('low' in m for m in content['metrics'].values()),
        dataset=asdict(results.described(used)),
        **foreground(results.per_class),
        constant_miou=results.constant_miou(),
        **network_counts(used if used is not None else Config.fromfile(config)),
        max_iters=used.train_cfg.get('max_iters') if used is not None else None,
        options=' '.join(['--cfg-options', *changed]) if changed else None,
    )


def validation_miou(curves: Mapping[str, Curve]) -> dict[str, float]:
    """Keep the validations' mIoU by iteration, as fractions; a single one is no curve."""
    curve = curves.get('val/mIoU', {})
    return {str(k): round(v / 100, 4) for k, v in sorted(curve.items())} if len(curve) > 1 else {}


def find_written_config(work_dir: PathLike, name: Optional[str], folder: PathLike) -> Path:
    """Find the config of a run in its paper's folder.

    Raises:
        FileNotFoundError: If it is not there.
    """
    config = Path(folder) / f'{name}.py'
    if not config.is_file():
        raise FileNotFoundError(
            f'{work_dir} is a run of {name}, but {config} does not exist: collect it into the '
            'folder of its config'
        )
    return config


def collect(work_dir: PathLike, folder: PathLike) -> Record:
    """Put a run into ``configs/<paper>/results.csv``, in place of an earlier one of the same.

    Args:
        work_dir: Folder of a tested run.
        folder: ``configs/<paper>``; must hold the run's config.

    Returns:
        What was written.

    Raises:
        FileNotFoundError: If the run was not tested, or its config is not in the folder.
    """
    run = RunFolder(work_dir)
    results = run.results()
    config = find_written_config(work_dir, results.config, folder)
    record = slim(results, config=config, used=run.training_config(results.config))
    record['validation_miou'] = validation_miou(read_curves(run.curve_files()))
    add_record(record, folder)
    return record
