"""Export a trained network for other programs, checked against the network itself.

python tools/export.py work_dirs/NAME                          ONNX, of a work folder
python tools/export.py CONFIG.py iter_1000.pth --out net.onnx  of a config and its weights
python tools/export.py work_dirs/NAME --format torch_export

The file takes images of any number, height and width and carries all that predicting needs:
python tools/predict.py net.onnx photos/ --out OUT
It is kept only if it computes what the network does, at two sizes that it was not exported with.
"""

import argparse
from pathlib import Path

from mmseg_ext.apis import cli, deploy


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('model', metavar='MODEL', help='work folder, or config')
    parser.add_argument(
        'checkpoint', metavar='CHECKPOINT', nargs='?',
        help='weights; default: the tested checkpoint of the work folder, or its best, or its last',
    )  # fmt: skip
    parser.add_argument('--format', choices=list(deploy.FORMATS), default='onnx')
    parser.add_argument(
        '--out', metavar='FILE', type=Path, help='file to write; default: beside the checkpoint'
    )
    parser.add_argument('--dataset', help='your data, as in training: a file that init writes')
    return cli.parse_args(parser)


def main() -> None:
    args = parse_args()
    model, source = deploy.load_trained(args.model, args.checkpoint, dataset=args.dataset)
    suffix = deploy.FORMATS[args.format].suffix
    out = args.out or Path(source['checkpoint']).with_suffix(suffix)
    source = {key: Path(name).name for key, name in source.items()}
    done = deploy.export_model(model, out, args.format, source=source)
    found = done.comparison
    sizes = ' and '.join(f'{n} x {height}x{width}' for n, height, width in found.shapes)
    print(f'compared at {sizes}: logits differ by {found.difference:.1e} of the largest, '
          f'{100 * found.agreement:.3f} % of labels are the same')  # fmt: skip
    print(f'one image: {found.eager_ms:.0f} ms before, {found.file_ms:.0f} ms as {args.format}')
    print(f'wrote {done.path}, {done.megabytes:.1f} MB')


if __name__ == '__main__':
    cli.run_tool(main)
