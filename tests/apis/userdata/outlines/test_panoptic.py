"""tools/dataset.py init on COCO's panoptic JSON: the classes of its segments, to the pixel."""

import json

import numpy as np
import pytest
from PIL import Image
from support.formats.read import read, read_labels, write_noise

from mmseg_ext.apis.userdata.checks.check import check_data

SIZE = (20, 30)
CATEGORIES = [
    dict(id=17, name='cat', isthing=1), dict(id=92, name='grass', isthing=0),
    dict(id=3, name='car', isthing=1), dict(id=200, name='rug', isthing=0),
]  # fmt: skip
# Numbers of segments need one, two and three bytes, as in COCO; 0 is void.
SEGMENTS = {7: 'cat', 257 * 200: 'cat', 70000: 'grass', 5: 'car'}
BOXES = {7: (2, 6, 2, 9), 257 * 200: (10, 15, 3, 12), 70000: (0, 20, 15, 30), 5: (4, 8, 20, 25)}


def segments(index):
    """Numbers of segments ``(H, W)``; later ones lie on top."""
    numbers = np.zeros(SIZE, int)
    for number, (top, bottom, left, right) in BOXES.items():
        numbers[top:bottom, left + index : right + index] = number
    return numbers


def write(root, folder='annotations', **changes):
    """Two images of train, and one of val."""
    for split, indices in (('train', (0, 1)), ('val', (2,))):
        images, items = [], []
        for index in indices:
            write_noise(root / f'images/{split}/{index:06d}.jpg', SIZE, index)
            numbers = segments(index)
            colors = np.stack([numbers % 256, numbers // 256 % 256, numbers // 256**2], -1)
            path = root / f'{folder}/panoptic_{split}/{index:06d}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(colors.astype(np.uint8)).save(path)
            ids = {category['name']: category['id'] for category in CATEGORIES}
            info = [dict(id=n, category_id=ids[name], iscrowd=0) for n, name in SEGMENTS.items()]
            images.append(
                dict(id=index, file_name=f'{index:06d}.jpg', height=SIZE[0], width=SIZE[1])
            )
            items.append(dict(image_id=index, file_name=path.name, segments_info=info))
        content = dict(images=images, annotations=items, categories=CATEGORIES)
        text = json.dumps({**content, **changes})
        (root / f'{folder}/panoptic_{split}.json').write_text(text)
    return root


@pytest.mark.parametrize('folder', ['annotations', 'panoptic'])
def test_segments_become_masks_and_void_is_ignored(tmp_path, folder):
    root = write(tmp_path / 'coco', folder)
    beside = dict(images=[], annotations=[dict(id=1, category_id=17, image_id=0)], categories=[])
    (root / f'{folder}/instances_train.json').write_text(json.dumps(beside))
    data, parts, notes = read(root)
    assert data.classes == ('car', 'cat', 'grass')  # by their ids, and none is background
    assert {part: sorted(labels) for part, labels in parts.items()} == dict(
        train=['000000', '000001'], val=['000002']
    )
    for labels in parts.values():
        for stem, mask in labels.items():
            numbers = segments(int(stem))
            wanted = np.full(SIZE, data.ignore_index)
            for number, name in SEGMENTS.items():
                wanted[numbers == number] = data.classes.index(name)
            assert (mask == wanted).all() and (mask == data.ignore_index).any()
    assert any('instances_train.json: not read' in note for note in notes)
    assert 'no object is of the class rug: left out' in notes
    assert check_data(data.path).errors == {}


def test_an_image_without_void_has_no_ignored_pixel(tmp_path):
    root = write(tmp_path / 'coco')
    for path in root.rglob('*.png'):
        numbers = np.array(Image.open(path))
        numbers[(numbers == 0).all(-1)] = (5, 0, 0)
        Image.fromarray(numbers).save(path)
    data, labels, _ = read_labels(root)
    assert labels and all(set(np.unique(mask)) == {0, 1, 2} for mask in labels.values())


def test_masks_of_classes_count_more_than_segments(tmp_path):
    """Cityscapes' createPanopticImgs writes its files into the folder of the masks."""
    root = write(tmp_path / 'set', 'gtFine')
    for path in (root / 'images').rglob('*.jpg'):
        mask = np.full(SIZE, int(path.stem), np.uint8)
        mask[:9] = 5
        place = root / 'gtFine' / path.parent.name / f'{path.stem}.png'
        place.parent.mkdir(exist_ok=True)
        Image.fromarray(mask).save(place)
    data, labels, _ = read_labels(root)
    assert len(data.classes) == 4 and len(labels) == 3
    for stem, mask in labels.items():
        assert (mask[:9] == 3).all() and (mask[9:] == int(stem)).all()


def _unnamed(root):
    Image.new('RGB', SIZE[::-1], (9, 9, 9)).save(root / 'annotations/panoptic_train/000001.png')


def _smaller(root):
    Image.new('RGB', (5, 5), (7, 0, 0)).save(root / 'annotations/panoptic_train/000001.png')


def _absent(root):
    (root / 'annotations/panoptic_val/000002.png').unlink()


def _no_images(root):
    for path in (root / 'images/val').iterdir():
        path.unlink()


def _no_category(root):
    path = root / 'annotations/panoptic_val.json'
    path.write_text(path.read_text().replace('"id": 17', '"id": 18'))


WRONG = {
    'segment': (_unnamed, f'000001.png holds the segment {9 + 9 * 256 + 9 * 256**2}, which'),
    'size': (_smaller, r'000001.png is \(5, 5\), and its image \(20, 30\)'),
    'mask': (_absent, 'its mask 000002.png is not there: put the masks into .*panoptic_val'),
    'images': (_no_images, 'panoptic_val.json: none of its 1 images is there'),
    'category': (_no_category, 'panoptic_val.json: no valid panoptic file .KeyError.17'),
}


@pytest.mark.parametrize('spoil, message', WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line_and_nothing_is_left(tmp_path, spoil, message):
    root = write(tmp_path / 'coco')
    spoil(root)
    with pytest.raises(ValueError, match=message) as caught:
        read(root)
    assert '\n' not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ['coco']
