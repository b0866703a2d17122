"""Cross validation: one fold as arguments of a run, all folds, and what they say together.

Which images a fold holds out is decided here; training and testing are those of ``run``.
"""

from ...core.exports import door

__getattr__, __dir__, __all__ = door(
    __name__,
    fold='add_fold_arguments add_split_arguments add_surface_arguments '
    'split_settings use_fold use_fold_arguments',
    pool='read_pool',
    report='format_folds',
    run='run_folds',
    summary='write_summary',
)
