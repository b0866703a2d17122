"""Train a segmentor: mmseg's arguments, and --seed and --deterministic.

python tools/train.py configs/fmsi/fmsi_xception_voc.py --amp --cfg-options max_iters=1000
"""

import argparse
import os

from mmseg_ext.apis import cli, folds, run
from mmseg_ext.core.choices import NAN_ACTIONS, SEMI


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file, or package::path')
    parser.add_argument('--work-dir', help='folder for logs and checkpoints')
    parser.add_argument(
        '--resume',
        action='store_true',
        help='resume from the last complete checkpoint in the work dir',
    )
    parser.add_argument(
        '--amp', action='store_true', help='mixed precision: float16 on CUDA, bfloat16 on a CPU'
    )
    parser.add_argument(
        '--dataset', help='your data: a file that tools/dataset.py init writes; any config fits'
    )
    parser.add_argument('--seed', type=int, help='seed of the run; 0 is a valid seed')
    parser.add_argument(
        '--deterministic', action='store_true', help='use only reproducible algorithms'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=cli.Options,
        help='override settings: key=value; max_iters=N rescales the schedule',
    )
    parser.add_argument(
        '--nan',
        choices=NAN_ACTIONS,
        default='stop',
        help='at a loss or gradient that is not finite: stop, or skip the step; more than a tenth '
        'of the last 100 steps (and more than 5) skipped stop, too',
    )
    parser.add_argument(
        '--semi',
        choices=sorted(SEMI),
        help='learn from the images under unlabelled of --dataset, too',
    )
    parser.add_argument(
        '--semi-options',
        nargs='+',
        action=cli.Options,
        default={},
        help='settings of the method of --semi: threshold=0.9 momentum=0.99',
    )
    run.add_switches(parser)
    folds.add_fold_arguments(parser)
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    # torchrun of torch>=2 passes --local-rank
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = cli.parse_args(parser)
    if args.semi and not args.dataset:
        parser.error('--semi needs --dataset, a file with unlabelled: {images: FOLDER}')
    if args.semi_options and not args.semi:
        parser.error('--semi-options need --semi')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main() -> None:
    args = parse_args()
    cfg = run.load_config(
        args.config, options=args.cfg_options, work_dir=args.work_dir, dataset=args.dataset
    )
    run.check_start_weights(cfg.model)  # before the fold writes its lists
    if args.semi and not args.work_dir:
        cfg.work_dir = f'{cfg.work_dir}-{args.semi}'
    folds.use_fold_arguments(cfg, args)
    run.use_switches(cfg, args, semi=args.semi)
    if args.semi:
        run.use_semi_data(cfg, args.semi, args.dataset, **args.semi_options)
    else:
        run.leave_out_labelled(cfg, args.dataset)
    run.use_seed(cfg, seed=args.seed, deterministic=args.deterministic)
    if args.amp:
        run.use_amp(cfg)
    run.use_nan(cfg, args.nan)
    run.use_launcher(cfg, args.launcher)
    run.train(cfg, resume=args.resume)


if __name__ == '__main__':
    cli.run_tool(main)
