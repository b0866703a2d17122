"""Formats of annotations that are known and not read: their names, and what to export instead."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional
from xml.etree.ElementTree import Element

from ...core.files import read_foreign_json
from .find.folders import data_files
from .outlines.cvat import read_xml

_BRUSH = re.compile(r'task-\d+-annotation-\d+-by-.*\.(png|npy)$')
_COCO = 'export it as COCO JSON, or as PNG masks'


@contextmanager
def naming_unread(root: Path, own: Sequence[Path] = ()) -> Iterator[None]:
    """Where no images and masks are found, name the format of what is there, if it is known.

    Raises:
        ValueError: As the block, or with that name.
    """
    try:
        yield
    except ValueError as error:
        unread = unread_format(root, own)
        if unread is None:
            raise
        raise ValueError(unread) from error


def unread_format(root: Path, own: Sequence[Path] = ()) -> Optional[str]:
    """Name the format of the annotations below a folder, with the remedy; ``None`` if unknown.

    Args:
        root: The folder.
        own: Folders that init writes itself.
    """
    paths = data_files(root, own)
    for end, read, kinds in (('.json', read_foreign_json, _JSON), ('.xml', read_xml, _XML)):
        for path in (path for path in paths if path.suffix.lower() == end):
            content: Any = read(path)
            if content is None and end == '.json':
                return f'{path}: cannot be read as JSON: export it anew, or take it away'
            for is_kind, name, remedy in kinds:
                if content is not None and is_kind(content):
                    return f'{path}: {name} is not read: {remedy}'
    if any(_BRUSH.match(path.name) for path in paths):
        return (
            f"{root}: Label Studio's brush masks in PNG name no images: "
            'choose "JSON" in its export'
        )
    ends = Counter(_end(path) for path in paths)
    for end, remedy in _FILES.items():
        if ends[end]:
            return f'{root}: {ends[end]} files *{end} are not read: {remedy}'
    return None


def _end(path: Path) -> str:
    return ''.join(path.suffixes[-2:]).lower() if path.suffix == '.gz' else path.suffix.lower()


def _entries(content: Any) -> list[dict]:
    """The entries of a list, or the values of a dict, if all are dicts."""
    items = list(content.values()) if isinstance(content, dict) else content
    whole = isinstance(items, list) and all(isinstance(item, dict) for item in items)
    return items if whole else []


def _has(content: Any, *keys: str) -> bool:
    return isinstance(content, dict) and all(key in content for key in keys)


def _each_has(content: Any, *keys: str) -> bool:
    entries = _entries(content)
    return bool(entries) and all(_has(entry, *keys) for entry in entries)


def _is_via(content: Any) -> bool:
    known = content.get('_via_img_metadata') if isinstance(content, dict) else None
    return _each_has(known or content, 'filename', 'regions')


def _is_minimal(content: Any) -> bool:
    return isinstance(content, list) and _each_has(content, 'annotation_id', 'annotator')


def _is_datumaro(content: Any) -> bool:
    return _has(content, 'categories', 'items') and isinstance(content['categories'], dict)


def _holds(tag: str, inner: str) -> Callable[[Element], bool]:
    return lambda content: content.tag == tag and content.find(inner) is not None


Kinds = tuple[tuple[Callable[[Any], bool], str, str], ...]

_JSON: Kinds = (
    (_is_via, 'JSON of the VGG Image Annotator', 'export it in COCO format, as VIA 2 can'),
    (_is_minimal, "Label Studio's JSON-MIN", 'choose "JSON" in its export'),
    (
        _is_datumaro,
        "datumaro's own JSON",
        'export COCO 1.0, or run datum convert -i FOLDER -if datumaro -f coco_instances -- '
        '--save-media',
    ),
    (
        lambda content: _has(content, 'imgHeight', 'imgWidth', 'objects'),
        'polygons of Cityscapes, without masks,',
        'paint them with csCreateTrainIdLabelImgs of cityscapesscripts',
    ),
    (
        lambda content: _has(content, 'project_name', 'export_format_version', 'images'),
        'JSON of Hasty',
        _COCO,
    ),
    (lambda content: _has(content, 'version', 'item', 'annotations'), 'JSON of V7 Darwin', _COCO),
    (lambda content: _has(content, 'metadata', 'instances'), 'JSON of SuperAnnotate', _COCO),
    (
        lambda content: isinstance(content, list) and _each_has(content, 'data_row', 'projects'),
        'JSON of Labelbox',
        _COCO,
    ),
    (
        lambda content: isinstance(content, list) and _each_has(content, 'image', 'annotations'),
        'JSON of CreateML',
        f'it holds boxes, and no masks can be made; if there are outlines, {_COCO}',
    ),
)
_XML: Kinds = (
    (
        _holds('annotation', 'object/polygon'),
        'XML of the first LabelMe',
        'run datum convert -i FOLDER -if label_me -f coco_instances -- --save-media',
    ),
    (
        _holds('annotation', 'object/bndbox'),
        'XML of PASCAL VOC',
        f'it holds boxes, and no masks can be made; if there are outlines, {_COCO}',
    ),
)
_ARRAYS = 'save the arrays as PNG or TIFF files in images/ and masks/'
_VOLUMES = 'convert the volumes to NIfTI (.nii.gz), for example with SimpleITK'
_FILES = {
    '.parquet': 'save the images and masks in them as PNG files in images/ and masks/',
    '.arrow': 'save the images and masks in them as PNG files in images/ and masks/',
    '.tfrecord': _COCO,
    '.ndjson': _COCO,
    '.dcm': 'convert the series to NIfTI, for example with dcm2niix',
    '.mha': _VOLUMES,
    '.nrrd': _VOLUMES,
    '.npy': _ARRAYS,
    '.npz': _ARRAYS,
    '.h5': _ARRAYS,
    '.mat': _ARRAYS,
}
