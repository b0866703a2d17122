"""Predict images and videos: index masks, colored overlays, areas and, on request, more.

Example:
    python tools/predict.py work_dirs/NAME photo.jpg photos/ --out OUT
    python tools/predict.py CONFIG.py work_dirs/NAME/iter_1000.pth "scans/**/*.tif" --out OUT
    python tools/predict.py net.onnx photos/ --out OUT          a file of tools/export.py
"""

import argparse
import sys

from mmseg_ext.apis import cli, predict, run, use
from mmseg_ext.core.choices import CRF_SETTINGS, DROPOUT_PASSES


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Predict images with a trained model. DIR gets masks/ (class indices as '
        'palette PNG, of a GeoTIFF as GeoTIFF), overlays/ (the classes painted over the image), '
        'areas.csv (the area of each class) and predictions.json; of a model that gives its '
        'uncertainty also uncertainty/ (.npz, and .png white at the highest). A video gives '
        'overlays/*.mp4 without sound, and areas/*.csv with the areas in each frame.'
    )
    parser.add_argument(
        'words',
        metavar='MODEL INPUT',
        nargs='+',
        help='MODEL: a work folder; a config, by file or name, with the best checkpoint of its '
        'work folder; a config and a checkpoint; or a file of tools/export.py. INPUT: images, '
        'videos, folders, patterns such as "photos/*.jpg", or - for a list on standard input',
    )
    parser.add_argument('--out', metavar='DIR', required=True, help='folder to write to')
    parser.add_argument(
        '--prob',
        action='store_true',
        help='also write prob/*.npz: "prob", (classes, height, width), float16; of images in '
        'windows prob/*.npy, the array itself',
    )
    run.add_form_arguments(parser, 'masks')
    parser.add_argument(
        '--tta',
        action='store_true',
        help='average over the flips and scales of the tta_pipeline of the config; without one, '
        'over the image and its mirror image',
    )
    parser.add_argument(
        '--uncertainty',
        nargs='?',
        type=int,
        const=DROPOUT_PASSES,
        default=0,
        metavar='PASSES',
        help=f'average passes with dropout ({DROPOUT_PASSES} by default), and write their '
        'predictive entropy and BALD to entropy/ and bald/ (.npz in nats, and .png white at the '
        'highest)',
    )
    parser.add_argument(
        '--crf',
        nargs='?',
        choices=CRF_SETTINGS,
        const='deeplabv2_resnet101',
        help='refine with a dense CRF, as tools/crf.py does',
    )
    parser.add_argument(
        '--batch', type=int, default=1, help='images of one size that are predicted together'
    )
    parser.add_argument(
        '--frame-masks', action='store_true', help='of videos also masks/NAME/, one for each frame'
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
    return cli.parse_args(parser)


def main() -> int:
    args = parse_args()
    given = use.find_model(args.words, dataset=args.dataset)
    images = use.find_inputs(given.inputs, out=args.out)
    model = given.load(device=args.device, cfg_options=args.cfg_options, dataset=args.dataset)
    predictor = use.Predictor(
        model,
        tta=args.tta,
        passes=args.uncertainty,
        crf=args.crf,
        batch=args.batch,
        fast=args.fast,
        amp=args.amp,
    )
    source = dict(config=given.config, checkpoint=given.checkpoint)
    failures = predictor.to_folder(
        images, args.out, keep_prob=args.prob, frame_masks=args.frame_masks, source=source
    )
    kind = 'files' if any(predict.is_video(path) for path in images) else 'images'
    print(f'{len(images) - len(failures)} of {len(images)} {kind} predicted, see {args.out}')
    if failures:
        with_what = (
            f' with {given.config} and {given.checkpoint}' if len(failures) == len(images) else ''
        )
        print(f'error: {len(failures)} of {len(images)} {kind} failed{with_what}:', file=sys.stderr)
        for failure in failures:
            print(f'  {failure.reason}', file=sys.stderr)
    return 1 if failures else 0


if __name__ == '__main__':
    cli.run_tool(main)
