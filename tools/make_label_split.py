"""Choose the images that keep their labels, for learning with few of them.

``python tools/make_label_split.py CONFIG --out splits`` writes ``labelled_1_8.txt`` and
``unlabelled_1_8.txt`` and so on, stems of the config's training images, one a line. Every class
occurs in its share of the labelled images, smaller lists are parts of larger ones.
``--sequence '([^_]+)_'`` gives each video its share, too: what the first group of the pattern finds
in a stem is its name. ``--labelled LIST`` makes the two lists of a published one instead.
"""

import argparse
import re
import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmseg_ext.apis import cli, run
from mmseg_ext.core.words import message_of

if TYPE_CHECKING:
    import numpy as np


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file, or package::path')
    parser.add_argument('--dataset', help='your data instead of the config; see tools/train.py')
    parser.add_argument('--out', required=True, help='folder of the lists')
    parser.add_argument('--fractions', nargs='+', default=['1/16', '1/8', '1/4', '1/2'])
    parser.add_argument('--sequence', help='pattern whose first group is the sequence of a stem')
    parser.add_argument('--labelled', help='published list of the labelled images')
    parser.add_argument('--seed', type=int, default=0)
    return cli.parse_args(parser)


def read_classes(config: str, dataset: str | None) -> 'tuple[list[str], np.ndarray]':
    """Stems of the training images, and which classes occur in their masks, ``(N, K)``."""
    import numpy as np
    from mmengine.registry import init_default_scope
    from mmseg.registry import DATASETS

    cfg = run.load_config(config, dataset=dataset)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    steps = [dict(type='LoadLabels')]
    data: Any = DATASETS.build(dict(cfg.train_dataloader.dataset, pipeline=steps))
    present = np.zeros((len(data), len(data.metainfo['classes'])), bool)
    stems = []
    for index in range(len(data)):
        sample = data[index]
        labels = np.unique(sample['gt_seg_map'])
        present[index, labels[labels < present.shape[1]]] = True
        stems.append(data.stem_of(sample['img_path']))
    return stems, present


def choose(
    args: argparse.Namespace, stems: list[str], present: 'np.ndarray'
) -> dict[str, list[str]]:
    """Labelled stems by the name of their share.

    Raises:
        ValueError: If a share is none, a stem has no sequence, or a published list names an image
            that the config does not have.
    """
    from mmseg_ext.datasets.label_split import nested_splits, read_published_list

    if args.labelled:
        names = read_published_list(args.labelled)
        absent = sorted(set(names) - set(stems))
        if absent:
            raise ValueError(f'{args.labelled} names {absent[0]}, which {args.config} lacks')
        return {Path(args.labelled).stem: names}
    groups = [sequence_of(stem, args.sequence) for stem in stems] if args.sequence else []
    fractions = [as_fraction(text) for text in args.fractions]
    found = nested_splits(present, fractions, groups=groups, seed=args.seed)
    return {
        f'{f.numerator}_{f.denominator}': [stems[index] for index in indices]
        for f, indices in found.items()
    }


def as_fraction(text: str) -> Fraction:
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f'--fractions: {text!r} is no share such as 1/8') from error


def sequence_of(stem: str, pattern: str) -> str:
    found = re.match(pattern, stem)
    if not found or not found.groups():
        raise ValueError(f'--sequence {pattern!r} finds no group in {stem!r}')
    return found[1]


def main() -> None:
    args = parse_args()
    from mmseg_ext.datasets.splits import write_lists

    stems, present = read_classes(args.config, args.dataset)
    try:
        found = choose(args, stems, present)
        for name, chosen in found.items():
            rest = [stem for stem in stems if stem not in set(chosen)]
            lists = {f'labelled_{name}': sorted(chosen), f'unlabelled_{name}': rest}
            for path, ids in zip(write_lists(args.out, lists), lists.values()):
                print(f'{path}: {len(ids)} images')
    except (OSError, ValueError, re.error) as error:
        sys.exit(f'error: {message_of(error)}')


if __name__ == '__main__':
    cli.run_tool(main)
