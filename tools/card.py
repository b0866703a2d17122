"""Keep the results section of a paper's README card.

python tools/card.py --collect work_dirs/NAME configs/fmsi/results   # after test.py, kfold.py
python tools/card.py configs/fmsi                                    # write the section
python tools/card.py configs/fmsi --check                            # fail if it is not current
"""

import argparse
import difflib
import sys
from pathlib import Path

from mmseg_ext.apis import cli
from mmseg_ext.apis.cards.card import generate, pictures
from mmseg_ext.apis.cards.fold_record import collect_all
from mmseg_ext.core.files import write_bytes


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', metavar='FOLDER', help='configs/<paper>, or its results folder')
    parser.add_argument(
        '--collect',
        metavar='DIR',
        action='append',
        default=[],
        help='work folder of a tested run or of a cross validation (kfold.json) to put into the '
        'results folder; may be repeated',
    )
    parser.add_argument(
        '--check', action='store_true', help='write nothing; exit with 1 if README.md is stale'
    )
    args = cli.parse_args(parser)
    if args.check and args.collect:
        parser.error('--check writes nothing, --collect does: call them one after the other')
    return args


def main() -> int:
    args = parse_args()
    folder = Path(args.folder)
    folder = folder.parent if folder.name == 'results' else folder
    for work_dir in args.collect:
        for path in collect_all(work_dir, folder / 'results'):
            print(f'written: {path} ({path.stat().st_size / 1000:.0f} kB)')
    is_, should_be = generate(folder)
    if is_ == should_be:
        print(f'{folder}/README.md is current')
        return 0
    if args.check:
        diff = difflib.unified_diff(is_.splitlines(), should_be.splitlines(), lineterm='', n=0)
        print('\n'.join(list(diff)[:20]))
        print(f'error: {folder}/README.md is stale: python tools/card.py {folder}', file=sys.stderr)
        return 1
    for name, content in pictures(folder).items():
        write_bytes(folder / 'results' / name, content)
    write_bytes(folder / 'README.md', should_be.encode('utf-8'))
    print(f'written: {folder}/README.md')
    return 0


if __name__ == '__main__':
    cli.run_tool(main)
