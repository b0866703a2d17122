"""Write one HTML page about tested runs.

python tools/report.py work_dirs/NAME                    all about one run
python tools/report.py work_dirs/A work_dirs/B --compare  B beside A, with paired tests
"""

import argparse
from pathlib import Path

from mmseg_ext.apis import cli
from mmseg_ext.apis.pages.compare_page import complete_runs, rows_of, write_table_report
from mmseg_ext.apis.pages.run_page import write_report


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('work_dirs', metavar='DIR', nargs='+', help='work folder of a tested run')
    parser.add_argument(
        '--out', metavar='FILE', help='the page; default: report.html in the first folder'
    )
    parser.add_argument('--title', help='heading of the page; default: the name of the config')
    parser.add_argument(
        '--compare',
        action='store_true',
        help='the runs as rows of a table, tested against the first by paired permutation',
    )
    parser.add_argument(
        '--complete',
        action='store_true',
        help='with --compare: first predict six test images, time the network and count the '
        'calibration of each run, where that is absent',
    )
    args = cli.parse_args(parser)
    if args.complete and not args.compare:
        parser.error('--complete goes with --compare')
    return args


def compare(args: argparse.Namespace, out: Path) -> Path:
    rows = rows_of(args.work_dirs)
    if args.complete:
        complete_runs(rows)
    return write_table_report(rows, out, title=args.title or f'{len(rows)} runs')


def main() -> None:
    args = parse_args()
    out = Path(args.out or Path(args.work_dirs[0]) / 'report.html')
    if args.compare:
        path = compare(args, out)
    else:
        path = write_report(args.work_dirs, out, title=args.title)
    print(f'report: {path.absolute()}')


if __name__ == '__main__':
    cli.run_tool(main)
