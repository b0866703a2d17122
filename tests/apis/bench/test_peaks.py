"""Rates are those of a clock that the test holds; a share of them is computed by hand."""

import pytest
import torch

from mmseg_ext.apis.bench import peaks
from mmseg_ext.apis.cards.speed import speed_page
from mmseg_ext.apis.cards.speed_figure import has_figure
from mmseg_ext.core.files import write_json


def test_rates_are_work_over_the_best_time(monkeypatch):
    ticks = iter(range(1000))
    monkeypatch.setattr(peaks.time, 'perf_counter', lambda: next(ticks) / 2)
    monkeypatch.setattr(peaks, '_SIDE', 16)
    monkeypatch.setattr(peaks, '_CHANNELS', 4)
    monkeypatch.setattr(peaks, '_VALUES', 1000)
    monkeypatch.setattr(peaks, 'is_imitated', lambda device: False)
    found = peaks.peaks(2)  # each call takes half a second
    assert found == dict(float32=16384, bfloat16=16384, copy=16000)
    monkeypatch.setattr(peaks, 'is_imitated', lambda device: True)
    assert peaks.peaks(2) == dict(float32=16384, copy=16000)


def test_they_are_measured():
    found = peaks.peaks(1)
    assert {'bfloat16', *found} == {'float32', 'bfloat16', 'copy'}
    assert all(value > 1e8 for value in found.values()) and torch.get_num_threads() >= 1


def test_the_page_has_the_share_of_the_rate(tmp_path):
    case = dict(
        case='net', reference='plain', flops=3e9, images=2, product='float32', ours_ms=100,
        reference_ms=200, ratio=2, ratio_lowest=2, ratio_highest=2, parameters=5,
    )  # fmt: skip
    record = dict(
        command='python tools/benchmark.py forms', hardware='a machine', threads=1, date='today',
        versions=dict(torch='2'), repeats=3, commit='abcdefghi', cases=[case],
        peaks=dict(float32=120e9, bfloat16=240e9, copy=5e9),
    )  # fmt: skip
    (tmp_path / 'net/results').mkdir(parents=True)
    write_json(tmp_path / 'net/results/benchmark_forms.json', record)
    page = speed_page(tmp_path / 'net')
    assert '% of the best rate' in page and '| 50 ' in page  # 60 of 120 GFLOP/s
    assert '120 GFLOP/s in float32 and 240 in bfloat16, copies 5.0 GB/s' in page
    del record['peaks']
    write_json(tmp_path / 'net/results/benchmark_forms.json', record)
    assert '% of the best rate' not in speed_page(tmp_path / 'net')


def test_only_networks_against_one_peer_are_drawn():
    shared = dict(ratio=2, ratio_lowest=1, ratio_highest=3)
    cases = [dict(shared, case=f'{n}.py, fast, 1x8x8', reference='peer') for n in 'ab']
    assert has_figure(cases) and not has_figure(cases[:1])
    assert not has_figure([*cases, dict(cases[0], reference='another')])


@pytest.mark.parametrize('name', ['mmsegmentation', 'mmengine'])
def test_peers_say_what_is_installed(name):
    from mmseg_ext.apis.bench.peers import _version, peers

    found = {peer.package: peer for peer in peers()}
    assert found[name].version or _version(f'onedl-{name}')
    install = ('pip install ', 'make ')
    assert all(peer.install.startswith(install) and peer.of for peer in found.values())
    assert _version('no-such-package') is None


def test_a_record_names_the_versions_of_its_peers(monkeypatch):
    from mmseg_ext.apis.bench import peers

    monkeypatch.setattr(peers, '_version', lambda name: None if name == 'openvino' else '1.0')
    assert peers.versions_for('forms') == dict(mmsegmentation='1.0', onnxruntime='1.0')
    assert peers.versions_for('deform_conv') == dict(mmcv='1.0')
    assert peers.versions_for('parts') == {}
    record = dict(versions=dict(torch='2', mmsegmentation='1', onnxruntime='1', openvino='1'))
    assert [peer.package for peer in peers.lacking(record)] == ['openvino']
    monkeypatch.setattr(peers, '_version', lambda name: None)  # of this package's own, other names
    assert [peer.package for peer in peers.lacking(record)] == ['onnxruntime', 'openvino']
