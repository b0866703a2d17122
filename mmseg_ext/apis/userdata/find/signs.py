"""Signs that a data set has the wrong content, for init, check and training.

The rules are in ``datasets/signs.py``, because the data sets of configs use them too.
"""

from ....datasets.mask_facts import MaskFacts, facts_of, facts_without, is_jpeg, mask_facts
from ....datasets.signs import (
    Sign,
    blended_values,
    images_are_masks,
    instance_numbers,
    interpolated,
    is_same_picture,
    lossy,
    mask_signs,
    object_colors,
    palette_beside_colors,
    palettes_disagree,
    shown_forms,
)

__all__ = [
    'MaskFacts', 'Sign', 'blended_values', 'facts_of', 'facts_without', 'images_are_masks',
    'instance_numbers', 'interpolated', 'is_jpeg', 'is_same_picture', 'lossy', 'mask_facts',
    'mask_signs', 'object_colors', 'palette_beside_colors', 'palettes_disagree', 'shown_forms',
]  # fmt: skip
