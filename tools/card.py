"""Update a paper's card with our runs: results.csv, the results section and its figures.

python tools/card.py --collect work_dirs/NAME configs/fmsi   # after a test: a row of results.csv
python tools/card.py configs/fmsi                            # write the section and its figures
python tools/card.py configs/fmsi --check                    # fail if it is not current
python tools/card.py --readme                                # the numbers on the first page
"""

import argparse
import difflib
import sys
from pathlib import Path

from mmseg_ext.apis import cards, cli
from mmseg_ext.core.files import write_bytes

ROOT = Path(__file__).resolve().parents[1]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', metavar='FOLDER', nargs='?', help='configs/<paper>')
    parser.add_argument(
        '--collect',
        metavar='DIR',
        action='append',
        default=[],
        help='work folder of a tested run or of a cross validation to put into results.csv, in '
        'place of an earlier run of the same; may be repeated',
    )
    parser.add_argument(
        '--check', action='store_true', help='write nothing; exit with 1 if a page is not current'
    )
    parser.add_argument(
        '--readme', action='store_true', help='update the numbers in README.md, the first page'
    )
    args = cli.parse_args(parser)
    if args.check and args.collect:
        parser.error('--check writes nothing, --collect does: call them one after the other')
    if (args.folder is None) != args.readme:
        parser.error('give a folder such as configs/fmsi, or --readme')
    return args


def main() -> int:
    args = parse_args()
    if args.readme:
        page = ROOT / 'README.md'
        text = page.read_text(encoding='utf-8')
        return write_page(page, text, cards.fill(text, ROOT / 'configs'), args.check, '--readme')
    folder = Path(args.folder)
    for work_dir in args.collect:
        for record in cards.collect_all(work_dir, folder):
            print(f'{folder / cards.RESULTS_FILE}: {record["config"]}, seed {record.get("seed")}')
    is_, should_be = cards.generate(folder)
    status = write_page(folder / 'README.md', is_, should_be, args.check, str(folder))
    results = folder.resolve().parents[1] / 'docs' / 'results'
    for name, text in cards.pages(folder).items():
        page = results / name
        is_ = page.read_text(encoding='utf-8') if page.is_file() else ''
        status |= write_page(page, is_, text, args.check, str(folder))
    if not args.check:
        for name, content in cards.pictures(folder).items():
            write_bytes(results / name, content)
    return status


def write_page(page: Path, is_: str, should_be: str, check: bool, words: str) -> int:
    """Write a page, or show how it differs from what it should be; the exit status."""
    if is_ == should_be:
        print(f'{page} is current')
    elif check:
        diff = difflib.unified_diff(is_.splitlines(), should_be.splitlines(), lineterm='', n=0)
        print('\n'.join(list(diff)[:20]))
        print(f'error: {page} is stale: python tools/card.py {words}', file=sys.stderr)
        return 1
    else:
        write_bytes(page, should_be.encode('utf-8'))
        print(f'written: {page}')
    return 0


if __name__ == '__main__':
    cli.run_tool(main)
