"""A config for images that do not have three channels of 8 bits: network, colors and augmentation.

``image_channels`` and ``image_max_value`` of a data set file say what the images are.
"""

from typing import Any

from mmengine.config import Config

from ...core.headers import read_bytes, read_header
from ...core.inflation import spread
from .file import DataFile
from .loaders import kind_of, pipelines_of, steps_of
from .pairing import pair_files

_NEEDS_COLOR = 'PhotoMetricDistortion'  # and 8 bits; the same for any image:
_ANY_IMAGE = 'BrightnessContrast'


def use_channels(cfg: Config, file: DataFile) -> str:
    """Widen a config's network to the channels of the images, and adapt its augmentation.

    Args:
        cfg: Config of a plain segmentor; changed in place.
        file: The data set file.

    Returns:
        A message for the user; empty for images of 8-bit color.

    Raises:
        ValueError: If the model has no backbone, so that nothing can be widened.
    """
    if not file.image_loading:
        return ''
    said = [f'images: {file.image_channels or 3} channels, white is {_white(file)}']
    if _use_any_image_steps(cfg):
        said.append(f'{_ANY_IMAGE} in place of {_NEEDS_COLOR}, which is for 8-bit color')
    if file.image_channels not in (None, 3):
        said.append(_widen(cfg, file.image_channels, file))
    return '; '.join(said)


def _white(file: DataFile) -> str:
    if file.image_min_value is not None:
        return f'{file.image_max_value} and black {file.image_min_value}'
    return str(file.image_max_value or 'that of their type')


def _use_any_image_steps(cfg: Config) -> bool:
    found = [s for p in pipelines_of(cfg) for s in steps_of(p) if kind_of(s) == _NEEDS_COLOR]
    for step in found:
        kept = {k: step[k] for k in ('brightness_delta', 'contrast_range') if k in step}
        step.clear()
        step.update(type=_ANY_IMAGE, **kept)
    return bool(found)


def _widen(cfg: Config, channels: int, file: DataFile) -> str:
    """Widen the network, and the mean and std of its preprocessor."""
    images = cfg.model.data_preprocessor
    places = _places(file, of_rgb=bool(images.get('bgr_to_rgb')))
    for key in ('mean', 'std'):
        if images.get(key) is not None:
            images[key] = spread(images[key], channels, rgb_index=places)
    images.update(bgr_to_rgb=False, rgb_to_bgr=False)
    wide: dict[str, Any] = dict(image_channels=channels, rgb_index=places)
    if 'backbone' in cfg.model:
        backbone = cfg.model.backbone
        kind = backbone.pop('type')
        backbone.update(type='AnyChannels', backbone=kind, **wide)
        _widen_heads(cfg.model, channels)
    else:
        cfg.model.update(**wide)
    shown = f', of which {list(places)} are the three of the weights' if channels > 2 else ''
    return f'the first convolution is widened to {channels} channels{shown}'


def _widen_heads(model: Any, channels: int) -> None:
    """Tell heads that take the image itself, such as FCN's, how many channels it has."""
    maps = list(model.backbone.get('out') or ())
    heads = [model.get('decode_head'), *_listed(model.get('auxiliary_head'))]
    for head in heads if 'image' in maps else ():
        if head and isinstance(head.get('in_channels'), (list, tuple)):
            taken = head.get('in_index') or range(len(head.in_channels))
            head.in_channels = [
                channels if place == maps.index('image') else own
                for own, place in zip(head.in_channels, taken)
            ]


def _listed(value: Any) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _places(file: DataFile, *, of_rgb: bool) -> tuple[int, ...]:
    """Return which channels the three of the weights become: of colors, blue is loaded first.

    Channels without colors are taken for red, green, blue and others.
    """
    first = pair_files(file, 'train').pairs[0].image
    colors = read_header(read_bytes(first)).color in ('rgb', 'palette')
    return (2, 1, 0) if colors == of_rgb else (0, 1, 2)
