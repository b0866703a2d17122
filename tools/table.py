"""Reproduce a paper's table: train what is missing, test, print it.

python tools/table.py fmsi 3                      # goes on where it was stopped
python tools/table.py fmsi 3 --report             # only reads work_dirs
python tools/table.py fmsi 3 --rows DeepLabv3+,fmsi_xception_voc --seeds 0 1 2 --gpus 4
python tools/table.py fmsi 3 --dataset my_data.yml --cfg-options max_iters=200

A row's run is in WORK_DIRS/<config>_seed<seed>, a cross validation in <config>_kfold<K>_seed<seed>,
one on your own data in <config>-<data>_seed<seed>. With other options give other --work-dirs. The
exit status is 1 if a row failed or, on the paper's data, is outside its tolerance.
"""

import argparse
import shlex
import sys
from pathlib import Path

from mmseg_ext.apis import cards, cli, config, pages, run, tables
from mmseg_ext.core.files import short_path, write_bytes

TOOLS = short_path(Path(__file__).resolve().parent)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('paper', help='folder of configs, such as fmsi')
    parser.add_argument(
        'table', nargs='?', help='number or name; --report and --write take all tables by default'
    )
    parser.add_argument('--report', action='store_true', help='run nothing, only read work_dirs')
    parser.add_argument('--rows', help='only these rows: labels or configs, with commas between')
    parser.add_argument('--seeds', nargs='+', type=int, help='default: those of tables.yml')
    parser.add_argument(
        '--num-folds', type=int, help='number of folds instead of that in tables.yml; 0: no folds'
    )
    parser.add_argument('--checkpoint', choices=['best', 'last'], help='checkpoint to test')
    parser.add_argument('--work-dirs', default='work_dirs', help='folder of all runs')
    parser.add_argument('--dataset', help='your data: a file that tools/dataset.py init writes')
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], help='override settings of every row: key=value'
    )
    parser.add_argument('--amp', action='store_true', help='mixed precision')
    parser.add_argument(
        '--deterministic', action='store_true', help='use only reproducible algorithms'
    )
    run.add_switches(parser)
    parser.add_argument('--gpus', type=int, help='processes of torchrun for each row')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm'], default='none',
                        help='slurm submits a job for each row and seed')  # fmt: skip
    parser.add_argument(
        '--latency', type=int, default=0, metavar='N', help='also time N forward passes'
    )
    parser.add_argument('--ignore-tolerances', action='store_true', help='exit with 0 if rows ran')
    parser.add_argument('--write', action='store_true', help="refresh the paper's README card")
    parser.add_argument('--out', help='also write the table as Markdown into this file')
    parser.add_argument('--html', help='also write a report as one HTML page into this file')
    parser.add_argument('--configs', help='folder of the papers, instead of the package')
    args = cli.parse_args(parser)
    if args.table is None and not (args.report or args.write):
        parser.error('which table? All of them go with --report or --write only')
    args.switches = run.switch_words(args)
    if args.write and (args.dataset or args.rows or args.cfg_options or args.switches):
        parser.error('--write is about whole tables as configured: without --dataset, --rows, '
                     '--cfg-options and comforts; --out FILE.md takes any')  # fmt: skip
    given = [args.gpus, args.num_folds, args.latency]
    if any(number is not None and number < 0 for number in given):
        parser.error('--gpus, --num-folds and --latency are numbers from 0')
    if Path(args.work_dirs).is_file():
        parser.error(f'--work-dirs {args.work_dirs} is a file: name the folder of all runs')
    # a seed that is named twice is one run, which must not count as two
    args.seeds = list(dict.fromkeys(args.seeds)) if args.seeds else None
    args.gpus = 1 if args.gpus is None and args.launcher == 'pytorch' else args.gpus or 0
    return args


def choose(args: argparse.Namespace) -> 'list[tables.Table]':
    rows = None if args.rows is None else args.rows.split(',')
    found = tables.read_tables(args.paper, args.configs)
    return [
        tables.select(table, rows=rows, folds=args.num_folds, checkpoint=args.checkpoint,
                      dataset=args.dataset)
        for table in ([tables.choose_table(found, args.table)] if args.table else found.values())
    ]  # fmt: skip


def settings_of(args: argparse.Namespace, table: 'tables.Table') -> 'tables.Settings':
    return tables.Settings(
        launch=run.Launch(TOOLS, gpus=args.gpus), work_dirs=Path(args.work_dirs),
        seeds=tuple(args.seeds or table.protocol.seeds), options=tuple(args.cfg_options),
        dataset=args.dataset, amp=args.amp, deterministic=args.deterministic,
        switches=tuple(args.switches),
    )  # fmt: skip


def passed_on(args: argparse.Namespace) -> list[str]:
    """What decides about the runs, besides rows and seeds, as arguments."""
    names = ('num_folds', 'checkpoint', 'dataset', 'configs')
    values = {**{name: getattr(args, name) for name in names}, 'gpus': args.gpus or None}
    values['work_dirs'] = None if args.work_dirs == 'work_dirs' else args.work_dirs
    words = [[f'--{key.replace("_", "-")}', str(v)] for key, v in values.items() if v is not None]
    words += [[f'--{name}'] for name in ('amp', 'deterministic') if getattr(args, name)]
    return (
        [word for part in words for word in part]
        + args.switches
        + run.option_arguments(args.cfg_options)
    )


def report(args: argparse.Namespace, table: 'tables.Table') -> bool:
    """Print a table; returns whether every score that counts is within its tolerance."""
    table = tables.find_runs(table, args.work_dirs, seeds=args.seeds)
    models = tables.table_models(
        table, options=args.cfg_options, dataset=args.dataset, latency=args.latency
    )
    words = ['python', 'tools/table.py', table.paper, table.table, *passed_on(args)]
    words += ['--seeds', *map(str, args.seeds)] if args.seeds else []
    values, data = tables.report_table(table, models=models, command=shlex.join(words))
    print(f'\n{tables.format_text(data)}', flush=True)
    written = []
    if args.out:
        written.append(write_bytes(Path(args.out), tables.format_markdown(data).encode('utf-8')))
    if args.html and (args.report or any(row.runs for row in table.rows)):
        if not args.report:  # predictions of the images that it shows, into the work folders
            pages.complete_runs(table.rows)
        written.append(pages.write_paper_report(table, args.html))
    if args.write and (args.table or values.facts):  # of all tables those that were run
        folder = Path(args.configs or config.configs_folder()) / args.paper
        written.append(tables.write_table(data, folder / 'results'))
        written.append(write_bytes(folder / 'README.md', cards.generate(folder)[1].encode('utf-8')))
    for path in written:
        print(f'written: {path}')
    return not values.outside


def main() -> int:
    args = parse_args()
    failures, within = [], True
    for table in choose(args):
        if args.launcher == 'slurm' and not args.report:
            tables.submit_table(
                table, settings_of(args, table), tool=TOOLS / 'table.py', arguments=passed_on(args)
            )
            continue
        found = []
        if not args.report and args.table is not None:
            found = tables.run_table(table, settings_of(args, table))
        try:
            within = report(args, table) and within
        finally:  # why rows failed is told, whatever keeps the table from being written
            for failure in found:
                print(f'error: {failure}', file=sys.stderr)
        failures += found
    return 1 if failures or not (within or args.ignore_tolerances) else 0


if __name__ == '__main__':
    cli.run_tool(main)
