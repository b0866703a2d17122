"""Other programs answer as the network does; what they cannot do is told in a line."""

import importlib

import pytest
import torch

from mmseg_ext.apis.bench import backends as room
from mmseg_ext.apis.bench.backends import backends, missing_programs
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.network.build import build


@pytest.fixture(scope='module')
def network(tiny_config):
    torch.manual_seed(0)
    return build(load_config(tiny_config)).eval()


def test_each_program_takes_what_the_preprocessor_gives(network):
    if missing_programs():
        pytest.skip('; '.join(missing_programs().values()))
    found = list(backends(network))
    names = {one.name: one.product for one in found if not isinstance(one, str)}
    assert names['ONNX Runtime'] == names['OpenVINO'] == 'float32'
    assert ('OpenVINO in bfloat16' in names) != any(isinstance(one, str) for one in found)
    images = torch.randn(2, 3, 41, 56)
    meta = dict(ori_shape=(41, 56), img_shape=(41, 56), pad_shape=(41, 56))
    with torch.no_grad():
        expected = network.encode_decode(images, [meta] * 2)
    for one in found[:3]:
        limit = 1e-4 if one.product == 'float32' else 0.1
        difference = (one.logits(images) - expected).abs().max() / expected.abs().max()
        assert difference < limit, one.name


def test_what_is_not_installed_is_named_with_the_remedy(network, monkeypatch):
    def refuse(kind):
        raise ImportError(f'format {kind} needs it: pip install')

    monkeypatch.setattr(room, 'check_packages', refuse)
    assert missing_programs() == {
        'ONNX Runtime': 'no ONNX Runtime: format onnx needs it: pip install',
        'OpenVINO': 'no OpenVINO: format openvino needs it: pip install',
    }
    assert list(backends(network)) == []


def test_a_network_that_an_exporter_refuses_is_a_line(network, monkeypatch):
    def write(*_):
        try:
            raise KeyError('inner')
        except KeyError as error:
            raise RuntimeError('outer') from error

    monkeypatch.setattr(room, 'check_packages', lambda kind: None)
    monkeypatch.setattr(room.ONNX, 'write', write)
    assert list(backends(network)) == ["no ONNX Runtime and no OpenVINO: KeyError: 'inner'"]


def test_a_network_that_is_no_single_pass_is_a_line(network, monkeypatch):
    def refuse(model):
        raise ValueError('it is two')

    monkeypatch.setattr(room, 'check_exportable', refuse)
    assert list(backends(network, compiled=True)) == ['no other program: it is two']


def test_torch_compiles_the_network_for_its_own_input(network, monkeypatch):
    """The compiler is stood in for: it is given a graph without normalisation."""
    seen = []

    def compile_(graph, **options):
        seen.append(options)
        return graph

    monkeypatch.setattr(room, 'missing_programs', lambda: dict.fromkeys(room.PROGRAMS, 'none'))
    monkeypatch.setattr(torch, 'compile', compile_)
    importlib.import_module('torch._dynamo')
    (found,) = backends(network, compiled=True)
    images = torch.randn(1, 3, 32, 32)
    meta = dict(ori_shape=(32, 32), img_shape=(32, 32), pad_shape=(32, 32))
    with torch.no_grad():
        torch.testing.assert_close(found.logits(images), network.encode_decode(images, [meta]))
    assert found.name == 'torch.compile' and seen == [dict(dynamic=False)]
