"""Steps of a pipeline for images without masks: the row's own steps, and strong views at its end.

The geometry of crops, flips and rotations is that of the row, and is shared by all views. So the
mask's place is taken by a map that follows it and says where there is image and where padding.
Shape letters: H row, W column, C channel.
"""

import inspect
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform, to_tensor
from mmseg.datasets.transforms import PackSegInputs
from mmseg.registry import TRANSFORMS
from torch import Tensor

from ..core.labels import UNLABELLED, VALID
from .loading import LoadLabels

_RESERVE = 'gt_reserve_map'


@TRANSFORMS.register_module()
class LoadUnlabelled(BaseTransform):
    """Stand where the labels are loaded, and add a map of valid pixels; no mask is read.

    Pixels of the image are ``VALID`` (1) in ``gt_seg_map``. Whatever later steps add has another
    value, the ignored label or, in the letterbox, that of the background.

    Args:
        with_masks: Also load masks in reserve, for analysis. No loss reads them; the model logs how
            many pseudo labels are right. Not with steps that know one map only (letterbox).
        labels: Arguments of ``LoadLabels`` for them.

    Shape:
        ``gt_seg_map`` is ``(H, W)`` uint8.
    """

    def __init__(self, *, with_masks: bool = False, **labels: Any) -> None:
        self.with_masks = with_masks
        self.loader = LoadLabels(**labels)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the map, and the mask in reserve."""
        results['gt_seg_map'] = np.full(results['img'].shape[:2], VALID, np.uint8)
        fields = results.setdefault('seg_fields', [])
        fields.append('gt_seg_map')
        if self.with_masks:
            mask = self.loader(dict(results, seg_fields=[]))['gt_seg_map']
            results[_RESERVE] = mask.astype(np.int32)
            fields.append(_RESERVE)
        return results


@TRANSFORMS.register_module()
class StrongView(BaseTransform):
    """Add copies of the image in other colors, blurred at times, to ``strong_views``.

    Source: UniMatch, https://github.com/LiheYoung/UniMatch (MIT): torchvision's ``ColorJitter``,
    ``RandomGrayscale`` and a Gaussian blur, on Pillow images. Differs from it: nothing on 8-bit
    color. Images of other types or channels have brightness and contrast alone changed, and blur.

    Args:
        num_views: Copies; FixMatch has one, UniMatch two.
        jitter_prob: Probability of the jitter.
        jitter: Largest change of brightness, contrast, saturation (factors ``1 +- v``) and hue (in
            turns), in an order that is drawn.
        gray_prob: Probability to become grey.
        blur_prob: Probability of the blur.
        blur_sigma: Range of its standard deviation, in pixels.

    Shape:
        ``img`` ``(H, W, C)``, BGR where C is 3; each view has its shape and type.
    """

    def __init__(
        self,
        *,
        num_views: int = 1,
        jitter_prob: float = 0.8,
        jitter: tuple[float, float, float, float] = (0.5, 0.5, 0.5, 0.25),
        gray_prob: float = 0.2,
        blur_prob: float = 0.5,
        blur_sigma: tuple[float, float] = (0.1, 2.0),
    ) -> None:
        self.num_views = num_views
        self.jitter_prob = jitter_prob
        self.jitter = jitter
        self.gray_prob = gray_prob
        self.blur_prob = blur_prob
        self.blur_sigma = blur_sigma

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the views."""
        results['strong_views'] = [self.view(results['img']) for _ in range(self.num_views)]
        return results

    def view(self, image: np.ndarray) -> np.ndarray:
        """Draw one view of an image."""
        colored = image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        if np.random.rand() < self.jitter_prob:
            image = self._jittered(image, colored=colored)
        if np.random.rand() < self.gray_prob and colored:
            image = _saturated(image, 0.0)
        if np.random.rand() < self.blur_prob:
            image = _blurred(image, np.random.uniform(*self.blur_sigma))
        return image

    def _jittered(self, image: np.ndarray, *, colored: bool) -> np.ndarray:
        brightness, contrast, saturation, hue = self.jitter
        factors = [np.random.uniform(max(0, 1 - v), 1 + v) for v in self.jitter[:3]]
        turn = np.random.uniform(-hue, hue)
        for step in np.random.permutation(4):
            if step == 0:
                image = _blend(image, np.zeros(1), factors[0])
            elif step == 1:
                image = _blend(image, _grey_mean(image, colored=colored), factors[1])
            elif step == 2 and colored:
                image = _saturated(image, factors[2])
            elif step == 3 and colored:
                image = _turned(image, turn)
        return image


def _blend(image: np.ndarray, other: np.ndarray, factor: float) -> np.ndarray:
    """``factor`` of the image and the rest of another, cut off at the ends of its range."""
    mixed = factor * image.astype(np.float32) + (1 - factor) * other
    return np.clip(mixed, 0, 255).astype(image.dtype)


def _gray(image_HW3: np.ndarray) -> np.ndarray:
    """Luma of a BGR image as Pillow rounds it, ``(H, W)``."""
    red, green, blue = (image_HW3[..., k].astype(np.int64) for k in (2, 1, 0))
    return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16


def _grey_mean(image: np.ndarray, *, colored: bool) -> np.ndarray:
    mean = _gray(image).mean() if colored else image.mean()
    return np.full(1, int(mean + 0.5) if colored else mean, np.float32)


def _saturated(image: np.ndarray, factor: float) -> np.ndarray:
    return _blend(image, _gray(image)[..., None], factor)


def _turned(image: np.ndarray, turn: float) -> np.ndarray:
    """Turn the hue, in Pillow's HSV of 256 hues."""
    from PIL import Image

    hue, saturation, value = Image.fromarray(image[..., ::-1]).convert('HSV').split()
    moved = (np.asarray(hue).astype(np.int64) + int(turn * 255)) % 256
    hue = Image.fromarray(moved.astype(np.uint8), 'L')
    rgb = np.asarray(Image.merge('HSV', (hue, saturation, value)).convert('RGB'))
    return np.ascontiguousarray(rgb[..., ::-1])


def _blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    import cv2

    blurred = cv2.GaussianBlur(image, (0, 0), sigma)  # which drops a last axis of length 1
    return blurred.reshape(image.shape)


@TRANSFORMS.register_module()
class PackUnlabelledInputs(PackSegInputs):
    """Pack an image without a mask: mark it, and keep its strong views and its mask in reserve.

    They travel in the meta data of the sample, as tensors of the image's height and width.

    Raises:
        ValueError: If a step of the pipeline has changed the map of valid pixels and not the mask.
    """

    def transform(self, results: dict) -> dict:
        """Pack the results of a pipeline."""
        packed = super().transform(results)
        meta: dict[str, Any] = {UNLABELLED: True}
        meta['strong_views'] = tuple(_as_tensor(view) for view in results.get('strong_views', ()))
        if _RESERVE in results:
            if results[_RESERVE].shape != results['gt_seg_map'].shape:
                raise ValueError(
                    f'{results.get("img_path")}: a step of the pipeline changes gt_seg_map alone, '
                    'so that masks in reserve no longer fit: set with_masks=False of LoadUnlabelled'
                )
            meta['reserve'] = to_tensor(results[_RESERVE].astype(np.int64))
        packed['data_samples'].set_metainfo(meta)
        return packed


def _as_tensor(image_HWC: np.ndarray) -> Tensor:
    image = image_HWC if image_HWC.ndim == 3 else image_HWC[..., None]
    return to_tensor(np.ascontiguousarray(image.transpose(2, 0, 1)))


def unlabelled_pipeline(
    steps: list[dict], *, label_loaders: tuple[str, ...], with_masks: bool = False, **strong: Any
) -> list[dict]:
    """Make the pipeline of unlabelled images of a training pipeline.

    Args:
        steps: Those of the labelled images, the last of which packs.
        label_loaders: Types of the steps that read a mask.
        with_masks: As for ``LoadUnlabelled``.
        strong: Arguments of ``StrongView``.

    Raises:
        ValueError: If no step loads labels: there would be no map of valid pixels.
    """
    loaders = [step for step in steps if step['type'] in label_loaders]
    if not loaders:
        raise ValueError('the training pipeline has no step that loads labels')
    found = [_without_mask(s, with_masks) if s in loaders else dict(s) for s in steps[:-1]]
    pack = {key: steps[-1][key] for key in ('meta_keys',) if key in steps[-1]}
    return [
        *found,
        dict(type='StrongView', **strong),
        dict(type='PackUnlabelledInputs', **pack),
    ]


def _without_mask(loader: dict, with_masks: bool) -> dict:
    if not with_masks:
        return dict(type='LoadUnlabelled')
    known = inspect.signature(LoadLabels.__init__).parameters
    kept = {key: value for key, value in loader.items() if key in known}
    return dict(type='LoadUnlabelled', with_masks=True, **kept)
