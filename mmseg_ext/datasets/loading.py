"""Reading of label masks, with checks that mmseg's ``LoadAnnotations`` lacks.

Differs from mmseg: sizes and label ids are checked, and 16-bit and color masks can be read. A
sample without ``seg_map_path`` passes unchanged. mmseg's inference functions need this, because
they remove only ``LoadAnnotations`` from a pipeline, by name.
Shape letters: H row, W column.
"""

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from ..core.labels import IGNORE
from ..core.masks import read_mask

_NO_CLASS = -1


def colors_to_ids(mask_HW3: np.ndarray, palette: Sequence[Sequence[int]]) -> np.ndarray:
    """Replace each RGB color by its index in the palette, or by -1 if it is unknown."""
    weights = np.array([65536, 256, 1])
    codes = mask_HW3.astype(np.int64) @ weights
    ids = np.full(codes.shape, _NO_CLASS, np.int64)
    for index, color in enumerate(np.asarray(palette, np.int64) @ weights):
        ids[codes == color] = index
    return ids


def map_labels(mask: np.ndarray, label_map: dict[int, int]) -> np.ndarray:
    """Replace labels simultaneously; labels that are not in the map stay."""
    mapped = mask.copy()
    for old, new in label_map.items():
        mapped[mask == old] = new
    return mapped


def shift_zero_label(mask: np.ndarray, *, ignore_index: int = IGNORE) -> np.ndarray:
    """Set label 0 to ``ignore_index`` and reduce every other label by one, as mmseg does."""
    shifted = np.where(mask == 0, ignore_index, mask - 1)
    return np.where(mask == ignore_index, ignore_index, shifted)


def size_mismatch(
    mask: str, mask_size: Sequence[int], image: str, image_size: Sequence[int]
) -> str:
    """Return the message that a mask and its image differ in size (H and W)."""
    remedy = 'resize the mask with nearest-neighbour interpolation'
    if tuple(mask_size) == tuple(image_size)[::-1]:
        remedy = 'if an EXIF tag turns the image, turn the mask likewise'
    return (
        f'{mask}: the mask is {mask_size[1]}x{mask_size[0]} pixels (width x height), its image '
        f'{image} is {image_size[1]}x{image_size[0]}: pair the right files, or {remedy}'
    )


@TRANSFORMS.register_module()
class LoadLabels(BaseTransform):
    """Load the mask of a sample into ``gt_seg_map``; check its size and labels.

    Settings of the data set are applied in this order: threshold or colors, ``reduce_zero_label``,
    ``label_map``. The result must hold class ids or ``ignore_index``. The size is compared with
    that of the image file, so this step may stand before or after a resize of the image.

    Args:
        num_classes: Number of classes, which labels must be below. ``None`` takes the number of the
            data set; if it states none, as mmseg's own data sets, the range is not checked.
        ignore_index: The one label allowed outside of the range. ``None`` takes that of the data
            set, or 255.
        backend_args: Arguments of mmengine's file backend.

    Shape:
        ``gt_seg_map`` is ``(H, W)``, uint8 if every id fits, else uint16.

    Raises:
        ValueError: If the mask cannot be decoded, its size differs from that of the image, or a
            label is not a class.
    """

    def __init__(
        self,
        *,
        num_classes: Optional[int] = None,
        ignore_index: Optional[int] = None,
        backend_args: Optional[dict] = None,
    ) -> None:
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.backend_args = backend_args

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add ``gt_seg_map`` to the results if the sample has a mask."""
        path = results.get('seg_map_path')
        if path is None:
            return results
        ignore_index = self._setting('ignore_index', results)
        ignore_index = IGNORE if ignore_index is None else ignore_index
        colors = results.get('mask_format', 'index') == 'color'
        mask = read_mask(path, colors=colors, backend_args=self.backend_args)
        self._check_size(mask, path, results)
        mask = self._to_ids(mask, path, results, ignore_index)
        num_classes = self._setting('num_classes', results)
        if num_classes is not None:
            check_ids(mask, path, num_classes=num_classes, ignore_index=ignore_index)
        results['gt_seg_map'] = mask.astype(np.uint8 if mask.max() < 256 else np.uint16)
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results

    def _setting(self, name: str, results: dict) -> Optional[int]:
        own = getattr(self, name)
        return results.get(name) if own is None else own

    @staticmethod
    def _check_size(mask: np.ndarray, path: str, results: dict) -> None:
        size = tuple(results['ori_shape'][:2]) if 'ori_shape' in results else mask.shape[:2]
        if mask.shape[:2] != size:
            raise ValueError(size_mismatch(path, mask.shape, str(results.get('img_path')), size))

    @staticmethod
    def _to_ids(mask: np.ndarray, path: str, results: dict, ignore_index: int) -> np.ndarray:
        if results.get('mask_format', 'index') == 'color':
            ids = colors_to_ids(mask, results['palette'])
            unknown = mask[ids == _NO_CLASS]
            ids[ids == _NO_CLASS] = _void_or_error(unknown, path, results, ignore_index)
            return ids
        if mask.ndim == 3:
            raise ValueError(
                f'{path}: the mask holds colors, where class ids are expected: save ids (8-bit '
                "grey or palette PNG), or use FolderDataset with mask_format='color' and metainfo "
                'with the palette'
            )
        if results.get('mask_threshold') is not None:
            mask = (mask >= results['mask_threshold']).astype(np.uint8)
        if results.get('reduce_zero_label'):
            mask = shift_zero_label(mask.astype(np.int64), ignore_index=ignore_index)
        if results.get('label_map'):
            if results.get('strict_label_map'):
                _check_mapped(mask, path, results['label_map'])
            mask = map_labels(mask.astype(np.int64), results['label_map'])
        return mask


def _void_or_error(colors_N3: np.ndarray, path: str, results: dict, ignore_index: int) -> int:
    """Return ``ignore_index`` if all of these colors are void colors, else raise an error."""
    found = {tuple(color) for color in np.unique(colors_N3, axis=0).tolist()}
    unknown = sorted(found - {tuple(color) for color in results.get('void_colors', ())})
    if unknown:
        raise ValueError(
            f'{path}: the colors (RGB) {unknown[:5]} are not in the palette: add '
            'them to metainfo, or to void_colors of the data set to ignore them'
        )
    return ignore_index


def _check_mapped(mask: np.ndarray, path: str, label_map: dict[int, int]) -> None:
    unknown = np.setdiff1d(mask, list(label_map)).tolist()
    if unknown:
        shown = f'{unknown[:8]}' + (' and more' if len(unknown) > 8 else '')
        raise ValueError(
            f'{path}: the mask holds the values {shown}, which label_map leaves out: give each '
            'its class, or the ignored label'
        )


def check_ids(mask: np.ndarray, path: str, *, num_classes: int, ignore_index: int) -> None:
    """Raise a ``ValueError`` that names all labels that are neither a class nor ignored."""
    wrong = mask[((mask < 0) | (mask >= num_classes)) & (mask != ignore_index)]
    if not wrong.size:
        return
    ids = np.unique(wrong).tolist()
    shown = f'{ids[:8]}' + (' and more' if len(ids) > 8 else '')
    binary = ''
    if num_classes == 2:
        binary = ' (a 0/255 mask: label_map={255: 1}; with grey edges: mask_threshold=127)'
    raise ValueError(
        f'{path}: {wrong.size} pixels have the label ids {shown}, outside of 0..{num_classes - 1} '
        f'(num_classes={num_classes}) and not ignore_index={ignore_index}: name all classes in '
        f'the data set, or map the ids in FolderDataset, '
        f'label_map={{{ids[0]}: {ignore_index}}} to ignore them{binary}'
    )
