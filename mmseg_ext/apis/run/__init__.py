"""One training or test: its config, its folder, its checkpoints, its facts.

A config comes from ``load_config`` and ends in ``train`` or ``test``.
"""

from ...core.exports import door

__getattr__, __dir__, __all__ = door(
    __name__,
    checkpoints='best_or_last check_start_weights last_checkpoint',
    config='load_config override',
    folder='read_results',
    launch='Launch',
    load='load_model',
    options='use_amp use_calibration use_drawing use_launcher use_nan use_output use_seed '
    'use_surfaces use_tta',
    testing='test',
    training='build_runner train',
)
