"""Augmentation and letterbox of the bubbliiiing segmentation repositories, and noise.

Source: https://github.com/bubbliiiing/deeplabv3-plus-pytorch (90dee27), utils/dataloader.py, whose
defaults fit the numbers of the FMSI paper. The code is our own.
Differs from it: it works on BGR arrays, as mmseg loads them (only the color step depends on the
order and converts from BGR). Random numbers come from numpy's global generator, which mmengine
seeds in each worker. ``SaltPepper`` is the usual impulse noise; albumentations, which mmseg wraps,
has it from 2.0 only.
Shape letters: H row, W column. All sizes are ``(H, W)`` in pixels.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from PIL import Image

GREY = 128


def resize_bicubic(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize as Pillow does: unlike OpenCV, it widens the kernel when it shrinks an image.

    Images that are not 8-bit color are resized channel by channel, within their range of values.
    """
    if is_color(image):
        return _bicubic(image, size)
    found = np.stack([_bicubic(channel, size) for channel in np.moveaxis(image, 2, 0)], axis=2)
    return found.clip(image.min(), image.max())


def _bicubic(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))


def is_color(image: np.ndarray) -> bool:
    """Tell whether an image is one of 8-bit color, ``(H, W, 3)`` uint8."""
    return image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3


def resize_nearest(label: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize labels without mixing them."""
    return np.asarray(Image.fromarray(label).resize(size[::-1], Image.Resampling.NEAREST))


def paste(
    array: np.ndarray, size: tuple[int, int], offset: tuple[int, int], fill: int
) -> np.ndarray:
    """Put an array at ``offset`` on a filled canvas of ``size``, and crop what exceeds it.

    Args:
        array: ``(h, w)`` or ``(h, w, 3)``.
        size: Size of the canvas.
        offset: Row and column of the array's first pixel, negative if the array is larger.
        fill: Value of the canvas.
    """
    canvas = np.full((*size, *array.shape[2:]), fill, array.dtype)
    places, pieces = [], []
    for length, start, room in zip(array.shape, offset, size):
        first = min(max(start, 0), room)
        last = max(first, min(start + length, room))
        places.append(slice(first, last))
        pieces.append(slice(first - start, last - start))
    canvas[tuple(places)] = array[tuple(pieces)]
    return canvas


def scale_hsv(image_HW3: np.ndarray, gains: Sequence[float]) -> np.ndarray:
    """Multiply hue (around the circle), saturation and value (clipped) of a BGR image by gains."""
    levels = np.arange(256, dtype=np.float64)
    tables = (
        (levels * gains[0]) % 180,
        np.clip(levels * gains[1], 0, 255),
        np.clip(levels * gains[2], 0, 255),
    )
    channels = cv2.split(cv2.cvtColor(image_HW3, cv2.COLOR_BGR2HSV))
    mapped = [cv2.LUT(c, table.astype(np.uint8)) for c, table in zip(channels, tables)]
    return cv2.cvtColor(cv2.merge(mapped), cv2.COLOR_HSV2BGR)


def _scaled(image: np.ndarray, gains: Any) -> np.ndarray:
    if is_color(image):
        return scale_hsv(image, gains)
    return (image * gains[2]).clip(0, 255).astype(image.dtype)


def _warped(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Move an image on grey; OpenCV takes a color of the border for at most four channels."""
    size = image.shape[1::-1]
    pieces = [image] if is_color(image) else np.moveaxis(image, 2, 0)
    moved = [
        cv2.warpAffine(piece, matrix, size, flags=cv2.INTER_CUBIC, borderValue=(GREY,) * 3)
        for piece in pieces
    ]
    return moved[0] if is_color(image) else np.stack(moved, axis=2)


def fit_inside(shape: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Return the largest size of the same aspect ratio that fits into ``size``, rounded down."""
    ratio = min(size[0] / shape[0], size[1] / shape[1])
    return max(1, int(shape[0] * ratio)), max(1, int(shape[1] * ratio))


@TRANSFORMS.register_module()
class LetterboxAugment(BaseTransform):
    """Change aspect ratio and scale, flip, paste on grey, sometimes blur and rotate, shift colors.

    In this order: aspect times ``U(a) / U(a)``; ``U(scale_range)`` of the network size on the
    longer side, bicubic; flip; paste at a random place on grey 128, cropping what is larger,
    **labels outside are background (0), not ignored**; Gaussian blur 5x5; rotation by a whole
    number of degrees; hue, saturation and value times ``1 + U(-1, 1) * hsv_gains``. Of images that
    are not 8-bit color, all values are multiplied by the gain of the value.

    Args:
        size: Network size, H and W.
        aspect_range: Range ``a`` of the two factors whose quotient changes the aspect.
        scale_range: Longer side over network size; HRNet's repository uses 0.5 to 2.
        flip_prob: Probability of the horizontal flip.
        blur_prob: Probability of the blur; 0 in the U-Net repository.
        rotate_prob: Probability of the rotation; 0 in the U-Net repository.
        max_degrees: Rotation is drawn from the whole numbers of -max to max.
        hsv_gains: Largest change of hue, saturation and value.
        label_fill: Label of the canvas; 255 would ignore it, unlike the repository.

    Shape:
        ``img`` ``(h, w, C)``, values 0 to 255, uint8 BGR or floating point, and ``gt_seg_map``
        ``(h, w)`` to ``(H, W, C)`` and ``(H, W)``, same dtypes.
    """

    def __init__(
        self,
        size: tuple[int, int],
        *,
        aspect_range: tuple[float, float] = (0.7, 1.3),
        scale_range: tuple[float, float] = (0.25, 2.0),
        flip_prob: float = 0.5,
        blur_prob: float = 0.25,
        rotate_prob: float = 0.25,
        max_degrees: int = 10,
        hsv_gains: tuple[float, float, float] = (0.1, 0.7, 0.3),
        label_fill: int = 0,
    ) -> None:
        self.size = (size[0], size[1])
        self.aspect_range = aspect_range
        self.scale_range = scale_range
        self.flip_prob = flip_prob
        self.blur_prob = blur_prob
        self.rotate_prob = rotate_prob
        self.max_degrees = max_degrees
        self.hsv_gains = hsv_gains
        self.label_fill = label_fill

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Augment ``img`` and ``gt_seg_map``."""
        image, label = results['img'], results['gt_seg_map']
        image, label = self._resize(image, label)
        flip = bool(np.random.rand() < self.flip_prob)
        if flip:
            image, label = image[:, ::-1], label[:, ::-1]
        image, label = self._paste(image, label)
        if np.random.rand() < self.blur_prob:
            image = cv2.GaussianBlur(image, (5, 5), 0).reshape(image.shape)
        if np.random.rand() < self.rotate_prob:
            image, label = self._rotate(image, label)
        gains = 1 + np.random.uniform(-1, 1, 3) * np.asarray(self.hsv_gains)
        results.update(img=_scaled(image, gains), gt_seg_map=label, flip=flip)
        results.update(img_shape=self.size, flip_direction='horizontal' if flip else None)
        return results

    def _resize(self, image: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        stretch = np.random.uniform(*self.aspect_range) / np.random.uniform(*self.aspect_range)
        aspect = image.shape[1] / image.shape[0] * stretch
        scale = np.random.uniform(*self.scale_range)
        if aspect < 1:
            height = int(scale * self.size[0])
            width = int(height * aspect)
        else:
            width = int(scale * self.size[1])
            height = int(width / aspect)
        new = (max(1, height), max(1, width))
        return resize_bicubic(image, new), resize_nearest(label, new)

    def _paste(self, image: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        room = [size - length for size, length in zip(self.size, label.shape)]
        # Truncated towards zero, as in the repository: from 0 to the difference, of either sign.
        row, column = (int(np.random.rand() * r) for r in room)
        offset = (row, column)
        return (
            paste(image, self.size, offset, GREY),
            paste(label, self.size, offset, self.label_fill),
        )

    def _rotate(self, image: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        height, width = self.size
        degrees = int(np.random.randint(-self.max_degrees, self.max_degrees + 1))
        matrix = cv2.getRotationMatrix2D((width // 2, height // 2), -degrees, 1)
        image = _warped(image, matrix)
        label = cv2.warpAffine(
            label, matrix, (width, height), flags=cv2.INTER_NEAREST, borderValue=self.label_fill
        )
        return image, label


@TRANSFORMS.register_module()
class Letterbox(BaseTransform):
    """Resize the whole image to fit into the network size, centred on grey.

    Writes ``padding_size`` as [left, right, top, bottom]; with it in ``meta_keys`` of
    ``PackSegInputs``, mmseg crops the bars and resizes the prediction to ``ori_shape`` itself.
    Labels are not changed: load them afterwards, at their own size.

    Args:
        size: Network size, H and W.
        fill: Value of the bars.

    Shape:
        ``img`` ``(h, w, 3)`` uint8 to ``(H, W, 3)`` uint8.

    Raises:
        ValueError: If labels were loaded before; they would no longer fit the image.
    """

    def __init__(self, size: tuple[int, int], *, fill: int = GREY) -> None:
        self.size = (size[0], size[1])
        self.fill = fill

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Letterbox ``img``."""
        if 'gt_seg_map' in results:
            raise ValueError('Letterbox must come before LoadLabels: metrics use the full size')
        image = results['img']
        new = fit_inside(image.shape[:2], self.size)
        top, left = ((size - length) // 2 for size, length in zip(self.size, new))
        results['img'] = paste(resize_bicubic(image, new), self.size, (top, left), self.fill)
        results['padding_size'] = [
            left,
            self.size[1] - new[1] - left,
            top,
            self.size[0] - new[0] - top,
        ]
        results['scale_factor'] = (new[1] / image.shape[1], new[0] / image.shape[0])
        results['img_shape'] = results['pad_shape'] = self.size
        return results


@TRANSFORMS.register_module()
class SaltPepper(BaseTransform):
    """Set random pixels of ``img`` to white or black, in all channels alike; labels stay.

    Args:
        prob: Probability that an image gets noise.
        amount: Probability that a pixel of such an image is replaced, in [0, 1].
        ratio: Share of white among the replaced pixels.

    Shape:
        ``img`` ``(H, W, C)`` with values 0..255, uint8 or floating point; unchanged.

    Raises:
        ValueError: If an argument is outside of [0, 1].
    """

    def __init__(self, *, prob: float = 0.5, amount: float = 0.02, ratio: float = 0.5) -> None:
        for name, value in (('prob', prob), ('amount', amount), ('ratio', ratio)):
            if not 0 <= value <= 1:
                raise ValueError(f'{name} of SaltPepper must lie in 0..1, got {value}')
        self.prob = prob
        self.amount = amount
        self.ratio = ratio

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the noise."""
        if np.random.rand() >= self.prob:
            return results
        image = results['img'].copy()
        draw_HW = np.random.rand(*image.shape[:2])
        image[draw_HW < self.amount] = 0
        image[draw_HW < self.amount * self.ratio] = 255
        results['img'] = image
        return results
