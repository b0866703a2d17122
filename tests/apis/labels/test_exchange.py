"""Round trips through Label Studio's and CVAT's files, and what is refused."""

import json
import xml.etree.ElementTree as ElementTree
import zipfile

import numpy as np
import pytest

from mmseg_ext.apis.labels import cvat, label_studio
from mmseg_ext.apis.labels.exchange import LabelNames, Predicted, match_name

NAMES = LabelNames(('background', 'cat & "dog"', '<tree>'), ((0, 0, 0), (255, 0, 0), (0, 128, 255)))
BARE = LabelNames(('sky', 'road'), ((0, 0, 255), (9, 9, 9)))


def random_labels(names, *, seed=0, count=40):
    """Masks of all sizes: one pixel, one class, every class, ignored pixels."""
    random = np.random.default_rng(seed)
    values = [*range(len(names.classes)), 255]
    for index in range(count):
        size = (1, 1) if index < 4 else tuple(random.integers(1, 40, 2).tolist())
        some = [values[index % len(values)]] if index < 12 else values
        yield Predicted(
            f'sub folder/{index}.png', size, random.choice(some, size).astype(np.uint8), 0.5
        )


def through_label_studio(images, names, path):
    """Export, finish the predictions as annotations, as accepting them does, and read."""
    tasks = [label_studio.make_task(image, names, prefix='a b', version='v1') for image in images]
    assert label_studio.write_tasks(path, tasks) == len(tasks)
    content = json.loads(path.read_text())
    assert content == tasks
    for task in content:
        task['annotations'] = [dict(result=task['predictions'][0]['result'])]
    path.write_text(json.dumps(content))
    return label_studio.read_tasks(path, names)


def through_cvat(images, names, path):
    assert cvat.write_images(path, images, names) == len(images)
    return cvat.read_images(path, names)


@pytest.mark.parametrize('names', [NAMES, BARE])
@pytest.mark.parametrize('through', [through_label_studio, through_cvat])
def test_round_trips_are_pixel_exact(tmp_path, names, through):
    images = list(random_labels(names))
    found = through(images, names, tmp_path / 'file')
    finished = {one.name: one for one in found.finished}
    blank = [i.name for i in images if (i.label == names.unpainted).all()]
    assert len(finished) >= 30 and 1 <= len(blank) <= 10
    assert sorted(found.waiting) == sorted(blank)  # nothing painted: nobody labelled it
    for image in images:
        if image.name not in blank:
            assert np.array_equal(finished[image.name].label, image.label)
            assert finished[image.name].twice == 0


def test_a_task_has_what_label_studio_reads():
    label = np.array([[0, 1], [255, 1]], np.uint8)
    image = Predicted('ä/b c.png', (2, 2), label, 0.25)
    task = label_studio.make_task(image, NAMES, prefix='images/train', version='last.pth')
    assert task['data'] == dict(
        image='/data/local-files/?d=images/train/%C3%A4/b%20c.png', name='ä/b c.png'
    )
    prediction = task['predictions'][0]
    assert (prediction['model_version'], prediction['score']) == ('last.pth', 0.25)
    brushes = {item['value']['brushlabels'][0]: item for item in prediction['result']}
    assert set(brushes) == {'cat & "dog"', 'ignored'}  # the background is what nobody painted
    for item in brushes.values():
        assert item['type'] == 'brushlabels' and item['value']['format'] == 'rle'
        assert (item['original_width'], item['original_height']) == (2, 2)
    bare = label_studio.make_task(Predicted('a.png', (2, 2)), NAMES)
    assert 'predictions' not in bare and bare['data']['image'].endswith('?d=a.png')


def test_the_interface_names_every_class_and_fits_the_tasks():
    root = ElementTree.fromstring(label_studio.interface(NAMES))
    labels = [(e.get('value'), e.get('background')) for e in root.iter('Label')]
    assert labels == [
        ('background', '#000000'),
        ('cat & "dog"', '#ff0000'),
        ('<tree>', '#0080ff'),
        ('ignored', '#808080'),
    ]
    image, brush = root.find('Image'), root.find('BrushLabels')
    one = Predicted('a.png', (1, 1), np.ones((1, 1), np.uint8))
    item = label_studio.make_task(one, NAMES)['predictions'][0]['result'][0]
    assert (item['from_name'], item['to_name']) == (brush.get('name'), brush.get('toName'))
    assert brush.get('toName') == image.get('name')
    taken = LabelNames(('ignored', 'b'), ((0, 0, 0), (1, 1, 1)))
    assert [name for name, _ in taken.shown()] == ['ignored', 'b', 'ignored_']


def test_an_image_in_cvat_is_a_box_with_run_lengths(tmp_path):
    label = np.zeros((4, 5), np.uint8)
    label[1:3, 2:5] = [[0, 1, 1], [1, 0, 1]]
    cvat.write_images(tmp_path / 'a.xml', [Predicted('x.png', (4, 5), label)], NAMES)
    mask = ElementTree.parse(tmp_path / 'a.xml').find('image/mask')
    found = {key: mask.get(key) for key in ('label', 'rle', 'left', 'top', 'width', 'height')}
    assert found == dict(
        label='cat & "dog"', rle='1, 3, 1, 1', left='2', top='1', width='3', height='2'
    )
    assert cvat.encode_counts(np.array([[1, 1, 0]])) == [0, 2, 1]


def test_later_brushes_lie_on_top_and_the_overlap_is_counted():
    low, high = np.zeros((2, 3), bool), np.zeros((2, 3), bool)
    low[0], high[:, 0] = True, True
    label, twice = NAMES.paint((2, 3), [('<tree>', low), ('cat & "dog"', high)])
    assert label.tolist() == [[1, 2, 2], [1, 0, 0]]
    assert twice == 1
    assert NAMES.paint((2, 3), [('<tree>', low), ('<tree>', high)])[1] == 0


def _task(**changes):
    image = Predicted('a.png', (2, 2), np.array([[1, 0], [0, 0]], np.uint8))
    task = label_studio.make_task(image, NAMES)
    result = task.pop('predictions')[0]['result']
    result[0].update(changes)
    return dict(id=7, annotations=[dict(result=result)], **task)


def test_of_several_annotations_the_latest_counts(tmp_path):
    task = _task()
    first = task['annotations'][0]
    tree = json.loads(json.dumps(first))
    tree['result'][0]['value']['brushlabels'] = ['<tree>']
    task['annotations'] = [
        dict(first, updated_at='2026-01-02'),
        dict(tree, updated_at='2026-01-03'),
        dict(first, updated_at='2026-01-04', was_cancelled=True),
    ]
    path = tmp_path / 'a.json'
    path.write_text(json.dumps([task, dict(data=dict(image='/data/upload/1/0a1b-b.png'))]))
    found = label_studio.read_tasks(path, NAMES)
    assert found.finished[0].label.tolist() == [[2, 0], [0, 0]]
    assert found.waiting == ['data/upload/1/0a1b-b.png']


@pytest.mark.parametrize(
    ('content', 'text'),
    [
        ('{', 'no JSON'),
        ([dict(image='a.png', tag=[])], 'not as JSON-MIN'),
        ([dict(id=3, data={})], 'task 3 has neither data.name'),
        ([_task(type='keypointlabels')], "task 7 .*the type 'keypointlabels'"),
        ([_task(type='polygonlabels')], r'polygonlabels has the labels None'),
        ([_task(image_rotation=90)], 'turned by 90'),
        ([_task(original_width=3)], 'of 16 values, where an image of 3x2'),
        ([_task(original_width=None)], 'without the size'),
        ([_task(value=dict(format='rle', rle=[], brushlabels=['cta']))], "no class 'cta'"),
        (
            [_task(value=dict(format='rle', rle=[0] * 9, brushlabels=['<tree>']))],
            'of 0 values',
        ),
        ([_task(value=dict(format='rle', rle=['x'], brushlabels=['<tree>']))], 'no bytes'),
        ([_task(value=dict(format='rle', rle=[], brushlabels=[]))], 'where one is expected'),
    ],
)
def test_other_json_is_one_line(tmp_path, content, text):
    path = tmp_path / 'a.json'
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ValueError, match=text) as caught:
        label_studio.read_tasks(path, NAMES)
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)


def test_the_zip_of_masks_is_refused_with_advice(tmp_path):
    path = tmp_path / 'masks.zip'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('task-1-annotation-1-by-1-label-cat-0.png', b'')
    with pytest.raises(ValueError, match='export the project as JSON'):
        label_studio.read_tasks(path, NAMES)
    with pytest.raises(ValueError, match='zip without annotations.xml.*CVAT for images 1.1'):
        cvat.read_images(path, NAMES)


def test_boxes_and_ellipses_drawn_in_cvat_count_as_masks(tmp_path):
    path = tmp_path / 'a.xml'
    path.write_text(
        '<annotations><image name="a.png" width="4" height="3">'
        '<box label="&lt;tree&gt;" xtl="1" ytl="0" xbr="4" ybr="2" z_order="0"/>'
        '<ellipse label="cat &amp; &quot;dog&quot;" cx="0.5" cy="2.5" rx="0.6" ry="0.6" '
        'z_order="0"/></image></annotations>'
    )
    label = cvat.read_images(path, NAMES).finished[0].label
    assert label.tolist() == [[0, 2, 2, 2], [0, 2, 2, 2], [1, 0, 0, 0]]


def test_the_zip_of_cvat_is_read_and_its_polygons_are_filled(tmp_path):
    text = (
        '<annotations><image id="0" name="a/b.png" width="4" height="3"><polygon label="&lt;tree'
        '&gt;" points="1.0,0.0;4.0,0.0;4.0,2.0;1.0,2.0" z_order="1"/><mask label="background" '
        'rle="0, 1" left="1" top="0" width="1" height="1" z_order="2"/></image></annotations>'
    )
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        archive.writestr('annotations.xml', text)
    found = cvat.read_images(tmp_path / 'a.zip', NAMES).finished[0]
    assert found.label.tolist() == [[0, 0, 2, 2], [0, 2, 2, 2], [0, 0, 0, 0]]
    assert found.twice == 1


@pytest.mark.parametrize(
    ('shape', 'text'),
    [
        ('<points label="&lt;tree&gt;" points="1,1"/>', 'an object of kind points'),
        ('<box label="&lt;tree&gt;" xtl="1"/>', "without 'ytl'"),
        ('<mask rle="0,1" left="0" top="0" width="1" height="1"/>', "without 'label'"),
        ('<mask label="cta" rle="0,1" left="0" top="0" width="1" height="1"/>', "no class 'cta'"),
        (
            '<mask label="x" rle="0,2" left="0" top="0" width="1" height="1"/>',
            '2 pixels, and its box 1x1',
        ),
        ('<mask label="x" rle="a" left="0" top="0" width="1" height="1"/>', "literal .*: 'a'"),
        ('<mask label="x" rle="0,1" left="9" top="0" width="1" height="1"/>', 'beyond the image'),
        ('<mask label="x" rle="0,1" left="-1" top="0" width="1" height="1"/>', 'cannot be read'),
        ('<polygon label="x" points=""/>', 'a polygon of x cannot be read'),
    ],
)
def test_other_shapes_of_cvat_are_one_line(tmp_path, shape, text):
    path = tmp_path / 'a.xml'
    path.write_text(
        f'<annotations><image name="a.png" width="4" height="3">{shape}</image></annotations>'
    )
    with pytest.raises(ValueError, match=text) as caught:
        cvat.read_images(path, NAMES)
    assert f'{path}: image a.png' in str(caught.value)


@pytest.mark.parametrize(
    ('content', 'text'),
    [
        ('nothing', 'no XML'),
        ('<a/>', 'no annotations'),
        ('<annotations><track/></annotations>', 'of a video'),
    ],
)
def test_other_xml_is_one_line(tmp_path, content, text):
    (tmp_path / 'a.xml').write_text(content)
    with pytest.raises(ValueError, match=text):
        cvat.read_images(tmp_path / 'a.xml', NAMES)


def test_names_of_tools_are_matched_with_stems():
    stems = ['a', 'sub/b', 'other/b', 'c.d', 'e-f']
    assert match_name('sub/b.png', stems) == 'sub/b'
    assert match_name('images/train/other/b.png', stems) == 'other/b'
    assert match_name('data/upload/1/0a1b2c3d-a.png', stems) == 'a'
    assert match_name('c.d', stems) == 'c.d'
    assert match_name('x\\c.d.jpg', stems) == 'c.d'
    assert match_name('e-f.png', stems) == 'e-f'
    assert match_name('b.png', stems) is None  # two could be meant
    assert match_name('g.png', stems) is None
