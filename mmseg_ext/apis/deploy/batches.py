"""Programs of ``torch.export`` that take one image, though they were recorded with several.

To know how a map lies in memory, torch asks while recording whether a batch has more than one
image, and lets the program refuse one. What is computed does not hang on it: the file is compared
with the network at a batch of one.
"""

from collections import defaultdict
from typing import Any

from torch import Tensor
from torch.fx.experimental.symbolic_shapes import SYMPY_INTERP
from torch.utils._sympy.value_ranges import ValueRanges


def take_one_image(program: Any, example: Tensor) -> None:
    """Take back what a program demands of the number of images, where one image does not meet it.

    Args:
        program: What ``torch.export.export`` returned for one free batch, which is changed.
        example: Images ``(N, C, H, W)`` that it was recorded with.
    """
    (name,) = program.graph_signature.user_inputs
    image = next(node.meta['val'] for node in program.graph.nodes if node.name == name)
    count = image.shape[0].node.expr
    limits = program.range_constraints[count]
    program.range_constraints[count] = ValueRanges(min(limits.lower, 1), limits.upper)
    guards = getattr(program, '_guards_code', None)  # an older torch keeps none
    if guards:
        names = {**SYMPY_INTERP, 'L': defaultdict(lambda: example[:1])}  # of any name
        program._guards_code = [guard for guard in guards if eval(guard, dict(names))]
