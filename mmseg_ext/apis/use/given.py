"""What a user names to predict: a model, and images.

A model is one word, or a config and its checkpoint, which are two.
"""

import glob
import logging
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, TextIO

from mmengine.logging import print_log

from ...core.files import PathLike, placed
from ...core.words import did_you_mean, nearest
from ..config.written import configs_folder
from ..deploy import is_exported, load_exported
from ..predict import find_images
from ..predict.video import VIDEOS
from ..run.config import load_config
from ..run.folder import RunFolder
from ..run.load import load_model
from ..run.outcome.listing import FOLDERS, LISTING
from ..run.testing import chosen_checkpoint

_CHECKPOINTS = ('.pth', '.pt', '.ckpt')


@dataclass(frozen=True)
class Given:
    """A model as it was named.

    Args:
        config: The config file.
        checkpoint: The checkpoint file; ``None`` if the model needs none.
        inputs: The words that follow it.
    """

    config: str
    checkpoint: Optional[str]
    inputs: tuple[str, ...]

    def __str__(self) -> str:
        return self.config if self.checkpoint is None else f'{self.config} and {self.checkpoint}'

    def load(self, **options: Any) -> Any:
        """Load it; ``options`` are arguments of ``load_model``."""
        return load_model(self.config, str(self.checkpoint), **options)


class Exported(Given):
    """A file of ``tools/export.py``, which needs no checkpoint."""

    def load(self, **options: Any) -> Any:
        """Load it; it has no config that options could change.

        Raises:
            ValueError: If an option asks for what a file cannot do.
        """
        for option, value in options.items():
            if value and (option, value) not in (('device', 'auto'), ('device', 'cpu')):
                why = 'runs on the CPU' if option == 'device' else 'has no config'
                name = option.replace('_', '-')
                raise ValueError(f'{self.config} {why}: leave --{name} out')
        return load_exported(self.config)


def find_model(words: Sequence[str], *, dataset: Optional[PathLike] = None) -> Given:
    """Find out which of the words name the model.

    Args:
        words: A work folder; or a config, a file or its name, whose best checkpoint is in its work
            folder; or one of these and a checkpoint; or a file of ``tools/export.py``. Then inputs.
        dataset: Data set file that the config was trained with.

    Raises:
        FileNotFoundError: If there is no such config or checkpoint.
        ValueError: If the words name no model.
    """
    if not words:
        raise ValueError('name a model, and what it is to predict')
    first, *rest = words
    if is_exported(first):
        if rest and _is_checkpoint(rest[0]):
            raise ValueError(f'{first} holds its weights: leave {rest[0]} out')
        return Exported(first, None, tuple(rest))
    if Path(first).is_dir():
        found, chosen = _of_folder(Path(first))
        if rest and _is_checkpoint(rest[0]):
            return Given(found, rest[0], tuple(rest[1:]))
        return Given(found, chosen, tuple(rest))
    config = config_file(first)
    if rest and _is_checkpoint(rest[0]):
        return Given(config, rest[0], tuple(rest[1:]))
    cfg = load_config(config, dataset=dataset)
    try:
        return Given(config, str(chosen_checkpoint(RunFolder.of(cfg), cfg)), tuple(rest))
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{error}: give a checkpoint after {first}') from error


def config_file(name: str) -> str:
    """Return the file of a config that is given by its path, as ``package::path``, or by name.

    Raises:
        FileNotFoundError: If the package has no config of this name.
        ValueError: If it has several.
    """
    if '::' in name or Path(name).suffix == '.py' or Path(name).exists():
        return name
    root = configs_folder()
    files = {p.relative_to(root).with_suffix('').as_posix(): p for p in root.rglob('*.py')}
    files = {key: path for key, path in files.items() if '_base_' not in path.parts}
    found = [key for key in files if key == name or key.rpartition('/')[2] == name]
    if len(found) == 1:
        return str(files[found[0]])
    if found:
        raise ValueError(f'{name} is the name of several configs: {", ".join(sorted(found))}')
    hint = did_you_mean(nearest(name, [key.rpartition('/')[2] for key in files]))
    raise FileNotFoundError(
        f'no work folder, config file or name of a config is {name}{hint and f"; {hint}"}'
    )


def _is_checkpoint(word: str) -> bool:
    """Whether a word names a checkpoint; torch writes archives, and no image is one."""
    if Path(word).suffix.lower() in _CHECKPOINTS:
        return True
    return Path(word).is_file() and zipfile.is_zipfile(word)


def _of_folder(path: Path) -> tuple[str, str]:
    """Return the config of a run, and the tested checkpoint, or that which a test would take."""
    folder = RunFolder(path)
    tested = folder.results_file().is_file()
    cfg = folder.tested_config(folder.results().config) if tested else folder.training_config(None)
    if cfg is None:
        raise ValueError(f'{path} is the work folder of no run: it holds no config')
    return str(cfg.filename), str(chosen_checkpoint(RunFolder.of(cfg, path), cfg))


def find_inputs(
    words: Sequence[str], *, listed: Optional[TextIO] = None, out: Optional[PathLike] = None
) -> list[Path]:
    """List the images and videos that words name: files, folders, patterns, and ``-`` for a list.

    Args:
        words: As on the command line. A pattern such as ``photos/*.jpg`` or ``data/**/*.tif`` is
            resolved here where the shell did not.
        listed: The list for ``-``, a file or folder in each line; standard input by default.
        out: Folder that will be written to. What an earlier call wrote there is no input, unless it
            is named itself.

    Raises:
        FileNotFoundError: If an input does not exist, or nothing fits a pattern.
        ValueError: If a folder or the list holds no image, or there is no input.
    """
    if not words:
        raise ValueError('name images, folders or patterns to predict after the model')
    inputs: list[str] = []
    for word in words:
        inputs += _lines(listed or sys.stdin) if word == '-' else _fitting(word)
    found = find_images(inputs, also=VIDEOS)
    named = {placed(word) for word in words}
    return found if out is None else _without_results(found, Path(out), named)


def _without_results(found: list[Path], out: Path, named: set[Path]) -> list[Path]:
    """Leave out what an earlier call wrote.

    Raises:
        ValueError: If nothing else is there.
    """
    if not (out / LISTING).is_file():
        return found
    own = {placed(out / kind) for kind in FOLDERS}
    kept = [path for path in found if placed(path) in named or not own & {*placed(path).parents}]
    if not kept:
        raise ValueError(f'the inputs are nothing but results in {out}: name images')
    if len(kept) < len(found):
        number = len(found) - len(kept)
        text = f'{number} files are results of an earlier prediction in {out}: left out'
        print_log(text, 'current', logging.WARNING)
    return kept


def _lines(listed: TextIO) -> list[str]:
    found = [line.rstrip('\r\n') for line in listed]
    found = [line for line in found if line.strip()]
    if not found:
        raise ValueError('-: the list on standard input names no image')
    return found


def _fitting(word: str) -> list[str]:
    """Return what fits a pattern; a file that is called so comes first."""
    if Path(word).exists() or not glob.has_magic(word):
        return [word]
    found = sorted(path for path in glob.glob(word, recursive=True) if Path(path).is_file())
    if not found:
        raise FileNotFoundError(f'no file fits the pattern {word}')
    return found
