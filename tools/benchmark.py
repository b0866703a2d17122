"""Time this package against the code that it replaces.

python tools/benchmark.py deform_conv --threads 2      against mmcv's compiled operator, or im2col
python tools/benchmark.py metric --threads 1           against mmseg's IoUMetric
python tools/benchmark.py crf --threads 1              against pydensecrf2, with and without pruning
python tools/benchmark.py attentions                   against a copy of the map
python tools/benchmark.py upsamplers                   against bilinear interpolation
python tools/benchmark.py inference --configs OURS.py REFERENCE.py   plain and fast forms
python tools/benchmark.py forms --configs A.py RUN     the fast form and bfloat16, against mmseg
python tools/benchmark.py throughput --configs A.py    from files to masks, against other packages
python tools/benchmark.py evaluation --configs A.py    a test, against mmengine's and mmseg's
python tools/benchmark.py model --configs OURS.py REFERENCE.py --size 128 --batch 2
python tools/benchmark.py memory --configs A.py B.py   of a training step, with and without AMP
python tools/benchmark.py few_labels --threads 2       UniMatch's step, scores, k-centre, export
python tools/benchmark.py start                        --help of all tools, a training's first step
python tools/benchmark.py all                          all that docs/results shows, anew
python tools/benchmark.py --peers                      which peers are installed
"""

import argparse
import importlib
import shlex
import subprocess
import sys
from pathlib import Path

from mmseg_ext.apis import cli
from mmseg_ext.core.choices import BENCHMARKS
from mmseg_ext.core.files import read_json, write_json

MODULES = ('crf', 'few_labels', 'forms', 'memory', 'parts', 'start', 'throughput', 'timing')


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
    parser.add_argument('--out', type=Path, help='JSON file')
    parser.add_argument('--size', type=int, help='height and width in pixels')
    parser.add_argument('--batch', type=int, help='images per batch')
    parser.add_argument(
        '--configs',
        nargs='+',
        help='configs for model, inference (the last is the reference), memory, few_labels, start, '
        'evaluation, throughput and forms, which also takes folders of tested runs',
    )
    parser.add_argument(
        '--images', nargs='+', help='crf, forms, throughput: image files; default: synthetic images'
    )
    parser.add_argument(
        '--compile', action='store_true', default=None, help='forms: torch.compile, too; minutes'
    )
    parser.add_argument(
        '--amp', action='store_true', default=None, help='model, evaluation: bfloat16'
    )
    return cli.parse_args(parser)


def show(record: dict) -> None:
    versions = ', '.join(f'{name} {version}' for name, version in record['versions'].items())
    dirty = ' with uncommitted changes' if record['dirty'] else ''
    print(f'{record["hardware"]}; {record["threads"]} threads; Python {record["python"]}')
    print(f'{versions}; commit {(record["commit"] or "unknown")[:12]}{dirty}')
    print(f'medians of {record["repeats"]}; ratio = reference / ours, lowest..highest pair\n')
    kinds = {'cpu_s': show_start, 'images_per_second': show_throughput, 'peak': show_memory}
    for case in record['cases']:
        next((kinds[key] for key in kinds if key in case), show_times)(case)
    for note in record['notes']:
        print(note)


def show_times(case: dict) -> None:
    print(f'{case["case"]}  against  {case["reference"]}')
    print(
        f'  {case["ours_ms"]:.2f} ms against {case["reference_ms"]:.2f} ms: '
        f'ratio {case["ratio"]:.2f} ({case["ratio_lowest"]:.2f}..{case["ratio_highest"]:.2f}), '
        f'of processor time {case["ratio_cpu"]:.2f}'
    )
    if 'max_difference' in case:
        print(f'  largest difference {case["max_difference"]:.2g}')
    if 'equal_choice' in case:
        print(f'  the same choice: {case["equal_choice"]}')
    if 'label_agreement' in case:
        print(f'  equal labels {100 * case["label_agreement"]:.3f} %')
    for side, prefix in (('ours', ''), ('reference', 'reference_')):
        if f'{prefix}flops' in case:
            parameters, flops = case[f'{prefix}parameters'], case[f'{prefix}flops']
            print(f'  {side}: {parameters:,} parameters, {flops / 1e9:.4g} GFLOPs an image')


def show_memory(case: dict) -> None:
    print(
        f'{case["case"]}  on  {case["device"]}\n'
        f'  activations {case["activations"] / 1e9:.2f} GB, peak {case["peak"] / 1e9:.2f} '
        f'GB, {case["seconds_per_image"]:.3f} s an image'
    )


def show_throughput(case: dict) -> None:
    print(
        f'{case["case"]}, {case["network"]}\n  {case["images_per_second"]:.3g} images a second '
        f'({case["lowest"]:.3g}..{case["highest"]:.3g}); {case["parameters"]:,} parameters, '
        f'{case["flops"] / 1e9:.4g} GFLOPs an image'
    )
    if 'label_agreement' in case:
        print(f'  labels equal to those of mmseg {100 * case["label_agreement"]:.3f} %')


def show_start(case: dict) -> None:
    ours, theirs = (
        f'{case[f"{side}cpu_s"]:.2f} s ({case[f"{side}cpu_s_lowest"]:.2f}..'
        f'{case[f"{side}cpu_s_highest"]:.2f}), {case[f"{side}modules"]} modules'
        for side in ('', 'reference_')
    )
    print(f'{case["case"]}  against  {case["reference"]}')
    print(f'  processor time {ours} against {theirs}: ratio {case["ratio_cpu"]:.2f}')


def show_peers() -> None:
    from mmseg_ext.apis.bench.peers import peers

    for peer in peers():
        state = peer.version or f'not installed: {peer.install}'
        print(f'{peer.package:<16} {state:<40} for {peer.of}')


def run_all() -> None:
    """Run the command of each file that the pages of speed are written from, again."""
    from mmseg_ext.apis.config.written import configs_folder

    root = configs_folder().parent
    files = sorted(configs_folder().glob('*/results/benchmark_*.json'))
    if not files:
        raise ValueError(
            f'{configs_folder()} holds no results/benchmark_*.json: run one with --out'
        )
    for number, path in enumerate(files, 1):
        words = shlex.split(read_json(path)['command'])
        print(f'[{number}/{len(files)}] {shlex.join(words)}', flush=True)
        subprocess.run([sys.executable, *words[1:]], cwd=root, check=True)


def main() -> None:
    args = parse_args()
    if args.peers:
        show_peers()
        return
    if args.name is None:
        raise ValueError(f'which benchmark? One of {", ".join(BENCHMARKS)} and all')
    if args.name == 'all':
        run_all()
        return
    for module in MODULES:  # each registers its own
        importlib.import_module(f'mmseg_ext.apis.bench.{module}')
    from mmseg_ext.apis.bench import timing

    settings = {
        name: getattr(args, name)
        for name in ('size', 'batch', 'configs', 'amp', 'images', 'compile')
        if getattr(args, name) is not None
    }
    owned = dict(
        configs=(
            'model',
            'inference',
            'memory',
            'few_labels',
            'start',
            'forms',
            'evaluation',
            'throughput',
        ),
        amp=('model', 'evaluation'),
        images=('crf', 'forms', 'throughput'),
        compile=('forms',),
    )
    for name, owners in owned.items():
        if name in settings and args.name not in owners:
            raise ValueError(f'--{name} belongs to {", ".join(owners)}, not to {args.name}')
    record = timing.run(args.name, threads=args.threads, repeats=args.repeats, **settings)
    record['command'] = f'python tools/benchmark.py {shlex.join(sys.argv[1:])}'
    show(record)
    if args.out is not None:
        write_json(args.out, record)
        print(f'\nwrote {args.out}')


if __name__ == '__main__':
    cli.run_tool(main)
