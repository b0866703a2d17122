"""Make the data set shapes in VOC layout: ``python tools/make_shapes.py --out data/shapes``."""

import argparse
import sys

from mmseg_ext.apis import cli
from mmseg_ext.core.choices import SHAPES
from mmseg_ext.core.words import message_of


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', default='data/shapes', help='folder to make')
    parser.add_argument(
        '--variant',
        default=SHAPES[0],
        choices=SHAPES,
        help='shapes21, or shapes7: fewer classes that differ more, as in the demo',
    )
    parser.add_argument('--num', type=int, default=300, help='number of images')
    parser.add_argument('--size', type=int, default=160, help='height and width in pixels')
    parser.add_argument('--seed', type=int, default=0)
    return cli.parse_args(parser)


def main() -> None:
    args = parse_args()
    from mmseg_ext.datasets.shapes_files import write_shapes

    try:
        written = write_shapes(
            args.out, variant=args.variant, num=args.num, size=args.size, seed=args.seed
        )
    except (OSError, ValueError) as error:
        sys.exit(f'error: {message_of(error)}')
    print(f'{args.out}: {"written" if written else "complete already, left as it is"}')


if __name__ == '__main__':
    main()
