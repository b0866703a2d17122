"""Crop and resize sizes for a user's data: reduced for smaller images, never enlarged."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

from mmengine.config import Config

from .data import Size, UserData
from .loaders import kind_of, steps_of

_MULTIPLE, _SMALLEST = 32, 64  # of a crop that is reduced to the images


@dataclass(frozen=True)
class Crop:
    """The sizes to which pipeline steps are adapted, each as (H, W).

    Args:
        before: Crop size of the row.
        after: Crop size of the run.
        native: Median size of the training images.
    """

    before: Size
    after: Size
    native: Size


def use_crop(cfg: Config, data: UserData) -> tuple[Optional[Crop], str]:
    """Reduce the crop if the images are smaller, so that no image is enlarged.

    The crop becomes the largest multiple of 32 that fits into the (resized) image, and at least 64.
    It stays for larger images, and for a network that is built for one size (``img_size``).
    ``crop_size`` of the data set file overrides all this. The rules of ``rules.py`` adapt the steps
    of the pipelines.

    Args:
        cfg: Config, changed in place except for its pipelines.
        data: The user's data.

    Returns:
        The sizes, ``None`` for a config without a crop, and a message for the user.
    """
    before = _crop_of(cfg)
    if before is None:
        return None, ''
    native = data.size
    fixed = 'img_size' in (cfg.model.get('backbone') or {})
    shown = _shown_size(_first_resize(cfg), native)
    crop = data.file.crop_size or (before if fixed else _fitting(before, shown))
    cfg.crop_size = crop
    preprocessor = cfg.model.get('data_preprocessor') or {}
    if preprocessor.get('size') is not None:
        preprocessor['size'] = crop
    test_cfg = cfg.model.get('test_cfg') or {}
    if test_cfg.get('crop_size') and crop != before:
        stride = test_cfg.get('stride') or test_cfg['crop_size']
        test_cfg['stride'] = tuple(max(1, s * c // b) for s, c, b in zip(stride, crop, before))
        test_cfg['crop_size'] = crop
    return Crop(before, crop, native), _as_text(before, crop, native, shown)


def _as_text(before: Size, crop: Size, native: Size, shown: Size) -> str:
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
    return next((s for s in steps_of(pipeline) if s.get('scale') and 'Resize' in kind_of(s)), None)


def _shown_size(step: Optional[dict], native: Size) -> Size:
    """Return the size of an image after a resize with this base size, never enlarged."""
    if step is None or not step.get('keep_ratio'):
        return native
    factor = min(1.0, _factor(step['scale'], native))
    return round(native[0] * factor), round(native[1] * factor)


def _factor(scale: Sequence[int], native: Size) -> float:
    """Return the factor of a resize that keeps the aspect ratio, as mmcv computes it."""
    return min(max(scale) / max(native), min(scale) / min(native))


def _fitting(crop: Size, shown: Size) -> Size:
    height, width = (
        min(c, max(_SMALLEST, s // _MULTIPLE * _MULTIPLE)) for c, s in zip(crop, shown)
    )
    return height, width


def fitted_scale(step: dict, crop: Crop) -> Size:
    """Return the base size (width, height) of a resize, limited to the size of the images.

    A base size that warps every image to the row's crop becomes the new crop.

    Args:
        step: Settings of the resize: ``scale``, and ``keep_ratio`` if it keeps the aspect ratio.
        crop: The sizes.
    """
    width, height = step['scale']
    if not step.get('keep_ratio', False):
        warped = (height, width) == crop.before
        height, width = crop.after if warped else _fitting((height, width), crop.native)
    elif _factor((width, height), crop.native) > 1:
        height, width = crop.native
    return width, height


def smaller_scales(scales: Sequence[Any], native: Size) -> list[tuple[int, int]]:
    """Reduce a list of sizes by one factor, so that its median does not enlarge an image.

    Args:
        scales: Side lengths, or pairs of width and height.
        native: Median H and W of the images.
    """
    pairs = [(s, s) if isinstance(s, int) else (int(s[0]), int(s[1])) for s in scales]
    middle = sorted(pairs)[len(pairs) // 2]
    factors = [min(1.0, n / m) for n, m in zip(native[::-1], middle)]
    return [(round(w * factors[0]), round(h * factors[1])) for w, h in pairs]
