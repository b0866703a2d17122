"""Try a trained model in the browser, and ask it for predictions over HTTP.

Example:
    python tools/serve.py work_dirs/NAME                then open http://127.0.0.1:8000/
    python tools/serve.py CONFIG.py work_dirs/NAME/iter_1000.pth --port 0
    python tools/serve.py net.onnx                      a file of tools/export.py
    curl --data-binary @photo.jpg http://127.0.0.1:8000/predict
"""

import argparse
from pathlib import Path

from mmseg_ext.apis import cli, serve, use


def parse_args() -> argparse.Namespace:
    limits = serve.Limits()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'words', metavar='MODEL', nargs='+',
        help='as for tools/predict.py: a work folder; a config, by file or name, with the best '
        'checkpoint of its work folder; a config and a checkpoint; or a file of tools/export.py',
    )  # fmt: skip
    parser.add_argument('--host', default='127.0.0.1', help='where to listen (default 127.0.0.1)')
    parser.add_argument('--port', type=int, default=8000, help='0 takes a free one (default 8000)')
    parser.add_argument(
        '--public',
        action='store_true',
        help='let other machines in, with no password',
    )
    parser.add_argument(
        '--max-megabytes', type=float, default=limits.megabytes,
        help=f'largest image file (default {limits.megabytes})',
    )  # fmt: skip
    parser.add_argument(
        '--max-megapixels', type=float, default=limits.megapixels,
        help=f'largest image, in millions of pixels (default {limits.megapixels})',
    )  # fmt: skip
    parser.add_argument(
        '--queue', type=int, default=limits.queue,
        help=f'images that wait at most; others are asked to come again (default {limits.queue})',
    )  # fmt: skip
    parser.add_argument(
        '--timeout', type=float, default=limits.seconds,
        help='seconds for an image to arrive, and again to be predicted '
        f'(default {limits.seconds})',
    )  # fmt: skip
    parser.add_argument('--dataset', help='your data, as in training: a file that init writes')
    parser.add_argument('--device', default='auto', help='auto (default), cpu, cuda or cuda:N')
    parser.add_argument(
        '--cfg-options', nargs='+', action=cli.Options, default=None,
        help='settings that override the config, key=value',
    )  # fmt: skip
    return cli.parse_args(parser)


def name_of(word: str) -> str:
    path = Path(word)
    return path.resolve().name if path.is_dir() else path.stem


def main() -> None:
    args = parse_args()
    limits = serve.Limits(args.max_megabytes, args.max_megapixels, args.queue, args.timeout)
    address = serve.Address(args.host, args.port, args.public)
    given = use.find_model(args.words, dataset=args.dataset)
    if given.inputs:
        raise ValueError(f'{given.inputs[0]} is too much: {given} are the model, images come later')
    options = dict(device=args.device, cfg_options=args.cfg_options, dataset=args.dataset)
    serve.serve_model(
        lambda: use.Predictor(given.load(**options)), name_of(args.words[0]), address=address,
        limits=limits,
    )  # fmt: skip


if __name__ == '__main__':
    cli.run_tool(main)
