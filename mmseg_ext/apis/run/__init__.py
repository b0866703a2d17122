"""Train or test one config, and find everything about the run in its work folder.

``load_config`` reads a config, the ``use_`` functions change it, and ``train`` or ``test`` runs it.
"""

from ...core.exports import door

__getattr__, __dir__, __all__ = door(
    __name__,
    checkpoints='check_start_weights',
    config='load_config override',
    folder='RunFolder',
    launch='Launch option_arguments',
    load='load_model load_tested',
    options='use_amp use_calibration use_details use_drawing use_fast use_launcher use_nan '
    'use_output use_seed use_surfaces use_tta use_voxel',
    rates='find_rate write_rates',
    semi='leave_out_labelled use_semi use_semi_data',
    switch_arguments='add_form_arguments add_switches switch_words',
    switches='use_switches',
    testing='test',
    training='build_runner train',
    **{'network.fast': 'fast_form', 'outcome.results': 'RunResults'},
)
