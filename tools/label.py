"""Label images in Label Studio or CVAT, starting from what a model says, and take masks back.

python tools/label.py export my_data.yml --out to_label --config CONFIG --checkpoint last.pth
python tools/label.py import my_data.yml finished.json

export takes the training images without a mask (or those of --images, or of --list) and writes
tasks with the model's masks to be corrected. import reads Label Studio's JSON, or the file of
"CVAT for images 1.1", checks all of it, puts the masks into the training split, and checks the
data set as tools/dataset.py check does. No mask is overwritten: of one that differs both are kept.
"""

import argparse
from pathlib import Path

from mmseg_ext.apis import cli, labels, run, userdata
from mmseg_ext.core.choices import LABEL_FORMATS


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest='command', required=True)
    export = commands.add_parser('export', help='write what a labelling tool imports')
    export.add_argument('file', help='data set file, such as my_data.yml')
    export.add_argument('--out', default='to_label', help='folder to write (default to_label)')
    export.add_argument('--to', choices=LABEL_FORMATS, default='label-studio', help='which tool')
    export.add_argument('--images', metavar='DIR', help='folder of images outside the data set')
    export.add_argument('--list', help='only these: a file of names, such as chosen.txt')
    export.add_argument('--config', help='with --checkpoint: config of the model that predicts')
    export.add_argument('--checkpoint', help='its weights')
    export.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:N')
    export.add_argument(
        '--root', help='folder that Label Studio serves (default: the one above the images)'
    )
    back = commands.add_parser('import', help='read what a labelling tool exports')
    back.add_argument('file', help='data set file, such as my_data.yml')
    back.add_argument('finished', help='JSON of Label Studio, XML or zip of CVAT')
    back.add_argument(
        '--images', nargs='+', default=[], metavar='DIR',
        help='folders of labelled images that are to be copied into the data set',
    )  # fmt: skip
    args = cli.parse_commands(parser, commands)
    if args.command == 'export' and (args.config is None) != (args.checkpoint is None):
        parser.error('--config and --checkpoint belong together')
    return args


def export_labels(args: argparse.Namespace) -> int:
    data = userdata.read_data_file(args.file)
    images = labels.find_unlabelled(data, folder=args.images, listed=args.list)
    given = args.checkpoint is not None
    predicted = labels.without_predictions(images)
    if given:
        model = run.load_model(args.config, args.checkpoint, device=args.device, dataset=args.file)
        predicted = labels.predict_masks(model, images)
    version = Path(args.checkpoint or '').name
    lines = labels.export_project(
        data, images, predicted, args.out, kind=args.to, version=version, root=args.root
    )
    print('\n'.join(lines))
    return 0


def import_labels(args: argparse.Namespace) -> int:
    from mmseg_ext.apis.labels.take_back import take_back

    _, errors = take_back(args.file, args.finished, args.images)
    return 1 if errors else 0


def main() -> int:
    args = parse_args()
    return export_labels(args) if args.command == 'export' else import_labels(args)


if __name__ == '__main__':
    cli.run_tool(main)
