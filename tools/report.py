"""Write one HTML page about tested runs, or about rounds of active learning.

python tools/report.py work_dirs/NAME                    all about one run
python tools/report.py work_dirs/A work_dirs/B           B beside A, with paired tests
python tools/report.py work_dirs/NAME_active             rounds of active_learning.py, simulated
python tools/report.py work_dirs/NAME_people             or with people
"""

import argparse
from pathlib import Path

from mmseg_ext.apis import cli, labels, pages


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'work_dirs', metavar='DIR', nargs='+', help='work folder of a tested run, or one of rounds'
    )
    parser.add_argument(
        '--out',
        metavar='FILE',
        help='file to write; default: report.html in the first folder, or active_learning.html',
    )
    parser.add_argument('--title', help='heading of the page; default: the name of the config')
    parser.add_argument(
        '--complete',
        action='store_true',
        help='first predict six test images, time the network and count the calibration of each '
        'run, where that is absent',
    )
    return cli.parse_args(parser)


def of_rounds(folder: str) -> bool:
    return labels.holds_rounds(folder) or bool(labels.people_rounds(folder))


def report_rounds(args: argparse.Namespace) -> Path:
    if len(args.work_dirs) > 1 or args.complete:
        rounds = next(filter(of_rounds, args.work_dirs))
        raise ValueError(f'{rounds} holds rounds of active learning: give it alone, no --complete')
    write = (
        pages.write_active_report
        if labels.holds_rounds(args.work_dirs[0])
        else pages.write_people_report
    )
    return write(args.work_dirs[0], args.out, title=args.title)


def main() -> None:
    args = parse_args()
    if any(map(of_rounds, args.work_dirs)):
        print(f'report: {report_rounds(args).absolute()}')
        return
    if args.complete:
        pages.complete_runs(pages.rows_of(args.work_dirs))
    out = Path(args.out or Path(args.work_dirs[0]) / 'report.html')
    print(f'report: {pages.write_report(args.work_dirs, out, title=args.title).absolute()}')


if __name__ == '__main__':
    cli.run_tool(main)
