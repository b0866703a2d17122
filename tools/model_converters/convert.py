"""Convert public weights: ``python tools/model_converters/convert.py --source NAME IN OUT``.

``--list`` names the sources. IN is a torch checkpoint (a file or URL), a safetensors file, or a
file of numpy arrays (``.npz``). OUT is the checkpoint to write. A config that fits OUT is printed;
``> my.py`` saves it. If OUT is a whole model, test it, or start a training from it with
``--cfg-options load_from=OUT``. If OUT is a backbone, the printed config names it in ``init_cfg``.

Notes go to standard error. They count the tensors that OUT leaves out and the tensors of the model
that IN lacks. They also name the settings that were assumed because weights do not show them; some
sources let you change these, such as ``--option output_stride=8``. OUT stores the settings that the
weights need, and loading OUT into a config with other settings is refused.

DeepLab-v2 has its own converter, ``deeplabv2.py``. Results of converted weights are those of their
authors, not of our training; the cards say so.
"""

import argparse
import contextlib
import sys
from pathlib import Path

from mmseg_ext.apis import cli
from mmseg_ext.apis.convert.converted_file import convert_file, describe, notes
from mmseg_ext.apis.convert.sources import SOURCES, find_source


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('input', nargs='?', metavar='IN', help='public checkpoint, a file or a URL')
    parser.add_argument('output', nargs='?', metavar='OUT', type=Path, help='file to write')
    parser.add_argument('--source', metavar='NAME', help='kind of the checkpoint IN')
    parser.add_argument(
        '--option',
        nargs='+',
        action=cli.Options,
        default={},
        metavar='NAME=VALUE',
        help='what the weights do not show, such as output_stride=8; --list names them',
    )
    parser.add_argument('--list', action='store_true', help='list the sources and exit')
    args = cli.parse_args(parser)
    if not args.list and (args.source is None or args.output is None):
        parser.error('--source, IN and OUT are needed, or --list')
    return args


def list_sources() -> None:
    width = max(map(len, SOURCES))
    for name, source in SOURCES.items():
        options = ''.join(
            f'; --option {key}={"|".join(map(str, option.choices))}'
            for key, option in source.options.items()
        )
        print(f'{name:{width}}  {source.title}; images: {source.images}{options}')


def main() -> None:
    args = parse_args()
    if args.list:
        return list_sources()
    source = find_source(args.source)
    with contextlib.redirect_stdout(sys.stderr):  # standard output is for the config alone
        done = convert_file(
            args.input, args.output, name=args.source, source=source, options=args.option
        )
    print(describe(done, args.output, source))
    for line in notes(done, args.output, source):
        print(f'# {line}', file=sys.stderr)


if __name__ == '__main__':
    cli.run_tool(main)
