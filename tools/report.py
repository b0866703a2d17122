"""Write one HTML page about tested runs: ``python tools/report.py work_dirs/NAME``."""

import argparse
from pathlib import Path

from mmseg_ext.apis import cli
from mmseg_ext.apis.report import write_report


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Write one self-contained HTML page about one or several tested runs: numbers '
        'with intervals and baselines, curves, confusion, and the images of DIR/predictions.'
    )
    parser.add_argument('work_dirs', metavar='DIR', nargs='+', help='work folder of a tested run')
    parser.add_argument(
        '--out', metavar='FILE', help='the page; default: report.html in the first folder'
    )
    parser.add_argument('--title', help='heading of the page; default: the name of the config')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    out = args.out or Path(args.work_dirs[0]) / 'report.html'
    path = write_report(args.work_dirs, out, title=args.title)
    print(f'report: {path.absolute()}')


if __name__ == '__main__':
    cli.run_tool(main)
