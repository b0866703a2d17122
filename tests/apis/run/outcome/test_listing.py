"""Lists of predictions that were edited, or are someone else's."""

import copy
import json

import pytest

from mmseg_ext.apis.pages.examples import predicted_masks
from mmseg_ext.apis.predict import crf
from mmseg_ext.apis.run.folder import RunFolder
from mmseg_ext.apis.run.outcome.listing import is_inside, read_predictions

GOOD = dict(
    classes=['a', 'b'],
    palette=[[0, 0, 0], [1, 2, 3]],
    images=[dict(image='/i/x.png', mask='masks/x.png', prob='prob/x.npz')],
)


@pytest.mark.parametrize(
    'name', ['../x', 'prob/../../x', '/etc/x', 'a\\..\\x', 'C:\\x', '', 3, None, 'a\0b', '\\\\h\\x']
)
def test_names_that_leave_the_folder(name) -> None:
    assert not is_inside(name)


@pytest.mark.parametrize('name', ['x', 'prob/a b.npz', 'prob/..a/x..npz'])
def test_names_that_stay(name) -> None:
    assert is_inside(name)


def _changed(**entry) -> dict:
    content = copy.deepcopy(GOOD)
    content['images'][0].update(entry)
    return content


@pytest.mark.parametrize(
    'content, message',
    [
        (_changed(prob='prob/../../x.npz'), "image 1: prob is 'prob/../../x.npz'"),
        (_changed(mask='/etc/passwd'), "image 1: mask is '/etc/passwd'"),
        (_changed(image=5), 'image 1: names no image'),
        (dict(GOOD, images=3), 'is no list of predictions'),
        (dict(GOOD, images=['x']), 'image 1: names no image'),
        (dict(GOOD, palette=[[0, 0, 0]]), 'classes and palette'),
        (dict(GOOD, palette=[[0, 0, 0], [0, 0, 256]]), 'classes and palette'),
        (dict(GOOD, classes=[1, 2]), 'classes and palette'),
        ([], 'is damaged (it holds no names)'),
    ],
)
def test_bad_lists_are_named_by_all_who_read_them(tmp_path, content, message) -> None:
    path = tmp_path / 'predictions' / 'predictions.json'
    path.parent.mkdir()
    path.write_text(json.dumps(content))
    for read in (
        lambda: read_predictions(path),
        lambda: crf.read_listing(path.parent),
        lambda: predicted_masks(RunFolder(tmp_path).predictions),
    ):
        with pytest.raises(ValueError) as caught:
            read()
        assert message in str(caught.value) and str(path) in str(caught.value)


def test_probabilities_elsewhere_write_nothing_outside(tmp_path) -> None:
    (tmp_path / 'p').mkdir()
    content = _changed(prob='masks/x.npz')
    (tmp_path / 'p/predictions.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match='lists no probabilities'):
        crf.read_listing(tmp_path / 'p')


def test_a_good_list_is_read(tmp_path) -> None:
    (tmp_path / 'predictions.json').write_text(json.dumps(GOOD))
    assert read_predictions(tmp_path / 'predictions.json') == GOOD
    assert crf.read_listing(tmp_path)[1][0].name == 'x'
