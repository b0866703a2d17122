"""Cross validation: train and test every fold, sum up, average the folds' models.

python tools/kfold.py CONFIG --num-folds 5                  # goes on where it was stopped
python tools/kfold.py CONFIG --num-folds 5 --report         # only sum up what is there
python tools/kfold.py CONFIG --num-folds 5 --report --average photos/

tools/train.py and tools/test.py train and test each fold in WORK_DIR/foldN. kfold.json and the
printed table summarise the folds: mean and standard deviation over folds, scores of the pooled
held-out images with intervals, and Dice, HD95 and surface Dice per patient if the data set has
groups. A fold is scored with its last checkpoint, because the best one would be selected on the
images that are scored. The exit status is 1 if a fold failed.
"""

import argparse
import sys
from pathlib import Path

from mmseg_ext.apis import cli, folds, predict, run
from mmseg_ext.core.files import short_path

TOOLS = short_path(Path(__file__).resolve().parent)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file, or package::path')
    folds.add_split_arguments(parser)
    parser.add_argument('--folds', nargs='+', type=int, help='run only these folds')
    parser.add_argument('--work-dir', help='folder of the folds')
    parser.add_argument('--dataset', help='your data: a file that tools/dataset.py init writes')
    parser.add_argument('--seed', type=int, help='seed of every training; 0 is a valid seed')
    parser.add_argument('--amp', action='store_true', help='mixed precision')
    parser.add_argument(
        '--deterministic', action='store_true', help='use only reproducible algorithms'
    )
    parser.add_argument('--cfg-options', nargs='+', default=[], help='override settings: key=value')
    parser.add_argument(
        '--checkpoint',
        choices=['last', 'best'],
        default='last',
        help='which checkpoint is scored; best is optimistic (see above)',
    )
    parser.add_argument('--report', action='store_true', help='run nothing, only summarise')
    parser.add_argument(
        '--average',
        nargs='*',
        metavar='INPUT',
        help="predict images or folders (default: the config's test images) by the mean of the "
        "folds' probabilities, into WORK_DIR/average",
    )
    parser.add_argument(
        '--prob', action='store_true', help='with --average: also write probabilities'
    )
    parser.add_argument(
        '--device', default='auto', help='device for --average: auto, cpu, cuda, cuda:N'
    )
    folds.add_surface_arguments(parser)
    run.add_switches(parser)
    args = cli.parse_args(parser)
    if args.num_folds is None:
        parser.error('--num-folds is needed, such as --num-folds 5')
    return args


def average(args: argparse.Namespace, result: 'folds.FoldSummary', folder: 'run.RunFolder') -> int:
    """Predict with the models of the tested folds; returns the number of failures."""
    options = cli.parse_options(args.cfg_options)
    cfg = run.load_config(args.config, options=options, dataset=args.dataset)
    weights = [folder.fold(fold).checkpoint(args.checkpoint) for fold in result.folds]
    model = predict.load_average(
        args.config,
        weights,
        device=args.device,
        cfg_options=cli.parse_options(args.cfg_options),
        dataset=args.dataset,
    )
    pool = folds.read_pool(cfg, pool=result.pool)
    failures = predict.run_average(
        model,
        cfg,
        folder.average,
        inputs=args.average,
        seen=[image for image, _ in pool.pairs.values()],
        prob=args.prob,
        source=dict(config=args.config, checkpoints=[str(path) for path in weights]),
    )
    print(f'average of {len(weights)} models: {folder.average}')
    for failure in failures:
        print(f'  {failure.reason}', file=sys.stderr)
    return len(failures)


def main() -> int:
    args = parse_args()
    cfg = run.load_config(
        args.config,
        options=cli.parse_options(args.cfg_options),
        work_dir=args.work_dir,
        dataset=args.dataset,
    )
    folder, failed = run.RunFolder.of(cfg), []
    if not args.report:
        plan = folds.Plan(
            config=args.config,
            **folds.split_settings(cfg, args),
            seed=args.seed,
            amp=args.amp,
            deterministic=args.deterministic,
            checkpoint=args.checkpoint,
            options=tuple(args.cfg_options),
            dataset=args.dataset,
            switches=tuple(run.switch_words(args)),
        )
        run.use_switches(cfg.copy(), args)  # refuses what does not fit before any fold starts
        failed = folds.run_folds(
            plan, cfg, launch=run.Launch(TOOLS), folds=args.folds, spacing=args.spacing,
            tolerance=args.tolerance)  # fmt: skip
    problems = len(failed)
    if failed and not folder.tested_folds():
        print('no fold was tested, nothing to sum up', file=sys.stderr)
    else:
        result = folds.write_summary(folder.path, num_folds=args.num_folds)
        print(f'{folds.format_folds(result)}\nwritten to {folder.folds_file}')
        if args.average is not None:
            problems += average(args, result, folder)
    for failure in failed:
        print(f'error: fold {failure.fold} failed in {failure.step}, see {failure.log}',
              file=sys.stderr)  # fmt: skip
    return 1 if problems else 0


if __name__ == '__main__':
    cli.run_tool(main)
