"""Drawing of the synthetic data set ``shapes``: colored objects on textured backgrounds.

Source: our own, without third-party images. What the classes are, and what tells them apart, is
said by a ``Variant`` (``shapes_variants.py``).
Shape letters: H row, W column; here H = W = size. Images are BGR.
"""

from collections.abc import Callable

import cv2
import numpy as np

from ..core.labels import IGNORE
from .shapes_variants import OUTLINES, SHAPES21, TEXTURES, Cues, Variant


def draw_image(
    index: int, *, size: int = 160, seed: int = 0, variant: Variant = SHAPES21
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one image; the result depends only on the arguments.

    Args:
        index: Number of the image.
        size: Height and width in pixels, at least 32.
        seed: Seed of the whole data set.
        variant: The classes, and how their objects look.

    Returns:
        The image, ``(H, W, 3)`` uint8 BGR, and its labels, ``(H, W)`` uint8 with 255 on outlines.
    """
    rng = np.random.default_rng([seed, index])
    image = _background(rng, size)
    label = np.zeros((size, size), np.uint8)
    for _ in range(rng.integers(4, 9)):
        _paint_object(rng, image, label, variant.cues)
    return _photograph(rng, image), _with_borders(label)


def _background(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw a background of any hue, with blotches of several scales and often a faint texture."""
    hue, spread = rng.uniform(0, 180), rng.uniform(5, 60)
    blotches = [_smooth_noise(rng, size, cells) for cells in (3, 6, 14)]
    hues = hue + spread * blotches[0]
    saturation = rng.uniform(20, 165) + 40 * blotches[1]
    value = rng.uniform(70, 190) + 35 * blotches[1] + 25 * blotches[2]
    if rng.random() < 0.5:
        value = value + rng.uniform(4, 14) * (
            2 * _pattern(rng, size, TEXTURES[int(rng.integers(len(TEXTURES)))]) - 1
        )
    return _hsv_to_bgr(hues, saturation, value)


def _smooth_noise(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    coarse = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)


def _hsv_to_bgr(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    hsv = np.stack([np.mod(hue, 180), np.clip(saturation, 0, 255), np.clip(value, 0, 255)], -1)
    return cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2BGR).astype(np.float32)


def _paint_object(
    rng: np.random.Generator, image: np.ndarray, label: np.ndarray, cues: Cues
) -> None:
    """Draw one object into the image and its class into the labels, both in place."""
    size = len(label)
    hue = int(rng.integers(len(cues.looks)))
    look = int(rng.integers(len(cues.looks[hue])))
    texture, outline = cues.looks[hue][look]
    if rng.random() > cues.outline_faith:
        outline = OUTLINES[int(rng.integers(len(OUTLINES)))]
    mask = _silhouette(rng, size, outline)
    alpha = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.6)[..., None]
    image += alpha * (_surface(rng, size, cues, hue, texture) - image)
    label[mask > 0] = cues.class_of(hue, look)


def _surface(rng: np.random.Generator, size: int, cues: Cues, hue: int, texture: str) -> np.ndarray:
    """Draw a colored texture of the image size with hue range and texture of the class."""
    middle_hue = hue * cues.hue_step + rng.uniform(-cues.hue_spread, cues.hue_spread)
    hues = middle_hue + 4 * _smooth_noise(rng, size, 5)
    saturation = rng.uniform(90, 220) + 15 * _smooth_noise(rng, size, 5)
    middle, contrast = rng.uniform(110, 185), rng.uniform(45, 70)
    pattern = 2 * _pattern(rng, size, texture) - 1
    return _hsv_to_bgr(hues, saturation, middle + contrast * pattern)


def _pattern(rng: np.random.Generator, size: int, texture: str) -> np.ndarray:
    """Draw a texture in [0, 1], ``(H, W)``; plain is 0.5, so the mean does not reveal it."""
    if texture == 'plain':
        return np.full((size, size), 0.5, np.float32)
    angle, period = rng.uniform(0, np.pi), rng.uniform(5, 11)
    rows, columns = np.mgrid[:size, :size].astype(np.float32) * (2 * np.pi / period)
    u = np.cos(angle) * columns + np.sin(angle) * rows + rng.uniform(0, 2 * np.pi)
    v = np.cos(angle) * rows - np.sin(angle) * columns + rng.uniform(0, 2 * np.pi)
    if texture == 'stripes':
        wave = np.sin(u)
    elif texture == 'checks':
        wave = np.sin(u) * np.sin(v) * 2
    else:  # round dots on a regular grid
        wave = (np.cos(u) + np.cos(v) - 0.9) * 1.5
    return np.clip(0.5 + 1.5 * wave, 0, 1).astype(np.float32)


def _silhouette(rng: np.random.Generator, size: int, outline: str) -> np.ndarray:
    """Draw a mask of 0 and 1, ``(H, W)`` uint8: a shape, sometimes with a hole or a thin tail."""
    mask = np.zeros((size, size), np.uint8)
    radius = size * np.exp(rng.uniform(np.log(0.08), np.log(0.34)))
    center = rng.uniform(0.08 * size, 0.92 * size, 2)
    _OUTLINE_PAINTERS[outline](rng, mask, center, radius)
    if outline != 'ring' and rng.random() < 0.2:
        hole = center + rng.uniform(-0.2, 0.2, 2) * radius
        cv2.circle(mask, _point(hole), max(2, round(0.3 * radius)), 0, -1)
    if rng.random() < 0.3:
        direction = rng.uniform(0, 2 * np.pi)
        tip = center + radius * rng.uniform(1.3, 2.2) * _unit(direction)
        start = center + 0.6 * radius * _unit(direction)
        cv2.line(mask, _point(start), _point(tip), 1, int(rng.integers(2, 5)))
    return mask


def _round(rng: np.random.Generator, mask: np.ndarray, center: np.ndarray, radius: float) -> None:
    axes = _point(radius * rng.uniform([0.7, 0.5], [1.0, 1.0]) + 1)
    cv2.ellipse(mask, _point(center), axes, rng.uniform(0, 180), 0, 360, 1, -1)


def _box(rng: np.random.Generator, mask: np.ndarray, center: np.ndarray, radius: float) -> None:
    half = rng.uniform(0.4, 0.8)
    corners = np.array([half, np.pi - half, np.pi + half, -half]) + rng.uniform(0, np.pi)
    _fill(mask, center, corners, np.full(4, radius * 1.15))


def _star(rng: np.random.Generator, mask: np.ndarray, center: np.ndarray, radius: float) -> None:
    points = int(rng.integers(3, 7))
    angles = np.arange(2 * points) * np.pi / points + rng.uniform(0, np.pi)
    radii = radius * 1.25 * np.where(np.arange(2 * points) % 2, rng.uniform(0.3, 0.55), 1)
    _fill(mask, center, angles, radii)


def _ring(rng: np.random.Generator, mask: np.ndarray, center: np.ndarray, radius: float) -> None:
    cv2.circle(mask, _point(center), round(radius) + 1, 1, -1)
    cv2.circle(mask, _point(center), round(radius * rng.uniform(0.3, 0.55)), 0, -1)


def _fill(mask: np.ndarray, center: np.ndarray, angles: np.ndarray, radii: np.ndarray) -> None:
    corners = center + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 1)


def _unit(angle: float) -> np.ndarray:
    return np.array([np.cos(angle), np.sin(angle)])


def _point(xy: np.ndarray) -> tuple[int, int]:
    return round(float(xy[0])), round(float(xy[1]))


_OUTLINE_PAINTERS: dict[str, Callable[..., None]] = {
    'round': _round,
    'box': _box,
    'star': _star,
    'ring': _ring,
}


def _photograph(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Add uneven light, blur and noise."""
    light = 1 + rng.uniform(0, 0.3) * _smooth_noise(rng, len(image), 3)
    image = image * light[..., None]
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.1))
    image = image + rng.normal(0, rng.uniform(2, 10), image.shape)
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def _with_borders(label: np.ndarray) -> np.ndarray:
    """Mark both sides of every border between labels with 255, as VOC does."""
    kernel = np.ones((3, 3), np.uint8)
    bordered = label.copy()
    bordered[cv2.dilate(label, kernel) != cv2.erode(label, kernel)] = IGNORE
    return bordered
