"""Detection and reading of annotation files in a folder."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Optional

from ....core.files import path_below, read_foreign_json
from ....datasets.folder import IMAGE_SUFFIXES
from ..find.folders import data_files
from .coco import is_coco, read_coco, with_outlines
from .cvat import is_cvat, read_cvat, read_xml
from .drawn import Drawn, check_sizes, layers_of
from .label_studio import is_label_studio, read_label_studio
from .labelme import is_labelme, read_labelme
from .supervisely import is_supervisely, read_supervisely
from .yolo import Unread, is_yolo, read_yolo, read_yolo_file

# Test of a file's format, and reader of its objects.
_KINDS: tuple[tuple[Callable[[Any], bool], Callable[..., Optional[Drawn]]], ...] = (
    (is_coco, read_coco),
    (is_labelme, read_labelme),
    (is_cvat, read_cvat),
    (is_label_studio, read_label_studio),
    (is_supervisely, read_supervisely),
    (is_yolo, read_yolo),
)
_READERS = {
    '.json': read_foreign_json, '.xml': read_xml, '.txt': read_yolo_file, '.yaml': read_yolo_file,
    '.yml': read_yolo_file, '.names': read_yolo_file,
}  # fmt: skip


def find_annotations(root: Path, own: Sequence[Path] = ()) -> Optional[Drawn]:
    """Read the annotations of a folder's images in the format of COCO or of a labelling tool.

    Args:
        root: The folder.
        own: Folders that init writes itself.

    Returns:
        The annotated images; ``None`` if there are no such files.

    Raises:
        ValueError: If a file contradicts itself, or the images.
    """
    paths = [path_below(path, root) for path in data_files(root, own)]
    images = [path for path in paths if path.lower().endswith(IMAGE_SUFFIXES)]
    contents = {path: _content(root / path) for path in paths}
    for is_kind, read in _KINDS:
        files = {path: content for path, content in contents.items() if is_kind(content)}
        if files:
            _refuse_broken(root, contents)
            files, left = with_outlines(files) if read is read_coco else (files, [])
            try:
                drawn = read(files, images)
            except ValueError as error:
                raise ValueError(f'{root}: {error}') from error
            if drawn is None:
                continue
            check_sizes(drawn, root)
            used = sorted(path for path in files if not isinstance(files[path], Unread))
            shown = ', '.join(used[:3]) + (' and more' if len(used) > 3 else '')
            layers = layers_of(drawn)
            top = 'the later one' if len(layers) > 1 else 'the smaller one'
            text = (
                f'masks are painted from {shown}; where objects overlap, {top} is on '
                'top, and what none covers is background'
            )
            return drawn._replace(notes=[text, *left, *drawn.notes])
    return None


def _refuse_broken(root: Path, contents: dict[str, Any]) -> None:
    """Refuse JSON files that are none: objects would be missing without a word.

    Raises:
        ValueError: If there is one.
    """
    broken = [p for p, known in contents.items() if known is None and p.lower().endswith('.json')]
    if broken:
        more = f' and {len(broken) - 1} more' if len(broken) > 1 else ''
        raise ValueError(
            f'{root / broken[0]}{more}: cannot be read as JSON: export it anew, or take it away'
        )


def _content(path: Path) -> Any:
    read = _READERS.get(path.suffix.lower())
    return None if read is None else read(path)
