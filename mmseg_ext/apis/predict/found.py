"""List the image files that a user names."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmengine.logging import print_log

from ...core.files import PathLike, placed
from ...datasets.folder import IMAGE_SUFFIXES

SUFFIXES = tuple(sorted({*IMAGE_SUFFIXES, '.ppm'}))


def find_images(inputs: Iterable[PathLike], *, also: Sequence[str] = ()) -> list[Path]:
    """List image files; each input is a file, or a folder to search with its subfolders.

    A named file may have any suffix. A folder gives the files with ``SUFFIXES``, sorted; the log
    names its other files. Hidden files are left out.

    Args:
        inputs: Files and folders.
        also: More suffixes that files in folders may have.

    Raises:
        FileNotFoundError: If an input does not exist.
        ValueError: If a folder holds no image.
    """
    found: dict[Path, Path] = {}  # a file may be named in several ways
    for item in map(Path, inputs):
        if item.is_dir():
            for path in _images_of(item, (*SUFFIXES, *also)):
                found.setdefault(placed(path), path)
        elif item.exists():
            found.setdefault(placed(item), item)
        else:
            raise FileNotFoundError(f'input {item} does not exist')
    return list(found.values())


def _images_of(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    inside = sorted(path for path in folder.rglob('*') if not path.is_dir())
    inside = [path for path in inside if not _is_hidden(path.relative_to(folder))]
    images = [path for path in inside if path.suffix.lower() in suffixes and path.is_file()]
    others = [path for path in inside if path not in set(images)]
    known = ', '.join(suffixes)
    if not images:
        left = f' but {_named(others)}' if others else ''
        raise ValueError(f'folder {folder} holds no image ({known}){left}')
    if others:
        print_log(
            f'left out of {folder}, no image ({known}): {_named(others)}',
            'current',
            logging.WARNING,
        )
    return images


def _is_hidden(inner: Path) -> bool:
    return any(part.startswith('.') for part in inner.parts) or inner.name == 'Thumbs.db'


def _named(paths: Sequence[Path], limit: int = 5) -> str:
    """Count files by ending and name the first ones."""
    endings = Counter(path.suffix.lower() or 'no ending' for path in paths)
    counts = ', '.join(f'{count} {ending}' for ending, count in endings.most_common(limit))
    more = ', ...' if len(paths) > limit else ''
    return f'{counts} ({", ".join(str(path) for path in paths[:limit])}{more})'
