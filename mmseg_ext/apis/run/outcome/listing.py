"""Read ``predictions.json``, in which ``tools/predict.py`` lists the files that it wrote.

The file may have been edited or may come from a stranger, so the outputs that it names must lie in
its folder.
"""

from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from ....core.files import PathLike, read_json

LISTING = 'predictions.json'
FOLDERS = ('masks', 'overlays', 'prob', 'uncertainty', 'entropy', 'bald', 'areas')  # beside it
_OUTPUTS = ('mask', 'overlay', 'prob', 'uncertainty', 'entropy', 'bald')


def read_predictions(path: PathLike) -> dict[str, Any]:
    """Read a list of predictions.

    Args:
        path: The file.

    Returns:
        ``classes``, ``palette`` and ``images``. Each entry of ``images`` has ``image`` and the
        paths of its outputs, relative to the folder of the file.

    Raises:
        ValueError: If the file is damaged, is no such list, or names an output outside its folder.
    """
    content = read_json(path)
    if not isinstance(content.get('images'), list):
        raise ValueError(f'{path} is no list of predictions: run tools/predict.py again')
    _check_classes(content, path)
    for number, entry in enumerate(content['images'], start=1):
        _check_entry(entry, f'{path}, image {number}')
    return content


def _check_classes(content: dict[str, Any], path: PathLike) -> None:
    classes, palette = content.get('classes'), content.get('palette')
    named = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    colored = isinstance(palette, list) and all(map(_is_color, palette))
    if not named or not classes or not colored or len(palette or ()) < len(classes):
        raise ValueError(
            f'{path}: classes and palette must be names and as many RGB colors: run '
            'tools/predict.py again'
        )


def _is_color(value: Any) -> bool:
    numbers = isinstance(value, list) and len(value) == 3
    return numbers and all(isinstance(part, int) and 0 <= part <= 255 for part in value)


def _check_entry(entry: Any, where: str) -> None:
    if not isinstance(entry, dict) or not isinstance(entry.get('image'), str):
        raise ValueError(f'{where}: names no image: run tools/predict.py again')
    if '\0' in entry['image'] or 'mask' not in entry:
        raise ValueError(f'{where}: has no image or no mask: run tools/predict.py again')
    for kind in _OUTPUTS:
        if kind in entry and not is_inside(entry[kind]):
            raise ValueError(
                f'{where}: {kind} is {entry[kind]!r}, which must be a file below the folder of the '
                'list: run tools/predict.py again'
            )


def is_inside(name: Any) -> bool:
    """Whether a path stays inside the folder that it is joined to, on any operating system."""
    if not isinstance(name, str) or not name or '\0' in name:
        return False
    parts: list[str] = [*PurePosixPath(name).parts, *PureWindowsPath(name).parts]
    rooted = PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor
    return not rooted and '..' not in parts
