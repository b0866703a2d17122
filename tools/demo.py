"""Train, test and show a small FMSI-DeepLab from scratch; ``make demo`` runs it.

It makes a variant of the synthetic data set ``shapes``, then calls the tools that a user would
call, and prints each command. A finished step is skipped and a killed training is resumed, so it
can be run again at any time. At the end it prints the commands for one's own images.
"""

import argparse
import sys
import time
import warnings
from pathlib import Path

from mmseg_ext.apis import cli
from mmseg_ext.core.files import short_path

TOOLS = short_path(Path(__file__).resolve().parent)
CONFIG = TOOLS.parent / 'configs' / 'fmsi' / 'fmsi_xception_mid4_shapes7.py'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--work-dir', default='work_dirs/demo', help='folder for all results')
    parser.add_argument(
        '--config', default=str(CONFIG), help='config that uses the data set shapes'
    )
    return cli.parse_args(parser)


def main() -> None:
    args = parse_args()
    from mmseg_ext.apis.demo import StepError, own_commands, run_demo

    started = time.monotonic()
    # mmengine imports it for the bases of other packages; the reader can do nothing about it
    warnings.filterwarnings('ignore', message='pkg_resources is deprecated')
    try:
        folder = run_demo(args.config, Path(args.work_dir), tools=TOOLS)
    except StepError as error:
        sys.exit(f'error: {error}')
    print(f'finished in {(time.monotonic() - started) / 60:.1f} minutes')
    miou = folder.scores().value('mIoU')
    if miou is not None:  # a config may have other metrics
        print(f'mIoU: {100 * miou:.1f} %')
    print(f'report: {folder.page_file.absolute()}')
    print('\nfor a FOLDER of your own images and masks, and PHOTOS to predict:')
    print(*own_commands(args.config, tools=TOOLS), sep='\n')


if __name__ == '__main__':
    cli.run_tool(main)
