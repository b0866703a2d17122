"""Test-time augmentation of a model that is given plain images, whole or in windows.

Source: mmseg's ``TestTimeAug`` and ``SegTTAModel``, which get every image from a data loader.
Differs from them: nothing in what is computed. The model in here takes an image as loaded and makes
the flips and scales itself, so that it stands wherever a model does.
Shape letters: C channel, H row, W column.
"""

import copy
import math
from collections.abc import Sequence
from itertools import chain
from typing import Any, Optional

import numpy as np
from mmcv.transforms import TestTimeAug
from mmengine.config import Config
from mmseg.models.segmentors import SegTTAModel
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from ...core.probabilities import as_probabilities
from ...models.segmentors.averaged import AveragedTTAModel, set_probabilities
from ..config.pipelines import unlabelled_tta_steps
from .windows import threshold_of

_FLIPS = ('flip', 'flip_direction')
_PACKS = ('PackSegInputs', 'PackWeightedSegInputs')
_OF_ANY_SIZE = ('RandomFlip', *_PACKS)


class Augmented(nn.Module):
    """A segmentor whose predictions are means over the flips and scales of its config.

    Args:
        model: From ``load_model`` or ``load_exported``.

    Attributes:
        cfg: How an image is prepared: as ``tta_pipeline`` does before its ``TestTimeAug``.
        kept: How many times it keeps the probabilities of an image.
        whole: Why an image cannot be cut into windows; empty if it can.

    Raises:
        ValueError: If the config merges predictions in a way of its own.
    """

    kept = 2

    def __init__(self, model: Any) -> None:
        super().__init__()
        _check_merges(model.cfg)
        before, alternatives = unlabelled_tta_steps(model.cfg)
        self.models = nn.ModuleList([model])
        self.cfg = Config(dict(test_pipeline=[*before, dict(type='PackSegInputs')]))
        self.dataset_meta = model.dataset_meta
        steps = list(chain(*alternatives))
        self._factor = max([1.0, *map(_factor, steps)])
        fixed = [step for step in steps if not _fits_any_size(step)]
        self._size = max(filter(None, map(_size, fixed)), default=None, key=math.prod)
        self.whole = f'its test-time augmentation has {fixed[0]["type"]}' if fixed else ''
        self.steps = TestTimeAug(alternatives)
        for sequence in self.steps.subroutines:
            _keep_flips(sequence.transforms)

    def network_size(self, size: Sequence[int]) -> tuple[int, int]:
        """Return the largest height and width that the network sees of an image of a size."""
        if self._size is not None:
            return self._size
        return math.ceil(size[0] * self._factor), math.ceil(size[1] * self._factor)

    def test_step(self, data: dict[str, Any]) -> list[Any]:
        """Predict images of one size.

        Args:
            data: ``inputs``, images ``(C, H, W)`` as packed, and ``data_samples``.

        Returns:
            The samples; ``seg_logits`` holds mean probabilities.
        """
        pairs = zip(data['inputs'], data['data_samples'])
        every = [self.steps(_unpacked(image, sample)) for image, sample in pairs]
        model: Any = self.models[0]
        totals: list[Any] = [0.0] * len(every)
        for number in range(len(self.steps.subroutines)):
            # a batch of one flip and scale of all images; only sums are kept of its predictions
            batch = {key: [one[key][number] for one in every] for key in every[0]}
            samples = model.test_step(batch)
            probs = [as_probabilities(sample.seg_logits.data) for sample in samples]
            totals = [total + prob for total, prob in zip(totals, probs)]
        threshold = threshold_of(model) if model.out_channels == 1 else None
        means = [total / len(self.steps.subroutines) for total in totals]
        return [set_probabilities(one, mean, threshold) for one, mean in zip(samples, means)]


def _check_merges(cfg: Config) -> None:
    given = (cfg.get('tta_model') or {}).get('type', 'SegTTAModel')
    kind = MODELS.get(given) if isinstance(given, str) else given
    if kind not in (SegTTAModel, AveragedTTAModel):
        raise ValueError(
            f'tta_model.type={given} merges predictions in its own way, of which no probabilities '
            'are left: test with tools/test.py --tta, or take SegTTAModel'
        )


def _factor(step: dict) -> float:
    """Return by which factor a step enlarges an image."""
    factor = step.get('scale_factor') or 1.0
    return max(factor) if isinstance(factor, (list, tuple)) else factor


def _size(step: dict) -> Optional[tuple[int, int]]:
    """Return to which size a step brings images, at most; ``None`` if it does not say."""
    given = step.get('scale') or step.get('size')
    if isinstance(given, int):
        return given, given
    return tuple(given) if isinstance(given, (list, tuple)) and len(given) == 2 else None


def _fits_any_size(step: dict) -> bool:
    """Whether a step does to a window what it does to the whole image."""
    if step['type'] == 'Resize':
        return not step.get('scale') and isinstance(step.get('scale_factor'), (int, float))
    return step['type'] in _OF_ANY_SIZE


def _keep_flips(steps: list) -> None:
    """Let packing steps pass on whether an image is flipped; else it would not be turned back."""
    for step in steps:
        if hasattr(step, 'meta_keys'):
            step.meta_keys = tuple(dict.fromkeys((*step.meta_keys, *_FLIPS)))


def _unpacked(image: Tensor, sample: SegDataSample) -> dict[str, Any]:
    """Return what the loader gave, of an image ``(C, H, W)`` that was packed."""
    array = np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy())
    meta = copy.deepcopy(dict(sample.metainfo))
    if tuple(meta.get('pad_shape', ())[:2]) == array.shape[:2]:
        del meta['pad_shape']  # a scale would leave it, and heads resize to it
    return dict(meta, img=array, seg_fields=[], reduce_zero_label=False)
