"""Make a BM-Seg folder: ``python tools/dataset_converters/bmseg.py IMAGES MASKS data/bmseg``.

Images and masks of the same stem, PNG, JPEG, TIFF or BMP, become 8-bit PNG images in img_dir, masks
of 0 and 1 in ann_dir (bones: ann_dir_bone), patients.csv, and train.txt and val.txt (9:1, whole
patients if known). The folder appears only when all of it is converted.
"""

import argparse
import sys

from mmseg_ext.apis import cli
from mmseg_ext.core.words import message_of


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('images', help='folder of images')
    parser.add_argument('masks', help='folder of lesion masks')
    parser.add_argument('out', help='folder to create')
    parser.add_argument('--bone-masks', help='folder of bone masks')
    parser.add_argument(
        '--mask-suffix', default='', help="ending of a lesion mask's stem: _mask for 7_mask.png"
    )
    parser.add_argument('--bone-suffix', default='', help='the same for bone masks')
    parser.add_argument(
        '--threshold',
        type=int,
        help='foreground is at least this (1 to 255); default: 127, and masks that are not black '
        'and white with soft edges are refused',
    )
    parser.add_argument(
        '--strict', action='store_true', help='refuse masks with values other than 0 and 255'
    )
    parser.add_argument('--patients', metavar='CSV', help='file of stem,patient lines')
    parser.add_argument(
        '--patient-regex', help=r"finds the patient in the stem: '^(\d+)_' in 07_0123"
    )
    parser.add_argument(
        '--image-max', type=int, help='value of 16-bit images that becomes white; default: 65535'
    )
    return cli.parse_args(parser)


def main() -> None:
    args = parse_args()
    from mmseg_ext.datasets.bmseg_files import convert_bmseg, describe

    try:
        summary = convert_bmseg(**vars(args))
    except (OSError, ValueError) as error:
        sys.exit(f'error: {message_of(error)}')
    print('\n'.join([f'{args.out}: written', *describe(summary, image_max=args.image_max)]))


if __name__ == '__main__':
    main()
