"""The peers that benchmarks compare with: which are installed, and how to get the others."""

import importlib.metadata
from typing import NamedTuple, Optional


class Peer(NamedTuple):
    """A package that a benchmark compares with.

    Args:
        package: Name of its distribution.
        of: What is compared.
        install: How to get it.
        version: What is installed, or ``None``.
    """

    package: str
    of: str
    install: str
    version: Optional[str]


_PEERS = (
    ('mmsegmentation', 'forms, evaluation, metric', 'pip install .'),
    ('mmengine', 'evaluation, start', 'pip install .'),
    ('mmcv', 'deform_conv: the compiled operator', 'pip install mmcv==2.1.0, with a compiler'),
    ('pydensecrf2', 'crf', 'pip install pydensecrf2'),
    ('onnxruntime', 'times of tools/export.py', 'pip install .[export]'),
    ('openvino', 'times of tools/export.py', 'pip install .[export]'),
)


def peers() -> list[Peer]:
    """List the peers with their versions."""
    return [Peer(name, of, install, _version(name)) for name, of, install in _PEERS]


def _version(name: str) -> Optional[str]:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
