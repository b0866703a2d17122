"""datumaro reads the masks that we write for CVAT, and we read those that it writes."""

import numpy as np
import pytest
from PIL import Image
from support.label_tools import ask, python_of

from mmseg_ext.apis.labels import cvat
from mmseg_ext.apis.labels.exchange import LabelNames, Predicted

NAMES = LabelNames(('background', 'cat & "dog"', '<tree>'), ((0, 0, 0), (255, 0, 0), (0, 128, 255)))

THROUGH = """
import datumaro
from datumaro.components.annotation import AnnotationType
data = datumaro.Dataset.import_from(value['folder'], 'cvat')
names = data.categories()[AnnotationType.label]
result = {
    item.id: {names[one.label].name: one.image.astype(int).tolist() for one in item.annotations}
    for item in data
}
data.export(value['out'], 'cvat', save_media=False)
"""


def images():
    random = np.random.default_rng(0)
    for index in range(12):
        size = tuple(random.integers(2, 40, 2).tolist())
        label = random.choice([0, 1, 2, 255], size, p=[0.4, 0.3, 0.2, 0.1]).astype(np.uint8)
        yield Predicted(f'{index}.png', size, label)


@pytest.mark.slow
@pytest.mark.oracle
def test_datumaro_reads_and_writes_the_same_masks(tmp_path):
    python = python_of('datumaro')
    every = [*images()]
    (tmp_path / 'ours/images').mkdir(parents=True)
    for image in every:
        Image.new('RGB', image.size[::-1]).save(tmp_path / 'ours/images' / image.name)
    cvat.write_images(tmp_path / 'ours/annotations.xml', every, NAMES)
    places = dict(folder=str(tmp_path / 'ours'), out=str(tmp_path / 'theirs'))
    read = ask(python, THROUGH, places)
    assert len(read) == 12
    for image in every:
        layers = {name: mask.astype(int).tolist() for name, mask in NAMES.layers(image.label)}
        assert read[image.name.removesuffix('.png')] == layers
    (path,) = (tmp_path / 'theirs').rglob('*.xml')
    back = {one.name: one for one in cvat.read_images(path, NAMES).finished}
    for image in every:
        assert np.array_equal(back[image.name].label, image.label) and back[image.name].twice == 0
