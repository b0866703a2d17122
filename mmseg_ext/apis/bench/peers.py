"""The peers that benchmarks compare with: which are installed, and how to get the others."""

import importlib.metadata
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

import torch

from ...engine.bfloat16 import is_imitated


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


_OURS = 'pip install .'
_PEERS = (
    ('mmsegmentation', 'forms, throughput, evaluation, metric, training, losses', _OURS),
    ('mmengine', 'evaluation, start, training, losses', _OURS),
    ('mmcv', 'deform_conv: the compiled operator', 'pip install mmcv==2.1.0, with a compiler'),
    ('scipy', 'operations: boundary F1, HD95', _OURS),
    ('monai', 'operations: HD95', 'make .venv-peers/.stamp-install'),
    ('pydensecrf2', 'crf', 'pip install .[crf]'),
    ('onnxruntime', 'forms, times of tools/export.py', 'pip install .[export]'),
    ('openvino', 'forms, times of tools/export.py', 'pip install .[export]'),
    ('segmentation-models-pytorch', 'throughput', 'make .venv-peers/.stamp-install'),
    ('transformers', 'throughput', 'make .venv-peers/.stamp-install'),
    ('ultralytics', 'throughput', 'make .venv-peers/.stamp-install'),
)


def peers() -> list[Peer]:
    """List the peers with their versions."""
    return [Peer(name, of, install, _version(name)) for name, of, install in _PEERS]


def versions_for(benchmark: str) -> dict[str, str]:
    """Versions of the installed peers that a benchmark compares with."""
    named = [peer for peer in peers() if benchmark in peer.of.replace(':', ',').split(', ')]
    return {peer.package: peer.version for peer in named if peer.version is not None}


def lacking(record: Mapping[str, Any]) -> list[Peer]:
    """Peers that a benchmark compared with, as its record says, and that are not installed.

    What this package itself needs is not asked for: another stack has it under other names.
    """
    return [
        peer
        for peer in peers()
        if peer.package in record['versions'] and not peer.version and peer.install != _OURS
    ]


def reasons_to_keep(record: Mapping[str, Any]) -> list[str]:
    """What a record has rows of and this environment or processor has not, a text for each."""
    reasons = [f'it compares with {peer.package}: {peer.install}' for peer in lacking(record)]
    if is_imitated('cpu') and any(_is_half(case) for case in record['cases']):
        reasons.append('it has rows in bfloat16, of which this processor has no products')
    return reasons


def other_instructions(record: Mapping[str, Any]) -> list[str]:
    """Say, in a text or none, that a record names other instructions than this processor has."""
    found = re.search(r'\((\w+)\), \d+ cores', record['hardware'])
    here = torch.backends.cpu.get_cpu_capability()
    if found is None or found[1] == here:  # older records name none
        return []
    return [f'it is of a processor with {found[1]}, this one has {here}']


def _is_half(case: Mapping[str, Any]) -> bool:
    return case.get('product') == 'bfloat16' or bool(re.search('bfloat16|AMP', case['case']))


def _version(name: str) -> Optional[str]:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
