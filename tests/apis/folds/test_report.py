"""Summing up folds: every number by hand, from files as a test leaves them."""

import json
import math
from dataclasses import asdict

import numpy as np
import pytest

from mmseg_ext.apis.folds.fold import Split
from mmseg_ext.apis.folds.report import format_folds
from mmseg_ext.apis.folds.summary import FoldSummary, unit_rows, write_summary
from mmseg_ext.apis.folds.tested import FoldResult
from mmseg_ext.apis.run.outcome.results import RunResults
from mmseg_ext.evaluation.intervals import logit_interval

CLASSES = ('background', 'bone')


def write_fold(work, number, images, *, groups=None, surfaces=True, tested=None, **changes):
    """Write a tested fold; ``images`` maps an id to tp, fp, fn of bone among 100 pixels."""
    folder = work / f'fold{number}'
    folder.mkdir(parents=True)
    ids = list(images)
    tp, fp, fn = np.array(list(images.values()), np.int64).T
    tn = 100 - tp - fp - fn
    matrix = [[tn.sum(), fp.sum()], [fn.sum(), tp.sum()]]
    accuracy = (tp + tn).sum() / (100 * len(ids))
    split = dict(fold=number, num_folds=3, split_seed=0, pool='train', splitter='GroupKFold',
                 num_train=1, val_ids=ids, val_groups=groups)  # fmt: skip
    (folder / 'split.json').write_text(json.dumps(dict(split, **changes)))
    results = dict(
        config='tiny', seed=0, checkpoint='iter_9.pth', confusion=np.array(matrix).tolist(),
        metrics=dict(aAcc=dict(value=accuracy, low=None, high=None)),
        per_class=dict(IoU=dict.fromkeys(CLASSES, 0.5)))  # fmt: skip
    if tested:
        results['intervals'] = dict(unit=tested, units=len(ids))
    (folder / 'results.json').write_text(json.dumps(results))
    names = np.array([f'{name.split("/")[-1]}.png' for name in ids])
    np.savez(
        folder / 'per_image.npz', names=names, tp=np.stack([tn, tp], 1),
        pred=np.stack([tn + fn, tp + fp], 1), label=np.stack([tn + fp, tp + fn], 1))  # fmt: skip
    if surfaces:
        empty = tp + fp + fn == 0
        np.savez(
            folder / 'per_image_surface.npz', names=names,
            hd95=np.where(empty, math.nan, fp + fn)[:, None].astype(float),
            surface_dice=np.where(empty, math.nan, tp / 100)[:, None],
            classes=CLASSES[1:], spacing=np.array([1.0, 1.0]), tolerance=np.array(1.0))  # fmt: skip


FOLD0 = {'p0/a': (10, 0, 0), 'p0/b': (20, 10, 10), 'p1/a': (0, 0, 0)}
FOLD1 = {'p2/a': (0, 5, 0), 'p2/b': (0, 0, 15)}
GROUPS0, GROUPS1 = ['p0', 'p0', 'p1'], ['p2', 'p2']


@pytest.fixture
def work(tmp_path):
    write_fold(tmp_path, 0, FOLD0, groups=GROUPS0)
    write_fold(tmp_path, 1, FOLD1, groups=GROUPS1)
    return tmp_path


def test_per_fold_mean_and_standard_deviation(work):
    entry = write_summary(work, num_folds=3).per_fold['aAcc']
    assert entry.values == pytest.approx([1 - 20 / 300, 1 - 20 / 200])
    assert entry.mean == pytest.approx(1 - (20 / 300 + 20 / 200) / 2)
    difference = 20 / 200 - 20 / 300
    assert entry.sd == pytest.approx(difference / math.sqrt(2))  # two values, ddof=1


def test_pooled_counts_every_image_once(work):
    pooled = write_summary(work).pooled
    assert pooled['confusion'] == [[430, 15], [25, 30]]
    assert pooled['per_class']['Dice']['bone'] == pytest.approx(2 * 30 / (2 * 30 + 15 + 25))
    assert pooled['metrics']['aAcc']['value'] == pytest.approx(460 / 500)
    # Of the pixels of three patients 180 of 200, 100 of 100 and 180 of 200 are right.
    influences = [(180 - 0.92 * 200) / 500, (100 - 0.92 * 100) / 500, (180 - 0.92 * 200) / 500]
    error = math.sqrt(3 / 2 * sum(i**2 for i in influences))
    expected = logit_interval(0.92, error, 3)
    found = [pooled['metrics']['aAcc'][key] for key in ('low', 'high')]
    assert tuple(found) == pytest.approx(expected, abs=1e-12)
    assert (pooled['intervals']['unit'], pooled['intervals']['units']) == ('group', 3)
    assert pooled['intervals']['class_units'] == dict(background=3, bone=2)


def test_folds_of_another_number_are_refused_and_nothing_is_written(work):
    with pytest.raises(ValueError, match='holds 3 folds, not 5: give --num-folds 3, or another'):
        write_summary(work, num_folds=5)
    assert not (work / 'kfold.json').exists()


def test_per_patient(work):
    result = write_summary(work)
    rows = {row.name: row for row in result.units}
    # p0: all pixels of both images together, 2 * 30 / (2 * 30 + 20), and not the mean of two
    assert rows['p0'].foreground_Dice == pytest.approx(0.75) and rows['p0'].images == 2
    assert rows['p1'].foreground_Dice is None and rows['p1'].HD95 is None
    assert rows['p2'].foreground_Dice == 0 and rows['p2'].fold == 1
    assert rows['p0'].HD95 == pytest.approx((0 + 20) / 2)
    assert rows['p0'].surface_Dice == pytest.approx((0.1 + 0.2) / 2)
    dice = result.per_unit['foreground_Dice']
    assert asdict(dice) == dict(
        mean=pytest.approx(0.375), sd=pytest.approx(0.75 / math.sqrt(2)), low=None, high=None,
        median=pytest.approx(0.375), count=2, undefined=1)  # fmt: skip
    assert result.per_unit['HD95'].mean == pytest.approx((10 + 10) / 2)
    assert result.per_fold['foreground_Dice'].values == pytest.approx([0.75, 0])


def test_without_groups_an_image_is_the_unit(tmp_path):
    write_fold(tmp_path, 0, FOLD0)
    result = write_summary(tmp_path)
    assert result.unit == 'image'
    found = {row.name: row.foreground_Dice for row in result.units}
    assert found == {'p0/a': 1, 'p0/b': pytest.approx(40 / 60), 'p1/a': None}
    assert result.per_fold['aAcc'].sd is None  # one fold has no spread


def test_several_foreground_classes_and_none_called_background():
    tp = np.array([[50, 10, 0, 0]])
    pred, label = np.array([[60, 20, 5, 0]]), np.array([[60, 10, 15, 0]])
    split = Split(0, 2, 0, 'train', 'KFold', val_ids=['a'])
    fold = FoldResult(split, RunResults({}), tp, pred, label)
    dice = [100 / 120, 20 / 30, 0]  # the last class occurs nowhere
    [row] = unit_rows(fold, 0)
    assert row.foreground_Dice == pytest.approx(sum(dice[1:]) / 2)
    [row] = unit_rows(fold, None)
    assert row.foreground_Dice == pytest.approx(sum(dice) / 3)


def test_means_over_patients_have_intervals(tmp_path):
    hits = {f'p{index}/a': (10 * index + 10, 10, 0) for index in range(4)}
    write_fold(tmp_path, 0, hits, groups=[name[:2] for name in hits], tested='patient')
    result = write_summary(tmp_path)
    dice = np.array([2 * tp / (2 * tp + 10) for tp, *_ in hits.values()])
    entry = result.per_unit['foreground_Dice']
    expected = logit_interval(dice.mean(), dice.std(ddof=1) / 2, 4)
    assert (entry.low, entry.high) == pytest.approx(expected, abs=1e-12)
    assert result.unit == 'patient' == result.pooled['intervals']['unit']
    entry = result.per_unit['HD95']  # 10 in each: no spread, no interval
    assert (entry.mean, entry.low) == (10, None)
    surface = np.array([0.1, 0.2, 0.3, 0.4])
    entry = result.per_unit['surface_Dice']
    assert entry.high == pytest.approx(logit_interval(0.25, surface.std(ddof=1) / 2, 4)[1])
    text = format_folds(result)
    assert '95 % intervals over 4 patients. Only 4 patients: below 20' in text
    assert 'Per patient' in text and f'[{100 * expected[0]:.2f}, {100 * expected[1]:.2f}]' in text


def test_the_text_says_what_is_missing(work):
    text = format_folds(write_summary(work))
    assert 'INCOMPLETE: folds [2] are missing' in text and '2 of 3 folds' in text
    assert 'sd (ddof=1)' in text and 'Per group' in text and 'interval over groups' in text
    assert 'OPTIMISTIC' not in text and 'pip install' not in text
    results = work / 'fold1/results.json'
    results.write_text(results.read_text().replace('iter_9', 'best_mIoU_iter_4'))
    assert 'OPTIMISTIC' in format_folds(write_summary(work))


def test_without_surfaces_the_text_says_so(tmp_path):
    write_fold(tmp_path, 0, FOLD0, surfaces=False)
    result = write_summary(tmp_path)
    assert result.per_unit['HD95'].mean is None
    assert 'HD95 and surface Dice were not measured' in format_folds(result)
    assert FoldSummary.read(tmp_path / 'kfold.json') == result  # and no NaN in it
    (tmp_path / 'kfold.json').write_text('{"folds": [0]}')
    with pytest.raises(ValueError, match=r'kfold\.json lacks per_fold, pooled, num_folds: write'):
        FoldSummary.read(tmp_path / 'kfold.json')


def test_folds_that_do_not_belong_together(tmp_path):
    with pytest.raises(FileNotFoundError, match='holds no tested fold'):
        write_summary(tmp_path)
    write_fold(tmp_path, 0, FOLD0, groups=GROUPS0)
    write_fold(tmp_path, 1, FOLD0, groups=GROUPS0)
    with pytest.raises(ValueError, match='share held-out images'):
        write_summary(tmp_path)
    write_fold(tmp_path, 2, FOLD1, groups=GROUPS1, split_seed=1)
    with pytest.raises(ValueError, match='different splits: split_seed'):
        write_summary(tmp_path)


def test_counts_of_other_images(work):
    path = work / 'fold1/split.json'
    path.write_text(path.read_text().replace('p2/b', 'p2/c'))
    with pytest.raises(ValueError, match=r'per_image\.npz is of other images'):
        write_summary(work)
