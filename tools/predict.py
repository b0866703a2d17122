"""Predict images: index masks, colored overlays and, on request, probabilities.

Example:
    python tools/predict.py CONFIG.py work_dirs/NAME/iter_1000.pth photo.jpg photos/ --out OUT
    python tools/predict.py net.onnx photos/ --out OUT          a file of tools/export.py
"""

import argparse
import sys
from typing import Any

from mmseg_ext.apis import cli, deploy
from mmseg_ext.apis.predict.large import tell_windows
from mmseg_ext.apis.predict.output import predict_to_folder
from mmseg_ext.apis.predict.predictor import find_images, load_model


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Predict images with a trained model. DIR gets masks/ (class indices as '
        'palette PNG), overlays/ (the classes painted over the image) and predictions.json; of a '
        'model that gives its uncertainty also uncertainty/ (.npz, and .png white at the highest).'
    )
    parser.add_argument(
        'config',
        metavar='CONFIG',
        help='config that the model was trained with; of a row trained on your data, the row; or '
        'a file that tools/export.py wrote, without CHECKPOINT',
    )
    parser.add_argument(
        'checkpoint', metavar='CHECKPOINT', help='checkpoint file (.pth) with the weights'
    )
    parser.add_argument(
        'inputs', metavar='INPUT', nargs='*', help='image files, or folders of images'
    )
    parser.add_argument('--out', metavar='DIR', required=True, help='folder to write to')
    parser.add_argument(
        '--prob',
        action='store_true',
        help='also write prob/*.npz: "prob", (classes, height, width), float16',
    )
    parser.add_argument('--dataset', help='your data, as in training: a file that init writes')
    parser.add_argument('--device', default='auto', help='auto (default), cpu, cuda or cuda:N')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=cli.Options,
        default=None,
        help='settings that override the config, key=value',
    )
    args = cli.parse_args(parser)
    if deploy.is_exported(args.config):
        args.inputs, args.checkpoint = [args.checkpoint, *args.inputs], None
        if args.dataset or args.cfg_options:
            parser.error(f'{args.config} has no config: leave --dataset and --cfg-options out')
        if args.device not in ('auto', 'cpu'):
            parser.error(f'{args.config} runs on the CPU: leave --device out')
    elif not args.inputs:
        parser.error('the following arguments are required: INPUT')
    return args


def load(args: argparse.Namespace) -> Any:
    if args.checkpoint is None:
        return deploy.load_exported(args.config)
    return load_model(
        args.config,
        args.checkpoint,
        device=args.device,
        cfg_options=args.cfg_options,
        dataset=args.dataset,
    )


def main() -> int:
    args = parse_args()
    images = find_images(args.inputs)
    model = load(args)
    told = tell_windows(model, images)
    if told:
        print(told)
    source = dict(config=args.config, checkpoint=args.checkpoint)
    failures = predict_to_folder(model, images, args.out, prob=args.prob, source=source)
    print(f'{len(images) - len(failures)} of {len(images)} images predicted, see {args.out}')
    if failures:
        with_what = (
            f' with {args.config} and {args.checkpoint}' if len(failures) == len(images) else ''
        )
        print(f'error: {len(failures)} of {len(images)} images failed{with_what}:', file=sys.stderr)
        for failure in failures:
            print(f'  {failure.reason}', file=sys.stderr)
    return 1 if failures else 0


if __name__ == '__main__':
    cli.run_tool(main)
