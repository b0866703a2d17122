"""Record every config's network and settings; compare two records: did a rebuild change anything?

python tools/dev/compare_networks.py record before.json --configs /path/to/old/configs
python tools/dev/compare_networks.py record after.json
python tools/dev/compare_networks.py compare before.json after.json --renamed renames.yml

A record has a line of JSON for each config in a folder of configs/ whose name does not begin with
``_``: its settings, and of its network the number of parameters, the names, shapes and types in the
state dict, the weights that it draws under one seed, the logits of a test step and the losses of a
training step. Nothing is downloaded. Networks that cannot be built here are recorded with the
reason. The same command goes on after a kill. To record older code, start this file with PYTHONPATH
set to the folder that holds that code's mmseg_ext.

The renames are lines ``old/config: new/config``, ``OldClass: NewClass`` or ``old_key: new_key``.
What they name is no difference.

Exit status: 1 if anything differs, 2 if what was given cannot be used.
"""

import argparse
import gc
import json
import sys
import time
from collections.abc import Sequence
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import mmseg_ext  # before config_facts, which imports what mmcv-lite alone breaks

sys.path.insert(0, str(Path(__file__).resolve().parent))

from compare_records import Entry, UnusableError, compare, read_names, rename
from config_facts import digest, facts_of

FORMAT = 1
ROOT = Path(mmseg_ext.__file__).resolve().parents[1]
MODULES = ('torch', 'mmengine', 'mmseg', 'numpy')


def record(out: Path, folder: Path, match: str = '') -> None:
    """Record the configs of a folder, or those that an earlier call did not come to.

    Args:
        out: The record.
        folder: Has a folder for each paper.
        match: Part of the names to record, such as ``mfp/``.

    Raises:
        UnusableError: If there is no such config, or ``out`` is a record of something else.
    """
    found = {name: path for name, path in configs_of(folder).items() if match in name}
    if not found:
        raise UnusableError(f'{folder}/*/ holds no config with {match!r} in its name')
    done = _begin(out, _head(folder, len(found)))
    for number, name in enumerate(found, 1):
        if name in done:
            continue
        start = time.time()
        facts = facts_of(found[name], folder)
        with out.open('a') as file:
            file.write(json.dumps(dict(config=name, **facts)) + '\n')
        gc.collect()
        why = facts['network'].get('not built')
        line = f'[{number}/{len(found)}] {time.time() - start:.1f} s {name}'
        print(f'{line}: not built: {why}' if why else line, flush=True)


def configs_of(folder: Path) -> dict[str, Path]:
    """Find the configs that are no bases, by their path without ``.py``."""
    return {
        f'{path.parent.name}/{path.stem}': path
        for path in sorted(folder.glob('*/*.py'))
        if not path.name.startswith('_') and not path.parent.name.startswith('_')
    }


def _head(folder: Path, count: int) -> dict[str, Any]:
    """Say what is recorded, and with what."""
    installed = packages_distributions()  # a module may be of a fork with another name
    code = [*(ROOT / 'mmseg_ext').rglob('*.py'), *folder.rglob('*.py'), *folder.rglob('*.txt')]
    return dict(
        format=FORMAT,
        count=count,
        code=digest(b''.join(path.read_bytes() for path in sorted(code))),
        tool=digest(Path(__file__).with_name('config_facts.py').read_bytes()),
        **{name: version(name) for module in MODULES for name in installed[module]},
    )


def _begin(out: Path, head: dict[str, Any]) -> set[str]:
    """Begin a record, or cut what a kill left half-written; returns the configs it has."""
    if not out.exists() or not out.read_bytes():
        out.write_text(json.dumps(head) + '\n')
        return set()
    before, entries = read_record(out)
    changed = [key for key in head if head[key] != before.get(key)]
    if changed:
        raise UnusableError(
            f'{out} was recorded with another {", ".join(changed)}: give a new file, or delete it'
        )
    with out.open('r+b') as file:
        file.truncate(file.read().rindex(b'\n') + 1)
    return set(entries)


def read_record(path: Path) -> tuple[dict[str, Any], dict[str, Entry]]:
    """Read what was recorded with what, and each config's entry.

    Raises:
        UnusableError: If the file is no record of this format.
    """
    try:
        lines = path.read_text().splitlines(keepends=True)
        head, *entries = (json.loads(line) for line in lines if line.endswith('\n'))
        if head['format'] == FORMAT:
            return head, {entry.pop('config'): entry for entry in entries}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnusableError(f'{path} is no record ({type(error).__name__})') from error
    raise UnusableError(f'{path} is a record of format {head["format"]}, not {FORMAT}')


def _compare(args: argparse.Namespace) -> int:
    """Print what differs; returns whether anything does."""
    records = []
    for path in (args.before, args.after):
        head, entries = read_record(path)
        if len(entries) != head['count']:
            raise UnusableError(f'{path} has {len(entries)} of {head["count"]} configs: record on')
        records.append((head, entries))
    (head, before), (head_after, after) = records
    for key in dict.fromkeys((*head, *head_after)):
        then, now = head.get(key, 'none'), head_after.get(key, 'none')
        if then != now and key not in ('code', 'count'):
            print(f'note: recorded with {key} {then} -> {now}')
    if args.renamed:
        before = rename(before, read_names(args.renamed))
    result = compare(before, after)
    counts = [f'{len(before)} configs before, {len(after)} after', *result.counts()]
    print(*result.lines, *(result.variables if args.variables else ()), *counts, sep='\n')
    return int(bool(result.lines))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parsers = parser.add_subparsers(dest='command', required=True)
    part = parsers.add_parser('record', help='write a record, or go on with one')
    part.add_argument('out', type=Path)
    part.add_argument('--configs', type=Path, default=ROOT / 'configs', help='folder of all papers')
    part.add_argument('--match', default='', help='only configs with this in folder/name')
    part = parsers.add_parser('compare', help='print what differs between two records')
    part.add_argument('before', type=Path)
    part.add_argument('after', type=Path)
    part.add_argument('--renamed', type=Path, help='YAML of what is called otherwise now')
    part.add_argument('--variables', action='store_true',
                      help='also list variables of config files that no program reads')  # fmt: skip
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        if args.command == 'compare':
            return _compare(args)
        print(f'{args.configs} with {ROOT / "mmseg_ext"}', flush=True)
        record(args.out, args.configs, args.match)
    except UnusableError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
