"""The facts of the models that a table builds: counted by hand, and one row by another."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmseg_ext.apis.tables.models import model_facts, table_models
from mmseg_ext.apis.tables.rows import Row, Table, read_tables

TABLES = """
tables:
  1:
    caption: a tiny network
    rows:
      - {label: Tiny, config: tiny_a}
      - {label: Broken, config: tiny_a, options: {model.backbone.depth: 7}}
      - {label: Wide, config: tiny_a, options: {model.decode_head.channels: 9}}
"""


@pytest.fixture
def paper(tmp_path, tiny_config) -> Path:
    """A folder of configs with one paper of a tiny config."""
    folder = tmp_path / 'configs' / 'toy'
    folder.mkdir(parents=True)
    (folder / 'tables.yml').write_text(TABLES)
    (folder / 'tiny_a.py').write_text(tiny_config.read_text())
    return folder.parent


def test_the_facts_of_a_model(paper) -> None:
    """Parameters and FLOPs of three convolutions, by hand; auxiliary heads are left out."""
    head = dict(in_index=0, num_classes=3, dropout_ratio=0, norm_cfg=None, num_convs=0,
                concat_input=False, type='FCNHead', in_channels=8, channels=8)  # fmt: skip
    backbone = dict(type='ResNet', depth=18, num_stages=1, out_indices=(0,), strides=(1,),
                    dilations=(1,), stem_channels=8, base_channels=8)  # fmt: skip
    model = dict(
        type='EncoderDecoder',
        backbone=backbone,
        decode_head=head,
        auxiliary_head=head,
        data_preprocessor=dict(type='SegDataPreProcessor'),
        test_cfg=dict(mode='whole'),
    )
    facts = model_facts(Config(dict(model=model, crop_size=(32, 64))))
    stem, conv, norm = 3 * 8 * 49, 8 * 8 * 9, 2 * 8
    assert facts['parameters'] == stem + norm + 4 * (conv + norm) + 8 * 3 + 3
    # stem at 16 x 32, four convolutions and the classifier at 8 x 16; a multiply-add is two
    assert facts['GFLOPs'] * 1e9 == 2 * (stem * 512 + 4 * conv * 128 + 24 * 128)
    assert facts['size'] == [32, 64] and 'latency_ms' not in facts
    assert model_facts(Config(dict(model=model, crop_size=(32, 64))), latency=1)['latency_ms'] > 0


def test_models_of_a_table(paper) -> None:
    table = read_tables('toy', paper)['1']
    absent = Row('Absent', 'absent')
    models = table_models(Table('toy', '1', '', (*table.rows, absent)))
    assert set(models) == {'Tiny', 'Broken', 'Wide'}
    assert models['Wide']['parameters'] > models['Tiny']['parameters']
    assert models['Tiny']['selects_on_test'] is True
    once = table_models(table, options=['train_cfg.val_interval=6'])  # nothing to choose from
    assert once['Tiny']['selects_on_test'] is False
    assert models['Broken']['remark'].startswith('not built: ')
    narrow = table_models(table, options=['model.decode_head.channels=2'])  # the user's win
    assert narrow['Wide'] == narrow['Tiny'] != models['Tiny']
