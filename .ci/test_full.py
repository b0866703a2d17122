"""Run what ``make test`` skips in environments that hold the missing packages.

    python .ci/test_full.py default=.venv mmcv=.venv-mmcv torch214=.venv-torch214

The first environment runs the whole suite, slow tests included. Each further one runs the tests
that no environment before it could run. Exit status 1 when a test fails anywhere.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run_stage(python: Path, tests: list, workers: int) -> dict:
    """Run tests (all when the list is empty) and return outcome and reason by test."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, 'outcomes.json')
        names = Path(folder, 'tests.txt')
        names.write_text('\n'.join(tests))
        command = [python, '-m', 'pytest', '-q', '-n', str(workers)]
        done = subprocess.run(
            [*map(str, command), *([f'@{names}'] if tests else [])],
            cwd=ROOT,
            env={
                **os.environ,
                'OMP_NUM_THREADS': '1',
                'MMSEG_EXT_SLOW': '1',
                'MMSEG_EXT_OUTCOMES': str(report),
            },
        )
        if not report.is_file():
            sys.exit(f'error: {python} wrote no outcomes (pytest status {done.returncode})')
        return json.loads(report.read_text())


def main() -> int:
    """Run every stage and print a summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('stages', nargs='+', metavar='NAME=FOLDER')
    parser.add_argument('--workers', type=int, default=2)
    args = parser.parse_args()
    pending: list = []
    failed = 0
    lines = []
    for number, stage in enumerate(args.stages):
        name, _, folder = stage.partition('=')
        if number and not pending:
            lines.append(f'{name}: nothing left to run')
            continue
        print(f'== {name}: {len(pending) or "all"} tests', flush=True)
        outcomes = run_stage(ROOT / folder / 'bin' / 'python', pending, args.workers)
        count = {
            kind: sum(o['outcome'] == kind for o in outcomes.values())
            for kind in ('passed', 'failed', 'skipped')
        }
        failed += count['failed']
        verb = 'added' if number else 'ran'
        lines.append(
            f'{name}: {verb} {count["passed"]} tests that passed, {count["failed"]} '
            f'failed, {count["skipped"]} still skipped'
        )
        pending = sorted(test for test, o in outcomes.items() if o['outcome'] == 'skipped')
        left = outcomes
    print('\n== summary')
    print('\n'.join(lines))
    for test in pending:
        print(f'   not run anywhere: {test}: {left[test]["reason"]}')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
