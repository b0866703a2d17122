"""Types of earlier versions are read under the names that they have today."""

import pytest
from mmseg.registry import HOOKS, MODELS, TRANSFORMS

from mmseg_ext.apis.config.own import own_config
from mmseg_ext.apis.config.reading import read_config
from mmseg_ext.apis.config.renamed import RENAMED
from mmseg_ext.apis.run.config import load_config

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
