"""Other forms of a model: each predicts as the plain one, for a while, and leaves it as it was."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmseg.structures import SegDataSample
from support.small_network import small_network

from mmseg_ext.apis.run import testing
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.folder import RunFolder
from mmseg_ext.apis.run.options import use_fast, use_tta
from mmseg_ext.apis.run.outcome import facts
from mmseg_ext.apis.run.quick import quick
from mmseg_ext.apis.run.training import train


def network(**changes):
    """A network whose batch norms do something, and whose classes alternate."""
    built = small_network(**changes).train()
    with torch.no_grad():
        built(torch.randn(4, 3, 64, 64), mode='tensor')  # statistics of batch norm
        built.decode_head.conv_seg.weight.normal_()
        features = built.eval()(torch.randn(4, 3, 64, 64), mode='tensor')
        built.decode_head.conv_seg.bias -= features.mean((0, 2, 3))
    return built


def sample():
    size = (64, 64)
    facts = dict(ori_shape=size, img_shape=size, pad_shape=size, padding_size=[0] * 4)
    return [SegDataSample(metainfo=facts)]


FORMS = dict(
    labels=(dict(labels=True), 1.0), fast=(dict(fast=True), 0.999),
    fast_labels=(dict(fast=True, labels=True), 0.999), half=(dict(amp=True), 0.9),
    half_labels=(dict(amp=True, labels=True), 0.9),
)  # fmt: skip


@pytest.mark.parametrize('form, agreement', FORMS.values(), ids=FORMS)
@torch.no_grad()
def test_a_form_predicts_as_the_plain_model_and_only_for_a_while(form, agreement, half):
    model = network()
    image = torch.randn(1, 3, 64, 64)
    plain = model.predict(image, sample())[0]
    with quick(model, **form) as alone:
        model.decode_head.conv_seg.bias += 0  # weights may still change until the first prediction
        found = model.predict(image, sample())[0]
    assert alone == ('seg_logits' not in found) == form.get('labels', False)
    label, expected = found.pred_sem_seg.data, plain.pred_sem_seg.data
    assert len(expected.unique()) > 2 and label.dtype == expected.dtype
    assert (label == expected).float().mean() >= agreement
    if not alone:
        assert found.seg_logits.data.dtype == torch.float32
    again = model.predict(image, sample())[0]
    assert torch.equal(again.seg_logits.data, plain.seg_logits.data)
    assert 'predict' not in vars(model)


@torch.no_grad()
def test_the_form_is_that_of_the_weights_at_the_first_prediction():
    model, image = network(), torch.randn(1, 3, 64, 64)
    other = copy.deepcopy(model.state_dict())
    other['decode_head.conv_seg.bias'] += torch.tensor([0, 0, 0, 0, 100.0])
    with quick(model, fast=True, labels=True):
        model.load_state_dict(other)
        assert (model.predict(image, sample())[0].pred_sem_seg.data == 4).all()


def test_memory_is_kept_on_a_cpu_alone(monkeypatch):
    calls = []
    monkeypatch.setattr('mmseg_ext.core.heap.keep_freed_memory', lambda: calls.append(1))
    with quick(network().to('meta')), quick(torch.nn.Linear(2, 2).to('meta')):
        assert not calls
    with quick(network()):
        assert calls == [1]


def test_a_training_keeps_memory_too(tiny_config, tmp_path, monkeypatch):
    events = []
    monkeypatch.setattr('mmseg_ext.core.heap.keep_freed_memory', lambda: events.append('keep'))
    monkeypatch.setattr('mmengine.runner.Runner.train', lambda self: events.append('train'))
    train(load_config(tiny_config, work_dir=tmp_path / 'run'))
    assert events == ['keep', 'train']


def test_an_error_leaves_nothing_and_other_models_are_left_alone_or_refused():
    model = network()
    with pytest.raises(RuntimeError), quick(torch.nn.DataParallel(model), labels=True) as alone:
        assert alone and 'predict' in vars(model)
        raise RuntimeError
    assert 'predict' not in vars(model)
    windows = network(test_cfg=dict(mode='slide', crop_size=(32, 32), stride=(16, 16)))
    with quick(windows, labels=True) as alone:
        assert not alone and 'predict' not in vars(windows)
    with pytest.raises(ValueError, match='no fast form'), quick(torch.nn.Identity(), fast=True):
        pass


@pytest.mark.parametrize('imitated', [False, True])
def test_results_name_the_form_that_computed(imitated, monkeypatch):
    monkeypatch.setattr(facts, 'is_imitated', lambda kind: imitated)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    forms = [{}, dict(inference=dict(fast=True, amp=False)), dict(inference=dict(amp=True))]
    names = [facts._form(Config(form)) for form in forms]
    assert names == ['', ', fast form', ', fast form' + ('' if imitated else ' in bfloat16')]


@pytest.mark.parametrize('tta', [False, True])
def test_scores_of_a_test_in_other_forms(tta, tiny_config, tmp_path, half):
    cfg = load_config(tiny_config, work_dir=tmp_path, options=dict(max_iters=2))
    train(cfg)
    found, hardware = {}, {}
    for name, form in dict(plain=None, fast=dict(), half=dict(amp=True)).items():
        cfg = load_config(tiny_config, work_dir=tmp_path)
        if tta:
            use_tta(cfg)
        if form is not None:
            use_fast(cfg, **form)
        found[name] = testing.test(cfg)['mIoU']
        hardware[name] = RunFolder(tmp_path).results().hardware
    assert found['plain'] > 0
    assert found['fast'] == pytest.approx(found['plain'], abs=0.05)
    assert found['half'] == pytest.approx(found['plain'], abs=3)
    assert hardware['fast'] == hardware['plain'] + ', fast form'
    assert 'float16' in hardware['half']
