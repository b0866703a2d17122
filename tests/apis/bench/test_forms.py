"""The benchmarks of forms and of a test: both sides do what they say, and agree."""

import functools
import json

import pytest
import torch

from mmseg_ext.apis.bench import forms, throughput, timing  # noqa: F401, it registers
from mmseg_ext.apis.bench.backends import Backend
from mmseg_ext.apis.bench.programs import mmseg_inferencer
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.testing import test as run_test
from mmseg_ext.apis.run.training import train

LOAD = load_config
_META = dict(ori_shape=(32, 32), img_shape=(32, 32), pad_shape=(32, 32), padding_size=[0] * 4)


@pytest.mark.usefixtures('half')
def test_forms_of_a_config_and_of_a_tested_run(tiny_config, tiny_data, tmp_path, monkeypatch):
    cfg = load_config(tiny_config, work_dir=tmp_path, options=dict(max_iters=2))
    train(cfg)
    run_test(load_config(tiny_config, work_dir=tmp_path))
    image = str(tiny_data / 'img/0.png')
    sources = [str(tiny_config), str(tmp_path)]
    monkeypatch.setattr(forms, 'backends', lambda network, compiled: iter(()))
    record = timing.run('forms', repeats=1, configs=sources, images=[image], size=32, batch=2)
    assert len(record['cases']) == 2 * len(forms.FORMS) == 6
    for case in record['cases']:
        exact = 'bfloat16' not in case['case']
        assert case['case'].endswith('2x32x32') and case['flops'] > 0
        assert case['label_agreement'] > (0.999 if exact else 0.8)
        assert case['ours_ms'] > 0 and case['reference_ms'] > 0
        logits = 2 * cfg.model.decode_head.num_classes * 32 * 32 * 4
        assert case['reference_tensor_bytes'] > logits and case['tensor_bytes'] > 0
    held = {case['case'].split(', ')[1]: case['tensor_bytes'] for case in record['cases'][:3]}
    assert held['fast form in bfloat16'] <= held['fast form']
    assert held['labels alone'] < record['cases'][0]['reference_tensor_bytes']
    assert held['fast form'] < 1.5 * held['labels alone'], 'not what building it takes'


@pytest.mark.usefixtures('half')
def test_a_program_answers_with_its_logits_and_a_failing_one_is_noted(tiny_config, monkeypatch):
    """In the places of other programs: the network itself, its negative, and one that fails."""

    def programs(network, compiled):
        logits = functools.partial(network.encode_decode, batch_img_metas=[_META])
        yield Backend('same', 'float32', logits)
        yield Backend('negative', 'bfloat16', lambda x: -logits(x))
        yield Backend('broken', 'float32', lambda x: 1 / 0)
        yield 'no fifth: why'

    monkeypatch.setattr(forms, 'backends', programs)
    record = timing.run('forms', repeats=1, configs=[str(tiny_config)], size=32)
    cases = {case['case'].split(', ')[1]: case for case in record['cases']}
    assert [*cases] == [*forms.FORMS, 'same', 'negative']
    assert cases['same']['label_agreement'] == 1 and cases['negative']['label_agreement'] < 0.5
    assert 'tensor_bytes' not in cases['same'], 'its own memory is not seen'
    assert [cases[name]['product'] for name in ('same', 'negative')] == ['float32', 'bfloat16']
    notes = [note for note in record['notes'] if note.startswith(str(tiny_config))]
    assert notes == [
        f'{tiny_config}: no broken: ZeroDivisionError: division by zero',
        f'{tiny_config}: no fifth: why',
    ]


def test_a_form_that_is_refused_is_noted_and_other_errors_are_not(tiny_config, monkeypatch):
    monkeypatch.setattr(forms, 'backends', lambda network, compiled: iter(()))
    monkeypatch.setattr('mmseg_ext.apis.run.quick.fast_form', _refuse)
    record = timing.run('forms', repeats=1, configs=[str(tiny_config)], size=32)
    assert len(record['cases']) == 1
    assert f'{tiny_config}: no fast form: ValueError: differs' in record['notes']
    monkeypatch.setattr('mmseg_ext.apis.run.quick.fast_form', lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        timing.run('forms', repeats=1, configs=[str(tiny_config)], size=32)


@pytest.mark.usefixtures('half')
def test_a_network_that_cannot_predict_stops_no_other(tiny_config, monkeypatch):
    monkeypatch.setattr(forms, 'backends', lambda network, compiled: iter(()))
    build = forms.build

    def built(cfg):
        if 'a.py' in cfg:
            raise ImportError('it needs timm')
        return build(cfg)

    monkeypatch.setattr(forms, 'build', built)
    monkeypatch.setattr(forms, 'load_config', lambda path: path if path == 'a.py' else LOAD(path))
    record = timing.run('forms', repeats=1, configs=['a.py', str(tiny_config)], size=32)
    assert 'a.py: ImportError: it needs timm' in record['notes']
    assert len(record['cases']) == len(forms.FORMS)
    with pytest.raises(
        ValueError, match='nothing was measured: .*a.py: ImportError: it needs timm'
    ):
        timing.run('forms', repeats=1, configs=['a.py'])


def _refuse(*_, **__):
    raise ValueError('differs')


def test_images_are_prepared_as_in_a_test(tiny_config, tiny_data, tmp_path):
    network = forms._network(str(tiny_config))
    files = [str(path) for path in sorted((tiny_data / 'img').iterdir())[:2]]
    found = forms._inputs(network, files, 40, 3)
    expected = next(iter(forms._runner(str(tiny_config), 1, 'SegMetric', tmp_path).test_dataloader))
    expected = network.data_preprocessor(expected, False)['inputs']
    assert found.shape == (3, 3, 40, 40) and torch.equal(found[0], found[2])
    torch.testing.assert_close(found[:1], expected)
    assert forms._inputs(network, (), 32, 2).shape == (2, 3, 32, 32)


@pytest.mark.parametrize('amp', [False, True])
def test_a_test_scores_as_that_of_mmseg(amp, tiny_config, half):
    record = timing.run('evaluation', repeats=1, configs=[str(tiny_config)], amp=amp)
    json.dumps(record)  # it is written
    (case,) = record['cases']
    assert case['max_difference'] < (5 if amp else 0.05) and '6 images' in case['case']


def test_the_other_side_has_mmseg_s_form(tiny_config, tmp_path, monkeypatch):
    """Decoders of the other side upsample before they convolve; those of ours need not."""
    kind = type(forms._network(str(tiny_config)).decode_head)
    for name, value in (('mix_first', True), ('fuse1', torch.nn.Identity())):
        monkeypatch.setattr(kind, name, value, raising=False)
    runners, make = [], forms._runner
    monkeypatch.setattr(forms, '_runner', lambda *args: runners.append(make(*args)) or runners[-1])
    monkeypatch.setattr(forms, 'compare', lambda *_, **__: {})
    forms._test(str(tiny_config), 1, False, 1, tmp_path)
    ours, theirs = (runner.model for runner in runners)
    assert ours.decode_head.mix_first and not theirs.decode_head.mix_first
    assert not forms._network(str(tiny_config)).decode_head.mix_first
    checkpoint = tmp_path / 'x.pth'
    torch.save(dict(state_dict=ours.state_dict()), checkpoint)
    for program in mmseg_inferencer(load_config(tiny_config), checkpoint, 1):
        assert not program.network.decode_head.mix_first


def test_what_would_be_float32_is_not_called_bfloat16(tiny_config, tiny_data, monkeypatch):
    for module in (forms, throughput):
        monkeypatch.setattr(module, 'is_imitated', lambda kind: kind == 'cpu')
    with pytest.raises(ValueError, match='no products of bfloat16: leave out --amp'):
        timing.run('evaluation', repeats=1, configs=[str(tiny_config)], amp=True)
    monkeypatch.setattr(throughput, 'programs', lambda *_: iter(()))
    image = str(tiny_data / 'img/0.png')
    record = timing.run(
        'throughput', repeats=1, configs=[str(tiny_config)], images=[image], size=32
    )
    assert record['notes'] == [
        'no tools/predict.py --amp: this processor has no products of bfloat16'
    ]
    names = [case['case'] for case in record['cases'] if 'predict.py' in case['case']]
    assert names == ['tools/predict.py', 'tools/predict.py --fast']


@pytest.mark.parametrize('name', ['forms', 'evaluation', 'throughput'])
def test_configs_are_needed(name):
    with pytest.raises(ValueError, match='--configs'):
        timing.run(name, repeats=1)
