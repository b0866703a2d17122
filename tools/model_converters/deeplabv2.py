"""Convert public DeepLab-v2 weights: ``python tools/model_converters/deeplabv2.py SOURCE TARGET``.

SOURCE is a ResNet-101 checkpoint (a file or URL) of
https://github.com/kazuto1011/deeplab-pytorch, release v1.0. TARGET is the checkpoint to write, for
the configs in configs/deeplabv2: test it, or start a training from it. ``--reverse`` converts our
weights into theirs. If SOURCE has no classifiers (the COCO-trained initial weights), TARGET holds a
backbone only; start a training from it with ``--cfg-options load_from=TARGET``. TARGET stores the
dilation rates, scales and image range that the weights need, and a config with other values is
refused. Results of converted weights are those of their authors, not of our training.
"""

import argparse
from pathlib import Path

from mmseg_ext.apis import cli
from mmseg_ext.apis.convert.converted_file import converted_meta
from mmseg_ext.apis.convert.deeplabv2 import (
    ASSUMED,
    ORIGIN,
    from_port,
    keep_supervised,
    needed_settings,
    to_port,
)
from mmseg_ext.apis.run.checkpoints import read_state_dict, write_checkpoint


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
    state = read_state_dict(args.source)
    if args.reverse:
        content = to_port(state)
    else:
        state = from_port(state)
        state = state if args.all_classes else keep_supervised(state)
        meta = converted_meta(
            args.source, source='deeplabv2', origin=ORIGIN, settings=needed_settings(state)
        )
        content = dict(state_dict=state, meta=meta)
    write_checkpoint(content, args.target)
    print(f'{args.target}: {len(content if args.reverse else state)} tensors written')
    if not args.reverse:
        print(f'assumed: {ASSUMED}')


if __name__ == '__main__':
    cli.run_tool(main)
