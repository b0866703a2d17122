"""Test a segmentor: mmseg's arguments; writes results.json and per_image.npz into the work dir.

python tools/test.py configs/fmsi/fmsi_xception_voc.py            # best checkpoint of its run
python tools/test.py CONFIG CHECKPOINT --tta --show-dir work_dirs/pictures
"""

import argparse
import os

from mmseg_ext.apis import cli, folds, run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file, or package::path')
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help='default: the best, else the last, in the work dir; with --fold, and of a '
        'semi-supervised run, the last',
    )
    parser.add_argument('--work-dir', help='folder for results.json and per_image.npz')
    parser.add_argument('--out', help='folder for predicted masks')
    parser.add_argument('--show', action='store_true', help='show predictions on screen')
    parser.add_argument('--show-dir', help='folder for drawn predictions')
    parser.add_argument(
        '--wait-time', type=float, default=2, help='seconds between images of --show'
    )
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    run.add_form_arguments(parser, 'scores')
    parser.add_argument('--surfaces', action='store_true', help='also report HD95 and surface Dice')
    parser.add_argument(
        '--calibration', action='store_true', help='also report the calibration error (ECE)'
    )
    parser.add_argument(
        '--details',
        action='store_true',
        help='also count errors by object size and distance to a border and, of two classes, '
        'threshold curves: details.json and three CSV files in the work dir',
    )
    parser.add_argument(
        '--voxel',
        nargs=3,
        type=float,
        metavar=('SLICE', 'ROW', 'COLUMN'),
        help='size of a voxel in mm, for volumes of patients in ml',
    )
    folds.add_surface_arguments(parser)
    parser.add_argument(
        '--dataset', help='your data: a file that tools/dataset.py init writes; any config fits'
    )
    parser.add_argument('--seed', type=int, help='seed of the run; 0 is a valid seed')
    parser.add_argument(
        '--deterministic', action='store_true', help='use only reproducible algorithms'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action=cli.Options, help='override settings: key=value'
    )
    folds.add_fold_arguments(parser)
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    # torchrun of torch>=2 passes --local-rank
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = cli.parse_args(parser)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main() -> None:
    args = parse_args()
    cfg = run.load_config(
        args.config, options=args.cfg_options, work_dir=args.work_dir, dataset=args.dataset
    )
    folds.use_fold_arguments(cfg, args)
    run.use_seed(cfg, seed=args.seed, deterministic=args.deterministic)
    if args.show or args.show_dir:
        run.use_drawing(cfg, show=args.show, show_dir=args.show_dir, wait_time=args.wait_time)
    if args.tta:
        run.use_tta(cfg)
    if args.fast or args.amp:
        run.use_fast(cfg, amp=args.amp)
    if args.out:
        run.use_output(cfg, args.out)
    if args.surfaces:
        run.use_surfaces(cfg, spacing=args.spacing, tolerance=args.tolerance)
    if args.calibration:
        run.use_calibration(cfg)
    if args.details:
        run.use_details(cfg)
    if args.voxel:
        run.use_voxel(cfg, args.voxel)
    run.use_launcher(cfg, args.launcher)
    checkpoint = args.checkpoint
    if checkpoint is None and args.fold is not None:  # the best was chosen on the held-out images
        checkpoint = run.RunFolder.of(cfg).last_checkpoint()
    run.test(cfg, checkpoint)


if __name__ == '__main__':
    cli.run_tool(main)
