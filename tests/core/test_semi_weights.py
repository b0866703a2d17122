"""Networks of a semi-supervised checkpoint by their prefix, and the tool that takes one out."""

import sys

import pytest
import torch
from support.tools import load_tool

from mmseg_ext.core.semi_weights import networks_in, weights_of_network

PLAIN = {'backbone.w': torch.zeros(2), 'decode_head.b': torch.ones(1)}


def state(*networks):
    found = {'ema_steps': torch.tensor(3)}
    for number, network in enumerate(networks):
        found.update({f'{network}.{key}': value + number for key, value in PLAIN.items()})
    return found


@pytest.mark.parametrize(
    'networks, tested, number',
    [(('student', 'teacher'), 'teacher', 1), (('student',), 'student', 0),
     (('student', 'peer'), 'student', 0), (('segmentor', 'discriminator'), 'segmentor', 0)],
)  # fmt: skip
def test_the_teacher_or_the_student_without_one_is_taken(networks, tested, number):
    assert networks_in(state(*networks))[0] == tested
    found = weights_of_network(state(*networks), 'x.pth')
    assert set(found) == set(PLAIN)
    assert all(torch.equal(found[key], value + number) for key, value in PLAIN.items())


def test_the_one_that_is_asked_for_is_taken():
    given = state('student', 'peer')
    found = weights_of_network(given, 'x.pth', which='peer')
    assert torch.equal(found['backbone.w'], torch.ones(2))
    with pytest.raises(ValueError, match='x.pth: network .*teacher'):
        weights_of_network(given, 'x.pth', which='teacher')


def test_a_plain_segmentors_weights_pass():
    assert networks_in(PLAIN) == [] and weights_of_network(PLAIN, 'x.pth') is PLAIN
    with pytest.raises(ValueError, match='x.pth holds a single network, no student'):
        weights_of_network(PLAIN, 'x.pth', which='student')


def test_the_tool_writes_a_plain_checkpoint(tmp_path, monkeypatch, capsys):
    tool = load_tool('model_converters/extract_network')
    source, target = tmp_path / 'semi.pth', tmp_path / 'plain.pth'
    meta = dict(dataset_meta=dict(classes=('a', 'b')))
    torch.save(dict(meta=meta, state_dict=state('student', 'teacher'), optimizer={}), source)
    monkeypatch.setattr(sys, 'argv', ['extract', str(source), str(target), '--which', 'student'])
    tool.main()
    assert capsys.readouterr().out == f'{target}: student, 2 tensors\n'
    content = torch.load(target, weights_only=True)
    assert set(content) == {'meta', 'state_dict'}
    assert content['meta']['dataset_meta']['classes'] == ('a', 'b')
    assert torch.equal(content['state_dict']['backbone.w'], torch.zeros(2))
    torch.save(dict(state_dict=PLAIN), source)
    with pytest.raises(SystemExit, match='error: .*semi.pth holds a single network, no student'):
        tool.main()
