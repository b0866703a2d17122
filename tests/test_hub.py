"""mmengine.hub, `_base_` across packages, and the inferencer's list; test_wheel.py has wheels."""

from pathlib import Path

import pytest
import yaml
from mmengine import hub
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.models import EncoderDecoder
from support.paths import ROOT

from mmseg_ext.apis.run.config import load_config
from mmseg_ext.registry import MODELS

NAME = 'fmsi/fmsi_mobilenetv2_camvid.py'


def test_configs_are_found_by_package():
    cfg = hub.get_config(f'mmseg_ext::{NAME}')
    assert cfg.to_dict() == Config.fromfile(ROOT / 'configs' / NAME).to_dict()


def test_a_config_that_a_package_lacks_leads_to_a_similar_one():
    with pytest.raises(ValueError, match=r'does not exist; did you mean .*hrnet_w18_voc12aug\.py'):
        load_config('mmseg_ext::fmsi/hrnet_w18_voc.py')


def test_models_are_built_by_package():
    model = hub.get_model(f'mmseg_ext::{NAME}')
    assert isinstance(model, EncoderDecoder)
    assert type(model.decode_head).__name__ == 'FMSIHead'


def test_a_config_may_inherit_ours(tmp_path):
    file = tmp_path / 'mine.py'
    file.write_text(f"_base_ = 'mmseg_ext::{NAME}'\ncrop_size = (1, 2)\n")
    cfg = Config.fromfile(file)
    assert cfg.model.decode_head.type == 'FMSIHead' and cfg.crop_size == (1, 2)


def test_our_scope_finds_mmseg_s_modules():
    with DefaultScope.overwrite_default_scope('mmseg_ext'):
        assert MODELS.get('EncoderDecoder') is EncoderDecoder
        assert MODELS.get('FMSIHead').__module__.startswith('mmseg_ext.')
    assert MODELS.scope == 'mmseg_ext' and not MODELS.module_dict


def test_the_index_names_configs_that_exist():
    """The metafiles list every config of their folder, once."""
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    assert index['Import']
    for imported in index['Import']:
        content = yaml.safe_load((ROOT / imported).read_text())
        listed = [ROOT / model['Config'] for model in content['Models']]
        present = {p for p in (ROOT / imported).parent.glob('*.py') if p.name[0] != '_'}
        assert len(listed) == len(set(listed))
        assert set(listed) == present, f'{imported}: {set(listed) ^ present}'
        names = {c['Name'] for c in content['Collections']}
        assert {model['In Collection'] for model in content['Models']} <= names


def test_the_inferencer_lists_our_models():
    from mmseg.apis import MMSegInferencer

    assert Path(NAME).stem in MMSegInferencer.list_models('mmseg_ext')
