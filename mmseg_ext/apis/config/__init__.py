"""Configs before anything is built: their keys, their length, their classes, what they need.

Reads and changes configs; opens no images and no work folders.
"""

from ...core.exports import door

__getattr__, __dir__, __all__ = door(
    __name__,
    check='check_config check_options UnknownKeyError',
    classes='check_num_classes known_classes',
    numbers='check_numbers',
    packages='check_packages',
    schedule='set_max_iters set_val_interval',
    written='configs_folder',
)
