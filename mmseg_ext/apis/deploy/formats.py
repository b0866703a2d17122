"""The formats: how each is written with its facts, opened, and run.

Packages that only one format needs are imported when it is used.
Shape letters: N image, C channel, K class, H row, W column.
"""

import importlib
import json
import logging
import tempfile
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.files import PathLike
from ...core.words import check_choice
from ...env import first_line
from .batches import take_one_image
from .graph import LogitsGraph, recording
from .reducing import reduce_four_axes

Run = Callable[[np.ndarray], np.ndarray]
IMAGE, LOGITS = 'image', 'logits'  # names of what goes in and comes out
_LARGEST = 2**15  # pixels of a side that a graph must hold for
_OPSET = 20  # the first whose GridSample and Resize are what torch exports today
_KEY = 'mmseg_ext.json'  # the facts, where a format holds files; in others they are entries


class Format(ABC):
    """A kind of file.

    Attributes:
        suffix: Ending of its files.
        packages: What must be installed to write and run it.
    """

    suffix: str
    packages: tuple[str, ...] = ()

    def files(self, path: Path) -> list[Path]:
        """Return all files of a network that is called ``path``, which comes first."""
        return [path]

    @abstractmethod
    def write(self, graph: LogitsGraph, example: Tensor, facts: dict, *paths: Path) -> None:
        """Write a network for any number, height and width of images.

        Args:
            graph: Network in evaluation mode.
            example: Images ``(N, C, H, W)`` of which the graph is recorded; N at least 2.
            facts: What predicting needs to know, see :mod:`.facts`.
            paths: Files to write, as :meth:`files` orders them.
        """

    @abstractmethod
    def open(self, *paths: Path) -> tuple[Run, dict]:
        """Return a function from images to logits, both ``(N, ., H, W)`` float32, and the facts.

        Args:
            paths: Files that :meth:`write` wrote.
        """


def record(graph: LogitsGraph, example: Tensor) -> Any:
    """Record a network with ``torch.export`` for images of any number and size."""
    free = torch.export.Dim.DYNAMIC
    with recording(), _any_number():
        program = torch.export.export(
            graph, (example,), dynamic_shapes=({0: free, 2: free, 3: free},)
        )
    _check_open(program)
    return program


def _any_number() -> AbstractContextManager:
    """Let ``torch.export`` ask of no free size whether it is one.

    It asks for the layout of maps, and would fix the graph to images that have one window of
    attention along a side, say, or to those that have several.
    """
    settings = importlib.import_module('torch.fx.experimental._config')
    known = hasattr(settings, 'backed_size_oblivious')  # torch before 2.7 has it not
    return settings.patch(backed_size_oblivious=True) if known else nullcontext()


def _check_open(program: Any) -> None:
    """Refuse a graph that was recorded for small images only, as by a branch on their size."""
    limits = [b.upper for b in program.range_constraints.values() if b.upper < _LARGEST]
    if limits:
        raise ValueError(f'its graph holds for sides of at most {min(limits)} pixels only')


class ONNX(Format):
    """ONNX, run by onnxruntime. Each fact is an entry of the file's metadata, as JSON."""

    suffix = '.onnx'
    packages = ('onnx', 'onnxscript', 'onnxruntime')

    def write(self, graph: LogitsGraph, example: Tensor, facts: dict, *paths: Path) -> None:
        """See :meth:`Format.write`; weights lie within the file."""
        with recording():
            program: Any = torch.onnx.export(
                record(graph, example), (example,), dynamo=True, verbose=False,
                opset_version=_OPSET, input_names=[IMAGE], output_names=[LOGITS],
            )  # fmt: skip
        program.model.metadata_props.update({k: json.dumps(v) for k, v in facts.items()})
        program.save(str(paths[0]), external_data=False)
        importlib.import_module('onnx').checker.check_model(str(paths[0]), full_check=True)

    def open(self, *paths: Path) -> tuple[Run, dict]:
        """See :meth:`Format.open`; on the CPU, with as many threads as torch."""
        runtime = importlib.import_module('onnxruntime')
        options = runtime.SessionOptions()
        options.log_severity_level = 3  # errors
        options.intra_op_num_threads = torch.get_num_threads()
        session = runtime.InferenceSession(
            str(paths[0]), options, providers=['CPUExecutionProvider']
        )
        entries = session.get_modelmeta().custom_metadata_map
        return lambda image: session.run([LOGITS], {IMAGE: image})[0], _parsed(entries)


class TorchExport(Format):
    """A program of ``torch.export``, for Python and for ahead-of-time compilation."""

    suffix = '.pt2'

    def write(self, graph: LogitsGraph, example: Tensor, facts: dict, *paths: Path) -> None:
        """See :meth:`Format.write`."""
        program = record(graph, example)
        take_one_image(program, example)
        with paths[0].open('wb') as file:
            torch.export.save(program, file, extra_files={_KEY: json.dumps(facts)})

    def open(self, *paths: Path) -> tuple[Run, dict]:
        """See :meth:`Format.open`."""
        extra = {_KEY: ''}
        with paths[0].open('rb') as file:
            program = torch.export.load(file, extra_files=extra)
        return _run_of(program.module()), _loads(extra[_KEY])


class TorchScript(Format):
    """A traced graph for programs in C++; torch announces the end of TorchScript."""

    suffix = '.ts'

    def write(self, graph: LogitsGraph, example: Tensor, facts: dict, *paths: Path) -> None:
        """See :meth:`Format.write`."""
        with recording():
            traced = torch.jit.trace(graph, (example,), check_trace=False)
        traced.save(str(paths[0]), _extra_files={_KEY: json.dumps(facts)})

    def open(self, *paths: Path) -> tuple[Run, dict]:
        """See :meth:`Format.open`."""
        extra = {_KEY: ''}
        graph = torch.jit.load(str(paths[0]), map_location='cpu', _extra_files=extra)
        return _run_of(graph), _loads(extra[_KEY])


class OpenVINO(Format):
    """OpenVINO's .xml, with its weights in the .bin beside it; converted from ONNX.

    Args:
        precision: Of what it computes, ``'f32'`` or ``'bf16'``; weights are kept in single.
    """

    suffix = '.xml'
    packages = ('onnx', 'onnxscript', 'openvino')

    def __init__(self, precision: str = 'f32') -> None:
        self.precision = precision

    def files(self, path: Path) -> list[Path]:
        """See :meth:`Format.files`."""
        return [path, path.with_suffix('.bin')]

    def write(self, graph: LogitsGraph, example: Tensor, facts: dict, *paths: Path) -> None:
        """See :meth:`Format.write`."""
        with tempfile.TemporaryDirectory(dir=paths[0].parent, prefix='.openvino-') as name:
            folder = Path(name)
            ONNX().write(graph, example, facts, folder / 'net.onnx')
            self.convert(folder / 'net.onnx', facts, folder / 'net.xml')
            for path in paths:
                (folder / ('net.bin' if path is paths[1] else 'net.xml')).replace(path)

    def convert(self, onnx: Path, facts: dict, path: Path) -> None:
        """Write an ONNX file as .xml and .bin."""
        openvino = importlib.import_module('openvino')
        model = openvino.convert_model(str(onnx))
        reduce_four_axes(model)
        model.set_rt_info(json.dumps(facts), [_KEY])
        openvino.save_model(model, str(path), compress_to_fp16=False)

    def open(self, *paths: Path) -> tuple[Run, dict]:
        """See :meth:`Format.open`; on the CPU, with as many threads as torch."""
        core = importlib.import_module('openvino').Core()
        model = core.read_model(*(path.read_bytes() for path in paths))
        facts = _loads(model.get_rt_info([_KEY]).value) if model.has_rt_info([_KEY]) else {}
        settings = dict(  # processors with bfloat16 would use it by themselves
            INFERENCE_PRECISION_HINT=self.precision, INFERENCE_NUM_THREADS=torch.get_num_threads()
        )
        compiled = core.compile_model(model, 'CPU', settings)
        return lambda image: np.array(compiled({IMAGE: image})[LOGITS]), facts

    @staticmethod
    def computes_in_half() -> bool:
        """Whether OpenVINO runs bfloat16 on this processor."""
        core = importlib.import_module('openvino').Core()
        return 'BF16' in core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES')


FORMATS: dict[str, Format] = dict(
    onnx=ONNX(), torch_export=TorchExport(), torchscript=TorchScript(), openvino=OpenVINO()
)


def format_of(path: PathLike) -> str:
    """Name the format of a file by its ending.

    Raises:
        ValueError: If no format has this ending.
    """
    suffix = Path(path).suffix.lower()
    check_choice(f'{path}: ending', suffix, [kind.suffix for kind in FORMATS.values()])
    return next(name for name, kind in FORMATS.items() if kind.suffix == suffix)


def check_packages(name: str) -> None:
    """Refuse a format whose packages are not installed.

    Raises:
        ImportError: If one of them is missing or cannot be imported.
    """
    for package in FORMATS[name].packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise ImportError(
                f'format {name} needs {package} ({first_line(error)}): '
                'pip install "mmsegmentation-ext[export]"'
            ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what exporters tell of their own steps."""
    loggers = [logging.getLogger(n) for n in ('', 'torch.onnx', 'torch.export', 'onnxscript')]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)


def _run_of(module: Any) -> Run:
    def run(image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return module(torch.from_numpy(image)).numpy()

    return run


def _loads(text: Any) -> dict:
    return json.loads(text) if text else {}


def _parsed(entries: dict[str, str]) -> dict:
    """Read the entries of ours; those of other programs need not be JSON."""
    facts = {}
    for key, text in entries.items():
        try:
            facts[key] = json.loads(text)
        except ValueError:
            continue
    return facts
