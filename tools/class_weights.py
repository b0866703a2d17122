"""Count the pixels of each class in a config's data and print weights for its loss.

python tools/class_weights.py configs/segnet/segnet_basic_camvid.py
python tools/class_weights.py CONFIG --method effective --effective-beta 0.9999999 --out counts.json
"""

import argparse

from mmseg_ext.apis import cli, run, userdata
from mmseg_ext.core.choices import CLASS_WEIGHTS
from mmseg_ext.core.files import write_json


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file, or package::path')
    parser.add_argument('--dataset', help='your data: a file that tools/dataset.py init writes')
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train')
    parser.add_argument(
        '--method',
        choices=CLASS_WEIGHTS,
        default='median',
        help='median frequency (default), effective number of samples, or 1 - share',
    )
    parser.add_argument(
        '--effective-beta', type=float, help='beta of --method effective; default 0.999999'
    )
    parser.add_argument(
        '--normalize', action='store_true', help='scale to a mean of 1 over all pixels'
    )
    parser.add_argument('--out', help='also write counts and weights to this .json')
    parser.add_argument(
        '--cfg-options', nargs='+', action=cli.Options, help='override settings: key=value'
    )
    return cli.parse_args(parser)


def main() -> None:
    args = parse_args()
    cfg = run.load_config(args.config, options=args.cfg_options, dataset=args.dataset)
    counts = userdata.count_split(cfg, split=args.split)
    weights = userdata.weigh(
        counts,
        method=args.method,
        effective_beta=args.effective_beta,
        normalize=args.normalize,
    )
    print(f'{counts["images"]} images, {counts["ignored"]} pixels without a label')
    print(userdata.as_table(counts, weights))
    print(f'class_weight={[round(weight, 4) for weight in weights]}')
    print(f'counts={counts["pixels"]}')
    print(f'image_pixels={counts["image_pixels"]}')
    if args.out:
        write_json(args.out, dict(counts, method=args.method, weights=weights))
        print(f'written to {args.out}')


if __name__ == '__main__':
    cli.run_tool(main)
