"""A dense CRF on the probabilities of one image.

Shape letters: K class, H row, W column.
"""

import inspect
from typing import Any

import numpy as np
import torch

from ...core.heap import keep_freed_memory
from ...core.words import unknown
from ...models.layers.dense_crf import DenseCRF
from .windows import label_type

Setting = dict[str, Any]
_NAMES = [
    name for name in inspect.signature(DenseCRF).parameters
    if name not in ('learn_weights', 'init_cfg')  # of training, which there is none here
]  # fmt: skip


def check_setting(setting: Setting) -> None:
    """Refuse arguments that ``DenseCRF`` does not take, before any work.

    Raises:
        ValueError: If a name is unknown, or a value is out of range or of another kind.
    """
    for name in setting:
        if name not in _NAMES:
            raise ValueError(unknown('setting of the CRF', name, _NAMES))
    DenseCRF(**setting)


def refine(prob: np.ndarray, picture: np.ndarray, setting: Setting) -> np.ndarray:
    """Refine one image with ``DenseCRF(**setting)`` on the CPU.

    The process keeps the memory of freed tensors from then on, see :func:`keep_freed_memory`.

    Args:
        prob: ``(K, H, W)``.
        picture: ``(H, W, 3)`` uint8 RGB.
        setting: Arguments of ``DenseCRF``.

    Returns:
        ``(K, H, W)`` float32.
    """
    keep_freed_memory()
    image = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
    with torch.inference_mode():
        return DenseCRF(**setting)(torch.from_numpy(prob)[None], image[None])[0].numpy()


def refined_labels(prob: np.ndarray) -> np.ndarray:
    """Return the most probable class of each pixel, ``(H, W)``, in the type of masks."""
    return prob.argmax(0).astype(label_type(len(prob)))
