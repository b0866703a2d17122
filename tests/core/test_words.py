"""What is said to a user: one line for an error, the name that was meant, how a tool is called."""

import errno
import sys

import numpy as np
import pytest

from mmseg_ext.core.words import (
    check_choice,
    check_number,
    command,
    count_names,
    did_you_mean,
    message_of,
    nearest,
    unknown,
)


def test_the_nearest_names_come_first_and_no_wild_guesses():
    assert nearest('dept', ['depth', 'deep', 'width']) == ['depth', 'deep']
    assert nearest('dept', ['depth', 'deep', 'width'], likeness=0.8) == ['depth']
    assert nearest('dept', ['color']) == []
    assert nearest('dept', []) == []


def test_case_counts_alike_and_names_stay_as_they_are_written():
    assert nearest('RESNETV1C', ['ResNetV1c', 'VGG']) == ['ResNetV1c']
    assert nearest('resnet', ['ResNet', 'RESNET']) == ['ResNet']  # the first one that is there


def test_what_is_no_text_or_has_no_end_is_compared_too():
    assert nearest(None, ['none', 'all']) == ['none']
    assert nearest('depth' + 'h' * 10**6, ['depth']) == []  # and takes no time


def test_a_question_names_what_was_found():
    assert did_you_mean(['depth']) == 'did you mean depth?'
    assert did_you_mean(['depth', 'deep']) == 'did you mean depth or deep?'
    assert did_you_mean([]) == ''


def test_an_unknown_name_is_told_what_there_is():
    rows = ['Base', 'large, slow']
    assert unknown('row', 'bose', rows) == (
        "no row 'bose': did you mean Base? there are 'Base', 'large, slow'"
    )
    assert unknown('row', 'x', iter(rows)) == "no row 'x': there are 'Base', 'large, slow'"


def test_names_are_counted_and_the_first_one_is_told():
    assert count_names('missing', ['a', 'b']) == '2 missing (such as a)'
    assert count_names('missing', []) == '0 missing'


def test_a_choice_is_one_of_those_there_are():
    check_choice('style', 'lp', ('lp', 'pl'))
    with pytest.raises(ValueError, match="^style must be 'lp' or 'pl', got 'xx'$"):
        check_choice('style', 'xx', ('lp', 'pl'))
    with pytest.raises(ValueError, match=r'^stride must be 4, 8 or 16, got \[1\]$'):
        check_choice('stride', [1], {4: None, 8: None, 16: None})


@pytest.mark.parametrize('value', ['abc', '3', None, True, [1], float('nan'), float('inf'), 1j])
def test_only_a_finite_number_is_taken(value):
    for number in (0, -2, 0.5, np.float32(3), np.int64(4)):
        check_number('width', number)
    with pytest.raises(ValueError) as found:
        check_number('width', value)
    assert str(found.value) == f'width must be a number, got {value!r}'


@pytest.mark.parametrize(
    'error, message',
    [
        (ValueError('two\n lines'), 'two lines'),
        (KeyError('name'), 'name'),
        (ValueError(), 'ValueError'),
        (ValueError('a' * 2000), 'a' * 100 + '...' + 'a' * 50),
        (
            ValueError(
                'Caught in worker 0.\nOriginal Traceback (most recent call last):\n  File "x.py"\n'
                'foo.BadError: the image is empty'
            ),
            'the image is empty',
        ),
    ],
)
def test_an_error_is_one_line(error, message):
    assert message_of(error) == message


def test_an_error_of_the_system_names_its_file():
    assert 'gone.txt' in message_of(FileNotFoundError(errno.ENOENT, 'No such file', 'gone.txt'))


def test_a_tool_is_named_as_the_running_one_was(monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['tools/train.py'])
    assert command('class_weights') == 'python tools/class_weights.py'
    monkeypatch.setattr(sys, 'argv', ['/usr/bin/mmseg-ext-train'])
    assert command('class_weights') == 'mmseg-ext-class-weights'
