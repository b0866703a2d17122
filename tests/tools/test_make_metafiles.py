"""The metafiles: current in this repository, and right on configs and runs of a test's own."""

import sys

import pytest
import yaml
from support.paths import ROOT
from support.tools import load_tool

from mmseg_ext.apis.cards.results_csv import write_records

TABLES = """
tables: {}
collections:
  Ours:
    models: [ours]
    architecture: [A, B]
    paper: >-
      A long
      title
    url: https://example.org/1
  Theirs: {models: [theirs], paper: Another}
"""
BY_EPOCH = 'train_cfg = dict(max_epochs=3)\ntrain_dataloader = dict(batch_size=2)\n'
BY_ITERATION = 'train_cfg = dict(max_iters=40)\ntrain_dataloader = dict(batch_size=4)\n'
RUN = dict(
    config='ours_camvid180',
    metrics=dict(mIoU=dict(value=0.5)),
    parameters=7,
    iterations=30,
    max_iters=40,
    dataset=dict(name='D', split='test', num_images=9),
)


@pytest.fixture
def tool():
    return load_tool('dev/make_metafiles')


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / 'configs/paper'
    folder.mkdir(parents=True)
    (folder / 'tables.yml').write_text(TABLES)
    (folder / 'ours_camvid180.py').write_text(BY_ITERATION)
    base = tmp_path / 'configs/_base_/datasets/camvid.py'
    base.parent.mkdir(parents=True)
    base.write_text(BY_EPOCH)
    (folder / 'theirs.py').write_text("_base_ = '../_base_/datasets/camvid.py'\n")
    (folder / '_base_.py').write_text('')
    return folder


def keep(folder, **runs):
    write_records([{**RUN, **changed} for changed in runs.values()], folder)


def test_they_are_current(tool):
    texts = tool.generate(ROOT)
    assert len(texts) == 6 and {path.name for path in texts} == {'metafile.yml', 'model-index.yml'}
    stale = [str(path) for path, text in texts.items() if path.read_text() != text]
    assert stale == [], 'python tools/dev/make_metafiles.py'


def test_facts_are_those_of_configs_and_of_our_whole_runs(tool, folder):
    keep(
        folder,
        seed0=dict(seed=0),
        seed1=dict(seed=1, metrics=dict(mIoU=dict(value=0.512))),
        short=dict(seed=0, options='--cfg-options max_iters=20', max_iters=20),
        converted=dict(converted=dict(part='model')),
        other=dict(config='theirs'),  # by epoch: iterations do not tell whether it is whole
    )
    metafile, index = (yaml.safe_load(text) for text in tool.generate(folder.parents[1]).values())
    card = 'configs/paper/README.md'
    assert metafile['Collections'] == [
        dict(Name='Ours', License='Apache-2.0', README=card,
             Metadata=dict(Architecture=['A', 'B']),
             Paper=dict(Title='A long title', URL='https://example.org/1')),
        dict(Name='Theirs', License='Apache-2.0', README=card, Paper=dict(Title='Another')),
    ]  # fmt: skip
    ours, theirs = metafile['Models']
    assert ours == {
        'Name': 'ours_camvid180', 'In Collection': 'Ours',
        'Config': 'configs/paper/ours_camvid180.py',
        'Metadata': {'Training Data': 'CamVid at 240x180', 'Batch Size': 4, 'Iterations': 40,
                     'Parameters': 7},
        'Results': [dict(Task='Semantic Segmentation',
                         Dataset='D test, 9 images, mean of 2 seeds', Metrics=dict(mIoU=50.6))],
    }  # fmt: skip
    assert theirs['Metadata'] == {'Training Data': 'CamVid', 'Batch Size': 2, 'Epochs': 3}
    assert 'Results' not in theirs
    assert index == dict(Import=['configs/paper/metafile.yml'])


def test_a_config_of_no_collection_is_named(tool, folder):
    (folder / 'new_camvid.py').write_text(BY_EPOCH)
    with pytest.raises(ValueError, match=r"new_camvid\.py: 'new' must be among the models of one"):
        tool.generate(folder.parents[1])
    (folder / 'tables.yml').write_text('tables: {}\n')
    with pytest.raises(ValueError, match=r'tables\.yml names no collections'):
        tool.generate(folder.parents[1])


def test_the_check_writes_nothing(tool, folder, monkeypatch, capsys):
    monkeypatch.setattr(tool, 'ROOT', folder.parents[1])
    monkeypatch.setattr(tool, '__file__', str(folder.parents[1] / 'tools/dev/make_metafiles.py'))
    monkeypatch.setattr(sys, 'argv', ['make_metafiles.py', '--check'])
    assert tool.main() == 1 and not (folder / 'metafile.yml').exists()
    assert 'stale: configs/paper/metafile.yml' in capsys.readouterr().out
    monkeypatch.setattr(sys, 'argv', ['make_metafiles.py'])
    assert tool.main() == 0 and (folder / 'metafile.yml').is_file()
    monkeypatch.setattr(sys, 'argv', ['make_metafiles.py', '--check'])
    assert tool.main() == 0
