"""Find a learning rate: a short training in which it rises, as a curve with a suggestion.

python tools/find_lr.py configs/mfp/mfp_mobilenetv2_camvid.py --dataset my_data.yml

Nothing of the training is kept; the curve is in WORK_DIR as rates.csv and rates.svg.
"""

import argparse

from mmseg_ext.apis import cli, run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file, or package::path')
    parser.add_argument('--dataset', help='your data: a file that tools/dataset.py init writes')
    parser.add_argument('--low', type=float, default=1e-6, help='first rate (default 1e-6)')
    parser.add_argument('--high', type=float, default=1.0, help='last rate (default 1)')
    parser.add_argument('--steps', type=int, default=100, help='number of steps (default 100)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--amp', action='store_true', help='mixed precision')
    parser.add_argument('--work-dir', help='default: work_dirs/CONFIG-NAME-find-lr')
    parser.add_argument(
        '--cfg-options', nargs='+', action=cli.Options, help='override settings: key=value'
    )
    return cli.parse_args(parser)


def main() -> None:
    args = parse_args()
    cfg = run.load_config(args.config, options=args.cfg_options, dataset=args.dataset)
    own = cfg.optim_wrapper.get('optimizer', {}).get('lr')
    folder = args.work_dir or f'{cfg.work_dir}-find-lr'
    run.use_seed(cfg, seed=args.seed)
    if args.amp:
        run.use_amp(cfg)
    advice = run.find_rate(cfg, low=args.low, high=args.high, steps=args.steps)
    table, picture = run.write_rates(advice, folder)
    print(f'{len(advice.points)} of {args.steps} steps; the curve: {table}, {picture}')
    print(f'smallest loss at {advice.lowest:.2g}, steepest fall at {advice.steepest:.2g}')
    print(f'suggested: optim_wrapper.optimizer.lr={advice.suggested:.2g} (the config has {own})')


if __name__ == '__main__':
    cli.run_tool(main)
