"""Cross validation: cut images into folds, train and test each fold, and sum the folds up.

This room chooses the images that a fold holds out; ``run`` does the training and the testing.
"""

from ...core.exports import door

__getattr__, __dir__, __all__ = door(
    __name__,
    arguments='add_fold_arguments add_split_arguments add_surface_arguments',
    fold='split_settings use_fold use_fold_arguments',
    pool='read_pool',
    report='format_folds',
    run='Plan run_folds',
    summary='FoldSummary write_summary',
)
