"""What the package does to mmcv-lite, mmengine's checkpoints and its list of packages."""

import sys
from types import ModuleType

import mmengine.config.utils
import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub

from mmseg_ext import compat


def test_placeholder_explains_itself():
    ops = compat._MissingOps('mmcv._ext')
    with pytest.raises(RuntimeError, match='deform_conv_forward needs the compiled mmcv'):
        ops.deform_conv_forward(1, 2)
    with pytest.raises(AttributeError):  # import machinery probes these
        ops.__wrapped__  # noqa: B018


def test_compiled_operators_are_honoured(monkeypatch):
    monkeypatch.setitem(sys.modules, 'mmcv._ext', ModuleType('mmcv._ext'))
    assert compat.install_mmcv_placeholder() is False


def test_placeholder_stands_where_nothing_is_compiled():
    import importlib.machinery

    import mmcv
    from mmengine.utils.dl_utils.misc import mmcv_full_available

    compiled = importlib.machinery.PathFinder.find_spec('mmcv._ext', mmcv.__path__) is not None
    assert compat.install_mmcv_placeholder() is not compiled
    assert mmcv_full_available() is compiled


def test_plain_turns_numpy_into_python():
    tensor = torch.ones(2)
    value = compat.plain(
        {'a': np.float32(0.5), 'b': [np.int64(3), (np.array([1, 2]),)], 'c': tensor}
    )
    assert value == {'a': 0.5, 'b': [3, ([1, 2],)], 'c': tensor}
    assert [type(value['a']), type(value['b'][0])] == [float, int]
    assert value['c'] is tensor


def test_history_survives_as_plain_values(tmp_path):
    hub = MessageHub('test_compat_a')
    for value in (3.0, 2.0, 1.0):
        hub.update_scalar('train/loss', value, 2)
    hub.update_info('best_score', np.float32(0.25))
    torch.save(hub.state_dict(), tmp_path / 'hub.pth')
    state = torch.load(tmp_path / 'hub.pth', weights_only=True)
    other = MessageHub('test_compat_b')
    other.load_state_dict(state)
    buffer = other.get_scalar('train/loss')
    assert buffer.mean() == 1.0 and buffer.min() == 1.0
    values, counts = buffer.data
    assert values.tolist() == [3.0, 2.0, 1.0] and counts.tolist() == [2, 2, 2]
    assert other.get_info('best_score') == 0.25


def test_histories_of_plain_mmengine_still_load():
    hub = MessageHub('test_compat_c')
    hub.load_state_dict(dict(log_scalars={'loss': HistoryBuffer([4.0], [1])}, runtime_info={},
                             resumed_keys={}))  # fmt: skip
    assert hub.get_scalar('loss').current() == 4.0


LISTED = """
import pkgutil, torch, mmseg_ext
names = [m.name for m in pkgutil.walk_packages(mmseg_ext.__path__, 'mmseg_ext.')]
assert len(names) > 250
for name in names:
    __import__(name)
for entry in torch.serialization.get_safe_globals():
    root = entry.__module__.partition('.')[0]
    # torch 2.14 itself lists exceptions and what traceback stores them in
    assert root in ('torch', 'traceback') or issubclass(entry, BaseException), entry
"""


def test_nothing_is_allow_listed(python_tool):
    """Checkpoints reach what torch itself lists and nothing else; getattr is in builtins.

    In a process of its own: MONAI, which other tests import, lists classes of its own.
    """
    done = python_tool('-c', LISTED, check=False)
    assert done.returncode == 0, done.stderr


def test_applying_twice_changes_nothing():
    before = MessageHub.state_dict
    compat.apply()
    assert MessageHub.state_dict is before
    assert mmengine.config.utils.MODULE2PACKAGE['mmseg_ext'] == 'mmseg_ext.registry'


def test_a_model_without_published_weights_says_so(tmp_path):
    from mmengine.infer import BaseInferencer

    (tmp_path / 'model-index.yml').write_text('Import: [metafile.yml]')
    (tmp_path / 'metafile.yml').write_text('Models: [{Name: a}, {Name: b, Weights: b.pth}]')
    compat.explain_missing_weights()  # once more changes nothing
    first, second = BaseInferencer._get_models_from_metafile(str(tmp_path))
    assert first['Weights'] == 'published weights of a (give weights=FILE of your own)'
    assert second == dict(Name='b', Weights='b.pth')


def test_a_base_is_the_file_that_mmengine_finds_without_parsing_a_zoo(monkeypatch):
    from mmengine.config import Config, config, utils

    base, of_zoo = 'mmseg::_base_/models/setr_pup.py', 'mmseg::pspnet/pspnet_r50-d8_4xb4-20k_voc12'
    with monkeypatch.context() as alone:  # ours out of the way
        alone.setattr(config, '_get_external_cfg_path', utils._get_external_cfg_path)
        found = Config._get_cfg_path(base, 'any.py')
    assert found[0].endswith('_base_/models/setr_pup.py')
    parsed = []
    monkeypatch.setattr(utils, '_get_cfg_metainfo', lambda *names: parsed.append(names) or {})
    assert Config._get_cfg_path(base, 'any.py') == found and not parsed
    with pytest.raises(KeyError):  # other names are still looked up
        Config._get_cfg_path(of_zoo, 'any.py')
    assert len(parsed) == 1


def test_a_config_is_laid_out_once(monkeypatch):
    from mmengine.config import Config, config
    from yapf.yapflib import yapf_api

    asked = []

    def lay_out(text, **settings):
        asked.append(text)
        return f'{text}  # laid out', True

    place = config if hasattr(config, 'FormatCode') else yapf_api
    monkeypatch.setattr(place, 'FormatCode', lay_out)
    compat.lay_out_configs_once()
    compat.lay_out_configs_once()
    texts = [Config(dict(a=n)).pretty_text for n in (1, 2, 1, 2)]
    assert texts == [f'a={n}  # laid out' for n in (1, 2, 1, 2)]
    assert asked == ['a=1', 'a=2']
    assert place.FormatCode('a=1', style_config='pep8')[0] == texts[0] and len(asked) == 3
    for number in range(20):  # what is kept is bounded
        place.FormatCode(str(number))
    place.FormatCode('a=1', style_config='pep8')
    assert len(asked) == 24
