"""A network in the programs that run exported files, and compiled by torch; see ``forms``.

Shape letters: N image, C channel, K class, H row, W column.
"""

import copy
import importlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Union

import numpy as np
import torch
from torch import Tensor

from ...env import first_line
from ..deploy.formats import ONNX, OpenVINO, check_packages, quiet
from ..deploy.graph import LogitsGraph, check_exportable
from ..deploy.verify import choose_shapes, example

Logits = Callable[[Tensor], Tensor]  # (N, C, H, W) as preprocessed to (N, K, H, W)


PROGRAMS = {'ONNX Runtime': 'onnx', 'OpenVINO': 'openvino'}  # and the formats that they run


class Backend(NamedTuple):
    """A network in another program.

    Args:
        name: Of the program.
        product: Type of its products, ``'float32'`` or ``'bfloat16'``.
        logits: Runs it.
    """

    name: str
    product: str
    logits: Logits


def missing_programs() -> dict[str, str]:
    """Programs that cannot be compared with here, and what each needs."""
    missing = {}
    for name, kind in PROGRAMS.items():
        try:
            check_packages(kind)
        except ImportError as error:
            missing[name] = f'no {name}: {error}'
    return missing


def backends(network: Any, *, compiled: bool = False) -> Iterator[Union[Backend, str]]:
    """Export a network, and open it in each program that is installed.

    Files are those of ``tools/export.py`` for images of any size, but take what the preprocessor
    gives, and are not compared here. They are gone when the iteration ends.

    Args:
        network: Segmentor in evaluation mode; it is not changed.
        compiled: Also compile it with torch, which takes minutes.

    Yields:
        A program, or a line that says why it is left out; of those that are not installed, nothing.
    """
    try:
        check_exportable(network)
    except ValueError as error:
        yield f'no other program: {error}'
        return
    graph = _graph(network)
    if compiled:
        yield Backend('torch.compile', 'float32', _compiled(graph))
    with tempfile.TemporaryDirectory() as folder:
        yield from _exported(graph, Path(folder))


def _graph(network: Any) -> LogitsGraph:
    """The part that is exported, without the normalisation."""
    graph = LogitsGraph(copy.deepcopy(network)).eval().requires_grad_(False)
    graph.mean.zero_()
    graph.std.fill_(1)
    graph.reverses = False
    return graph


def _compiled(graph: LogitsGraph) -> Logits:
    """Compile for the sizes that it is called with; the first call does it."""
    torch._dynamo.reset()
    inductor = importlib.import_module('torch._inductor.config')
    function = torch.compile(graph, dynamic=False)

    def run(images_NCHW: Tensor) -> Tensor:
        with inductor.patch(freezing=True), torch.no_grad():
            return function(images_NCHW)

    return run


def _exported(graph: LogitsGraph, folder: Path) -> Iterator[Union[Backend, str]]:
    programs = [name for name in PROGRAMS if name not in missing_programs()]
    onnx = folder / 'net.onnx'
    try:
        if programs:
            with quiet():
                ONNX().write(graph, example(graph, choose_shapes(graph)[0]), {}, onnx)
    except Exception as error:  # exporters raise many types
        yield f'no {" and no ".join(programs)}: {_cause(error)}'
        return
    if 'ONNX Runtime' in programs:
        yield from _opened('ONNX Runtime', 'float32', ONNX(), onnx)
    if 'OpenVINO' in programs:
        yield from _in_openvino(onnx)


def _in_openvino(onnx: Path) -> Iterator[Union[Backend, str]]:
    path = onnx.with_suffix('.xml')
    try:
        OpenVINO().convert(onnx, {}, path)
    except Exception as error:  # of OpenVINO's own types
        yield f'no OpenVINO: {_cause(error)}'
        return
    files = OpenVINO().files(path)
    yield from _opened('OpenVINO', 'float32', OpenVINO(), *files)
    if OpenVINO.computes_in_half():
        yield from _opened('OpenVINO in bfloat16', 'bfloat16', OpenVINO('bf16'), *files)
    else:
        yield 'no OpenVINO in bfloat16: it does not run it on this processor'


def _opened(name: str, product: str, format_: Any, *files: Path) -> Iterator[Union[Backend, str]]:
    try:
        run, _ = format_.open(*files)
    except Exception as error:  # each program raises others
        yield f'no {name}: {_cause(error)}'
        return
    yield Backend(name, product, lambda images: torch.from_numpy(run(_plain(images))))


def _plain(images_NCHW: Tensor) -> np.ndarray:
    return images_NCHW.float().contiguous().numpy()


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:  # the outer ones tell the exporter's steps
        error = error.__cause__
    return f'{type(error).__name__}: {first_line(error)}'
