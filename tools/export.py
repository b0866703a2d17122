"""Export a trained network for other programs, checked against the network itself.

python tools/export.py work_dirs/NAME                          ONNX, of a work folder
python tools/export.py CONFIG.py iter_1000.pth --out net.onnx  of a config and its weights
python tools/export.py work_dirs/NAME --format torch_export
python tools/export.py work_dirs/NAME --int8 photos/           ONNX with 8 bits, calibrated on these

The file takes images of any number, height and width and carries all that predicting needs:
python tools/predict.py net.onnx photos/ --out OUT
It is kept only if it computes what the network does, at two sizes that it was not exported with.
"""

import argparse
from pathlib import Path
from typing import Any

from mmseg_ext.apis import cli, deploy, predict
from mmseg_ext.core.choices import EXPORT_FORMATS


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('model', metavar='MODEL', help='work folder, or config')
    parser.add_argument(
        'checkpoint', metavar='CHECKPOINT', nargs='?',
        help='weights; default: the tested checkpoint of the work folder, or its best, or its last',
    )  # fmt: skip
    parser.add_argument('--format', choices=EXPORT_FORMATS, default='onnx')
    parser.add_argument(
        '--out', metavar='FILE', type=Path, help='file to write; default: beside the checkpoint'
    )
    parser.add_argument('--dataset', help='your data, as in training: a file that init writes')
    parser.add_argument(
        '--int8', metavar='INPUT', nargs='+',
        help='images, or folders of them: every second calibrates 8 bits, the others compare',
    )  # fmt: skip
    parser.add_argument(
        '--agreement', type=float, default=98,
        help='--int8: smallest share of labels that must stay the same, in per cent (default 98)',
    )  # fmt: skip
    args = cli.parse_args(parser)
    if args.int8 and args.format != 'onnx':
        parser.error('--int8 is written as onnx')
    return args


def main() -> None:
    args = parse_args()
    model, source = deploy.load_trained(args.model, args.checkpoint, dataset=args.dataset)
    suffix = deploy.FORMATS[args.format].suffix
    out = args.out or Path(source['checkpoint']).with_suffix(suffix)
    source = {key: Path(name).name for key, name in source.items()}
    if args.int8:
        images = predict.find_images(args.int8)
        tell_quantized(
            deploy.quantize_model(model, out, images, source=source, limit=args.agreement / 100)
        )
        return
    done = deploy.export_model(model, out, args.format, source=source)
    found = done.comparison
    sizes = ' and '.join(f'{n} x {height}x{width}' for n, height, width in found.shapes)
    print(f'compared at {sizes}: logits differ by {found.difference:.1e} of the largest, '
          f'{100 * found.agreement:.3f} % of labels are the same')  # fmt: skip
    if found.undecided:
        print(f'left out of the logits: {100 * found.undecided:.2f} % of pixels, where rounding '
              'decides which of two values is a maximum')  # fmt: skip
    print(f'one image: {found.eager_ms:.1f} ms before, {found.file_ms:.1f} ms as {args.format}')
    print(f'wrote {done.path}, {done.megabytes:.1f} MB')


def tell_quantized(done: Any) -> None:
    calibrated, compared, scored = done.images
    print(f'{100 * done.agreement:.2f} % of labels stay the same in {compared} images, after '
          f'calibrating on {calibrated} others')  # fmt: skip
    if done.scores is None:
        print('the score lost is unknown: the test images of the config are not here')
    else:
        before, after = (100 * score for score in done.scores)
        print(f'mIoU {before:.2f} before, {after:.2f} with 8 bits, on {scored} test images')
    before, after = done.milliseconds
    print(f'one image: {before:.1f} ms before, {after:.1f} ms with 8 bits')
    print(f'wrote {done.path}, {done.megabytes[1]:.1f} MB instead of {done.megabytes[0]:.1f}')


if __name__ == '__main__':
    cli.run_tool(main)
