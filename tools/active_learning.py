r"""Active learning: which images to label next, in rounds of training, scoring and choosing.

python tools/active_learning.py CONFIG --dataset my_data.yml --strategy entropy random \
    --rounds 6 --budget 10% --seeds 0 1 2         # a simulation: the labels are known
python tools/active_learning.py CONFIG --dataset my_data.yml --checkpoint last.pth \
    --images unlabelled/ --choose 20              # a list for people
python tools/active_learning.py CONFIG --dataset my_data.yml --people label-studio \
    --images unlabelled/ --choose 20              # rounds with people; later with --finished FILE

In a simulation the first labels are drawn at random; each round trains anew, is tested with its
last checkpoint, and scores what is left. Lists are in WORK_DIR/STRATEGY_seedN/roundN, the summary
in WORK_DIR/active_learning.json and, as a page, in active_learning.html; both are written after
each round. The same command goes on where it was stopped. The exit status is 1 if a round failed.
What is not said here a row's active_learning says (configs/survey/active_*), else the default.
With people, a call takes masks back (--finished), trains and tests on all that there are, chooses
images, and writes a project for the labelling tool to WORK_DIR/roundN/to_label, and the page
WORK_DIR/active_learning.html.
"""

import argparse
import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from mmseg_ext.apis import cli, labels, pages, run, userdata
from mmseg_ext.apis.labels.strategies import STRATEGIES
from mmseg_ext.core.choices import LABEL_FORMATS, PSEUDO_LABELS, REGIONS
from mmseg_ext.core.files import short_path
from mmseg_ext.core.words import USER_ERRORS, command, message_of

if TYPE_CHECKING:
    from mmengine.config import Config

TOOLS = short_path(Path(__file__).resolve().parent)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file, or package::path')
    parser.add_argument('--dataset', required=True, help='your data, such as my_data.yml')
    parser.add_argument(
        '--strategy', nargs='+', choices=list(STRATEGIES), metavar='NAME',
        help=f'one or several of {", ".join(STRATEGIES)} (default entropy)',
    )  # fmt: skip
    parser.add_argument('--seeds', nargs='+', type=int, help='default 0')
    parser.add_argument('--rounds', type=int, help='trainings, the start among them (default 6)')
    parser.add_argument(
        '--budget', help='labels of a round: a share of the pool, or a number (default 10%%)'
    )
    parser.add_argument('--regions', choices=REGIONS, help='label regions in place of images')
    parser.add_argument('--size', type=int, default=64, help='side of a region (default 64)')
    parser.add_argument('--passes', type=int, default=10, help='with dropout (default 10)')
    parser.add_argument('--warm-start', action='store_true', help='from the weights before')
    parser.add_argument('--work-dir', help='folder of the rounds')
    parser.add_argument('--amp', action='store_true', help='mixed precision')
    parser.add_argument('--deterministic', action='store_true', help='only repeatable algorithms')
    parser.add_argument('--cfg-options', nargs='+', default=[], help='override settings: key=value')
    parser.add_argument(
        '--report',
        action='store_true',
        help='run nothing, only sum up what the folder of the rounds holds',
    )
    parser.add_argument('--choose', type=int, metavar='N', help='choose N images to be labelled')
    parser.add_argument('--checkpoint', help='with --choose: weights of the model that scores')
    parser.add_argument(
        '--people', choices=LABEL_FORMATS, help='rounds of --choose images with this labelling tool'
    )
    parser.add_argument('--finished', metavar='FILE', help='with --people: what the tool exported')
    parser.add_argument('--root', help='with --people: folder that Label Studio serves')
    parser.add_argument('--semi', choices=PSEUDO_LABELS, help='with --people: as in train.py')
    parser.add_argument('--images', help='with --choose: folder of images (default: train)')
    parser.add_argument('--out', default='chosen.txt', help='with --choose: list to write')
    parser.add_argument('--device', default='auto', help='with --choose: auto, cpu, cuda, cuda:N')
    args = cli.parse_args(parser)
    if args.people is not None or args.choose is not None:
        chosen = labels.settle(dict(strategies=args.strategy, seeds=args.seeds))
        args.strategy, args.seeds = chosen['strategies'], chosen['seeds']
    check_people(parser, args)
    return args


def check_people(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Options of simulations and of work with people exclude each other."""
    if args.passes < 2:  # scores compare them
        parser.error(f'--passes must be a number from 2, got {args.passes}')
    if args.choose is not None:
        if (args.checkpoint is None) == (args.people is None) or len(args.strategy) > 1:
            parser.error('--choose needs --checkpoint or --people, and one strategy')
        if args.choose < 1:
            parser.error(f'--choose must be a number from 1, got {args.choose}')
        if args.regions or args.warm_start or len(args.seeds) > 1:
            parser.error('--regions, --warm-start and several --seeds are for simulations')
    if args.people is None and (args.finished or args.root or args.semi):
        parser.error('--finished, --root and --semi need --people')
    if args.people is not None and args.choose is None:
        parser.error('--people needs --choose N, the images of a round')


def choose_next(args: argparse.Namespace) -> int:
    options = cli.parse_options(args.cfg_options)
    model = run.load_model(
        args.config, args.checkpoint, device=args.device, cfg_options=options, dataset=args.dataset
    )
    chosen = labels.choose_images(
        model, userdata.read_data_file(args.dataset), args.strategy[0], args.choose, args.out,
        folder=args.images, passes=args.passes, seed=args.seeds[0],
    )  # fmt: skip
    images = f' --images {args.images}' if args.images else ''
    print(f'{len(chosen)} names written to {args.out}')
    print(f'next: {command("label")} export {args.dataset}{images} --list {args.out} '
          f'--config {args.config} --checkpoint {args.checkpoint}')  # fmt: skip
    return 0


def load_config(args: argparse.Namespace, ending: str) -> 'Config':
    """The config; its ``work_dir`` is the folder of the rounds, which ends so if none is given."""
    options = cli.parse_options(args.cfg_options)
    cfg = run.load_config(
        args.config, options=options, work_dir=args.work_dir, dataset=args.dataset
    )
    cfg.work_dir = cfg.work_dir if args.work_dir else f'{cfg.work_dir}_{ending}'
    return cfg


def with_people(args: argparse.Namespace) -> int:
    flags = [f'--{flag}' for flag in ('amp', 'deterministic') if getattr(args, flag)]
    flags += ['--semi', args.semi] if args.semi else []
    steps = labels.Steps(
        args.config, run.Launch(TOOLS), tuple(args.cfg_options),
        cli.parse_options(args.cfg_options), tuple(flags),
    )  # fmt: skip
    loop = labels.PeopleLoop(
        steps, Path(args.dataset), Path(load_config(args, 'people').work_dir), args.strategy[0],
        args.choose,
        images=args.images and Path(args.images), kind=args.people,
        root=args.root and Path(args.root), passes=args.passes, seed=args.seeds[0],
        device=args.device, command=typed_again(args.finished),
    )  # fmt: skip
    problem = loop.run(args.finished and Path(args.finished))
    refresh(loop.work_dir, pages.write_people_report)
    if problem is not None:
        step, log = problem
        print(f'error: the round failed in {step}, see {log}', file=sys.stderr)
    return 0 if problem is None else 1


def typed_again(finished: Optional[str]) -> str:
    """The command as it was typed, without ``--finished FILE``."""
    words = [word for word in sys.argv[1:] if not word.startswith('--finished=')]
    if finished in words and '--finished' in words:
        at = words.index('--finished')
        words[at : at + 2] = []
    return f'{command("active_learning")} {shlex.join(words)}'


def refresh(work_dir: Path, write: Optional[Callable[[Path], Path]] = None) -> None:
    """Sum up the rounds so far; what keeps the page from being written stops no round."""
    try:
        (write or pages.write_active_report)(work_dir)
    except USER_ERRORS as error:
        print(f'warning: no page: {message_of(error)}', file=sys.stderr, flush=True)


def main() -> int:
    args = parse_args()
    if args.people is not None:
        return with_people(args)
    if args.choose is not None:
        return choose_next(args)
    cfg, options = load_config(args, 'active'), cli.parse_options(args.cfg_options)
    work_dir, given = Path(cfg.work_dir), dict(strategies=args.strategy)
    given.update({name: getattr(args, name) for name in ('seeds', 'rounds', 'budget')})
    plan = labels.Plan(
        config=args.config, dataset=args.dataset,
        **labels.settle(given, cfg.get('active_learning')),
        regions=args.regions, size=args.size, passes=args.passes, warm_start=args.warm_start,
        amp=args.amp, deterministic=args.deterministic, options=tuple(args.cfg_options),
    )  # fmt: skip
    failed = []
    if not args.report:
        pool = labels.Pool.of(userdata.read_data_file(args.dataset), args.regions, args.size)
        after = partial(refresh, work_dir)
        failed = labels.Rounds(plan, work_dir, pool, run.Launch(TOOLS), options, after).run()
    print(labels.as_text(labels.summarise(labels.read_plan(work_dir), work_dir)))
    for failure in failed:
        print(f'error: {failure.round.title} failed in {failure.step}, see {failure.log}',
              file=sys.stderr)  # fmt: skip
    page = pages.write_active_report(work_dir)
    print(f'written to {short_path(work_dir / labels.SUMMARY)} and {short_path(page)}')
    return 1 if failed else 0


if __name__ == '__main__':
    cli.run_tool(main)
