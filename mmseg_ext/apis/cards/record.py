"""Turn a finished run into what is committed: one small JSON file and two small pictures.

The JSON file holds what the README card prints, no arrays. The command in it is worked out from the
config that mmengine left in the work folder, against the one in the repository, so that a setting
changed on the command line is not lost.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config

from ...core.files import PathLike, write_bytes, write_json
from ..config.schedule import set_max_iters
from ..draw.curves import Curve, draw_overview, read_curves
from ..draw.pixels import colorize, encode_below, error_picture, picture_grid
from ..run.examples import read_examples
from ..run.folder import RunFolder
from ..run.network import build, tested_parameters
from ..run.results import RUN_FACTS, RunResults

_KEPT = (*RUN_FACTS, 'metrics', 'absent_classes')
_MAX_BYTES = 100_000
# Where a run keeps what is its own affair: paths, resuming, and the seed, which has its own flag.
PRIVATE = ('data_root', 'work_dir', 'resume', 'load_from', 'launcher', 'seed', 'custom_imports')


def count_parameters(cfg: Config) -> int:
    """Build the model of a config and count its parameters, auxiliary heads left out."""
    return tested_parameters(build(cfg))


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


def commands(config: PathLike, results: RunResults, used: Optional[Config]) -> list[str]:
    """Write the commands that repeat a run, from the root of the repository."""
    name = Path(*Path(config).resolve().parts[-3:]).as_posix()  # configs/<paper>/<config>.py
    train = f'python tools/train.py {name}'
    seed, folder = results.seed, f'work_dirs/{Path(config).stem}'
    if seed is not None:
        train += f' --seed {seed}'
    if seed:  # the config's own folder holds the first seed; named as tools/table.py does
        folder += f'_seed{seed}'
        train += f' --work-dir {folder}'
    changed = changed_settings(used, Config.fromfile(config)) if used is not None else []
    if changed:
        train += ' --cfg-options ' + ' '.join(changed)
    checkpoint = f'{folder}/{results.checkpoint}'
    converted = results.converted or {}
    if converted.get('part') == 'model':
        train = f'python tools/model_converters/{_converter(converted)} {checkpoint}'
    test = f'python tools/test.py {name} {checkpoint}'
    return [train, test + (f' --work-dir {folder}' if seed else '')]


def slim(results: RunResults, *, config: PathLike, used: Optional[Config]) -> dict:
    """Keep what a card prints, and add what needs the model or the arrays."""
    content = results.as_content()
    record = {key: content[key] for key in _KEPT}
    if results.intervals:
        record['intervals'] = results.intervals
    record['dataset'] = asdict(results.described(used))
    kept = ('IoU', 'Dice', 'BF')  # a card shows the foreground's Dice
    record['per_class'] = {k: v for k, v in results.per_class.items() if k in kept}
    record['constant_miou'] = results.constant_miou()
    record['params'] = count_parameters(used if used is not None else Config.fromfile(config))
    record['max_iters'] = used.train_cfg.get('max_iters') if used is not None else None
    record['commands'] = commands(config, results, used)
    return record


def validation_miou(curves: Mapping[str, Curve]) -> dict[str, float]:
    """Keep the validations' mIoU by iteration, as fractions; a single one is no curve."""
    curve = curves.get('val/mIoU', {})
    return {str(k): round(v / 100, 4) for k, v in sorted(curve.items())} if len(curve) > 1 else {}


def example_grid(work_dir: PathLike, cfg: Optional[Config], *, rows: int = 4) -> Optional[bytes]:
    """Draw image, truth, prediction and errors of some predicted images, below 100 kB.

    Returns:
        A JPEG file, or ``None`` if nothing was predicted or no labels were found.
    """
    examples, palette = read_examples(RunFolder(work_dir), cfg)
    pictures = [
        [
            example.image,
            colorize(example.truth, palette),
            colorize(example.label, palette),
            error_picture(example.image, example.label, example.truth),
        ]
        for example in examples
        if example.truth is not None
    ]
    if not pictures:
        return None
    return encode_below(picture_grid(pictures[:rows], cell=200), _MAX_BYTES)


def find_written_config(work_dir: PathLike, name: Optional[str], folder: PathLike) -> Path:
    """Find the config of a run beside the results folder.

    Raises:
        FileNotFoundError: If it is not there.
    """
    config = Path(folder).parent / f'{name}.py'
    if not config.is_file():
        raise FileNotFoundError(
            f'{work_dir} is a run of {name}, but {config} does not exist: collect '
            'it into the results folder beside its config'
        )
    return config


def write_record(record: dict, path: Path) -> Path:
    """Write what a card reads, in one step."""
    return write_json(path, record, ensure_ascii=False)


def collect(work_dir: PathLike, folder: PathLike) -> list[Path]:
    """Copy a run into ``configs/<paper>/results``.

    Args:
        work_dir: Folder of a tested run.
        folder: Where to; its parent must hold the run's config.

    Returns:
        The files written.

    Raises:
        FileNotFoundError: If the run was not tested, or its config is not in the parent folder.
    """
    run, folder = RunFolder(work_dir), Path(folder)
    results = run.results()
    config = find_written_config(work_dir, results.config, folder)
    used = run.training_config(results.config)
    record = slim(results, config=config, used=used)
    seed = record['seed']
    stem = config.stem if seed is None else f'{config.stem}_seed{seed}'
    pictures = {}
    grid = example_grid(work_dir, used)
    if grid is not None:
        pictures[f'{stem}_predictions.jpg'] = grid
    curves = read_curves(run.curve_files())
    record['validation_miou'] = validation_miou(curves)
    overview = draw_overview(curves)
    if overview is not None:
        pictures[f'{stem}_curves.png'] = overview
    record['pictures'] = list(pictures)
    written = [write_bytes(folder / name, content) for name, content in pictures.items()]
    return [*written, write_record(record, folder / f'{stem}.json')]
