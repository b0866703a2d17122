"""Switches as arguments of tools, parsed before anything heavy is imported.

``tools/train.py``, ``tools/kfold.py`` and ``tools/table.py`` take them; :mod:`.switches` applies
them to a config. ``tools/predict.py`` and ``tools/test.py`` choose the form of the network.
"""

import argparse
from typing import Union

from ...core.choices import TRACKERS

EMA_MOMENTUM = 0.0002  # of mmengine's ExponentialMovingAverage
MEDIAN = 'median'  # of the classes' shares of images


def add_form_arguments(parser: argparse.ArgumentParser, results: str) -> None:
    """Add ``--fast`` and ``--amp`` of a prediction or test to a tool's arguments.

    Args:
        parser: Of the tool.
        results: What the tool makes, for its help: ``'masks'``.
    """
    parser.add_argument(
        '--fast', action='store_true', help=f'in fast form: the same {results} up to rounding'
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='in fast form and half precision: float16 on CUDA, bfloat16 on a CPU',
    )


def add_switches(parser: argparse.ArgumentParser) -> None:
    """Add the switches to a tool's arguments."""
    add = parser.add_argument_group('comforts of a training').add_argument
    add('--log-to', nargs='+', choices=sorted(TRACKERS), help='also send curves there', default=[])
    add(
        '--early-stop',
        type=int,
        metavar='N',
        help='end after N validations without a better score, that of save_best',
    )
    add(
        '--ema',
        type=float,
        nargs='?',
        const=EMA_MOMENTUM,
        metavar='MOMENTUM',
        help='average the weights over the steps; the average is validated, saved and tested '
        f'(default share of the newest weights: {EMA_MOMENTUM})',
    )
    add('--accumulate', type=int, metavar='N', help='one step for N batches, as for one N times it')
    add(
        '--activation-checkpointing',
        nargs='*',
        metavar='PART',
        help='recompute activations to save memory (default: of the backbone)',
    )
    add('--freeze', nargs='+', default=[], metavar='PART', help='do not train it: backbone, ...')
    add(
        '--balance',
        type=_share,
        nargs='?',
        const=MEDIAN,
        metavar='SHARE',
        help='draw images with classes that fewer images hold more often '
        '(default: fewer than the median class)',
    )
    add('--compile', action='store_true', help='torch.compile; without a compiler as usual')


def _share(text: str) -> Union[str, float]:
    return text if text == MEDIAN else float(text)


def switch_words(args: argparse.Namespace) -> list[str]:
    """Return the switches as words of a command line, for a tool that starts trainings."""
    words = ['--log-to', *args.log_to] if args.log_to else []
    for name in ('early_stop', 'ema', 'accumulate', 'balance'):
        value = getattr(args, name)
        words += [] if value is None else [_option(name), str(value)]
    parts = args.activation_checkpointing
    words += [] if parts is None else [_option('activation_checkpointing'), *parts]
    words += ['--freeze', *args.freeze] if args.freeze else []
    return [*words, '--compile'] if args.compile else words


def _option(name: str) -> str:
    return f'--{name.replace("_", "-")}'
