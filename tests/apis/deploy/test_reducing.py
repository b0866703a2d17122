"""Reductions of three axes in OpenVINO: against sums by hand and against numpy."""

import itertools

import numpy as np
import pytest

from mmseg_ext.apis.deploy.reducing import reduce_four_axes

openvino = pytest.importorskip('openvino')
ops = pytest.importorskip('openvino.opset13')
SETTINGS = dict(INFERENCE_PRECISION_HINT='f32', INFERENCE_NUM_THREADS=1)


def _run(x: np.ndarray, axes: list[int], keep: bool, kind: str, added: np.ndarray) -> np.ndarray:
    """Reduce and add as the plugin does, after the change."""
    image = ops.parameter([-1, *x.shape[1:]], np.float32)
    reduced = getattr(ops, f'reduce_{kind}')(image, ops.constant(np.array(axes)), keep)
    model = openvino.Model([ops.add(reduced, ops.constant(added))], [image])
    reduce_four_axes(model)
    nodes = [n for n in model.get_ordered_ops() if n.get_type_name().startswith('Reduce')]
    ranks = [node.get_input_partial_shape(0).rank.get_length() for node in nodes]
    assert ranks == [4 if x.ndim == 3 else x.ndim]
    return np.array(openvino.Core().compile_model(model, 'CPU', SETTINGS)({0: x})[0])


def test_a_constant_of_each_channel_is_added_to_each_image() -> None:
    found = _run(np.ones((3, 8, 2), np.float32), [2], False, 'sum', np.arange(8, dtype=np.float32))
    np.testing.assert_array_equal(found, [[2, 3, 4, 5, 6, 7, 8, 9]] * 3)


NUMPY = dict(sum=np.sum, max=np.max)
AXES = [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (-1,), (-3, -1)]


@pytest.mark.parametrize('keep', [False, True])
@pytest.mark.parametrize('kind', NUMPY)
def test_reductions_of_three_axes_are_numpys(kind, keep) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 5, 7)).astype(np.float32)
    for axes in AXES:
        exact = NUMPY[kind](x, axis=axes, keepdims=keep)
        for axis in range(exact.ndim):
            shape = [side if i == axis else 1 for i, side in enumerate(exact.shape)]
            added = rng.standard_normal(shape).astype(np.float32)
            found = _run(x, list(axes), keep, kind, added)
            np.testing.assert_allclose(found, exact + added, atol=1e-5)


@pytest.mark.parametrize('shape', [(3, 5), (3, 5, 2, 4)])
def test_other_numbers_of_axes_are_left_alone(shape) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    for axis, keep in itertools.product(range(len(shape)), (False, True)):
        found = _run(x, [axis], keep, 'sum', np.float32(1))
        np.testing.assert_allclose(found, x.sum(axis, keepdims=keep) + 1, atol=1e-5)
