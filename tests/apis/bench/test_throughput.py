"""From files to masks: what is written, whose rate is whose; no time is asserted."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from mmseg_ext.apis.bench import programs as other_programs
from mmseg_ext.apis.bench import throughput, timing
from mmseg_ext.apis.bench.programs import Program


def _program(label, name='fixed', config=''):
    """Gives every pixel one label."""

    def predict(files, out):
        for file in files:
            size = Image.open(file).size
            Image.new('L', size, label).save(out / f'{file.stem}.png')

    return Program(name, nn.Conv2d(3, 2, 1), predict, config=config)


def test_ours_and_mmsegs_inferencer_predict_the_same_files(
    tiny_config, tiny_data, monkeypatch, half
):
    monkeypatch.setattr(throughput, 'programs', lambda *_: iter(['no other: absent', _program(1)]))
    images = [str(path) for path in sorted((tiny_data / 'img').iterdir())[:2]]
    threads = torch.get_num_threads()
    record = timing.run(
        'throughput', repeats=1, configs=[str(tiny_config)], images=images, size=32, batch=2
    )
    assert record['notes'] == ['no other: absent'] and torch.get_num_threads() == threads
    *ours, drawn, stock, other = record['cases']
    switches = ['', ' --fast', ' --amp']
    assert [case['case'] for case in ours] == [f'tools/predict.py{word}' for word in switches]
    assert drawn['case'] == "mmseg's MMSegInferencer, masks and pictures"
    assert stock['case'] == "mmseg's MMSegInferencer, masks alone"
    assert drawn['label_agreement'] == stock['label_agreement'] == 1
    assert ours[0]['label_agreement'] > 0.999 and ours[2]['label_agreement'] > 0.8
    assert {case['network'] for case in (*ours, drawn, stock)} == {str(tiny_config)}
    assert 'label_agreement' not in other and other['flops'] == 2 * 32 * 32 * 3 * 2
    for case in record['cases']:
        assert 0 < case['lowest'] <= case['images_per_second'] <= case['highest']


def test_rates_are_of_all_files_and_labels_are_compared_with_the_last(tmp_path, monkeypatch):
    files = throughput._files((), 16, tmp_path / 'images')
    assert len(files) == 8 and {Image.open(file).size for file in files} == {(16, 16)}
    found = [_program(1, config='a'), _program(2, config='a'), _program(3), _program(2, config='a')]
    wall = np.array([[1.0, 2, 4, 8], [2, 2, 4, 8], [4, 2, 4, 8]])

    def sampled(calls, *, repeats):
        for call in calls:
            call()
        return wall, wall

    monkeypatch.setattr(throughput, 'sampled', sampled)
    cases = list(throughput._timed(found, files, tmp_path / 'out', 3, 16))
    assert [case['images_per_second'] for case in cases] == [4, 4, 2, 1]
    assert (cases[0]['lowest'], cases[0]['highest']) == (2, 8)
    assert [case.get('label_agreement') for case in cases] == [0, 1, None, 1]


def test_a_program_that_writes_too_little_is_no_measurement(tmp_path):
    lazy = Program('lazy', nn.Conv2d(3, 2, 1), lambda files, out: None)
    files = throughput._files((), 16, tmp_path / 'images')
    with pytest.raises(ValueError, match='lazy wrote masks of .* for 8 images'):
        list(throughput._timed([lazy], files, tmp_path / 'out', 1, 16))


def test_programs_that_are_absent_or_fail_are_lines(monkeypatch):
    def absent(*_):
        raise ImportError('x')

    def broken(*_):
        torch.set_num_threads(2)
        raise KeyError('weights')

    makers = dict(one=absent, two=broken, three=lambda *given: given)
    monkeypatch.setattr(other_programs, 'PROGRAMS', makers)
    threads = torch.get_num_threads()
    assert list(other_programs.programs(64, 21, 3)) == [
        'no one: it is not installed; --peers says how to get it',
        "no two: KeyError: 'weights'",
        (64, 21, 3),
    ]
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize('package', sorted(other_programs.PROGRAMS))
def test_each_installed_program_writes_a_mask_of_each_file(package, tmp_path):
    pytest.importorskip(package)
    files = throughput._files((), 64, tmp_path / 'images')[:3]
    program = other_programs.PROGRAMS[package](64, 21, 2)
    program.predict(files, tmp_path)
    masks = throughput._masks(program, files, tmp_path)
    assert len(masks) == 3 and max(mask.max() for mask in masks) > 0
    assert throughput._sizes(program.network, 64)['flops'] > 1e7


def test_the_mask_of_ultralytics_is_of_the_image():
    mask = torch.arange(6).reshape(2, 3)
    for given in (mask, SimpleNamespace(data=mask), mask.reshape(1, 2, 3)):
        found = other_programs._of_ultralytics(
            SimpleNamespace(semantic_mask=given, orig_shape=(2, 3))
        )
        np.testing.assert_array_equal(found, mask)
