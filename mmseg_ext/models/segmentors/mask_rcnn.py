"""Mask R-CNN as a semantic segmentor: trained on instances, which testing merges to a label map.

Source: "Mask R-CNN", ICCV 2017, https://arxiv.org/abs/1703.06870, in torchvision's implementation,
which is imported when the segmentor is built.
Differs from it: the result is one score per class and pixel: the highest product of instance score
and mask value over the instances of the class. The background scores 1 minus the best class.
Without an instance map, training takes each connected region of a class as one instance, so
touching objects of a class are merged and partly hidden objects may be split. Void pixels belong to
no instance and count as background, because torchvision cannot ignore them.
Shape letters: N image, I instance, K class, H row, W column.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Optional

import cv2
import numpy as np
import torch
from mmseg.models.segmentors import BaseSegmentor
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from ...core.labels import IGNORE
from ...core.words import check_choice
from ...env import import_torchvision
from ..layers.widened import widen_detector

# COCO's categories, as torchvision names them, in the order of PASCAL VOC's classes 1 to 20.
COCO_NAMES_OF_VOC = (
    'airplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair', 'cow',
    'dining table', 'dog', 'horse', 'motorcycle', 'person', 'potted plant', 'sheep', 'couch',
    'train', 'tv',
)  # fmt: skip


def paint_instances(
    masks_IHW: Tensor,
    labels_I: Tensor,
    scores_I: Tensor,
    *,
    num_classes: int,
    background_index: int = 0,
) -> Tensor:
    """Merge instances into one score per class and pixel.

    Args:
        masks_IHW: Probability that a pixel belongs to the instance, in [0, 1].
        labels_I: Class ids; instances of the background are left out.
        scores_I: Probability that the instance has its class, in [0, 1].
        num_classes: K, including the background.
        background_index: Class that gets 1 minus the best other score.

    Returns:
        ``(K, H, W)`` in [0, 1]; without instances the background has 1 everywhere.
    """
    weighted_IHW = masks_IHW * scores_I[:, None, None]
    painted_KHW = masks_IHW.new_zeros(num_classes, *masks_IHW.shape[1:])
    for c in labels_I.unique().tolist():
        painted_KHW[c] = weighted_IHW[labels_I == c].amax(0)
    painted_KHW[background_index] = 0
    painted_KHW[background_index] = 1 - painted_KHW.amax(0)
    return painted_KHW


def instance_targets(
    label_HW: Tensor,
    instance_HW: Optional[Tensor] = None,
    *,
    background_index: int = 0,
    ignore_index: int = IGNORE,
    min_pixels: int = 16,
) -> dict[str, Tensor]:
    """Turn a label map into training targets for torchvision's detectors.

    Args:
        label_HW: Class ids.
        instance_HW: Instance ids from 1; 0 and ``ignore_index`` mark no instance. The class of an
            instance is that of most of its labelled pixels; its other pixels are dropped. ``None``
            takes the connected regions of each class (8-connected).
        background_index: Class without instances.
        ignore_index: Label of void pixels.
        min_pixels: Instances with fewer pixels are dropped.

    Returns:
        ``boxes`` (I, 4) as left, top, right and bottom edge in pixels, ``labels`` (I) in int64 and
        ``masks`` (I, H, W) in uint8, on the device of the labels, sorted by class.
    """
    label = label_HW.cpu().numpy()
    things = (label != background_index) & (label != ignore_index)
    ids = None if instance_HW is None else instance_HW.cpu().numpy()
    found = [] if ids is None else _given(label * things, ids, things, ignore_index)
    if ids is None:
        found = _connected(label, things)
    found = [(c, mask) for c, mask in found if mask.sum() >= max(1, min_pixels)]
    found.sort(key=lambda pair: pair[0])
    masks = np.stack([mask for _, mask in found]) if found else np.zeros((0, *label.shape), bool)
    boxes = torch.tensor([_box(mask) for mask in masks], dtype=torch.float32).reshape(-1, 4)
    labels = torch.tensor([c for c, _ in found], dtype=torch.int64)
    target = dict(boxes=boxes, labels=labels, masks=torch.from_numpy(masks.astype(np.uint8)))
    return {name: value.to(label_HW.device) for name, value in target.items()}


Found = list[tuple[int, np.ndarray]]


def _connected(label: np.ndarray, things: np.ndarray) -> Found:
    found: Found = []
    for c in np.unique(label[things]).tolist():
        count, areas = cv2.connectedComponents((label == c).astype(np.uint8), connectivity=8)
        found += [(c, areas == index) for index in range(1, count)]
    return found


def _given(label: np.ndarray, ids: np.ndarray, things: np.ndarray, ignore_index: int) -> Found:
    found: Found = []
    for index in np.unique(ids[things]).tolist():
        if index in (0, ignore_index):
            continue
        mask = (ids == index) & things
        c = int(np.bincount(label[mask].astype(np.int64)).argmax())
        found.append((c, mask & (label == c)))
    return found


def _box(mask: np.ndarray) -> list[int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    edges = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return [int(edge) for edge in edges]


def coco_label_map(categories: list[str]) -> dict[int, int]:
    """Map a COCO detector's labels to PASCAL VOC's class ids; other labels are left out.

    Args:
        categories: Names in the order of the labels, as in torchvision's
            ``weights.meta['categories']``.
    """
    return {categories.index(name): c for c, name in enumerate(COCO_NAMES_OF_VOC, start=1)}


@MODELS.register_module()
class MaskRCNNSegmentor(BaseSegmentor):
    """Detect instances with torchvision's Mask R-CNN and merge them into a class map.

    Meant for data sets of objects on a background, such as PASCAL VOC. ``seg_logits`` of the result
    is the logarithm of :func:`paint_instances`, so its softmax is the score divided by the sum over
    classes.

    Args:
        data_preprocessor: As in mmseg's segmentors. torchvision resizes and normalises images
            itself, so they should be RGB in [0, 1]: use mean 0 and std 255.
        num_classes: K, including the background.
        background_index: Class without instances.
        ignore_index: Label of void pixels.
        arch: Name of the function in ``torchvision.models.detection`` that builds the detector.
        detector: Arguments of that function, such as ``min_size``, ``box_score_thresh`` and
            ``weights_backbone``. By default weights are random and ``num_classes`` is K, with
            ``weights`` theirs.
        label_map: Class id for each label of the detector; detections of other labels are left out.
            ``None``: labels are class ids, with the background at 0. ``'coco'``: from the labels of
            torchvision's COCO weights to PASCAL VOC's classes, for testing only.
        min_pixels: Instances with fewer pixels are not trained on.
        image_channels: Channels of the images.
        rgb_index: Which of them the three channels of pretrained weights become.
        fetch_weights: With ``False`` the detector is the one that ``weights`` and
            ``weights_backbone`` ask for, frozen batch norms included, with random weights.
        init_cfg: mmengine initialisation.

    Shape:
        ``(N, 3, H, W)`` to ``(N, K, H, W)``.

    Raises:
        ImportError: If torchvision is missing, or does not fit torch.
        ValueError: If ``background_index`` or an id in ``label_map`` is not a class, or ``arch`` is
            unknown.
    """

    align_corners = False

    def __init__(
        self,
        data_preprocessor: Optional[dict] = None,
        *,
        num_classes: int = 21,
        background_index: int = 0,
        ignore_index: int = IGNORE,
        arch: str = 'maskrcnn_resnet50_fpn',
        detector: Optional[dict] = None,
        label_map: Any = None,
        min_pixels: int = 16,
        image_channels: int = 3,
        rgb_index: Sequence[int] = (0, 1, 2),
        fetch_weights: bool = True,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        if not 0 <= background_index < num_classes:
            raise ValueError(
                f'background_index must be one of {num_classes} classes, got {background_index}; '
                'a data set without background has no use for this segmentor'
            )
        self.num_classes = self.out_channels = num_classes
        self.background_index, self.ignore_index = background_index, ignore_index
        self.min_pixels = min_pixels
        settings = {'weights': None, 'weights_backbone': None, **(detector or {})}
        if settings['weights'] is None:  # trained ones have their own number
            settings.setdefault('num_classes', num_classes)
        self.detector = _build_detector(arch, settings, fetch_weights)
        if image_channels != 3:
            widen_detector(self.detector, image_channels, rgb_index)
        self.label_map = _label_map(label_map, num_classes, background_index)
        self.trains = label_map is None

    def extract_feat(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return the detector's feature pyramid."""
        return self.detector.backbone(inputs)

    def loss(self, inputs: Tensor, data_samples: list[SegDataSample]) -> dict[str, Tensor]:
        """Return torchvision's five losses.

        Raises:
            ValueError: If the detector has other labels than the data set.
        """
        if not self.trains:
            raise ValueError('label_map is for testing a detector of other classes: drop it')
        targets = [self._target(sample) for sample in data_samples]
        return self.detector(list(inputs), targets)

    def _target(self, sample: SegDataSample) -> dict[str, Tensor]:
        label_HW = sample.gt_sem_seg.data[0]
        instances = sample.get('gt_instance_map')
        target = instance_targets(
            label_HW,
            None if instances is None else _fill_up(instances.data[0], label_HW),
            background_index=self.background_index,
            ignore_index=self.ignore_index,
            min_pixels=self.min_pixels,
        )
        # torchvision's label 0 is the background
        target['labels'] += (target['labels'] < self.background_index).long()
        return target

    def encode_decode(self, inputs: Tensor, batch_img_metas: Optional[list[dict]] = None) -> Tensor:
        """Return the logarithm of the scores of :func:`paint_instances`."""
        with torch.no_grad():
            return torch.stack([self._paint(found) for found in self.detector(list(inputs))])

    def _paint(self, found: dict[str, Tensor]) -> Tensor:
        table = self.label_map.to(found['labels'].device)
        labels_I = table[found['labels'].clamp_max(len(table) - 1)]  # the last entry means no class
        painted_KHW = paint_instances(
            found['masks'].squeeze(1),
            labels_I,
            found['scores'],
            num_classes=self.num_classes,
            background_index=self.background_index,
        )
        return painted_KHW.clamp_min(1e-6).log()

    def predict(
        self, inputs: Tensor, data_samples: Optional[list[SegDataSample]] = None
    ) -> list[SegDataSample]:
        """Return samples with the class map and its logits at the original size."""
        return self.postprocess_result(self.encode_decode(inputs), data_samples)

    def _forward(
        self, inputs: Tensor, data_samples: Optional[list[SegDataSample]] = None
    ) -> Tensor:
        return self.encode_decode(inputs)


def _build_detector(arch: str, settings: Mapping[str, Any], fetch_weights: bool) -> Any:
    import_torchvision('MaskRCNNSegmentor')
    from torchvision.models import detection

    known = [name for name in dir(detection) if name.startswith('maskrcnn_')]
    check_choice('arch', arch, known)
    build = getattr(detection, arch)
    if fetch_weights:
        return build(**settings)
    detector = build(**{**settings, 'weights': None, 'weights_backbone': None})
    if arch == 'maskrcnn_resnet50_fpn' and (settings['weights'] or settings['weights_backbone']):
        # as torchvision does for trained weights of this network; those of COCO have no eps
        _freeze_norms(detector, 0.0 if settings['weights'] else 1e-5)
    return detector


def _freeze_norms(module: nn.Module, eps: float) -> None:
    from torchvision.ops import FrozenBatchNorm2d

    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, FrozenBatchNorm2d(child.num_features, eps=eps))
        else:
            _freeze_norms(child, eps)


def _label_map(given: Any, num_classes: int, background_index: int) -> Tensor:
    """Return the class id of each detector label, background for none, plus one last entry."""
    if given is None:
        others = [c for c in range(num_classes) if c != background_index]
        given = dict(enumerate(others, start=1))
    if given == 'coco':
        from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

        given = coco_label_map(MaskRCNN_ResNet50_FPN_Weights.COCO_V1.meta['categories'])
    wrong = sorted(c for c in given.values() if not 0 <= c < num_classes)
    if wrong:
        raise ValueError(f'label_map leads to {wrong}, which are none of {num_classes} classes')
    table = torch.full((max(given) + 2,), background_index)
    for label, c in given.items():
        table[label] = c
    return table


def _fill_up(instance_HW: Tensor, label_HW: Tensor) -> Tensor:
    """Pad an instance map with 0 (no instance) to the size of the padded labels."""
    filled = torch.zeros_like(label_HW)
    filled[: instance_HW.shape[0], : instance_HW.shape[1]] = instance_HW
    return filled
