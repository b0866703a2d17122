"""Convert public DeepLab-v2 weights: ``python tools/model_converters/deeplabv2.py SOURCE TARGET``.

SOURCE is a file or URL of https://github.com/kazuto1011/deeplab-pytorch (release v1.0), ResNet-101;
TARGET a checkpoint for the configs of configs/deeplabv2, to test or to start from. ``--reverse``
goes the other way. Without classifiers in SOURCE (the COCO-trained start) TARGET has a backbone
only: ``--cfg-options load_from=TARGET``. TARGET holds the rates, the scales and the range of images
that the weights need, and a config with others is refused. The results of such weights are their
authors': our training did not make them.
"""

import argparse
from pathlib import Path

from mmseg_ext.apis import cli


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', help='checkpoint to read, a file or a URL')
    parser.add_argument('target', type=Path, help='checkpoint to write')
    parser.add_argument(
        '--all-classes',
        action='store_true',
        help='keep all 182 outputs for COCO-Stuff; default: the 171 labelled classes',
    )
    parser.add_argument(
        '--reverse', action='store_true', help='convert from our names to the public ones'
    )
    return cli.parse_args(parser)


def main() -> None:
    args = parse_args()
    from mmseg_ext.apis.convert import converted_file, deeplabv2
    from mmseg_ext.apis.run.checkpoints import read_state_dict, write_checkpoint

    state = read_state_dict(args.source)
    if args.reverse:
        content = deeplabv2.to_port(state)
    else:
        state = deeplabv2.from_port(state)
        state = state if args.all_classes else deeplabv2.keep_supervised(state)
        meta = converted_file.converted_meta(
            args.source,
            source='deeplabv2',
            origin=deeplabv2.ORIGIN,
            settings=deeplabv2.needed_settings(state),
        )
        content = dict(state_dict=state, meta=meta)
    write_checkpoint(content, args.target)
    print(f'{args.target}: {len(content if args.reverse else state)} tensors written')
    if not args.reverse:
        print(f'assumed: {deeplabv2.ASSUMED}')


if __name__ == '__main__':
    cli.run_tool(main)
