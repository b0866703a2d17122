"""Train, test and show a small FMSI-DeepLab from scratch; ``make demo`` runs it.

It makes the synthetic data set ``shapes``, then calls the tools that a user would call, and prints
each command. A finished step is skipped and a killed training is resumed, so it can be run again at
any time.
"""

import argparse
import sys
import time
import warnings
from pathlib import Path

from mmseg_ext.apis import cli
from mmseg_ext.apis.demo import StepError, run_demo
from mmseg_ext.core.files import short_path

TOOLS = short_path(Path(__file__).resolve().parent)
CONFIG = TOOLS.parent / 'configs' / 'fmsi' / 'fmsi_xception_mid4_shapes.py'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--work-dir', default='work_dirs/demo', help='folder for all results')
    parser.add_argument(
        '--config', default=str(CONFIG), help='config that uses the data set shapes'
    )
    return cli.parse_args(parser)


def main() -> None:
    args = parse_args()
    started = time.monotonic()
    # mmengine imports it for the bases of other packages; the reader can do nothing about it
    warnings.filterwarnings('ignore', message='pkg_resources is deprecated')
    try:
        report = run_demo(args.config, Path(args.work_dir), tools=TOOLS)
    except StepError as error:
        sys.exit(f'error: {error}')
    print(f'finished in {(time.monotonic() - started) / 60:.1f} minutes\nreport: {report}')


if __name__ == '__main__':
    cli.run_tool(main)
