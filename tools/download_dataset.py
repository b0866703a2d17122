"""Fetch, verify and unpack a data set: ``python tools/download_dataset.py voc2012``.

Run the command again to resume an interrupted download.
"""

import argparse
import os
import sys
from dataclasses import replace

from mmseg_ext.apis import cli
from mmseg_ext.core import choices
from mmseg_ext.core.words import message_of


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('dataset', choices=choices.ARCHIVES)
    parser.add_argument(
        '--out',
        default=os.environ.get('MMSEG_EXT_DATA', 'data'),
        help='data folder; default: MMSEG_EXT_DATA, or data',
    )
    parser.add_argument('--url', help='address of a mirror of the same file')
    parser.add_argument('--md5', help='MD5 checksum, if the file of --url differs')
    parser.add_argument('--keep-archive', action='store_true', help='keep the tar file')
    return cli.parse_args(parser)


def main() -> None:
    args = parse_args()
    from mmseg_ext.datasets.download import ARCHIVES, fetch_dataset

    archive = ARCHIVES[args.dataset]
    archive = replace(archive, url=args.url or archive.url, md5=args.md5 or archive.md5)
    try:
        folder, fetched = fetch_dataset(archive, args.out, keep_archive=args.keep_archive)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {message_of(error)}')
    print(f'{folder}: {"complete" if fetched else "complete already, left as it is"}')


if __name__ == '__main__':
    main()
