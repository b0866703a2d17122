"""CVAT: the format "CVAT for images 1.1", written with predicted masks and read back as masks.

Source: https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/: a mask is a box with run
lengths row by row in it, the first of zeros. Polygons, boxes and ellipses are filled, too.
Shape letters: H row, W column.
"""

import zipfile
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

import numpy as np

from ...core.files import PathLike, replacing
from ..userdata.outlines.cvat import read_object
from .exchange import Finished, LabelNames, Predicted, Returned

_ADVICE = 'export the task as "CVAT for images 1.1"'
_INSIDE = 'annotations.xml'


def write_images(path: PathLike, images: Iterable[Predicted], names: LabelNames) -> int:
    """Write images with predicted masks, whole or not at all; returns their number.

    Args:
        path: XML file.
        images: What to label.
        names: Of the classes.
    """
    number = 0
    with replacing(path) as unfinished, unfinished.open('w', encoding='utf-8') as stream:
        stream.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n')
        stream.write(f'  <version>1.1</version>\n{_meta(names)}')
        for image in images:
            height, width = image.size
            stream.write(
                f'  <image id="{number}" name={quoteattr(image.name)} width="{width}" '
                f'height="{height}">\n'
            )
            for name, mask in names.layers(image.label) if image.label is not None else []:
                stream.write(_mask(name, mask))
            stream.write('  </image>\n')
            number += 1
        stream.write('</annotations>\n')
    return number


def _meta(names: LabelNames) -> str:
    labels = ''.join(
        f'<label><name>{_escaped(name)}</name><color>#{r:02x}{g:02x}{b:02x}</color>'
        '<type>mask</type><attributes></attributes></label>'
        for name, (r, g, b) in names.shown()
    )
    return f'  <meta><task><labels>{labels}</labels></task></meta>\n'


def _escaped(text: str) -> str:
    return text.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')


def _mask(name: str, mask_HW: np.ndarray) -> str:
    rows, columns = np.flatnonzero(mask_HW.any(1)), np.flatnonzero(mask_HW.any(0))
    top, left = rows[0], columns[0]
    box = mask_HW[top : rows[-1] + 1, left : columns[-1] + 1]
    counts = ', '.join(map(str, encode_counts(box)))
    return (
        f'    <mask label={quoteattr(name)} source="auto" occluded="0" rle="{counts}" '
        f'left="{left}" top="{top}" width="{box.shape[1]}" height="{box.shape[0]}" z_order="0">'
        '</mask>\n'
    )


def encode_counts(mask_HW: np.ndarray) -> list[int]:
    """Run lengths row by row, of zeros and ones in turn, zeros first."""
    flat = np.asarray(mask_HW, bool).ravel()
    changes = np.flatnonzero(np.diff(flat, prepend=False))
    return np.diff(changes, prepend=0, append=flat.size).tolist()


def read_images(path: PathLike, names: LabelNames) -> Returned:
    """Read the masks of a finished task: its XML, or the zip that holds it.

    Args:
        path: What CVAT exports as "CVAT for images 1.1".
        names: Of the data set's classes.

    Raises:
        ValueError: If it is another export, or a mask is damaged or of a class unknown to the data
            set; naming the file and the image.
    """
    found = Returned()
    for image in _root(path).iter('image'):
        name = image.get('name', '')
        where = f'{path}: image {name}'
        if not len([shape for shape in image if shape.tag != 'tag']):
            found.waiting.append(name)
            continue
        try:
            size = _whole(image, 'height'), _whole(image, 'width')
            regions = [read_object(shape) for shape in image if shape.tag != 'tag']
            ordered = sorted(regions, key=lambda region: region.layer)
            layers = ((region.name, region.paint(size)) for region in ordered)
            found.finished.append(Finished(name, *names.paint(size, layers)))
        except KeyError as error:
            raise ValueError(f'{where}: an object without {error}') from error
        except ValueError as error:
            raise ValueError(f'{where}: {error}') from error
    return found


def _root(path: PathLike) -> ElementTree.Element:
    try:
        text = _text_of(path)
        if b'<!DOCTYPE' in text:  # entities may never end
            raise ValueError(f'{path}: XML with a document type: {_ADVICE}')
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(f'{path}: no XML ({error}): {_ADVICE}') from error
    if root.tag != 'annotations' or root.find('image') is None:
        video = ' of a video' if root.find('track') is not None else ''
        raise ValueError(f'{path}: no annotations of images{video}: {_ADVICE}')
    return root


def _text_of(path: PathLike) -> bytes:
    if not zipfile.is_zipfile(path):
        return Path(path).read_bytes()
    with zipfile.ZipFile(path) as archive:
        if _INSIDE not in archive.namelist():
            raise ValueError(
                f'{path}: a zip without {_INSIDE}; colors of "Segmentation mask 1.1" need not be '
                f'declared, and its holes are filled: {_ADVICE}'
            )
        return archive.read(_INSIDE)


def _whole(element: ElementTree.Element, key: str) -> int:
    text = element.get(key)
    if text is None or not text.strip().isdigit():
        raise ValueError(f'<{element.tag}> has no whole number as {key}, but {text!r}')
    return int(text)
