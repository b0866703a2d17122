"""Label Studio: tasks with predicted masks for it, and its finished JSON back as masks.

Source: its import and export formats, https://labelstud.io/guide/tasks and
https://labelstud.io/guide/export: a brush is a result of type ``brushlabels`` with run lengths
(``userdata/outlines/brush.py``), one for each class, beside the size of its image. Images are
served from a folder of local files, as ``/data/local-files/?d=PATH``.
Shape letters: H row, W column.
"""

import json
import zipfile
from collections.abc import Iterable
from typing import Any, Optional
from urllib.parse import parse_qs, quote, urlsplit
from xml.sax.saxutils import quoteattr

from ...core.files import PathLike, replacing
from ..userdata.outlines.brush import encode_brush
from ..userdata.outlines.label_studio import latest, read_shape
from .exchange import Finished, LabelNames, Predicted, Returned

_FROM, _TO, _DATA = 'label', 'image', 'image'
_LOCAL = '/data/local-files/?d='


def interface(names: LabelNames) -> str:
    """The labelling interface for a data set's classes, as XML."""
    labels = ''.join(
        f'    <Label value={quoteattr(name)} background="#{r:02x}{g:02x}{b:02x}"/>\n'
        for name, (r, g, b) in names.shown()
    )
    return (
        f'<View>\n  <Image name="{_TO}" value="${_DATA}" zoom="true"/>\n'
        f'  <BrushLabels name="{_FROM}" toName="{_TO}">\n{labels}  </BrushLabels>\n</View>\n'
    )


def make_task(image: Predicted, names: LabelNames, *, prefix: str = '', version: str = '') -> dict:
    """A task of one image, its prediction as brushes.

    Args:
        image: What to label.
        names: Of the classes.
        prefix: Folder of the images as seen from the root of local files.
        version: Of the model that predicted.
    """
    path = f'{prefix}/{image.name}' if prefix else image.name
    task: dict[str, Any] = dict(data={_DATA: _LOCAL + quote(path), 'name': image.name})
    if image.label is not None:
        result = [
            _item(f'{index}', name, encode_brush(mask), image.size)
            for index, (name, mask) in enumerate(names.layers(image.label))
        ]
        prediction: dict[str, Any] = dict(model_version=version, result=result)
        if image.score is not None:
            prediction['score'] = image.score
        task['predictions'] = [prediction]
    return task


def _item(number: str, name: str, rle: bytes, size: tuple[int, int]) -> dict:
    return dict(
        id=f'brush{number}',
        type='brushlabels',
        from_name=_FROM,
        to_name=_TO,
        original_width=size[1],
        original_height=size[0],
        image_rotation=0,
        value=dict(format='rle', rle=list(rle), brushlabels=[name]),
    )


def write_tasks(path: PathLike, tasks: Iterable[dict]) -> int:
    """Write tasks as JSON, one after the other, whole or not at all; returns their number."""
    number = 0
    with replacing(path) as unfinished, unfinished.open('w', encoding='utf-8') as stream:
        stream.write('[')
        for task in tasks:
            text = json.dumps(task, ensure_ascii=False, separators=(',', ':'))
            stream.write(f'{"," if number else ""}\n{text}')
            number += 1
        stream.write('\n]\n')
    return number


def read_tasks(path: PathLike, names: LabelNames) -> Returned:
    """Read the finished JSON of a project.

    Of several annotations of an image, the one that was changed last counts; drafts, predictions
    and skipped ones do not.

    Args:
        path: What Label Studio exports as JSON.
        names: Of the data set's classes.

    Raises:
        ValueError: If it is another export, or a brush is damaged or of a class unknown to the
            data set; naming the file and the task.
    """
    if zipfile.is_zipfile(path):
        raise ValueError(
            f'{path}: a zip, as Label Studio exports masks as PNG or numpy; their names do not say '
            'which image they are of: export the project as JSON, and give that file'
        )
    found = Returned()
    for number, task in enumerate(_tasks_of(path)):
        where = f'{path}: task {task.get("id", number + 1)}'
        name = _name_of(task, where)
        annotation = latest(task, where)
        if annotation is None:
            found.waiting.append(name)
            continue
        finished = _read_annotation(annotation, name, names, f'{where} ({name})')
        if finished is None:
            found.waiting.append(name)
        else:
            found.finished.append(finished)
    return found


def _tasks_of(path: PathLike) -> list[dict]:
    try:
        with open(path, encoding='utf-8-sig') as stream:
            content = json.load(stream)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path}: no JSON ({error}): export the project as JSON') from error
    tasks = content if isinstance(content, list) else [content]
    if not all(isinstance(task, dict) and isinstance(task.get('data'), dict) for task in tasks):
        raise ValueError(
            f'{path}: no tasks of Label Studio, which have data and annotations: export the '
            'project as JSON, not as JSON-MIN or COCO'
        )
    return tasks


def _name_of(task: dict, where: str) -> str:
    """What the task says of its image: our own entry, else the address."""
    data = task['data']
    if isinstance(data.get('name'), str):
        return data['name']
    address = data.get(_DATA)
    if not isinstance(address, str):
        raise ValueError(f'{where} has neither data.name nor data.{_DATA}')
    parts = urlsplit(address)
    return parse_qs(parts.query).get('d', [parts.path])[0].lstrip('/')


def _read_annotation(
    annotation: dict, name: str, names: LabelNames, where: str
) -> Optional[Finished]:
    shapes = [read_shape(item, where) for item in annotation.get('result') or []]
    if None in shapes:
        kind = annotation['result'][shapes.index(None)].get('type')
        raise ValueError(
            f'{where}: a result of the type {kind!r}, which has no area: label with the interface '
            'that the export wrote'
        )
    painted = [shape for shape in shapes if shape is not None]
    if not painted:  # nothing painted: its size is unknown, and most likely it was sent by mistake
        return None
    sizes = {shape.size for shape in painted}
    if len(sizes) > 1:
        raise ValueError(f'{where}: objects of images of several sizes, {sorted(sizes)}')
    try:
        for shape in painted:
            names.id_of(shape.name)  # before its run lengths are read: the likelier mistake
        size = sizes.pop()
        label, twice = names.paint(size, ((s.name, s.paint(size)) for s in painted))
    except ValueError as error:
        raise ValueError(f'{where}: {error}') from error
    return Finished(name, label, twice)
