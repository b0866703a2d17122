"""A small folder of images and masks with the file that describes it."""

import numpy as np
from PIL import Image

SIZE = (100, 150)  # H and W
VALUES = np.array([0, 7, 9, 255], np.uint8)  # in the masks; ids 0, 1, 2 and ignored

TEXT = """
root: .
classes:
- {name: background, value: 0}
- {name: cat, value: 7, color: [255, 0, 0]}
- {name: dog, value: 9}
ignore_value: 255
train: {images: images/train, masks: masks/train}
val: {images: images/val, masks: masks/val}
"""


def write_folder(folder, *, size=SIZE, counts=(6, 3), seed=0):
    """Images and masks in images/train, masks/train, ...; blocks of 20 pixels; row 0 ignored."""
    random = np.random.default_rng(seed)
    for part, count in zip(('train', 'val'), counts):
        for kind in ('images', 'masks'):
            (folder / kind / part).mkdir(parents=True)
        for index in range(count):
            ids = random.integers(0, 3, (-(-size[0] // 20), -(-size[1] // 20)))
            mask = ids.repeat(20, 0).repeat(20, 1)[: size[0], : size[1]].copy()
            image = mask[..., None] * 90 + random.integers(0, 40, (*size, 3))
            mask[0] = 3
            Image.fromarray(image.astype(np.uint8)).save(folder / f'images/{part}/{index}.png')
            Image.fromarray(VALUES[mask]).save(folder / f'masks/{part}/{index}.png')
    (folder / 'mine.yml').write_text(TEXT)
    return folder


def write_folder_with_unlabelled(folder):
    """The same with five images without masks in images/more, which the file names."""
    write_folder(folder)
    place = folder / 'images' / 'more'
    place.mkdir()
    random = np.random.default_rng(9)
    for index in range(5):
        image = random.integers(0, 256, (60, 40, 3)).astype(np.uint8)
        Image.fromarray(image).save(place / f'{index}.png')
    (folder / 'mine.yml').write_text(TEXT + 'unlabelled: images/more\n')
    return folder
