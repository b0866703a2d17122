"""Compare the masks that init paints with those that the tools of the formats paint themselves.

The tools and this package need environments of their own. In that of the tools::

    pip install --no-deps labelme==6.3.1 label-studio-sdk==2.1.2 supervisely==6.74.51 \
        ultralytics==8.4.190 pycocotools==2.0.11   # and what they import
    python tests/support/formats/compare.py write FOLDER

and in that of this package::

    python tests/support/formats/compare.py compare FOLDER

It prints for each data set how many of its pixels differ, and how many of these are not beside a
border between classes. LabelMe and Ultralytics add the pixels that an outline touches, corners of
Supervisely are pixels, and COCO's outlines, as here, hold the pixels whose centre they hold.
"""

import argparse
import ast
import importlib.util
import json
import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

SIZE, NUMBER = (48, 64), 5
NAMES = ['background', 'road', 'sky', 'car', 'wheel', 'sign', 'flag', 'mud']


def outlines(index: int) -> list[tuple[str, list[list[float]]]]:
    """Polygons with corners between pixels; later ones lie on top."""
    return [
        ('road', [[0, 24.5], [64, 20.2], [64, 48], [0, 48]]),
        ('sky', [[0, 0], [63.7, 0], [40.3, 9.6], [0, 6.2 + index]]),
        ('car', [[10.3 + index, 22.1], [30.8, 20.4], [33.9, 33.2], [12.2, 36.7]]),
    ]


def photograph(path: Path, index: int) -> None:
    """Write an image of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(index).integers(0, 256, (*SIZE, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def labelme(root: Path) -> dict[str, np.ndarray]:
    """Every kind of shape that LabelMe fills, by its ``shapes_to_label``."""
    if importlib.util.find_spec('PyQt5') is None:  # its library needs no window
        qt = types.ModuleType('PyQt5')
        qt.QtGui = qt.QtCore = qt.QtWidgets = types.ModuleType('Qt')
        sys.modules.update({'PyQt5': qt, **{f'PyQt5.{n}': qt.QtGui for n in vars(qt) if 'Qt' in n}})
    from labelme._label_file import LabelFile
    from labelme.utils import img_arr_to_b64, shapes_to_label

    piece = np.zeros((6, 8), np.uint8)
    piece[1:4, 2:7] = piece[0, 0] = piece[5, 7] = 255
    found = {}
    for index in range(NUMBER):
        photograph(root / f'img{index}.png', index)
        shapes = [(name, 'polygon', points, None) for name, points in outlines(index)]
        shapes += [
            ('wheel', 'circle', [[17.0 + index, 34.0], [20.5 + index, 34.0]], None),
            ('sign', 'rectangle', [[50.2, 5.3], [44.6, 18.8]], None),
            ('flag', 'oriented_rectangle', [[2, 20], [6, 16], [10, 20], [6, 24]], None),
            ('mud', 'mask', [[30, 40], [37, 45]], img_arr_to_b64(piece)),
        ]
        entries = [
            dict(label=label, shape_type=kind, points=points, mask=mask, group_id=None, flags={},
                 description='')
            for label, kind, points, mask in shapes
        ]  # fmt: skip
        path = root / f'img{index}.json'
        LabelFile().save(
            filename=str(path), shapes=entries, image_path=f'img{index}.png', image_data=None,
            image_height=SIZE[0], image_width=SIZE[1],
        )  # fmt: skip
        values = {name: value for value, name in enumerate(NAMES)}
        found[f'img{index}'] = shapes_to_label(SIZE, LabelFile(str(path)).shapes, values)[0]
    return found


def label_studio(root: Path) -> dict[str, np.ndarray]:
    """Brushes, encoded and decoded by Label Studio's SDK."""
    from label_studio_sdk.converter import brush

    found, tasks = {}, []
    for index in range(NUMBER):
        photograph(root / f'img{index}.png', index)
        labels, results = np.zeros(SIZE, int), []
        for name, points in outlines(index):
            mask = coco_mask([points]).astype(np.uint8) * 255
            value = dict(format='rle', rle=brush.mask2rle(mask), brushlabels=[name])
            back = brush.decode_rle(value['rle']).reshape(*SIZE, 4)[..., 3]
            labels[back > 0] = NAMES.index(name)
            results.append(dict(
                id=name, type='brushlabels', value=value, original_width=SIZE[1],
                original_height=SIZE[0], image_rotation=0, from_name='tag', to_name='image',
            ))  # fmt: skip
        note = dict(id=index, result=results, was_cancelled=False, updated_at='2026-01-01')
        tasks.append(dict(id=index, data=dict(image=f'img{index}.png'), annotations=[note]))
        found[f'img{index}'] = labels
    (root / 'export.json').write_text(json.dumps(tasks))
    return found


def supervisely(root: Path) -> dict[str, np.ndarray]:
    """A project of every kind of object with an area, drawn by the SDK."""
    import supervisely as sly
    from supervisely.geometry.multipolygon import Multipolygon

    def place(points: list[tuple[int, int]]) -> list:
        return [sly.PointLocation(row, column) for column, row in points]

    kinds = dict(road=sly.Polygon, car=sly.Bitmap, sky=sly.Rectangle, sign=sly.OrientedBBox,
                 flag=Multipolygon, wheel=sly.Polygon)  # fmt: skip
    classes = {name: sly.ObjClass(name, kind) for name, kind in kinds.items()}
    project = sly.Project(str(root), sly.OpenMode.CREATE)
    project.set_meta(sly.ProjectMeta(obj_classes=sly.ObjClassCollection(list(classes.values()))))
    folder, found = project.create_dataset('ds'), {}
    piece = np.zeros((10, 12), bool)
    piece[2:8, 1:11] = True
    piece[4, 4] = False
    hole = place([(44, 32), (50, 32), (50, 38), (44, 38)])
    for index in range(NUMBER):
        parts = [place([(2, 8), (6, 8), (6, 12), (2, 12)]), place([(10, 8), (14, 8), (14, 12)])]
        shapes = dict(
            road=sly.Polygon(place([(0, 24), (63, 20), (63, 47), (0, 47)]), []),
            car=sly.Bitmap(piece, origin=sly.PointLocation(22, 10 + index)),
            sky=sly.Rectangle(0, 0, 5, 63),
            sign=sly.OrientedBBox(8, 30, 16, 42, 0.5),
            flag=Multipolygon([sly.Polygon(part, []) for part in parts]),
            wheel=sly.Polygon(place([(40, 28), (55, 28), (55, 42), (40, 42)]), [hole]),
        )
        labels = [sly.Label(shape, classes[name]) for name, shape in shapes.items()]
        photograph(root / '..' / 'photograph.png', index)
        folder.add_item_file(
            f'img{index}.png', str(root / '..' / 'photograph.png'), ann=sly.Annotation(SIZE, labels)
        )
        canvas = np.zeros((*SIZE, 3), np.uint8)
        for label in labels:
            label.geometry.draw(canvas, [NAMES.index(label.obj_class.name)] * 3)
        found[f'img{index}'] = canvas[..., 0].astype(int)
    return found


def ultralytics(root: Path) -> dict[str, np.ndarray]:
    """YOLO's text files, by Ultralytics' ``polygon2mask``, read without the package's imports."""
    import cv2

    [place] = importlib.util.find_spec('ultralytics').submodule_search_locations
    tree = ast.parse((Path(place) / 'data/utils.py').read_text())
    [function] = [node for node in tree.body if getattr(node, 'name', '') == 'polygon2mask']
    known: dict = dict(np=np, cv2=cv2)
    exec(f'from __future__ import annotations\n{ast.unparse(function)}', known)
    found = {}
    for index in range(NUMBER):
        photograph(root / f'images/img{index}.png', index)
        lines, masks = [], []
        for name, points in outlines(index):
            shares = (np.array(points) / SIZE[::-1]).ravel()
            lines.append(f'{NAMES.index(name)} ' + ' '.join(f'{value:.6f}' for value in shares))
            masks.append((known['polygon2mask'](SIZE, [np.array(points).ravel()]), name))
        path = root / f'labels/img{index}.txt'
        path.parent.mkdir(exist_ok=True)
        path.write_text('\n'.join(lines))
        labels = np.zeros(SIZE, int)
        for mask, name in sorted(masks, key=lambda pair: -int(pair[0].sum())):
            labels[mask > 0] = NAMES.index(name)
        found[f'img{index}'] = labels
    (root / 'classes.txt').write_text('\n'.join(NAMES))
    return found


def coco_mask(parts: list) -> np.ndarray:
    """The pixels of polygons by pycocotools."""
    from pycocotools import mask

    flat = [np.ravel(points).tolist() for points in parts]
    return mask.decode(mask.merge(mask.frPyObjects(flat, *SIZE))) > 0


def coco(root: Path) -> dict[str, np.ndarray]:
    """COCO's polygons, by pycocotools."""
    found, images, items = {}, [], []
    for index in range(NUMBER):
        photograph(root / f'img{index}.png', index)
        images.append(dict(id=index, file_name=f'img{index}.png', height=SIZE[0], width=SIZE[1]))
        masks = []
        for name, points in outlines(index):
            shape = [np.ravel(points).tolist()]
            number = dict(id=len(items), image_id=index, category_id=NAMES.index(name))
            items.append(dict(number, segmentation=shape, iscrowd=0))
            masks.append((coco_mask([points]), name))
        labels = np.zeros(SIZE, int)
        for mask, name in sorted(masks, key=lambda pair: -int(pair[0].sum())):
            labels[mask] = NAMES.index(name)
        found[f'img{index}'] = labels
    categories = [dict(id=value, name=name) for value, name in enumerate(NAMES)]
    content = dict(images=images, annotations=items, categories=categories)
    (root / 'coco.json').write_text(json.dumps(content))
    return found


MAKERS: dict[str, Callable[[Path], dict[str, np.ndarray]]] = dict(
    labelme=labelme, label_studio=label_studio, supervisely=supervisely, ultralytics=ultralytics,
    coco=coco,
)  # fmt: skip


def write(folder: Path) -> None:
    """Write a data set of each format, and the masks of its tool."""
    for name, make in MAKERS.items():
        root = folder / name
        if name != 'supervisely':  # which makes its own
            root.mkdir(parents=True)
        np.savez(folder / f'{name}.npz', **make(root))


def compare(folder: Path) -> None:
    """Read the data sets, and print how many pixels differ."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from support.formats.read import read_labels

    for name in MAKERS:
        data, labels, _ = read_labels(folder / name, force=True)
        wanted = np.load(folder / f'{name}.npz')
        assert sorted(labels) == sorted(wanted.files)
        numbers = np.array([NAMES.index(own) for own in data.classes])
        off = [_differ(numbers[labels[stem]], wanted[stem]) for stem in wanted.files]
        differ, far = np.sum(off, axis=0)
        print(f'{name}: {differ} of {len(off) * SIZE[0] * SIZE[1]} pixels, {far} beside no border')


def _differ(own: np.ndarray, wanted: np.ndarray) -> tuple[int, int]:
    """Pixels that differ, and those of them whose neighbours are all of one class in both."""
    edge = np.zeros(SIZE, bool)
    for mask in (own, wanted):
        wide = np.pad(mask, 1, mode='edge')
        windows = np.lib.stride_tricks.sliding_window_view(wide, (3, 3))
        edge |= windows.max((2, 3)) != windows.min((2, 3))
    return int((own != wanted).sum()), int(((own != wanted) & ~edge).sum())


def main() -> None:
    """Write or compare."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('what', choices=['write', 'compare'])
    parser.add_argument('folder', type=Path)
    args = parser.parse_args()
    dict(write=write, compare=compare)[args.what](args.folder)


if __name__ == '__main__':
    main()
