"""Describe your own images and masks in a file that any config can train on, and check it.

python tools/dataset.py init FOLDER                  # looks at the data, writes my_data.yml
python tools/dataset.py check my_data.yml            # reads everything, writes my_data_check.html
python tools/dataset.py show my_data.yml --config CONFIG    # what a model would see of them
python tools/train.py CONFIG --dataset my_data.yml   # any row of any paper on your data
"""

import argparse
import shlex
from pathlib import Path

from mmseg_ext.apis import cli, pages, run, userdata
from mmseg_ext.core.choices import AXES
from mmseg_ext.core.progress import announce
from mmseg_ext.core.words import command


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest='command', required=True)
    init = commands.add_parser('init', help='examine a folder and write its data set file')
    init.add_argument('folder', help='folder of images and masks')
    init.add_argument('--out', default='my_data.yml', help='file to write (default my_data.yml)')
    init.add_argument(
        '--classes',
        nargs='+',
        default=[],
        help='class names in the order of the values in the masks',
    )
    init.add_argument(
        '--images', default='', metavar='DIR', help='folder of the images, if several are possible'
    )
    init.add_argument(
        '--masks', default='', metavar='DIR', help='folder of the masks, if several are possible'
    )
    init.add_argument(
        '--ratio', type=float, help='share of training images if there is no split (default 0.8)'
    )
    init.add_argument('--seed', type=int, help='seed of that split (default 0)')
    init.add_argument(
        '--groups',
        default='',
        metavar='REGEX',
        help='keep images together in that split whose paths match alike, such as a patient: '
        r"'^(\w+)_'",
    )
    init.add_argument(
        '--pages', choices=['classes'], default='', help='each page of a mask (TIFF) is a class'
    )
    init.add_argument(
        '--axis', choices=AXES, default='',
        help='slices of volumes (default: those that lie farthest apart)',
    )  # fmt: skip
    init.add_argument(
        '--window', nargs=2, type=int, default=[], metavar=('LOW', 'HIGH'),
        help='values of volumes that are black and white: -160 240 for soft tissue in a CT',
    )  # fmt: skip
    init.add_argument('--force', action='store_true', help='replace an existing file')
    check = commands.add_parser('check', help='read all files and report what is wrong')
    check.add_argument('file', help='data set file, such as my_data.yml')
    check.add_argument('--out', help='page to write (default: FILE_check.html beside the file)')
    add_show(commands)
    return cli.parse_commands(parser, commands)


def add_show(commands: argparse._SubParsersAction) -> None:
    show = commands.add_parser('show', help='write a page of what a model sees in training')
    show.add_argument(
        'file', nargs='?', help='data set file, such as my_data.yml; default: the data of CONFIG'
    )
    show.add_argument('--config', required=True, help='config file, or package::path')
    show.add_argument('--out', help='page to write (default: FILE_CONFIG_look.html, beside FILE)')
    show.add_argument('--number', type=int, default=8, help='samples to show (default 8)')
    show.add_argument('--seed', type=int, default=0, help='seed of the samples (default 0)')
    show.add_argument(
        '--semi',
        metavar='METHOD',
        help='as of tools/train.py: also show weak and strong views of the unlabelled images',
    )
    show.add_argument(
        '--cfg-options', nargs='+', action=cli.Options, help='override settings: key=value'
    )


def show_data(args: argparse.Namespace) -> Path:
    cfg = run.load_config(args.config, options=args.cfg_options, dataset=args.file)
    if args.semi and not args.file:
        raise ValueError('--semi needs a data set file with an entry "unlabelled"')
    if args.semi:
        run.use_semi_data(cfg, args.semi, args.file)
    name = Path(args.config.split('::')[-1]).stem
    path = Path(args.file or name)
    default = path.with_name(f'{path.stem}_{name}_look.html') if args.file else f'{name}_look.html'
    return pages.write_look(cfg, args.out or default, number=args.number, seed=args.seed)


def main() -> int:
    args = parse_args()
    if args.command == 'show':
        print(f'written to {show_data(args)}')
        return 0
    if args.command == 'init':
        notes = userdata.init_data_file(
            args.folder,
            args.out,
            classes=args.classes,
            ratio=args.ratio,
            seed=args.seed,
            groups=args.groups,
            images=args.images,
            masks=args.masks,
            pages=args.pages,
            axis=args.axis,
            window=args.window,
            force=args.force,
        )
        print('\n'.join(notes))
        announce(f'next: {command("dataset")} check {shlex.quote(args.out)}')
        return 0
    report = userdata.check_data(args.file, progress=True)
    path = Path(args.file)
    out = Path(args.out) if args.out else path.with_name(f'{path.stem}_check.html')
    print(userdata.as_text(report))
    print(f'\nwritten to {userdata.write_page(report, out)}')
    if not report.errors:
        print(f'next: {command("train")} CONFIG --dataset {shlex.quote(args.file)}')
    return 1 if report.errors else 0


if __name__ == '__main__':
    cli.run_tool(main)
