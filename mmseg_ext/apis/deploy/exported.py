"""An exported file in the place of a trained network: ``predict`` takes it as it takes a model.

Shape letters: N image, C channel, K class, H row, W column.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional

import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmseg.models.data_preprocessor import SegDataPreProcessor
from mmseg.models.segmentors import BaseSegmentor, EncoderDecoder
from mmseg.structures import SegDataSample
from torch import Tensor

from ...core.files import PathLike
from ...env import first_line
from ...models.segmentors import LetterboxEncoderDecoder
from .facts import check_facts
from .formats import FORMATS, Run, check_packages, format_of


class ExportedNetwork(LetterboxEncoderDecoder):
    """Run an exported file, with the windows and the postprocessing of its segmentor.

    Args:
        run: From images to logits.
        facts: See :mod:`.facts`.
    """

    def __init__(self, run: Run, facts: dict) -> None:
        color = len(facts['mean']) == 3
        BaseSegmentor.__init__(self, SegDataPreProcessor(bgr_to_rgb=color))
        self.run, self.softmax_first = run, facts['softmax_first']
        self.test_cfg = ConfigDict(facts['test_cfg'])
        self.bytes_per_pixel = facts['bytes_per_pixel']
        self.out_channels = facts['channels']
        self.align_corners = facts['align_corners']
        self.decode_head = SimpleNamespace(threshold=facts['threshold'])
        self.dataset_meta = dict(classes=facts['classes'], palette=facts['palette'])
        pipelines = dict(test_pipeline=facts['pipeline'], tta_pipeline=facts.get('tta_pipeline'))
        self.cfg = Config(_with_tuples(pipelines))

    @property
    def num_classes(self) -> int:
        """Number of classes; a single logit separates two."""
        return len(self.dataset_meta['classes'])

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Return the file's logits, ``(N, K, H, W)``."""
        return torch.from_numpy(self.run(inputs.float().contiguous().numpy()))

    def postprocess_result(
        self, seg_logits: Tensor, data_samples: Optional[list[SegDataSample]] = None
    ) -> list[SegDataSample]:
        """Resize to the images' own size, as the segmentor that was exported does."""
        if self.softmax_first:
            return super().postprocess_result(seg_logits, data_samples)
        return EncoderDecoder.postprocess_result(self, seg_logits, data_samples)


def _with_tuples(value: Any) -> Any:
    """Turn lists of numbers, which JSON made of tuples, back: mmcv's ``Resize`` takes no list."""
    if isinstance(value, dict):
        return {key: _with_tuples(part) for key, part in value.items()}
    if not isinstance(value, list):
        return value
    numbers = all(isinstance(part, (int, float)) for part in value)
    return tuple(value) if numbers else [_with_tuples(part) for part in value]


def is_exported(path: Any) -> bool:
    """Tell by its ending whether a file is an exported network."""
    return Path(path).suffix.lower() in {kind.suffix for kind in FORMATS.values()}


def load_exported(path: PathLike, kind: Optional[str] = None) -> ExportedNetwork:
    """Open an exported file as a model that ``predict`` takes.

    Args:
        path: File that :func:`~.export.export_model` wrote.
        kind: Its format; by default, the one that its ending tells.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If a package that runs it is missing.
        ValueError: If it cannot be read, or another program wrote it.
    """
    path, kind = Path(path), kind or format_of(path)
    files = FORMATS[kind].files(path)
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f'no exported network {file}')
    check_packages(kind)
    init_default_scope('mmseg')
    try:
        run, facts = FORMATS[kind].open(*files)
    except Exception as error:  # each format raises others
        raise ValueError(f'{path} cannot be read as {kind}: {first_line(error)}') from error
    check_facts(facts, path)
    return ExportedNetwork(run, facts).eval()
