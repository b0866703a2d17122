"""Types of earlier versions are read under the names that they have today."""

import pytest
from mmseg.registry import HOOKS, MODELS, TRANSFORMS

from mmseg_ext.apis.config.own import own_config
from mmseg_ext.apis.config.reading import read_config
from mmseg_ext.apis.config.renamed import CONFIGS, RENAMED, today_config
from mmseg_ext.apis.config.written import configs_folder
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.outcome.results import RunResults

OLD = """
model = dict(type='EncoderDecoder', backbone=dict(type='UNetValid'),
             decode_head=dict(type='FCNHead', num_classes=2),
             auxiliary_head=[dict(type='ValidSegHead', num_classes=2)])
wrapped = dict(type='ConcatDataset', datasets=(dict(pipeline=[dict(type='RepoAugment')]),))
custom_hooks = [dict(type='RepoLrHook')]
"""


def read_whole(path, monkeypatch):
    monkeypatch.setattr('mmseg_ext.apis.run.config.check_config', lambda cfg: None)
    return load_config(path)


@pytest.mark.parametrize(
    'read',
    [
        lambda path, _: read_config(path),
        lambda path, _: own_config(dict(meta=dict(cfg=path.read_text())), path, path)[1],
        read_whole,
    ],
    ids=['of a folder', 'of a checkpoint', 'of a tool'],
)
def test_old_names_are_renewed_at_any_depth(tmp_path, monkeypatch, read):
    (tmp_path / 'run.py').write_text(OLD)
    cfg = read(tmp_path / 'run.py', monkeypatch)
    assert cfg.model.backbone.type == 'UnpaddedUNet'
    assert [head.type for head in cfg.model.auxiliary_head] == ['UnpaddedSegHead']
    assert cfg.wrapped.datasets[0].pipeline[0].type == 'LetterboxAugment'
    assert cfg.custom_hooks == [dict(type='FlatCosineLrHook')]
    assert cfg.model.decode_head.type == 'FCNHead'


def test_only_names_that_are_gone_are_renewed():
    registries = (MODELS, HOOKS, TRANSFORMS)
    assert len(RENAMED) == 4
    for old, new in RENAMED.items():
        assert [registry.get(old) for registry in registries] == [None] * 3, old
        assert any(registry.get(new) for registry in registries), new


def test_old_names_of_configs_lead_to_configs_that_are_there():
    there = {path.stem for path in configs_folder().glob('*/*.py')}
    assert len(CONFIGS) == 40 and len(there) > 100
    assert set(CONFIGS.values()) <= there and not set(CONFIGS) & there
    assert today_config('segnet_vgg16_voc') == 'segnet_vgg16_voc12aug'
    assert today_config('fmsi_xception_voc') == 'fmsi_xception_voc'
    assert today_config(None) is None and today_config(['a']) == ['a']


@pytest.mark.parametrize(
    'version, name', [(None, 'segnet_vgg16_voc12aug'), (1, 'segnet_vgg16_voc')]
)
def test_results_of_an_earlier_version_name_todays_config(version, name):
    content = dict(config='segnet_vgg16_voc', version=version)
    assert RunResults.from_content(content).config == name
