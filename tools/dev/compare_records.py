"""What differs between two records of configs, and what is called otherwise only."""

import collections
import functools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

NETWORK = ('parameters', 'trainable', 'keys', 'weights', 'logits', 'losses')
# Top-level names that something reads; all others are a file's own variables.
READ = {
    'activation_checkpointing', 'compile', 'crop_size', 'custom_hooks', 'custom_imports',
    'default_hooks', 'default_scope', 'efficient_conv_bn_eval', 'env_cfg',
    'find_unused_parameters', 'fold_pool', 'init_note', 'launcher', 'load_from', 'log_level',
    'log_processor', 'max_epochs', 'max_iters', 'metainfo', 'model', 'model_wrapper_cfg',
    'optim_wrapper', 'param_scheduler', 'randomness', 'resume', 'runner_type', 'sync_bn',
    'test_cfg', 'test_dataloader', 'test_evaluator', 'test_pipeline', 'train_cfg',
    'train_dataloader', 'train_images', 'tta_model', 'tta_pipeline', 'val_cfg', 'val_dataloader',
    'val_evaluator', 'val_interval', 'visualizer', 'work_dir',
}  # fmt: skip

Entry = dict[str, dict[str, str]]  # 'network' and 'settings' of a config


class UnusableError(ValueError):
    """What was given cannot be used."""


class Comparison:
    """Lines that tell differences, and counts.

    Attributes:
        lines: One for each difference.
        equal: By ``parameters`` ... ``settings``: configs that are equal in it.
        compared: And how many have it in both records.
        variables: Lines of differences in what no program reads.
        not_built: Networks that could be built in neither record.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.variables: list[str] = []
        self.equal: collections.Counter[str] = collections.Counter()
        self.compared: collections.Counter[str] = collections.Counter()
        self.not_built = 0

    def add(self, name: str, before: Entry, after: Entry) -> None:
        """Compare two entries of one config."""
        self._networks(name, before['network'], after['network'])
        found = list(_changes(before['settings'], after['settings']))
        read = [f'{name}: {line}' for key, line in found if key.split('.')[0] in READ]
        self.variables += [
            f'{name}: {line}' for key, line in found if key.split('.')[0] not in READ
        ]
        self._count('settings', not read)
        self.lines += read

    def _networks(self, name: str, before: dict[str, str], after: dict[str, str]) -> None:
        key = 'not built'
        if key in before and key in after:
            self.not_built += 1
        elif key in before or key in after:
            self.lines.append(f'{name}: {key}: {before.get(key, "no")} -> {after.get(key, "no")}')
        else:
            for kind in NETWORK:
                self._fact(f'{name}: {kind}', kind, before[kind], after[kind])

    def _fact(self, name: str, kind: str, before: str, after: str) -> None:
        missing = [text.startswith('none:') for text in (before, after)]
        if not all(missing):
            self._count(kind, before == after and not any(missing))
        if before != after and not all(missing):
            self.lines.append(f'{name}: {before} -> {after}')

    def _count(self, kind: str, equal: bool) -> None:
        self.compared[kind] += 1
        self.equal[kind] += equal

    def counts(self) -> list[str]:
        """Say how many are equal."""
        kinds = (*NETWORK, 'settings')
        return [
            *(f'{kind}: {self.equal[kind]} of {self.compared[kind]} equal' for kind in kinds),
            f'not built, before and after: {self.not_built}',
            f'differences in variables of configs, which no program reads: {len(self.variables)}',
            f'differences: {len(self.lines)}',
        ]


def _changes(before: dict[str, str], after: dict[str, str]) -> Iterator[tuple[str, str]]:
    for key in dict.fromkeys([*before, *after]):
        if before.get(key) != after.get(key):
            texts = [record.get(key, '(absent)') for record in (before, after)]
            yield key, f'{key}: {" -> ".join(_parts(texts))}'


def _parts(texts: list[str], limit: int = 200) -> list[str]:
    """Cut long texts to where they differ."""
    same = len(os.path.commonprefix(texts)) - 40 if max(map(len, texts)) > limit else 0
    cut = [f'...{text[same:]}' if same > 0 else text for text in texts]
    return [text if len(text) <= limit else f'{text[:limit]}...' for text in cut]


def compare(before: dict[str, Entry], after: dict[str, Entry]) -> Comparison:
    """Compare the entries of two records, by name."""
    result = Comparison()
    for name in sorted({*before, *after}):
        if name in before and name in after:
            result.add(name, before[name], after[name])
        else:
            result.lines.append(f'{name}: {"vanished" if name in before else "appeared"}')
    return result


def rename(entries: dict[str, Entry], names: dict[str, str]) -> dict[str, Entry]:
    """Give an older record its new names.

    Args:
        entries: By config.
        names: Old to new: configs, which have a slash, and words of settings, as in
            :func:`read_names`. Runs are called after their config, so that its name is one, too.

    Raises:
        UnusableError: If an old config is not there, or a new name is that of another config.
    """
    configs = {old: new for old, new in names.items() if '/' in old}
    for old in configs:
        if old not in entries:
            raise UnusableError(f'the renames have {old}, and no such config was recorded before')
    stems = {Path(old).name: Path(new).name for old, new in configs.items()}
    words = {old: new for old, new in names.items() if '/' not in old}
    replace = _replacer({**stems, **words})
    renamed: dict[str, Entry] = {
        configs.get(name, name): dict(
            network=entry['network'],
            settings={replace(key): replace(text) for key, text in entry['settings'].items()},
        )
        for name, entry in entries.items()
    }
    if len(renamed) < len(entries):
        raise UnusableError('the renames give two configs one name')
    return renamed


def _replacer(names: dict[str, str]) -> Callable[[str], str]:
    if not names:
        return str
    pattern = re.compile(rf'\b({"|".join(map(re.escape, names))})\b')
    return functools.partial(pattern.sub, lambda found: names[found[0]])


def read_names(path: Path) -> dict[str, str]:
    """Read what is called otherwise now: ``old/config: new/config``, ``OldClass: NewClass``.

    Raises:
        UnusableError: If the file holds anything else.
    """
    try:
        names = yaml.safe_load(path.read_text()) or {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UnusableError(f'{path} cannot be read ({type(error).__name__})') from error
    if isinstance(names, dict) and all(
        isinstance(name, str) for pair in names.items() for name in pair
    ):
        return names
    raise UnusableError(f'{path} must hold lines "old: new" and nothing else')
