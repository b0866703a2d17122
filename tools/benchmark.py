"""Time this package against the code that it replaces.

python tools/benchmark.py deform_conv --threads 2      against mmcv's compiled operator, or im2col
python tools/benchmark.py metric --threads 1           against mmseg's IoUMetric
python tools/benchmark.py crf --threads 1              against pydensecrf2, with and without pruning
python tools/benchmark.py attentions                   against a copy of the map
python tools/benchmark.py upsamplers                   against bilinear interpolation
python tools/benchmark.py inference --configs OURS.py REFERENCE.py   plain and fast forms
python tools/benchmark.py forms --configs A.py RUN     our forms and other programs, against mmseg
python tools/benchmark.py throughput --configs A.py    from files to masks, against other packages
python tools/benchmark.py evaluation --configs A.py    a test, against mmengine's and mmseg's
python tools/benchmark.py model --configs OURS.py REFERENCE.py --size 128 --batch 2
python tools/benchmark.py memory --configs A.py B.py   of a training step, with and without AMP
python tools/benchmark.py few_labels --threads 2       UniMatch's step, scores, k-centre, export
python tools/benchmark.py growth                       labels against pixels, batch and classes
python tools/benchmark.py growth_data --count 100000   lists, folds, counts, check against images
python tools/benchmark.py training --repeats 3         images a second, against mmseg's form
python tools/benchmark.py losses --count 200           that training's losses, against its noise
python tools/benchmark.py operations                   losses, unpooling and others, against peers
python tools/benchmark.py ranks                        1 and 2 processes, and an estimate for more
python tools/benchmark.py report                       a table of 30 runs and its page
python tools/benchmark.py start                        --help of all tools, a training's first step
python tools/benchmark.py all                          all that docs/results shows, anew
python tools/benchmark.py all --out here/              the same into a folder; goes on where it was
python tools/benchmark.py --peers                      which peers are installed
"""

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Optional

from mmseg_ext.apis import cli
from mmseg_ext.core.choices import BENCHMARKS
from mmseg_ext.core.files import read_json, write_json


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('name', nargs='?', choices=(*BENCHMARKS, 'all'))
    parser.add_argument(
        '--peers',
        action='store_true',
        help='list the packages to compare with, and how to get them',
    )
    parser.add_argument('--threads', type=int, help='number of torch threads; default: unchanged')
    parser.add_argument('--repeats', type=int, default=7, help='number of timed calls of each side')
    parser.add_argument(
        '--count',
        type=int,
        help='growth_data: most images; training, losses, ranks: steps; report: runs',
    )
    parser.add_argument('--out', type=Path, help='JSON file; all: folder')
    parser.add_argument('--size', type=int, help='height and width in pixels')
    parser.add_argument('--batch', type=int, help='images per batch')
    parser.add_argument(
        '--configs',
        nargs='+',
        help='configs for model, inference (the last is the reference), memory, few_labels, start, '
        'evaluation, throughput, growth, training, losses, ranks and forms, which also takes '
        'folders of tested runs',
    )
    parser.add_argument(
        '--images',
        nargs='+',
        type=os.path.expandvars,  # so that a record names a file of any machine
        help='crf, forms, throughput: image files; default: synthetic images',
    )
    parser.add_argument(
        '--compile', action='store_true', default=None, help='forms: torch.compile, too; minutes'
    )
    parser.add_argument(
        '--amp', action='store_true', default=None, help='model, evaluation: bfloat16'
    )
    return cli.parse_args(parser)


def show(record: dict) -> None:
    from mmseg_ext.apis.bench.words import lines_of

    versions = ', '.join(f'{name} {version}' for name, version in record['versions'].items())
    dirty = ' with uncommitted changes' if record['dirty'] else ''
    print(f'{record["hardware"]}; {record["threads"]} threads; Python {record["python"]}')
    print(f'{versions}; commit {(record["commit"] or "unknown")[:12]}{dirty}')
    print(f'medians of {record["repeats"]}; ratio = reference / ours, lowest..highest pair\n')
    for case in record['cases']:
        print('\n'.join(lines_of(case)))
    for note in record['notes']:
        print(note)


def show_peers() -> None:
    from mmseg_ext.apis.bench.peers import peers

    for peer in peers():
        state = peer.version or f'not installed: {peer.install}'
        print(f'{peer.package:<28} {state:<40} for {peer.of}')


def run_all(folder: Optional[Path] = None) -> None:
    """Run the command of each file that the pages of speed are written from, again.

    A file that would lose rows here is left as it is, and so is one of other instructions than this
    processor has where a second file has the same command for these.

    Args:
        folder: Where the new files go, in folders as under ``configs``; those that it holds are not
            run again, and a command of two files runs once. None replaces the old ones.
    """
    from mmseg_ext.apis.bench.peers import other_instructions, reasons_to_keep
    from mmseg_ext.apis.config.written import configs_folder

    root = configs_folder().parent
    files = sorted(configs_folder().glob('*/results/benchmark_*.json'))
    if not files:
        raise ValueError(
            f'{configs_folder()} holds no results/benchmark_*.json: run one with --out'
        )
    records = [read_json(path) for path in files]
    commands = [_without_out(record['command']) for record in records]
    not_run = []
    for number, (path, record, command) in enumerate(zip(files, records, commands)):
        below = path.relative_to(root)  # the command that a file holds names no checkout
        out = below if folder is None else folder.resolve().joinpath(*below.parts[1:])
        reasons, seen = [], commands.index(command)
        if folder is None:
            reasons = reasons_to_keep(record)
            if commands.count(command) > 1:
                reasons += other_instructions(record)
        elif out.exists() or seen < number:
            why = f'its command is that of {files[seen].name}' if seen < number else 'is there'
            print(f'[{number + 1}/{len(files)}] {out}: {why}', flush=True)
            continue
        words = [*command, '--out', str(out)]
        print(f'[{number + 1}/{len(files)}] {shlex.join(words)}', flush=True)
        if reasons:
            not_run.append(f'{path.name} (not run: {"; ".join(reasons)})')
        elif subprocess.run([sys.executable, *words[1:]], cwd=root).returncode:
            not_run.append(f'{path.name} (failed, see above)')
    if not_run:
        raise RuntimeError(f'{len(not_run)} of {len(files)} are as they were: {", ".join(not_run)}')


def _without_out(command: str) -> list[str]:
    words = shlex.split(command)
    place = words.index('--out') if '--out' in words else len(words)
    return words[:place] + words[place + 2 :]


def main() -> None:
    args = parse_args()
    if args.peers:
        show_peers()
        return
    if args.name is None:
        raise ValueError(f'which benchmark? One of {", ".join(BENCHMARKS)} and all')
    if args.name == 'all':
        run_all(args.out)
        return
    from mmseg_ext.apis.bench import timing

    settings = {
        name: getattr(args, name)
        for name in ('size', 'batch', 'configs', 'amp', 'images', 'compile', 'count')
        if getattr(args, name) is not None
    }
    timing.load_all()
    refused = timing.foreign(args.name, settings)
    if refused:
        name, owners = refused
        raise ValueError(f'--{name} belongs to {", ".join(owners)}, not to {args.name}')
    record = timing.run(args.name, threads=args.threads, repeats=args.repeats, **settings)
    record['command'] = f'python tools/benchmark.py {shlex.join(sys.argv[1:])}'
    show(record)
    if args.out is not None:
        write_json(args.out, record)
        print(f'\nwrote {args.out}')


if __name__ == '__main__':
    cli.run_tool(main)
