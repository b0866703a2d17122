"""Let any config train and test on the data of a user's file (see ``data_file.py``).

What follows the data, and by what rule, is said at the function that changes it; the log lists what
was changed. What the file's classes cannot decide (the network, the optimiser, the augmentation,
the number of passes) stays the row's.
"""

import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Optional

import torch
from mmengine.config import Config
from mmengine.logging import print_log

from ...core.files import PathLike
from ...core.labels import LOADERS, background_of
from ...models.losses.class_weights import class_weights
from ..config.pipelines import pipeline_of
from ..config.schedule import set_max_iters
from .file import PARTS, DataFile, read_data_file
from .record import record_data
from .scan import MaskCount, median_size, pair_files, probe, probe_images, read_group_file

Size = tuple[int, int]

_PROBED = 100  # masks of a split that are looked at before a run; all are, when they are loaded
_COUNTED = 500  # masks that class weights are counted on
_MIN_ITERS = 1000  # no data set is so small that fewer steps would do, unless the row has fewer
_MULTIPLE, _SMALLEST = 32, 64  # of a crop that is cut down to the images
_IMAGE_LOADER = 'LoadImageFromFile'


@dataclass(frozen=True)
class UserData:
    """A data set file with what a run needs to know about its files.

    Args:
        file: What the user wrote.
        num_train: Training images.
        size: Median H and W of the training images.
    """

    file: DataFile
    num_train: int
    size: Size

    @cached_property
    def counts(self) -> list[MaskCount]:
        """Pixels of the classes in training masks, all or an even spread of them."""
        return probe(self.file, 'train', limit=_COUNTED)

    def pixels(self) -> torch.Tensor:
        """Pixels of each class, and of the images in which it occurs, int64 ``(2, K)``."""
        own = torch.stack([torch.from_numpy(count.pixels[:-1]) for count in self.counts])
        sizes = torch.tensor([count.size[0] * count.size[1] for count in self.counts])
        return torch.stack([own.sum(0), ((own > 0) * sizes[:, None]).sum(0)])

    def positive(self) -> list[int]:
        """Ids of the classes that a two-class loss treats as the object.

        That is all but the background; without a class of that name, the classes with less than
        an equal share of the pixels.
        """
        background = background_of(self.file.classes)
        classes = range(len(self.file.classes))
        if background is not None:
            return [k for k in classes if k != background]
        pixels = self.pixels()[0].tolist()
        rare = [k for k in classes if pixels[k] * len(pixels) < sum(pixels)]
        return rare or list(classes)[1:]


def read_user_data(path: PathLike) -> UserData:
    """Read a data set file and look at its files, up to 100 masks of each split. Writes nothing.

    Args:
        path: The data set file.

    Raises:
        FileNotFoundError: If the file, a folder, a list or a mask is absent.
        ValueError: If the file contradicts itself or the masks, or a split is empty.
    """
    file = read_data_file(path)
    read_group_file(file)
    counts = {part: probe(file, part, limit=_PROBED) for part in file.parts}
    return UserData(file, len(pair_files(file, 'train').pairs), median_size(counts['train']))


def apply_dataset(cfg: Config, path: PathLike, options: Optional[dict] = None) -> DataFile:
    """Change a config so that it trains and tests on the user's data. Writes nothing.

    Classes, ignored label, loaders, crop, losses, metrics and iterations follow the data; see the
    functions below. Up to 100 masks of each split are read.

    Args:
        cfg: A complete config; changed in place. Apply the user's options afterwards.
        path: The data set file.
        options: What the user will set afterwards; the log tells of it instead.

    Returns:
        What the file says; its ``name`` belongs into the name of the run.

    Raises:
        FileNotFoundError: If the file, a folder, a list or a mask is absent.
        ValueError: If the file contradicts itself or the masks, or a split is empty.
    """
    data = read_user_data(path)
    file = data.file
    for key in cfg:  # test_dataloader = val_dataloader may be one dict, and each is changed
        cfg[key] = copy.deepcopy(cfg[key])
    notes = [
        _use_loaders(cfg, data),
        *_use_losses(cfg, data),  # before the number of classes is overwritten
        _use_classes(cfg, data),
        _use_crop(cfg, data),
        _redirect_start(cfg, data),
        _use_iterations(cfg, data, options or {}),
    ]
    _use_metrics(cfg, data)
    record_data(cfg, file)
    for note in notes:
        if note:
            print_log(f'{file.name}: {note}', 'current')
    return file


def run_name(config: PathLike, data: DataFile) -> str:
    """Name a run of a config on a user's data, for its work folder."""
    return f'{Path(str(config).split("::")[-1]).stem}-{data.name}'


# ------------------------------------------------------------------------------- data


def _use_loaders(cfg: Config, data: UserData) -> str:
    """Replace the data sets; each split keeps the row's pipeline, its labels checked.

    A batch is no larger than the data set where it could not be filled otherwise.
    """
    for part in PARTS:
        loader = cfg.get(f'{part}_dataloader')
        if not loader:
            continue
        pipeline = pipeline_of(loader['dataset'])
        if pipeline is None:
            raise ValueError(f'{part}_dataloader.dataset has no pipeline that could be kept')
        for step in _steps(pipeline):
            if step['type'] in LOADERS:
                kept = {k: step[k] for k in ('backend_args',) if k in step}
                step.clear()
                step.update(type='LoadLabels', **kept)
        if any(step['type'] == _IMAGE_LOADER for step in _steps(pipeline)):
            probe_images(data.file, part)
        loader['dataset'] = data.file.dataset_config(part, pipeline)
    _use_image_loading(cfg, data.file)
    train = cfg.train_dataloader
    endless = 'Infinite' in str((train.get('sampler') or {}).get('type'))
    if not endless and train.get('batch_size', 1) > data.num_train:
        train['batch_size'] = data.num_train
    cfg.dataset_type, cfg.data_root = 'FolderDataset', str(data.file.root)
    sizes = ', '.join(f'{part} {len(pair_files(data.file, part).pairs)}' for part in PARTS)
    tested = '' if 'test' in data.file.parts else ' (which is val)'
    return f'images: {sizes}{tested}; batch {train.get("batch_size", 1)}'


def _use_image_loading(cfg: Config, file: DataFile) -> None:
    """Let ``LoadImage`` read what is more than 8-bit color, wherever the rows' loader stands."""
    for pipeline in _pipelines(cfg) if file.image_loading else []:
        for step in _steps(pipeline):
            if step['type'] == _IMAGE_LOADER:
                kept = {k: step[k] for k in ('backend_args',) if k in step}
                step.clear()
                step.update(type='LoadImage', **file.image_loading, **kept)


def _steps(pipeline: Any) -> Iterator[dict]:
    """Every transform of a pipeline, also of those that hold others."""
    if isinstance(pipeline, (list, tuple)):
        for part in pipeline:
            yield from _steps(part)
    elif isinstance(pipeline, dict) and 'type' in pipeline:
        yield pipeline
        yield from _steps(pipeline.get('transforms'))


def _pipelines(cfg: Config) -> list[Any]:
    """All pipelines of a config."""
    loaders = [cfg.get(f'{part}_dataloader') for part in PARTS]
    found = [loader['dataset']['pipeline'] for loader in loaders if loader]
    return [*found, *(cfg[key] for key in cfg if str(key).endswith('_pipeline'))]


# ------------------------------------------------------------------------------ classes


def _heads(cfg: Config) -> list[dict]:
    found: list[dict] = []
    for key in ('decode_head', 'auxiliary_head'):
        head = cfg.model.get(key)
        found += list(head) if isinstance(head, (list, tuple)) else [head] if head else []
    return found


def _use_classes(cfg: Config, data: UserData) -> str:
    """Set number of classes and ignored label wherever the model, or a step, names them.

    A head with a single channel for two classes gets one channel for each.
    """
    numbers = dict(num_classes=len(data.file.classes), ignore_index=data.file.ignore_index)
    for head in _heads(cfg):
        if head.get('out_channels') == 1:
            head.pop('threshold', None)
            for loss in _losses(head):
                loss.pop('use_sigmoid', None)
        if head.get('out_channels') is not None:
            head['out_channels'] = numbers['num_classes']
        head.update(numbers)
        _set_everywhere(head, numbers)
    cfg.model.update({key: value for key, value in numbers.items() if key in cfg.model})
    cfg.merge_from_dict(numbers)
    if 'metainfo' in cfg:  # of the row's classes; nothing reads it any more
        cfg.metainfo = data.file.dataset_config('train')['metainfo']
    if cfg.model.get('data_preprocessor'):
        cfg.model.data_preprocessor['seg_pad_val'] = numbers['ignore_index']
    for pipeline in _pipelines(cfg):
        for step in _steps(pipeline):
            _use_ignored(step, data.file)
    names = ', '.join(data.file.classes)
    return f'{len(data.file.classes)} classes ({names}), ignored label {data.file.ignore_index}'


def _use_ignored(step: dict, file: DataFile) -> None:
    if 'ignore_index' in step or step['type'] in ('RandomCrop', 'BorderWeight'):
        step['ignore_index'] = file.ignore_index
    elif step['type'] == 'LetterboxAugment':  # its repository fills up with background
        step['label_fill'] = 0 if background_of(file.classes) == 0 else file.ignore_index
    if 'seg_pad_val' in step:
        step['seg_pad_val'] = file.ignore_index


def _set_everywhere(value: Any, settings: dict[str, int]) -> None:
    """Overwrite settings in every dict that has them."""
    if isinstance(value, (list, tuple)):
        for part in value:
            _set_everywhere(part, settings)
    elif isinstance(value, dict):
        for key in value:
            if key in settings:
                value[key] = settings[key]
            else:
                _set_everywhere(value[key], settings)


def _losses(head: dict) -> list[dict]:
    """The losses of a head, also those below other keys than ``loss_decode``."""
    found: list[dict] = []
    for key, value in head.items():
        if str(key).startswith('loss') and isinstance(value, (dict, list, tuple)):
            found += [value] if isinstance(value, dict) else list(value)
    return found


def _use_losses(cfg: Config, data: UserData) -> list[str]:
    """Replace what losses say about the row's classes.

    Weights of classes become median-frequency weights, counts those of the training masks, and
    the positive classes of a two-class loss those of :meth:`UserData.positive`.
    """
    notes: list[str] = []
    for head in _heads(cfg):
        for loss in _losses(head):
            notes += _use_loss(loss, data, head.get('num_classes'))
    return list(dict.fromkeys(notes))


def _use_loss(loss: dict, data: UserData, rows: Optional[int]) -> list[str]:
    notes = []
    classes = data.file.classes
    given = loss.get('class_weight')
    if given is not None:
        weights = _median_weights(data)
        # Networks that classify masks have one weight more, for "no object".
        spare = isinstance(given, (list, tuple)) and rows is not None and len(given) == rows + 1
        loss['class_weight'] = weights + (list(given)[-1:] if spare else [])
        notes.append(f'class weights of {loss["type"]}: {dict(zip(classes, weights))}')
    if loss.get('counts') is not None:
        loss['counts'], loss['image_pixels'] = (row.tolist() for row in data.pixels())
        notes.append(f'counts of {loss["type"]}: {loss["counts"]}')
    if _has_positive(loss) and (loss.get('positive') or background_of(classes) != 0):
        loss['positive'] = data.positive()
        names = ', '.join(classes[k] for k in loss['positive'])
        notes.append(f'positive classes of {loss["type"]}: {names}')
    if isinstance(loss.get('alpha'), (list, tuple)):
        del loss['alpha']
        notes.append(f"alpha of {loss['type']}: the loss's own default")
    if loss.get('loss_type') == 'binary':
        loss['loss_type'] = 'multi_class'
    return notes


def _has_positive(loss: dict) -> bool:
    balanced = loss['type'] == 'BalancedCrossEntropyLoss'
    return balanced and loss.get('mode', 'softmax') == 'softmax'


def _median_weights(data: UserData) -> list[float]:
    own, of_images = data.pixels()
    weights = class_weights(own, method='median', image_pixels_K=of_images)
    return [round(weight, 4) for weight in weights.tolist()]


# --------------------------------------------------------------------------------- size


def _use_crop(cfg: Config, data: UserData) -> str:
    """Cut the crop down where the images are smaller than it, and enlarge no image.

    The crop becomes the largest multiple of 32 that fits the (resized) image, but not less than
    64; a base size of resizing becomes that of the images. Larger images keep the row's sizes,
    and so does every network that is built for one size (``img_size``). ``crop_size`` of the data
    set file wins over all that.
    """
    before = _crop_of(cfg)
    if before is None:
        return ''
    native = data.size
    fixed = 'img_size' in (cfg.model.get('backbone') or {})
    wanted = data.file.crop_size
    shown = _shown_size(_first_resize(cfg), native)
    crop = wanted or (before if fixed else _fitting(before, shown))
    for pipeline in _pipelines(cfg):
        for step in _steps(pipeline):
            _resize_step(step, native, before, crop)
    cfg.crop_size = crop
    preprocessor = cfg.model.get('data_preprocessor') or {}
    if preprocessor.get('size') is not None:
        preprocessor['size'] = crop
    test_cfg = cfg.model.get('test_cfg') or {}
    if test_cfg.get('crop_size') and crop != before:
        stride = test_cfg.get('stride') or test_cfg['crop_size']
        test_cfg['stride'] = tuple(max(1, s * c // b) for s, c, b in zip(stride, crop, before))
        test_cfg['crop_size'] = crop
    size = f'images of {native[0]}x{native[1]} (median height x width)'
    if shown != native:
        size += f', which the row shrinks to about {shown[0]}x{shown[1]}'
    if crop == before:
        return f'{size}; crop {crop[0]}x{crop[1]} as in the row'
    return f'{size}; crop {crop[0]}x{crop[1]} instead of {before[0]}x{before[1]}'


def _crop_of(cfg: Config) -> Optional[Size]:
    preprocessor = cfg.model.get('data_preprocessor') or {}
    size = preprocessor.get('size') or cfg.get('crop_size')
    return None if size is None else (int(size[0]), int(size[1]))


def _first_resize(cfg: Config) -> Optional[dict]:
    pipeline = cfg.train_dataloader['dataset']['pipeline']
    return next((s for s in _steps(pipeline) if s.get('scale') and 'Resize' in s['type']), None)


def _shown_size(step: Optional[dict], native: Size) -> Size:
    """The size that a resize with this base makes of an image, enlarging none."""
    if step is None or not step.get('keep_ratio'):
        return native
    factor = min(1.0, _factor(step['scale'], native))
    return round(native[0] * factor), round(native[1] * factor)


def _factor(scale: Sequence[int], native: Size) -> float:
    """The factor of a resize that keeps the aspect, as mmcv computes it."""
    return min(max(scale) / max(native), min(scale) / min(native))


def _fitting(crop: Size, shown: Size) -> Size:
    height, width = (
        min(c, max(_SMALLEST, s // _MULTIPLE * _MULTIPLE)) for c, s in zip(crop, shown)
    )
    return height, width


def _resize_step(step: dict, native: Size, before: Size, crop: Size) -> None:
    kind = step['type']
    if kind == 'RandomCrop':
        step['crop_size'] = crop
    elif kind in ('LetterboxAugment', 'Letterbox'):
        step['size'] = crop
    elif kind == 'RandomChoiceResize' and step.get('scales'):
        step['scales'] = _smaller_scales(step['scales'], native)
    elif 'Resize' in kind and step.get('scale'):
        width, height = step['scale']
        if not step.get('keep_ratio', False):
            warped = (height, width) == before
            height, width = crop if warped else _fitting((height, width), native)
        elif _factor((width, height), native) > 1:
            height, width = native
        step['scale'] = (width, height)


def _smaller_scales(scales: Sequence[Any], native: Size) -> list[tuple[int, int]]:
    """Scale a list of sizes down together, so that its median enlarges no image."""
    pairs = [(s, s) if isinstance(s, int) else (int(s[0]), int(s[1])) for s in scales]
    middle = sorted(pairs)[len(pairs) // 2]
    factors = [min(1.0, n / m) for n, m in zip(native[::-1], middle)]
    return [(round(w * factors[0]), round(h * factors[1])) for w, h in pairs]


# --------------------------------------------------------------------------- iterations


def _use_iterations(cfg: Config, data: UserData, options: dict) -> str:
    """Let a schedule by iterations make as many passes over the data as the row's.

    It never gets longer than the row's, nor shorter than 1000 steps (or the row's, if that is
    less); what is written from its length follows. Schedules by epochs follow by themselves.
    ``train_images`` of the config says how many images the row's own data set has.
    """
    loop = cfg.get('train_cfg') or {}
    if 'max_iters' not in loop:
        return f'epochs: {loop.get("max_epochs")}, as in the row'
    rows, own = loop['max_iters'], cfg.get('train_images')
    if not own:
        return f'iterations: {rows}, as in the row, which does not say how many images it has'
    length = _length(rows, own, data)
    if length != rows:
        set_max_iters(cfg, length)
    cfg.train_images = data.num_train
    batch = cfg.train_dataloader.get('batch_size', 1)
    given = options.get('max_iters', options.get('train_cfg.max_iters'))
    if given is not None:
        return f'iterations: {given}, as --cfg-options says'
    return (
        f'iterations: {length} ({length * batch / data.num_train:.1f} passes), the row has {rows} '
        f'({rows * batch / own:.1f} passes over {own} images)'
    )


def _length(rows: int, own: int, data: UserData) -> int:
    same_passes = round(rows * data.num_train / own)
    return min(rows, max(same_passes, min(rows, _MIN_ITERS)))


# ------------------------------------------------------------------------------- the rest


def _use_metrics(cfg: Config, data: UserData) -> None:
    """Name the data set in the results, and drop what belonged to the row's images or classes."""
    for key in ('val_evaluator', 'test_evaluator'):
        metrics = cfg.get(key) or []
        for metric in metrics if isinstance(metrics, (list, tuple)) else [metrics]:
            for key in ('group_pattern', 'unit'):
                metric.pop(key, None)
            if metric.get('ignore_index') is not None:
                metric['ignore_index'] = data.file.ignore_index
            if metric.get('background_index') is not None:
                metric['background_index'] = background_of(data.file.classes)
            if metric.get('type') == 'SegMetric':
                metric['extra'] = dict(metric.get('extra') or {}, dataset=dict(name=data.file.name))


def _redirect_start(cfg: Config, data: UserData) -> str:
    """Let a row that starts from another row's run take that run on the same data."""
    start = str(cfg.get('load_from') or '')
    found = re.fullmatch(r'work_dirs/([a-z0-9_]+)/(.+)', start)
    if found:
        name, own = found[2], cfg.get('train_images')
        iteration = re.fullmatch(r'iter_(\d+)\.pth', name)
        if iteration and own:  # that run's last one: it follows the data, too
            name = f'iter_{_length(int(iteration[1]), own, data)}.pth'
        cfg.load_from = f'work_dirs/{found[1]}-{data.file.name}/{name}'
        return f'start: {cfg.load_from}'
    return f'start: {start}, which may know other classes' if start else ''
