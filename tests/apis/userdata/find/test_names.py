"""Class names in text files of other tools, and names that fit masks by color."""

import json

import numpy as np
import pytest
from PIL import Image
from support.formats.read import read_labels, write_noise

from mmseg_ext.apis.userdata.find.names import Name, names_in
from mmseg_ext.apis.userdata.init import init_data_file

COLORS = [Name('sky', None, (0, 0, 255)), Name('old road', None, (9, 8, 7))]
VALUES = [Name('sky', 0), Name('road', 12)]
PLAIN = [Name('sky'), Name('road')]
TEXTS = {
    'windows lines and a mark': ('classes.txt', b'\xef\xbb\xbfsky\r\nroad\r\n', PLAIN),
    'utf-16': ('classes.txt', 'sky\r\nroad\r\n'.encode('utf-16'), PLAIN),
    'quotes': ('class_dict.csv', b'name,r,g,b\n"sky",0,0,255\n"old road",9,8,7\n', COLORS),
    'another head': ('classes.csv', b'class;R;G;B\nsky;0;0;255\nold road;9;8;7\n', COLORS),
    'id and name': ('classes.csv', b'id,name\n0,sky\n12,road\n', VALUES),
    'roboflow': ('_classes.csv', b'Pixel Value, Class\n0, sky\n12, road\n', VALUES),
    'datumaro': ('labelmap.txt', b'# a:b:c:d\nsky:0,0,255::\nold road:9,8,7::\n', COLORS),
    'numbers in some names': (
        'classes.txt', b'sky\nclass 1\nclass 2\n', [Name('sky'), Name('class 1'), Name('class 2')],
    ),
    'numbers in all names': ('names.txt', b'tier 1\ntier 2\n', [Name('tier 1'), Name('tier 2')]),
    'labels of LabelMe': (
        'labels.txt', b'__ignore__\n_background_\nsky\n', [Name('_background_'), Name('sky')],
    ),
    'large numbers': ('classes.txt', b'3000 sky\n12 road\n', [Name('sky', 3000), Name('road', 12)]),
    'a line without a name': ('classes.txt', b'0 sky\n12\n', []),
    'a color that is none': ('classes.txt', b'0 0 255 sky\n0 0 256 road\n', []),
    'four numbers': ('classes.txt', b'sky 0 0 255 1\nroad 9 8 7 1\n', []),
}  # fmt: skip


@pytest.mark.parametrize('name, content, expected', TEXTS.values(), ids=TEXTS)
def test_names_in_text_files(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    listed = names_in(tmp_path)
    assert (listed.names, listed.source) == (expected, name)


def test_guesses_are_said(tmp_path):
    (tmp_path / 'classes.txt').write_bytes('Straße\nBäume\n'.encode('cp1252'))
    listed = names_in(tmp_path)
    assert [entry.name for entry in listed.names] == ['Straße', 'Bäume']
    assert listed.note == (
        'classes.txt is no UTF-8, and read as Windows-1252: are its names right?'
    )


@pytest.mark.parametrize('name', ['label_names.txt', '_classes.csv'])
def test_files_that_number_the_classes_of_their_own_folder_must_agree(tmp_path, name):
    """LabelMe 5's json_to_dataset numbers the classes of each image by itself."""
    for case, text in (('a', 'background\ncat\ndog\n'), ('b', 'background\ncat\ndog\n')):
        (tmp_path / case).mkdir()
        (tmp_path / case / name).write_text(text)
    assert [entry.name for entry in names_in(tmp_path).names] == ['background', 'cat', 'dog']
    (tmp_path / 'b' / name).write_text('background\ndog\n')
    with pytest.raises(ValueError, match=f'a/{name} and .*b/{name} number the classes differently'):
        names_in(tmp_path)


def _write(root, palettes):
    """Masks of 0, 1 and 2 with palettes of their own; returns their colors."""
    shown = {}
    for index, palette in enumerate(palettes):
        write_noise(root / f'images/{index}.jpg', (12, 16), index)
        mask = (np.indices((12, 16)).sum(0) // 4 + index).astype(np.uint8) % 3
        (root / 'masks').mkdir(exist_ok=True)
        image = Image.fromarray(mask)
        image.putpalette(np.array(palette, np.uint8).ravel().tolist())
        image.save(root / f'masks/{index}.png')
        shown[str(index)] = np.array(palette)[mask]
    return shown


SKY, ROAD, CAR = (0, 0, 255), (128, 64, 128), (200, 10, 10)


@pytest.mark.parametrize(
    'palettes',
    [[(ROAD, SKY, CAR)] * 4, [(ROAD, SKY, CAR), (CAR, SKY, ROAD)] * 2],
    ids=['one order', 'an order for each image'],
)
def test_listed_colors_of_palettes_count_more_than_the_order_of_the_list(tmp_path, palettes):
    """Supervisely's masks number the classes of an image by their pixels (SDK 6.74.51)."""
    shown = _write(tmp_path / 'set', palettes)
    names = {'sky': SKY, 'road': ROAD, 'car': CAR}
    classes = [
        dict(title=name, shape='bitmap', color='#{:02X}{:02X}{:02X}'.format(*color))
        for name, color in names.items()
    ]
    (tmp_path / 'set/meta.json').write_text(json.dumps(dict(classes=classes, tags=[])))
    data, labels, notes = read_labels(tmp_path / 'set')
    assert data.color_masks and data.classes == ('sky', 'road', 'car') and len(labels) == 4
    for stem, mask in labels.items():
        assert (np.array(list(names.values()))[mask] == shown[stem]).all()


def test_a_palette_in_the_order_of_the_list_keeps_its_values(tmp_path):
    _write(tmp_path / 'set', [(SKY, ROAD, CAR)] * 4)
    lines = ['sky 0 0 255', 'road 128 64 128', 'car 200 10 10']
    (tmp_path / 'set/classes.txt').write_text('\n'.join(lines))
    data, _, _ = read_labels(tmp_path / 'set')
    assert not data.color_masks and data.classes == ('sky', 'road', 'car')


@pytest.mark.parametrize('before', [False, True])
def test_names_that_no_file_may_have_leave_everything_as_it_was(tmp_path, before):
    _write(tmp_path / 'set', [(SKY, ROAD, CAR)] * 4)
    out = tmp_path / 'my_data.yml'
    if before:
        out.write_text('kept')
    (tmp_path / 'set/classes.txt').write_text('sky\nsky\ncar\n')
    with pytest.raises(ValueError, match="two classes are called 'sky'"):
        init_data_file(tmp_path / 'set', out, force=before)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['my_data.yml'] * before + ['set']
    assert not before or out.read_text() == 'kept'
    with pytest.raises(ValueError, match="--classes: two classes are called 'a'"):
        init_data_file(tmp_path / 'set', out, classes=['a', 'a', 'b'], force=before)
