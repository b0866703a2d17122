"""Groups: who goes together, in which order answers come, and that batches change no label."""

import numpy as np
import pytest
import torch

from mmseg_ext.apis.predict import memory as estimate
from mmseg_ext.apis.predict.groups import in_groups
from mmseg_ext.apis.predict.predictor import Failure, predict
from mmseg_ext.apis.run.load import load_model


def _grouped(items, size, room=None):
    """Items are letters, whose case makes their kind; a digit must be alone."""
    groups = []

    def answer(group):
        groups.append(''.join(group))
        return [item * 2 for item in group]

    def key(item):
        return None if item.isdigit() else (item.isupper(),)

    found = list(in_groups(items, size, key=key, answer=answer, room=room or (lambda _, n: n)))
    assert found == [item * 2 for item in items]
    return groups


def test_items_of_a_kind_go_together_and_answers_come_in_order():
    assert _grouped('abcdef', 3) == ['abc', 'def']
    assert _grouped('aBcDeF', 3) == ['ace', 'BDF']
    assert _grouped('abcd', 3) == ['abc', 'd']
    assert _grouped('a1b', 2) == ['ab', '1']
    assert _grouped('abc', 1) == ['a', 'b', 'c']
    assert _grouped('', 3) == []


def test_few_are_read_ahead_and_few_that_fit_do_not_wait():
    assert _grouped('aBBBBBBBBc', 2) == ['BB', 'BB', 'BB', 'a', 'BB', 'c']
    assert _grouped('abcd', 4, room=lambda item, n: 2) == ['ab', 'cd']
    taken = []

    def read():
        for number in range(40):
            taken.append(number)
            yield 'A' if number else 'a'

    answers = in_groups(
        read(), 4, key=lambda item: (item,), answer=lambda group: group, room=lambda _, n: n
    )
    next(answers)
    assert len(taken) <= 16


@pytest.fixture(scope='module')
def model(tiny_config, random_weights, tmp_path_factory):
    path = random_weights(tiny_config, tmp_path_factory.mktemp('groups') / 'w.pth')
    return load_model(tiny_config, path, device='cpu')


@pytest.mark.parametrize('size', [2, 3, 16])
def test_a_batch_changes_no_label(model, size, tmp_path):
    random = np.random.default_rng(0)
    shapes = [(40, 40), (24, 56), (40, 40), (33, 47), (24, 56), (40, 40), (40, 40)]
    images = [random.integers(0, 256, (*shape, 3)).astype(np.uint8) for shape in shapes]
    images.insert(3, tmp_path / 'gone.png')
    alone = list(predict(model, images, keep_prob=True))
    together = list(predict(model, images, keep_prob=True, batch=size))
    assert isinstance(together.pop(3), Failure) and isinstance(alone.pop(3), Failure)
    for one, other in zip(alone, together):
        assert one.path == other.path
        np.testing.assert_array_equal(one.label, other.label)
        np.testing.assert_array_equal(one.picture, other.picture)
        np.testing.assert_allclose(one.prob, other.prob, atol=1e-3)
    with pytest.raises(ValueError, match='batch must be 1 or more, got 0'):
        list(predict(model, images, batch=0))


def test_a_batch_that_fails_is_predicted_one_by_one(model, monkeypatch):
    real, sizes = model.test_step, []

    def step(data):
        sizes.append(len(data['inputs']))
        if any(image.max() == 0 for image in data['inputs']):
            raise RuntimeError('a black image')
        return real(data)

    monkeypatch.setattr(model, 'test_step', step)
    grey = np.full((16, 16, 3), 90, np.uint8)
    first, black, last = predict(model, [grey, grey * 0, grey], batch=3)
    assert sizes == [3, 1, 1, 1]
    assert isinstance(black, Failure) and 'image 1 (16x16)' in black.reason
    np.testing.assert_array_equal(first.label, last.label)


def test_a_batch_is_as_large_as_the_memory_allows(model, monkeypatch):
    sizes, real = [], model.test_step
    monkeypatch.setattr(
        model, 'test_step', lambda data: sizes.append(len(data['inputs'])) or real(data)
    )
    images = [np.full((64, 64, 3), value, np.uint8) for value in range(4)]
    monkeypatch.setattr(estimate, 'SMALL', 2000)
    image = torch.empty(3, 64, 64, dtype=torch.uint8)
    need = estimate.Memory(model).needed(image, (64, 64), False)
    monkeypatch.setattr(estimate.Memory, 'free', 2.5 * need)
    assert len(list(predict(model, images, batch=4))) == 4
    assert sizes == [2, 2]
