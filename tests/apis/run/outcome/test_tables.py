"""CSV files of a test: confusions, volumes of groups, objects, borders and thresholds, by hand."""

import csv
import json

import numpy as np
import pytest

from mmseg_ext.apis.run.folder import RunFolder
from mmseg_ext.apis.run.outcome.results import RunResults
from mmseg_ext.apis.run.outcome.tables import (
    confusions,
    drop_details,
    write_details,
    write_tables,
)
from mmseg_ext.evaluation.image_counts import ImageCounts

MATRIX = [[80, 15, 5], [30, 70, 0], [0, 0, 0]]


def _results(**more):
    iou = dict(zip(('bone', 'air', 'none'), (0.5, 0.5, None)))
    return RunResults({}, per_class=dict(IoU=iou), confusion=MATRIX, **more)


def _read(path):
    with path.open(newline='') as stream:
        return list(csv.reader(stream))


@pytest.fixture
def folder(tmp_path):
    """Three images of two patients."""
    counts = ImageCounts(3)
    for name, group, label, pred in (
        ('1', 'q', [10, 90, 0], [20, 80, 0]),
        ('2', 'p', [50, 50, 0], [45, 50, 5]),
        ('3', 'q', [30, 70, 0], [24, 76, 0]),
    ):
        counts.append(np.zeros(3), np.array(pred), np.array(label), name, group)
    counts.save(tmp_path / 'per_image.npz')
    return RunFolder(tmp_path)


def test_confusions_with_most_pixels_first(folder):
    assert confusions(np.array(MATRIX)) == [(1, 0, 30, 0.3), (0, 1, 15, 0.15), (0, 2, 5, 0.05)]
    write_tables(folder, _results())
    assert _read(folder.table_file('confusions')) == [
        ['true class', 'predicted class', 'pixels', 'share of the true class'],
        ['air', 'bone', '30', '30.0000'],
        ['bone', 'air', '15', '15.0000'],
        ['bone', 'none', '5', '5.0000'],
    ]


def test_volumes_of_patients(folder):
    facts = dict(intervals=dict(unit='patient'), extra=dict(voxel_mm=[5.0, 0.5, 0.4]))
    write_tables(folder, _results(**facts))
    rows = _read(folder.table_file('volumes'))
    assert rows[0][0] == 'patient' and rows[0][-2:] == ['true ml', 'predicted ml']
    assert rows[1] == ['p', 'bone', '50', '45', '-5', '-10.0000', '0.05', '0.045']
    assert rows[3] == ['p', 'none', '0', '5', '5', '', '0', '0.005']
    assert rows[4] == ['q', 'bone', '40', '44', '4', '10.0000', '0.04', '0.044']
    facts['extra'] = dict(voxel_mm3=[['p', 2.0], ['q', 3.0]])
    write_tables(folder, _results(**facts))
    rows = _read(folder.table_file('volumes'))
    assert rows[1][-2:] == ['0.1', '0.09'] and rows[4][-2:] == ['0.12', '0.132']
    facts['extra'] = dict(voxel_mm3=[['p', 2.0]])
    write_tables(folder, _results(**facts))
    assert _read(folder.table_file('volumes'))[0][-1] == 'relative error'
    write_tables(folder, _results(intervals=dict(unit='video')))
    assert not folder.table_file('volumes').exists()


def test_details(folder):
    bone = [[4, 40, 10, 1.0, 1], [0, 0, 0, 0, 0]]
    details = dict(
        classes=['bone'],
        objects=dict(sides=[4], counts=[bone]),
        borders=dict(edges=[2], counts=[[50, 10], [150, 10]]),
        thresholds=dict(points=[dict(threshold=0.5, recall=1, precision=0.5, false_alarms=0)]),
    )
    write_details(folder, details, 'no reason')
    head, *rows = _read(folder.table_file('objects'))
    assert head[2:] == ['objects', 'pixels', 'recall', 'mean IoU', 'found']
    assert rows == [['bone', 'below 4×4', '4', '40', '25.0000', '25.0000', '25.0000']]
    assert _read(folder.table_file('borders'))[1:] == [
        ['below 2', '50', '10', '20.0000', '20.0000'],
        ['2 and more', '150', '10', '6.6667', '10.0000'],
    ]
    assert _read(folder.table_file('thresholds'))[1] == ['0.5', '1', '0.5', '0']
    told = json.loads(folder.details_file.read_text())
    assert told['thresholds']['why_not_chosen'] == 'no reason'
    drop_details(folder)
    assert sorted(path.name for path in folder.path.iterdir()) == ['per_image.npz']
