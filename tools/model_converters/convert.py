"""Convert public weights: ``python tools/model_converters/convert.py --source NAME IN OUT``.

``--list`` names the sources. IN is a file or URL of a torch checkpoint, or a file of safetensors or
of numpy arrays (``.npz``); OUT a checkpoint for the printed config: a whole model is tested or
started from (``--cfg-options load_from=OUT``), a backbone is named in its ``init_cfg``. Tensors
that OUT leaves out, and those of the model that IN does not hold, are counted. DeepLab-v2 has a
converter of its own, ``deeplabv2.py``. The results of such weights are their authors': our training
did not make them, and the cards say so.
"""

import argparse
from pathlib import Path

from mmseg_ext.apis import cli
from mmseg_ext.apis.convert import convert_file, count_names, describe
from mmseg_ext.apis.convert_sources import SOURCES, find_source


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('input', nargs='?', metavar='IN', help='public checkpoint, a file or a URL')
    parser.add_argument('output', nargs='?', metavar='OUT', type=Path, help='file to write')
    parser.add_argument('--source', metavar='NAME', help='what IN is')
    parser.add_argument('--list', action='store_true', help='list the sources and stop')
    args = parser.parse_args()
    if not args.list and (args.source is None or args.output is None):
        parser.error('--source, IN and OUT are needed, or --list')
    return args


def list_sources() -> None:
    width = max(map(len, SOURCES))
    for name, source in SOURCES.items():
        print(f'{name:{width}}  {source.title}; images: {source.images}')


def main() -> None:
    args = parse_args()
    if args.list:
        return list_sources()
    source = find_source(args.source)
    done = convert_file(args.input, args.output, name=args.source, source=source)
    print(describe(done, args.output))
    print(f'# {args.output}: {len(done.state)} tensors written')
    print(f'# {count_names("of the file left out", done.left_out)}')
    print(f'# {count_names("of the model not in the file, random", done.absent)}')
    print(f'# images: {source.images}')
    if source.note:
        print(f'# {source.note}')
    print(f'# from {source.origin}; training not reproduced')


if __name__ == '__main__':
    cli.run_tool(main)
