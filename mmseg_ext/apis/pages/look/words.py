"""What a row's training pipeline does to the size of images, in sentences."""

from collections.abc import Callable, Sequence
from typing import Optional

import numpy as np

from .geometry import Draw, spread

_SMALL = (10, 50)  # per cent of the objects that are at most as large as the sizes that are told


def _pair(size: Sequence[int]) -> str:
    """Write a size that is given as width and height."""
    return f'{size[1]}\u00d7{size[0]}'


def _as_pair(size: object) -> Sequence[int]:
    return (size, size) if isinstance(size, int) else list(size)  # type: ignore[call-overload]


def _random_resize(step: dict) -> str:
    low, high = step.get('ratio_range') or (1, 1)
    scale = step['scale']
    if isinstance(scale, list) or isinstance(scale[0], (tuple, list)):
        return f'scaled to a size from {_pair(scale[0])} to {_pair(scale[-1])}'
    return f'scaled to between {low:g} and {high:g} times {_pair(scale)}{_kept(step)}'


def _resize(step: dict) -> str:
    if step.get('scale') is None:
        return f'scaled by {step.get("scale_factor")}'
    return f'scaled to {_pair(_as_pair(step["scale"]))}{_kept(step)}'


def _kept(step: dict) -> str:
    return ', keeping the ratio of their sides' if step.get('keep_ratio') else ''


def _choice_resize(step: dict) -> str:
    sides = [s if isinstance(s, int) else _pair(s) for s in step['scales']]
    what = 'shorter sides' if step.get('resize_type') == 'ResizeShortestEdge' else 'sizes'
    return f'scaled to one of {len(sides)} {what} from {sides[0]} to {sides[-1]}'


def _crop(step: dict) -> str:
    height, width = _as_pair(step['crop_size'])
    most = step.get('cat_max_ratio', 1.0)
    kept = f', of which no class takes more than {most:.0%} if it can be helped' if most < 1 else ''
    return f'{height}\u00d7{width} is cropped at a random place{kept}'


def _flip(step: dict) -> str:
    prob = step.get('prob')
    known = isinstance(prob, (int, float)) and step.get('direction', 'horizontal') == 'horizontal'
    return f'mirrored left to right with probability {prob:g}' if known else 'flipped at random'


def _rotate(step: dict) -> str:
    degree = step['degree']
    low, high = (-degree, degree) if isinstance(degree, (int, float)) else degree
    return f'rotated by {low:g} to {high:g} degrees with probability {step["prob"]:g}'


def _letterbox(step: dict) -> str:
    low, high = step.get('scale_range', (0.25, 2.0))
    height, width = step['size']
    return (
        f'scaled so that the longer side is {low:g} to {high:g} times that of '
        f'{height}\u00d7{width}, their aspect changed, flipped, rotated at times, pasted on grey'
    )


_SAYS: dict[str, Callable[[dict], str]] = {
    'AlignedResize': _resize,
    'LetterboxAugment': _letterbox,
    'RandomChoiceResize': _choice_resize,
    'RandomCrop': _crop,
    'RandomFlip': _flip,
    'RandomResize': _random_resize,
    'RandomRotate': _rotate,
    'Resize': _resize,
}
_COLORS = {'PhotoMetricDistortion': 'changed in brightness, contrast, saturation and hue'}


def steps_in_words(steps: Sequence[dict]) -> str:
    """Describe the steps between loading and packing in their order.

    A step of a type that is not known here is named.

    Args:
        steps: Training pipeline.
    """
    said = []
    for step in steps:
        kind = str(step['type'])
        if kind.startswith(('Load', 'Pack')):
            continue
        say = _SAYS.get(kind)
        said.append(say(step) if say else _COLORS.get(kind) or _named(step))
    return f'Images are, in this order: {"; ".join(said)}.' if said else 'Images stay as they are.'


def _named(step: dict) -> str:
    inner = ', '.join(str(one['type']) for one in step.get('transforms') or () if 'type' in one)
    prob = step.get('prob')
    often = f' with probability {prob:g}' if isinstance(prob, (int, float)) else ''
    return f'{inner or step["type"]} is applied{often}'


def size_in_words(draws: Sequence[Draw]) -> list[str]:
    """Describe what was measured: sizes, scale, the share of an image that is seen, padding."""
    sizes = sorted({draw.size for draw in draws})
    ends = f'{sizes[0][0]}\u00d7{sizes[0][1]}'
    if len(sizes) > 1:
        ends = f'{len(sizes)} sizes from {ends} to {sizes[-1][0]}\u00d7{sizes[-1][1]}'
    outs = sorted({draw.out for draw in draws})
    out = ' or '.join(f'{height}\u00d7{width}' for height, width in outs[:3])
    more = f' and {len(outs) - 3} more sizes' if len(outs) > 3 else ''
    return [
        f'Training images of {ends} (height × width) become samples of {out}{more}.',
        f'In {len(draws)} draws: {_scale(draws)}; {_share(draws)}; {_padding(draws)}.',
    ]


def _scale(draws: Sequence[Draw]) -> str:
    low, mean, high = _spread([scale for draw in draws for scale in draw.scale if scale])
    if low == high == 1:
        return 'images are not scaled'
    return f'images are scaled to {low:.2f} to {high:.2f} times their size, {mean:.2f} on average'


def _share(draws: Sequence[Draw]) -> str:
    low, mean, high = _spread([100 * draw.share for draw in draws])
    if low > 99.95:
        return 'a model sees all of an image at a time'
    return f'a model sees {mean:.1f} % of an image at a time ({low:.1f} to {high:.1f} %)'


def _padding(draws: Sequence[Draw]) -> str:
    _, mean, high = _spread([100 * draw.padding for draw in draws])
    if high < 0.05:
        return 'there is no padding'
    return f'{mean:.1f} % of a sample is padding (up to {high:.1f} %)'


def _spread(values: list[float]) -> tuple[float, float, float]:
    return spread(values) or (0.0, 0.0, 0.0)


def objects_in_words(areas: np.ndarray, draws: Sequence[Draw]) -> Optional[str]:
    """Describe the smallest objects, and how small scaling makes them.

    Args:
        areas: Area of each object in pixels of the images.
        draws: The measured samples; empty if the scale is not known.

    Returns:
        A sentence; ``None`` if there is no object.
    """
    if not len(areas):
        return None
    small, usual = (float(np.percentile(areas, share)) ** 0.5 for share in _SMALL)
    text = (
        f'Of {len(areas)} objects in the training masks (connected regions of a class, the '
        f'background aside), one in ten is no larger than {_square(small)} pixels, and half of '
        f'them no larger than {_square(usual)}'
    )
    low, mean, _ = _spread([scale for draw in draws for scale in draw.scale if scale])
    if not draws or (low == mean == 1):
        return f'{text}.'
    return (
        f'{text}; a model sees the half at {_square(usual * mean)} on average, at '
        f'{_square(usual * low)} where images are scaled down most.'
    )


def _square(side: float) -> str:
    return f'{side:.1f}\u00d7{side:.1f}'
