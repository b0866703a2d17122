"""Make the data sets in this folder with the tools of their formats.

In an environment of its own, because the package needs none of these tools::

    pip install datumaro==1.13.0 cityscapesscripts==2.3.0 pillow
    pip install --no-deps labelme==6.3.1 imgviz loguru nnunetv2 batchgenerators scipy tifffile
    python tests/support/formats/make.py

``cvat.zip``, ``coco.zip`` and ``voc.zip`` are datumaro's exports, ``labelme.zip`` is saved by
LabelMe, the masks in ``cityscapes.zip`` are made from polygons by Cityscapes' own scripts, and
``dataset.json`` in ``nnunet.zip`` is nnU-Net's. All show the scenes of ``scene.py``.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import datumaro as dm
import numpy as np
from PIL import Image

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from support.formats.scene import COLORS, NAMES, NUMBER, SIZE, boxes, scene  # noqa: E402


def photograph(index: int) -> np.ndarray:
    """Return an image of blocks, which JPEG and PNG keep small."""
    random = np.random.default_rng(index)
    blocks = random.integers(0, 256, (SIZE[0] // 8, SIZE[1] // 8, 3), np.uint8)
    return blocks.repeat(8, 0).repeat(8, 1)


def outline(box: tuple[int, int, int, int]) -> list[int]:
    """Return the corners of a box as x, y, x, y, ..."""
    left, top, right, bottom = box
    return [left, top, right, top, right, bottom, left, bottom]


def drawn_items(kind: str) -> list[dm.DatasetItem]:
    """Return the scenes: outlines for road and car and a mask for the sky, or masks alone."""
    items = []
    for index in range(NUMBER):
        marks = []
        for layer, (name, box) in enumerate(boxes(index)):
            place = dict(label=NAMES.index(name), z_order=layer, id=layer + 1, group=layer + 1)
            if kind == 'masks':
                place['z_order'] = 0
                marks.append(dm.Mask(scene(index) == NAMES.index(name), **place))
            elif name == 'sky':
                marks.append(dm.Mask(scene(index) == NAMES.index(name), **place))
            else:
                marks.append(dm.Polygon(outline(box), **place))
        image = dm.Image.from_numpy(np.ascontiguousarray(photograph(index)))
        part = 'val' if index == NUMBER - 1 else 'train'
        items.append(dm.DatasetItem(f'img{index}', subset=part, media=image, annotations=marks))
    return items


def export(folder: Path, kind: str, form: str) -> None:
    """Write the scenes in one of datumaro's formats."""
    categories = {
        dm.AnnotationType.label: dm.LabelCategories.from_iterable(NAMES),
        dm.AnnotationType.mask: dm.MaskCategories(dict(enumerate(COLORS))),
    }
    data = dm.Dataset.from_iterable(drawn_items(kind), categories=categories)
    data.export(str(folder), form, save_media=True)


def labelme(folder: Path) -> None:
    """Save the scenes as LabelMe does: a JSON file beside each image."""
    from labelme._label_file import LabelFile

    for index in range(NUMBER):
        Image.fromarray(photograph(index)).save(folder / f'img{index}.png')
        shapes = [
            dict(
                label=name, points=np.reshape(outline(box), (-1, 2)).tolist(), group_id=None,
                shape_type='polygon', flags={}, description='', mask=None,
            )
            for name, box in boxes(index)
        ]  # fmt: skip
        LabelFile().save(
            filename=str(folder / f'img{index}.json'),
            shapes=shapes,
            image_path=f'img{index}.png',
            image_height=SIZE[0],
            image_width=SIZE[1],
            image_data=None,
        )


def cityscapes(folder: Path) -> None:
    """Write polygons, and convert them by Cityscapes' scripts."""
    from cityscapesscripts.helpers.annotation import Annotation, CsObjectType, CsPoly, Point
    from cityscapesscripts.preparation.json2labelImg import json2labelImg

    for index in range(NUMBER):
        part = 'val' if index == NUMBER - 1 else 'train'
        stem = f'{part}/ulm/ulm_{index:06d}_000019'
        content = Annotation(CsObjectType.POLY)
        content.imgHeight, content.imgWidth = SIZE
        for name, (left, top, right, bottom) in boxes(index):
            item = CsPoly()
            item.label = name
            corners = np.reshape(outline((left, top, right - 1, bottom - 1)), (-1, 2))
            item.polygon = [Point(*corner) for corner in corners.tolist()]
            content.objects.append(item)
        for kind in ('gtFine', 'leftImg8bit'):
            (folder / kind / stem).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photograph(index)).save(folder / f'leftImg8bit/{stem}_leftImg8bit.png')
        base = folder / f'gtFine/{stem}_gtFine'
        content.toJsonFile(f'{base}_polygons.json')
        for encoding, end in (
            ('ids', 'labelIds'),
            ('trainIds', 'labelTrainIds'),
            ('color', 'color'),
        ):
            json2labelImg(f'{base}_polygons.json', f'{base}_{end}.png', encoding)


def nnunet(folder: Path) -> None:
    """Write two files for each image, its masks, and nnU-Net's description."""
    from nnunetv2.dataset_conversion.generate_dataset_json import generate_dataset_json

    for name in ('imagesTr', 'labelsTr'):
        (folder / name).mkdir(parents=True)
    for index in range(NUMBER):
        for channel in range(2):
            image = Image.fromarray(photograph(index)[..., channel])
            image.save(folder / f'imagesTr/img{index}_{channel:04d}.png')
        Image.fromarray(scene(index)).save(folder / f'labelsTr/img{index}.png')
    names = {name: value for value, name in enumerate(NAMES)}
    generate_dataset_json(str(folder), {0: 'T1', 1: 'CT'}, names, NUMBER, '.png')


def main() -> None:
    """Write all zip files."""
    makers = dict(
        cvat=lambda folder: export(folder, 'outlines', 'cvat'),
        coco=lambda folder: export(folder, 'outlines', 'coco_instances'),
        voc=lambda folder: export(folder, 'masks', 'voc_segmentation'),
        labelme=labelme,
        cityscapes=cityscapes,
        nnunet=nnunet,
    )
    for name, make in makers.items():
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / name
            folder.mkdir()
            make(folder)
            shutil.make_archive(str(HERE / name), 'zip', place, name)


if __name__ == '__main__':
    main()
