"""OpenVINO graphs whose sums, means and maxima over part of a map are right on the CPU.

OpenVINO 2026.4 adds a constant of one number per channel to ``(N, C, L)`` reduced over L, or over
N, in the same step, and gets it wrong where N is above 1: x of ones, ``(3, 8, 2)``, summed over
its last axis, plus 0 to 7, is not 2 to 9 in each image. Other operations with such a constant are
wrong, too. Maps of another number of axes are right.
Source: https://github.com/openvinotoolkit/openvino/issues/23616, which was closed when a batch of
one was right.
"""

import importlib
from typing import Any


def reduce_four_axes(model: Any) -> None:
    """Let each reduction of three axes have a fourth one of size 1, which is taken off after it.

    Args:
        model: An ``openvino.Model``, which is changed.
    """
    ops = importlib.import_module('openvino.opset13')
    for node in model.get_ordered_ops():
        if _reduces_three(node):
            source, axes = node.input_value(0), node.input_value(1).get_node().data % 3
            users = node.output(0).get_target_inputs()
            node.input(0).replace_source_output(ops.unsqueeze(source, 3).output(0))
            node.input(1).replace_source_output(ops.constant(axes).output(0))
            node.validate_and_infer_types()
            narrow = ops.squeeze(node.output(0), -1).output(0)
            for user in users:
                user.replace_source_output(narrow)
    model.validate_nodes_and_infer_types()


def _reduces_three(node: Any) -> bool:
    if not node.get_type_name().startswith('Reduce'):
        return False
    rank = node.input_value(0).get_partial_shape().rank
    known = node.input_value(1).get_node().get_type_name() == 'Constant'
    return known and rank.is_static and rank.get_length() == 3
