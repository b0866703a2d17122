"""Signs that a data set is not what it seems to be, for init, check and training alike.

The rules are in ``datasets/signs.py``, as data sets of configs look for them, too.
"""

from ....datasets.signs import (
    MaskFacts,
    Sign,
    blended_values,
    facts_of,
    facts_without,
    images_are_masks,
    instance_numbers,
    interpolated,
    is_same_picture,
    lossy,
    mask_facts,
    mask_signs,
    object_colors,
    palette_beside_colors,
    palettes_disagree,
    shown_forms,
)

__all__ = [
    'MaskFacts', 'Sign', 'blended_values', 'facts_of', 'facts_without', 'images_are_masks',
    'instance_numbers', 'interpolated', 'is_same_picture', 'lossy', 'mask_facts',
    'mask_signs', 'object_colors', 'palette_beside_colors', 'palettes_disagree', 'shown_forms',
]  # fmt: skip
