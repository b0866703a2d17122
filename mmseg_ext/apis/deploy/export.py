"""Export a trained network, and keep the file only if it computes what the network does."""

import copy
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.files import PathLike, replacing
from ...core.words import check_choice
from ...env import first_line
from .facts import facts_of
from .formats import FORMATS, check_packages, quiet
from .graph import LogitsGraph, check_exportable
from .verify import Comparison, choose_shapes, compare, example


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Args:
        path: The file.
        megabytes: Its size, 1 MB = 10^6 bytes.
        seconds: How long it took to write and compare.
        comparison: With the network.
    """

    path: Path
    megabytes: float
    seconds: float
    comparison: Comparison


def export_model(
    model: Any, path: PathLike, kind: str = 'onnx', *, source: dict[str, str]
) -> Exported:
    """Write a network as a file of another format, for any number, height and width of images.

    Args:
        model: Segmentor from ``load_model``; it is not changed.
        path: File to write; it should end as its format does.
        kind: A key of ``FORMATS``.
        source: Where the model comes from: ``config`` and ``checkpoint``, for the file.

    Returns:
        The file and how it compares with the network at two sizes of their own.

    Raises:
        ImportError: If a package of the format is missing.
        ValueError: If the network cannot be exported, or the file would compute something else.
            No file is left, and an older one stays as it was.
    """
    check_choice('format', kind, list(FORMATS))
    check_packages(kind)
    start, format_ = time.perf_counter(), FORMATS[kind]
    path = _with_suffix(Path(path), format_.suffix)
    check_exportable(model)
    graph = LogitsGraph(copy.deepcopy(model).cpu().float()).eval().requires_grad_(False)
    recorded, *others = choose_shapes(graph)
    files = format_.files(path)
    with ExitStack() as stack, quiet():
        # leaving replaces the last first: whoever finds the first finds the others
        unfinished = [stack.enter_context(replacing(file)) for file in files]
        _write(format_, graph, recorded, facts_of(model, source), unfinished, kind)
        comparison = _compare(format_, graph, unfinished, others, kind)
        if comparison.fault():
            raise ValueError(f'{path} is not written: {comparison.fault()}')
    megabytes = sum(file.stat().st_size for file in files) / 1e6
    return Exported(path, megabytes, time.perf_counter() - start, comparison)


def _compare(
    format_: Any, graph: LogitsGraph, paths: list[Path], shapes: Any, kind: str
) -> Comparison:
    run, _ = format_.open(*paths)

    def checked(image: Any) -> Any:
        try:
            return run(image)
        except Exception as error:  # runtimes raise types of their own
            size = 'x'.join(map(str, image.shape[2:]))
            raise ValueError(
                f'the {kind} file of {type(graph.network).__name__} fails at {size} pixels, which '
                f'it was not recorded with: {type(error).__name__}: {first_line(error)}'
            ) from error

    return compare(graph, checked, shapes)


def _write(
    format_: Any, graph: LogitsGraph, shape: Any, facts: dict, paths: list[Path], kind: str
) -> None:
    try:
        format_.write(graph, example(graph, shape), facts, *paths)
    except OSError:
        raise
    except Exception as error:  # exporters raise many types
        cause: BaseException = error
        while cause.__cause__ is not None:  # the outer ones tell the exporter's steps
            cause = cause.__cause__
        raise ValueError(
            f'{type(graph.network).__name__} cannot be exported to {kind}: '
            f'{type(cause).__name__}: {first_line(cause)}'
        ) from error


def _with_suffix(path: Path, suffix: str) -> Path:
    if path.suffix.lower() != suffix:
        raise ValueError(f'{path} must end in {suffix}, by which its format is known')
    return path
