"""Folds that are there, compared with those that the data give now; lists written by hand."""

import hashlib
import json

import numpy as np
import pytest

from mmseg_ext.apis.folds.division import check_division, division_digest
from mmseg_ext.apis.folds.pool import Pool
from mmseg_ext.apis.run.folder import RunFolder
from mmseg_ext.datasets.kfold import Folds

PATIENTS = dict(a='p', b='q', c='p', d='r')


def pool_of(names: str, groups=None) -> Pool:
    return Pool({}, {name: (f'{name}.jpg', f'{name}.png') for name in names}, groups)


def halves(names: str, second: str) -> Folds:
    """Two folds, of which the second holds out the images that are named."""
    return Folds(list(names), np.array([name in second for name in names], np.int32), 2)


def write_split(parent, fold: int, **changes) -> None:
    facts = dict(fold=fold, num_folds=2, split_seed=0, pool='train', splitter='KFold', num_train=2)
    (parent / f'fold{fold}').mkdir(parents=True, exist_ok=True)
    text = json.dumps({**facts, 'val_groups': None, **changes})
    (parent / f'fold{fold}' / 'split.json').write_text(text)


def test_the_digest_names_fold_image_and_group():
    written = b'[0, "a", null][0, "c", null][1, "b", null][1, "d", null]'
    wanted = hashlib.sha256(written).hexdigest()
    assert division_digest(pool_of('abcd'), halves('abcd', 'bd')) == wanted
    assert division_digest(pool_of('abcd'), halves('abcd', 'cd')) != wanted
    assert division_digest(pool_of('abcd', PATIENTS), halves('abcd', 'bd')) != wanted
    odd = '\udce9'  # a byte of a file name that is no UTF-8
    assert division_digest(pool_of(['a', odd]), halves(['a', odd], 'a')) != wanted


def test_folds_of_the_same_images_go_on(tmp_path):
    pool, division = pool_of('abcd', PATIENTS), halves('abcd', 'bd')

    def goes_on(known=None) -> bool:
        return check_division(RunFolder(tmp_path), pool, division, known) is None

    assert goes_on()  # no fold yet
    write_split(tmp_path, 0, val_ids=['c', 'a'], val_groups=['p', 'p'])  # in the data's own order
    assert goes_on() and goes_on(division_digest(pool, division))
    write_split(tmp_path, 0, val_ids=['c', 'a'], val_groups=['p', 'p'], num_train=None)
    (tmp_path / 'fold1').mkdir()
    (tmp_path / 'fold1' / 'split.json').write_text('{')  # damaged: training writes it anew
    assert goes_on()
    write_split(tmp_path, 2, val_ids=['z'])  # of more folds, which another check refuses
    assert goes_on()


@pytest.mark.parametrize(
    ('fold', 'changes'),
    [
        (0, dict(val_ids=['a', 'b'])),  # divided otherwise
        (1, dict(val_ids=['b'])),  # an image added to those held out
        (0, dict(val_ids=['a', 'c'], num_train=1)),  # to those trained on
        (1, dict(val_ids=['b', 'd'], val_groups=['q', 'r'])),  # groups that are gone
    ],
)
def test_a_fold_of_other_images_is_refused(tmp_path, fold, changes):
    write_split(tmp_path, 1, val_ids=['b', 'd'])
    write_split(tmp_path, fold, **changes)
    with pytest.raises(ValueError, match=rf'{tmp_path}/fold{fold}: .*other.* --work-dir, or remo'):
        check_division(RunFolder(tmp_path), pool_of('abcd'), halves('abcd', 'bd'))


def test_a_patient_of_another_name_is_refused(tmp_path):
    write_split(tmp_path, 1, val_ids=['d', 'b'], val_groups=['r', 'q'])
    check_division(RunFolder(tmp_path), pool_of('abcd', PATIENTS), halves('abcd', 'bd'))
    with pytest.raises(ValueError, match='fold1: its lists name other images, or other groups'):
        check_division(
            RunFolder(tmp_path), pool_of('abcd', dict(PATIENTS, d='s')), halves('abcd', 'bd')
        )


def test_an_image_that_took_another_s_place_is_seen_by_the_digest_alone(tmp_path):
    """The number of training images and what is held out are the same; no fold 1 is there yet."""
    write_split(tmp_path, 0, val_ids=['a', 'c'])
    before = division_digest(pool_of('abcd'), halves('abcd', 'bd'))
    pool, division = pool_of('abce'), halves('abce', 'be')
    check_division(RunFolder(tmp_path), pool, division)
    with pytest.raises(ValueError, match=rf'^{tmp_path}: its lists name other images'):
        check_division(RunFolder(tmp_path), pool, division, before)
