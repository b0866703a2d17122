"""The names that command lines offer are those of the tables behind them, in their order."""

import importlib
from pathlib import Path

import pytest

from mmseg_ext.core import choices

TABLES = {
    'ARCHIVES': ('datasets.download', 'ARCHIVES'),
    'AXES': ('apis.userdata.volumes.nifti', 'AXES'),
    'CRF_SETTINGS': ('models.layers.dense_crf', 'SETTINGS'),
    'EXPORT_FORMATS': ('apis.deploy.formats', 'FORMATS'),
    'PSEUDO_LABELS': ('models.segmentors.semi', 'METHODS'),
    'SCORES': ('apis.predict.scores', 'SCORES'),
    'SEMI': ('apis.run.semi', 'METHODS'),
    'SHAPES': ('datasets.shapes_variants', 'VARIANTS'),
    'TRACKERS': ('apis.run.tracking', 'TRACKERS'),
}
# declared in choices alone, and imported from there under the second name
ALONE = {
    'CLASS_WEIGHTS': ('models.losses.class_weights', 'METHODS'),
    'DROPOUT_PASSES': ('apis.predict.dropout', 'DROPOUT_PASSES'),
    'FOLD_POOLS': ('apis.folds.pool', 'POOLS'),
    'LABEL_FORMATS': ('apis.labels.project', 'FORMATS'),
    'NAN_ACTIONS': ('engine.nonfinite', 'ACTIONS'),
    'NETWORKS': ('core.semi_weights', 'NETWORKS'),
    'REGIONS': ('apis.labels.regions', 'KINDS'),
}


def read(place):
    module, name = place
    return getattr(importlib.import_module(f'mmseg_ext.{module}'), name)


@pytest.mark.parametrize('name', TABLES)
def test_names_are_those_of_the_table(name):
    names = getattr(choices, name)
    assert names == tuple(read(TABLES[name])) and len(set(names)) == len(names) > 0


@pytest.mark.parametrize('name', ALONE)
def test_a_plain_list_is_declared_once(name):
    assert getattr(choices, name) is read(ALONE[name])


def test_benchmarks_are_those_that_are_registered():
    """Importing a module of the room registers its own."""
    from mmseg_ext.apis.bench import timing

    modules = sorted(path.stem for path in Path(timing.__file__).parent.glob('[!_]*.py'))
    assert len(modules) > 5
    for module in modules:
        importlib.import_module(f'mmseg_ext.apis.bench.{module}')
    assert set(choices.BENCHMARKS) == set(timing.BENCHMARKS)
    assert len(choices.BENCHMARKS) == len(timing.BENCHMARKS)


def test_every_list_is_compared():
    lists = {name for name in vars(choices) if name.isupper()}
    assert lists == {*TABLES, *ALONE, 'BENCHMARKS'}
