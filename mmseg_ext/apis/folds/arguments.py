"""The arguments of tools that run folds, parsed before anything heavy is imported."""

import argparse
from typing import Any

from ...core.choices import FOLD_POOLS


def add_fold_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that select one fold to a tool."""
    group = parser.add_argument_group('one fold of a cross validation')
    group.add_argument('--fold', type=int, help='fold to hold out, from 0; adds foldN to work_dir')
    add_split_arguments(group)


def add_split_arguments(parser: Any) -> None:
    """Add the arguments that say how images are split into folds."""
    parser.add_argument('--num-folds', type=int, help='number of folds')
    parser.add_argument('--split-seed', type=int, help='seed of the split (default 0)')
    parser.add_argument(
        '--pool',
        choices=FOLD_POOLS,
        help="which of the config's data sets the folds are cut from (default: fold_pool of the "
        'config, else train)',
    )
    parser.add_argument(
        '--stratify',
        action='store_true',
        help='give every fold its share of images without foreground',
    )


def add_surface_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the pixel spacing and the tolerance that HD95 and surface Dice need."""
    parser.add_argument(
        '--spacing',
        nargs=2,
        type=float,
        default=[1.0, 1.0],
        metavar=('ROW', 'COLUMN'),
        help='height and width of a pixel for HD95 and surface Dice (default 1 1: in pixels)',
    )
    parser.add_argument(
        '--tolerance',
        type=float,
        default=1.0,
        help='distance that surface Dice allows, in the unit of --spacing (default 1)',
    )
