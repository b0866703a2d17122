"""The benchmark command; no timed ratio is asserted, machines differ."""

import importlib.metadata
import json
import math

import numpy as np
import pytest
import torch
from support.paths import ROOT

from mmseg_ext.apis.bench import crf as benchmark_crf
from mmseg_ext.apis.bench import few_labels, memory  # noqa: F401, few_labels registers one
from mmseg_ext.apis.bench import parts as benchmark_parts
from mmseg_ext.apis.bench import timing as benchmark
from mmseg_ext.apis.run.network.live_bytes import LiveBytes

TOOL = 'tools/benchmark.py'
CONFIG = ROOT / 'configs/mfp/mfp_mobilenetv2_bmseg.py'


class FakeClock:
    """A clock that only moves when told to."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(benchmark.time, 'perf_counter', lambda: self.now)
        monkeypatch.setattr(benchmark.time, 'process_time', lambda: self.now * 2)

    def takes(self, *seconds):
        durations = iter(seconds)

        def function():
            self.now += next(durations)

        return function


def test_compare_takes_medians_after_a_warm_up(monkeypatch):
    clock = FakeClock(monkeypatch)
    ours, reference = clock.takes(99, 1, 2, 9), clock.takes(99, 3, 6, 18)
    case = benchmark.compare(ours, reference, repeats=3)
    assert case == pytest.approx(
        dict(ours_ms=2000, reference_ms=6000, ratio=3, ratio_lowest=2, ratio_highest=3, ratio_cpu=3)
    )


def test_between_programs_it_waits_for_threads_that_still_look_for_work(monkeypatch):
    clock, naps = FakeClock(monkeypatch), []
    busy = {'seconds': 0.0}

    def sleep(seconds):
        naps.append(seconds)
        clock.now += min(busy['seconds'], seconds)  # the process's clock goes at twice this one
        busy['seconds'] = max(0.0, busy['seconds'] - seconds)

    def spins(duration):
        def function():
            clock.now += duration
            busy['seconds'] = 0.025

        return function

    monkeypatch.setattr(benchmark.time, 'sleep', sleep)
    wall, _ = benchmark.sampled([spins(1), spins(2)], repeats=1, programs=True)
    assert wall.tolist() == [[pytest.approx(1), pytest.approx(2)]]
    assert len(naps) == 1 + 3 * 4  # none to wait for; then two and a half naps, and one to see
    assert benchmark.sampled([spins(1)], repeats=1)[0].tolist() == [[pytest.approx(1)]]
    assert len(naps) == 13


def test_it_waits_for_threads_that_never_rest_half_a_second_at_the_most(monkeypatch):
    slept = []
    monkeypatch.setattr(benchmark.time, 'sleep', slept.append)
    monkeypatch.setattr(benchmark.time, 'process_time', lambda: float(len(slept)))
    benchmark._wait_for_idle_threads()
    assert sum(slept) == pytest.approx(0.5)


def test_compare_all_takes_ratios_of_one_round(monkeypatch):
    clock = FakeClock(monkeypatch)
    sides = [clock.takes(99, 1, 2, 9), clock.takes(99, 6, 6, 6)]
    first, second = benchmark.compare_all(sides, clock.takes(99, 3, 6, 18), repeats=3)
    assert first == pytest.approx(
        dict(ours_ms=2000, reference_ms=6000, ratio=3, ratio_lowest=2, ratio_highest=3, ratio_cpu=3)
    )
    assert second == pytest.approx(
        dict(ours_ms=6000, reference_ms=6000, ratio=1, ratio_lowest=0.5, ratio_highest=3,
             ratio_cpu=1)
    )  # fmt: skip


def test_each_round_begins_with_another_side():
    order = []
    sides = [lambda name=name: order.append(name) for name in 'abc']
    wall, processor = benchmark.sampled(sides, repeats=2)
    assert ''.join(order) == 'abcbcacab' and wall.shape == processor.shape == (2, 3)


def test_what_cannot_be_measured_is_noted_once(monkeypatch):
    def told(repeats):
        yield from (dict(note='no x'), dict(case='a'), dict(note='no x'), dict(note='no y'))

    monkeypatch.setitem(benchmark.BENCHMARKS, 'told', told)
    monkeypatch.setattr(benchmark, 'peaks', dict)
    record = benchmark.run('told', repeats=1)
    assert record['cases'] == [dict(case='a')] and record['notes'] == ['no x', 'no y']


def test_compare_alternates():
    order = []
    benchmark.compare(lambda: order.append('a'), lambda: order.append('b'), repeats=2)
    assert ''.join(order) == 'abbaab'


def finite(value):
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    if isinstance(value, list):
        return all(map(finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def test_deform_conv_compares_equal_results():
    settings = dict(size=6, batch=2, channels=((16, 4), (4, 8)), rates=(2, 8))
    record = benchmark.run('deform_conv', threads=1, repeats=1, **settings)
    assert len(record['cases']) == 8 and finite(record)
    assert all(case['max_difference'] < 1e-5 for case in record['cases'])


def test_metric_counts_what_mmseg_counts():
    record = benchmark.run('metric', threads=1, repeats=1, size=64, batch=2, num_classes=5)
    assert [case['max_difference'] for case in record['cases']] == [0, 0]
    assert finite(record)


def test_command_model_counts_exactly(python_tool, tiny_config, tmp_path):
    """The second config has two classes more: 8 weights and a bias each, at 2x2 positions."""
    other = tmp_path / 'other.py'
    other.write_text(f'_base_ = [{str(tiny_config)!r}]\nmodel = dict(decode_head=dict('
                     'num_classes=5))\n')  # fmt: skip
    out = tmp_path / 'out.json'
    done = python_tool(TOOL, 'model', '--configs', tiny_config, other, '--size', 32, '--repeats', 1,
                '--amp', '--threads', 1, '--out', out)  # fmt: skip
    record = json.loads(out.read_text())
    assert record['benchmark'] == 'model' and record['threads'] == 1 and finite(record)
    version = importlib.metadata.version('torch')  # of PyPI's wheels without their +cu130
    assert torch.__version__ in (version, f'{version}+cu130')
    assert record['versions']['torch'] == version and record['hardware']
    (case,) = record['cases']
    assert case['ours_ms'] > 0 and case['reference_ms'] > 0
    assert f'{case["parameters"]:,} parameters' in done.stdout and 'ratio' in done.stdout
    assert case['reference_parameters'] - case['parameters'] == 2 * (8 + 1)
    assert case['reference_flops'] - case['flops'] == 2 * 2 * 8 * 2 * 2


def test_flops_of_a_deformable_convolution_do_not_depend_on_offsets():
    """Projection 2 * 9 * C_in * C_out a pixel, offsets 2 * 9 * C_in * 18, as for any 3x3."""
    from torch.utils.flop_counter import FlopCounterMode

    from mmseg_ext.models.layers import DCNTorch

    layer = DCNTorch(8, 4, padding=1).to('meta')
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        layer(torch.empty(1, 8, 5, 6, device='meta'))
    assert counter.get_total_flops() == 2 * 9 * 8 * (4 + 18) * 30


def test_wrong_arguments_end_with_one_line(python_tool):
    done = python_tool(TOOL, 'metric', '--amp', check=False)
    assert done.returncode == 1 and 'belongs to model, evaluation, not to metric' in done.stderr
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize(
    'name, settings, message',
    [
        ('speed', dict(), "no benchmark 'speed': there are 'deform_conv"),
        ('metric', dict(repeats=0), 'repeats must be at least 1, got 0'),
        ('metric', dict(threads=-1), 'threads must be at least 1, got -1'),
        ('model', dict(configs=['a.py']), 'two configs or more, got 1'),
        ('model', dict(configs=['none.py', 'nor.py']), 'no config none.py'),
    ],
)
def test_wrong_settings(name, settings, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        benchmark.run(name, **settings)


def test_attentions_and_upsamplers_count_exactly():
    record = benchmark.run('attentions', threads=1, repeats=1, size=4, batch=1, channels=256)
    counts = {case['case'].split(',')[0]: case['parameters'] for case in record['cases']}
    assert len(counts) == len(benchmark_parts.ATTENTIONS)
    assert (counts['ECA'], counts['SimAM'], counts['PSCAN']) == (5, 0, 67_078)
    record = benchmark.run('upsamplers', threads=1, repeats=1, size=8, sites=((32, 2),))
    counts = {case['case'].split(',')[0]: case['parameters'] for case in record['cases']}
    assert counts == {
        'nearest': 0, 'deconv_bn': 4_160, 'carafe_torch': 3_948, 'dysample': 1_056,
        'dysample pl': 72,
    }  # fmt: skip
    assert finite(record)


def test_inference_compares_plain_and_fast(tiny_config, tmp_path):
    other = tmp_path / 'other.py'
    other.write_text(f'_base_ = [{str(tiny_config)!r}]\nmodel = dict(decode_head=dict('
                     'num_classes=5))\n')  # fmt: skip
    paths = [str(tiny_config), str(other)]
    record = benchmark.run('inference', threads=1, repeats=1, configs=paths, size=32)
    modes = [(c['case'].split(', ')[1], c['reference'].split(', ')[1]) for c in record['cases']]
    assert modes == [('plain', 'plain'), ('fast', 'plain'), ('fast', 'fast')]
    with pytest.raises(ValueError, match='two configs or more, got 1'):
        benchmark.run('inference', repeats=1, configs=paths[:1])


def test_crf_names_what_it_lacks_or_compares(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, 'pydensecrf', None)
    with pytest.raises(ValueError, match='pip install pydensecrf2'):
        benchmark.run('crf', repeats=1)


def test_memory_of_a_process_counts_what_it_holds():
    prob = np.full((400, 200, 300), 1 / 400, np.float32)  # 96 MB, sent and held
    peak = benchmark_crf.process_peak(prob, np.zeros((200, 300, 3), np.uint8), dict(iterations=0))
    assert 96e6 + 100e6 < peak < 3e9, 'with Python and torch, in bytes'


@pytest.mark.oracle
def test_crf_compares_equal_results(tmp_path):
    pytest.importorskip('pydensecrf.densecrf', reason='needs the extra "crf" (pydensecrf2)')
    from PIL import Image

    path = tmp_path / 'x.png'
    Image.effect_noise((40, 30), 80).convert('RGB').save(path)
    record = benchmark.run('crf', threads=1, repeats=1, images=[path], classes=(7,))
    names = [case['case'] for case in record['cases']]
    assert names == [
        f'x.png, 40x30, 7 classes, {m}' for m in ('all labels', 'labels pruned at 1e-3')
    ]
    assert all(case['label_agreement'] > 0.999 for case in record['cases']) and finite(record)


def test_live_bytes_follow_the_storages():
    with LiveBytes() as held:
        a = torch.zeros(1000)
        b = a.view(10, 100)
        assert (held.live, held.peak) == (4000, 4000)
        c = torch.exp(b)  # noqa: F841
        del a
        assert (held.live, held.peak) == (8000, 8000)
        del b
        assert (held.live, held.peak) == (4000, 8000)
        del c
    assert (held.live, held.peak) == (0, 8000)


def test_live_bytes_see_what_the_gradient_needs():
    x = torch.zeros(1000, requires_grad=True)
    with LiveBytes() as held:
        y = x.exp().sin().sum()  # sin keeps exp's result, which exp keeps as well; the sum nothing
        assert held.live == 4000 + 4
        y.backward()
    assert held.peak == 4000 + 4 + 4 + 2 * 4000  # seed of the gradient, then sin's and x's


def test_memory_falls_when_the_decoder_is_recomputed(half, tmp_path):
    narrow = tmp_path / 'narrow.py'  # imitated products of bfloat16 take their time
    narrow.write_text(f"_base_ = ['{CONFIG}']\nmodel = dict(decode_head=dict(channels=32))\n")
    record = benchmark.run('memory', threads=1, repeats=1, configs=[str(narrow)], size=96, batch=2)
    names = [case['case'].split(', ', 1)[1] for case in record['cases']]
    assert names == ['float32, 2x96x96', 'AMP, 2x96x96', 'AMP, decoder recomputed, 2x96x96']
    full, half, again = (case['activations'] for case in record['cases'])
    assert 0 < again < half < full
    assert all(case['activations'] < case['peak'] for case in record['cases'])
    assert finite(record)
    with pytest.raises(ValueError, match='memory needs a config'):
        benchmark.run('memory', repeats=1)


def test_memory_leaves_out_amp_where_torch_imitates_it(monkeypatch):
    monkeypatch.setattr(memory, 'is_imitated', lambda device: True)
    record = benchmark.run('memory', threads=1, repeats=1, configs=[str(CONFIG)], size=96, batch=2)
    assert [case['case'].split(', ', 1)[1] for case in record['cases']] == ['float32, 2x96x96']
    assert record['notes'] == [
        f'{CONFIG}: no {name}: this processor has no products of bfloat16'
        for name in ('AMP', 'AMP, decoder recomputed')
    ]


def test_few_labels_times_what_it_names(tiny_config):
    record = benchmark.run(
        'few_labels', threads=1, repeats=1, size=64, batch=2, points=(50, 4, 9), mask=40
    )
    names = [case['case'] for case in record['cases']]
    assert names[0].startswith('training step of unimatch_deeplabv3plus_mobilenetv2_camvid180')
    assert names[1:] == [
        'entropy of 2 images, 64x64, with features',
        '9 centers of 50x4 features',
        'Label Studio tasks of 20 masks, 40x40',
    ]
    assert record['cases'][2]['equal_choice'] and finite(record)
    with pytest.raises(ValueError, match='few_labels times SemiSegmentor, which .* does not use'):
        benchmark.run('few_labels', threads=1, repeats=1, configs=[str(tiny_config)])
