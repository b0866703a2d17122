"""Convert public weights: ``python tools/model_converters/convert.py --source NAME IN OUT``.

``--list`` names the sources. IN is a file or URL of a torch checkpoint, or a file of safetensors or
of numpy arrays (``.npz``); OUT a checkpoint for the config that is printed, of which ``> my.py``
makes a file: a whole model is tested or started from (``--cfg-options load_from=OUT``), a backbone
is named in its ``init_cfg``. Notes go to standard error: tensors that OUT leaves out, and those of
the model that IN does not hold, are counted, and what the weights do not show is named.
``--option output_stride=8`` says it otherwise where the source has such an option. OUT holds the
settings that the weights need, and a config with others is refused when OUT is loaded. DeepLab-v2
has a converter of its own, ``deeplabv2.py``. The results of such weights are their authors': our
training did not make them, and the cards say so.
"""

import argparse
import contextlib
import sys
from pathlib import Path

from mmseg_ext.apis import cli, convert


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
    parser.add_argument(
        '--prefix',
        default='',
        help="what names in OUT begin with: 'backbone.' for the rows that start from it so",
    )
    parser.add_argument('--list', action='store_true', help='list the sources and exit')
    args = cli.parse_args(parser)
    if not args.list and (args.source is None or args.output is None):
        parser.error('--source, IN and OUT are needed, or --list')
    return args


def list_sources() -> None:
    width = max(map(len, convert.SOURCES))
    for name, source in convert.SOURCES.items():
        options = ''.join(
            f'; --option {key}={"|".join(map(str, option.choices))}'
            for key, option in source.options.items()
        )
        print(f'{name:{width}}  {source.title}; images: {source.images}{options}')


def main() -> None:
    args = parse_args()
    if args.list:
        return list_sources()
    source = convert.find_source(args.source)
    with contextlib.redirect_stdout(sys.stderr):  # what is printed below must load as a config
        done = convert.convert_file(
            args.input, args.output, name=args.source, source=source, options=args.option,
            prefix=args.prefix,
        )  # fmt: skip
    print(convert.describe(done, args.output, source, prefix=args.prefix))
    for line in convert.notes(done, args.output, source):
        print(f'# {line}', file=sys.stderr)


if __name__ == '__main__':
    cli.run_tool(main)
