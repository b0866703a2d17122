"""Formats that are known and not read: each is named, with what to export instead."""

import json

import pytest
from support.formats.read import write_noise

from mmseg_ext.apis.userdata.init import init_data_file

POLYGON = dict(name='polygon', all_points_x=[1, 5, 5], all_points_y=[1, 1, 5])
VIA = dict(filename='a.jpg', size=9, regions=[dict(shape_attributes=POLYGON)], file_attributes={})
FORMATS = {
    'via 1': ({'a.jpg9': VIA}, 'JSON of the VGG Image Annotator is not read: .*COCO'),
    'via 2': (
        dict(_via_settings={}, _via_img_metadata={'a.jpg9': VIA}, _via_attributes={}),
        'JSON of the VGG Image Annotator is not read: .*COCO',
    ),
    'label studio': (
        [dict(id=1, image='/data/a.jpg', label=[], annotator=1, annotation_id=1)],
        "Label Studio's JSON-MIN is not read: choose .JSON. in its export",
    ),
    'datumaro': (
        dict(info={}, categories=dict(label={}), items=[dict(id='a', annotations=[])]),
        "datumaro's own JSON is not read: .*COCO",
    ),
    'cityscapes': (
        dict(imgHeight=20, imgWidth=30, objects=[dict(label='car', polygon=[[1, 1]])]),
        'polygons of Cityscapes, without masks, is not read: .*csCreateTrainIdLabelImgs',
    ),
    'hasty': (
        dict(project_name='p', export_format_version='1.1', images=[], label_classes=[]),
        'JSON of Hasty is not read: .*COCO',
    ),
    'darwin': (dict(version='2.0', item=dict(name='a'), annotations=[]), 'JSON of V7 Darwin'),
    'superannotate': (dict(metadata=dict(name='a'), instances=[]), 'JSON of SuperAnnotate'),
    'labelbox': ([dict(data_row={}, projects={})], 'JSON of Labelbox is not read'),
    'createml': ([dict(image='a.jpg', annotations=[])], 'JSON of CreateML .* holds boxes'),
    'voc': (
        '<annotation><object><name>car</name><bndbox><xmin>1</xmin></bndbox></object></annotation>',
        'XML of PASCAL VOC is not read: it holds boxes',
    ),
    'old labelme': (
        '<annotation><object><name>a</name><polygon><pt/></polygon></object></annotation>',
        'XML of the first LabelMe is not read: .*datum convert',
    ),
}


@pytest.mark.parametrize('content, message', FORMATS.values(), ids=FORMATS)
def test_a_format_is_named_with_the_remedy(tmp_path, content, message):
    root = tmp_path / 'set'
    for index, name in enumerate('ab'):
        write_noise(root / f'{name}.jpg', (20, 30), index)
    if isinstance(content, str):
        (root / 'a.xml').write_text(content)
    else:
        (root / 'a.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message) as caught:
        init_data_file(root, tmp_path / 'my_data.yml')
    assert f'{root}/a.' in str(caught.value) and '\n' not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ['set']


@pytest.mark.parametrize(
    'name, message',
    [
        ('train-00000.parquet', r'1 files \*.parquet are not read: save the images'),
        ('slice.dcm', r'1 files \*.dcm are not read: convert the series to NIfTI'),
        ('liver_0000.nrrd', r'1 files \*.nrrd are not read: convert the volumes to NIfTI'),
        ('x.npy', r'1 files \*.npy are not read: save the arrays as PNG'),
    ],
)
def test_files_that_are_no_images_are_named_with_the_remedy(tmp_path, name, message):
    (tmp_path / 'set').mkdir()
    (tmp_path / f'set/{name}').write_bytes(b'x')
    with pytest.raises(ValueError, match=message):
        init_data_file(tmp_path / 'set', tmp_path / 'my_data.yml')


def test_brush_masks_of_label_studio_that_name_no_image(tmp_path):
    """Names as label-studio-sdk 2.1.2 writes them for BRUSH_TO_PNG."""
    for index in range(2):
        write_noise(tmp_path / f'set/img{index}.png', (20, 30), index)
        name = f'task-{index}-annotation-{index}-by-1-tag-car-0.png'
        write_noise(tmp_path / 'set' / name, (20, 30), index)
    with pytest.raises(ValueError, match='brush masks in PNG name no images: choose "JSON"'):
        init_data_file(tmp_path / 'set', tmp_path / 'my_data.yml')
