"""Refine predictions of tools/predict.py --prob with a dense CRF, or search for its parameters.

python tools/crf.py PREDICTIONS --out OUT --workers 2
python tools/crf.py PREDICTIONS --out OUT --setting camvid --truth MASKS      mIoU before and after
python tools/crf.py PREDICTIONS --out OUT --truth MASKS --search bi_w=3,4,5 bi_xy=50,67 bi_rgb=3,5
"""

import argparse
import sys
from pathlib import Path

from mmseg_ext.apis import cli, draw
from mmseg_ext.core.choices import CRF_SETTINGS
from mmseg_ext.core.files import write_bytes, write_json


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'predictions', metavar='DIR', help='output folder of tools/predict.py --prob'
    )
    parser.add_argument('--out', required=True, type=Path, help='folder to write to')
    parser.add_argument('--setting', choices=CRF_SETTINGS, default='deeplabv2_resnet101')
    parser.add_argument(
        '--options',
        nargs='+',
        action=cli.Options,
        default={},
        help='arguments of DenseCRF that override the setting: bi_w=5 prune=0.001',
    )
    parser.add_argument(
        '--truth', help='folder of ground-truth label maps (.png), named like the images'
    )
    parser.add_argument(
        '--search',
        nargs='+',
        metavar='NAME=A,B',
        help='values to try for each argument: the best mIoU is chosen',
    )
    parser.add_argument(
        '--images',
        type=int,
        default=100,
        help='number of images for the search; the others check the choice',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='seed of the random choice of these images'
    )
    parser.add_argument(
        '--workers', type=int, default=1, help='number of processes with one thread each'
    )
    parser.add_argument(
        '--picture', type=Path, help='draw image, before, after and truth into this file, .jpg'
    )
    parser.add_argument(
        '--names', nargs='+', default=[], help='images to draw; default: the first four'
    )
    parser.add_argument('--prob', action='store_true', help='also write refined probabilities')
    return cli.parse_args(parser)


def read_grid(words: list) -> dict:
    grid = {}
    for word in words:
        name, _, values = word.partition('=')
        try:
            grid[name] = [int(v) if v.isdigit() else float(v) for v in values.split(',')]
        except ValueError:
            raise ValueError(f'--search {word}: expected NAME=NUMBER,NUMBER') from None
    return grid


def show_search(report: dict) -> None:
    for row in report['table'][:10]:
        words = ' '.join(f'{name}={value}' for name, value in row['setting'].items())
        print(f'mIoU {100 * row["mIoU"]:6.2f}  {words}')
    for name in ('chosen_on', 'held_out'):
        if report[name]:
            scores = report[name]
            before, after = 100 * scores['before'], 100 * scores['after']
            title = f'{name.replace("_", " ")} ({scores["images"]} images)'
            print(f'{title}: mIoU {before:.2f} before, {after:.2f} after')


def main() -> int:
    args = parse_args()
    from mmseg_ext.apis.predict import crf, crf_picture
    from mmseg_ext.models.layers.dense_crf import SETTINGS

    setting = {**SETTINGS[args.setting], **args.options}
    if args.search:
        if args.truth is None:
            raise ValueError('--search needs --truth, the label maps')
        report, failures = crf.search(
            args.predictions, grid=read_grid(args.search), base=setting, truth=args.truth,
            images=args.images, seed=args.seed, workers=args.workers)  # fmt: skip
        show_search(report)
        write_json(args.out / 'search.json', report)
        print(f'wrote {args.out / "search.json"}')
    else:
        scores, failures = crf.refine_folder(
            args.predictions, args.out, setting=setting, truth=args.truth,
            workers=args.workers, keep_prob=args.prob)  # fmt: skip
        for when, values in scores.items():
            print(f'{when:6} mIoU {100 * values["mIoU"]:.2f}  aAcc {100 * values["aAcc"]:.2f}')
        if args.picture:
            drawn = crf_picture.draw(
                args.predictions, args.out, truth=args.truth, names=args.names)  # fmt: skip
            write_bytes(args.picture, draw.encode_below(drawn, 200_000))
        print(f'see {args.out}')
    for failure in failures:
        print(f'error: {failure.reason}', file=sys.stderr)
    return 1 if failures else 0


if __name__ == '__main__':
    cli.run_tool(main)
