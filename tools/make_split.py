"""Split a list of ids into two lists: sorted, then shuffled with a seed.

``python tools/make_split.py VOC2012/ImageSets/Segmentation/trainval.txt --expect 2913`` writes
trainval91_train.txt (2621 ids) and trainval91_val.txt (292) beside it.
"""

import argparse
import sys
from pathlib import Path

from mmseg_ext.apis import cli
from mmseg_ext.core.words import message_of


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('list', help='text file with one id per line')
    parser.add_argument('--out', help='folder of the two lists; default: beside the list')
    parser.add_argument('--name', default='trainval91', help='prefix of the names of the lists')
    parser.add_argument('--ratio', type=float, default=0.9, help='share of ids in the first list')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--expect', type=int, help='expected number of ids; any other is an error')
    return cli.parse_args(parser)


def main() -> None:
    args = parse_args()
    from mmseg_ext.datasets.splits import split_ids, write_lists

    try:
        ids = Path(args.list).read_text().split()
        if args.expect is not None and len(ids) != args.expect:
            raise ValueError(f'{len(ids)} ids, {args.expect} expected: it is another list')
        train, val = split_ids(ids, ratio=args.ratio, seed=args.seed)
        folder = args.out or Path(args.list).parent
        lists = {f'{args.name}_train': train, f'{args.name}_val': val}
        paths = write_lists(folder, lists)
    except OSError as error:
        sys.exit(f'error: {message_of(error)}')
    except ValueError as error:
        sys.exit(f'error: {args.list}: {error}')
    for path, part in zip(paths, (train, val)):
        print(f'{path}: {len(part)} ids')


if __name__ == '__main__':
    main()
