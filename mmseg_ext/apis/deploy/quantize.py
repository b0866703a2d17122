"""Write a network as ONNX with 8-bit weights and activations, and say what that costs and wins.

Activations are calibrated on images of the user; convolutions and matrix products are computed in
integers (onnxruntime's static QDQ format, a scale per channel of the weights). Weights keep 7 bits
(``reduce_range``): processors with AVX2 and without VNNI would overflow with 8.
Shape letters: N image, C channel, H row, W column.
"""

import importlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from mmseg.registry import DATASETS

from ...core.files import PathLike, replacing
from ...evaluation.confusion import confusion_matrix
from ..predict.predictor import Failure, build_pipeline, predict
from .export import export_model
from .exported import ExportedNetwork, load_exported
from .formats import quiet
from .verify import run_time

AGREEMENT = 0.98  # share of pixels that must keep their label
_OPERATORS = ['Conv', 'MatMul', 'Gemm']
_SCORED = 50  # images of the test split, evenly spaced


@dataclass(frozen=True)
class Quantized:
    """A network with 8 bits beside the same one in single precision.

    Args:
        path: The file.
        megabytes: Size before and after, 1 MB = 10^6 bytes.
        agreement: Share of pixels with the same label, in images that were not calibrated on.
        milliseconds: Median time of one image before and after.
        scores: mIoU before and after on the config's test images, in [0, 1]; ``None`` without them.
        images: How many images were calibrated on, compared and scored.
    """

    path: Path
    megabytes: tuple[float, float]
    agreement: float
    milliseconds: tuple[float, float]
    scores: Optional[tuple[float, float]]
    images: tuple[int, int, int]


def quantize_model(
    model: Any,
    path: PathLike,
    images: Sequence[Path],
    *,
    source: dict[str, str],
    limit: float = AGREEMENT,
) -> Quantized:
    """Export a network to ONNX with 8 bits; every second image calibrates, the others compare.

    Args:
        model: Segmentor from ``load_model``.
        path: File to write.
        images: Image files as the network will see them, two or more.
        source: As for :func:`~.export.export_model`.
        limit: Smallest share of pixels that must keep their label.

    Raises:
        ValueError: If there are too few images, or fewer labels agree; no file is written then.
    """
    if len(images) < 2:
        raise ValueError(f'8 bits need two images or more, to calibrate and compare: {len(images)}')
    with tempfile.TemporaryDirectory() as folder, replacing(path) as unfinished, quiet():
        exact = export_model(model, Path(folder, 'net.onnx'), source=source)
        before = load_exported(exact.path)
        _quantize(before, exact.path, images[::2], unfinished)
        after = load_exported(unfinished, kind='onnx')
        agreement = _agreement(before, after, images[1::2])
        if not agreement >= limit:
            raise ValueError(
                f'{path} is not written: with 8 bits {100 * agreement:.2f} % of labels stay the '
                f'same, at least {100 * limit:.2f} % must; give more images, or keep the floats'
            )
        scores, count = _scores(model.cfg, before, after)
        example = next(_images(before, images[1:2]))
        times = run_time(before.run, example), run_time(after.run, example)
    sizes = exact.megabytes, Path(path).stat().st_size / 1e6
    counts = len(images[::2]), len(images[1::2]), count
    return Quantized(Path(path), sizes, agreement, times, scores, counts)


class _Calibration:
    """What onnxruntime reads images from."""

    def __init__(self, images: Iterator[np.ndarray]) -> None:
        self.images = images

    def get_next(self) -> Optional[dict]:
        """Return the next image by the name of the graph's input; ``None`` after the last."""
        image = next(self.images, None)
        return None if image is None else dict(image=image)


def _images(network: ExportedNetwork, paths: Sequence[Path]) -> Iterator[np.ndarray]:
    """Prepare images as in predicting, ``(1, C, H, W)``."""
    pipeline = build_pipeline(network.cfg)
    for path in paths:
        found = pipeline(dict(img_path=str(path), seg_fields=[], reduce_zero_label=False))
        data = dict(inputs=[found['inputs']], data_samples=[found['data_samples']])
        yield network.data_preprocessor(data, False)['inputs'].numpy()


def _quantize(network: ExportedNetwork, source: Path, images: Sequence[Path], out: Path) -> None:
    onnx = importlib.import_module('onnx')
    quantization = importlib.import_module('onnxruntime.quantization')
    quantization.quantize_static(
        str(source), str(out), _Calibration(_images(network, images)),
        quant_format=quantization.QuantFormat.QDQ, per_channel=True, reduce_range=True,
        weight_type=quantization.QuantType.QInt8, activation_type=quantization.QuantType.QUInt8,
        op_types_to_quantize=_OPERATORS,
    )  # fmt: skip
    written, exact = onnx.load(str(out)), onnx.load(str(source))
    del written.metadata_props[:]
    written.metadata_props.extend(exact.metadata_props)
    onnx.save(written, str(out))


def _agreement(before: Any, after: Any, images: Sequence[Path]) -> float:
    """Return the share of pixels to which both give the same label.

    Raises:
        ValueError: If an image cannot be predicted.
    """
    same = pixels = 0
    for one, other in zip(predict(before, images), predict(after, images)):
        for result in (one, other):
            if isinstance(result, Failure):
                raise ValueError(result.reason)
        same += int((one.label == other.label).sum())  # type: ignore[union-attr]
        pixels += one.label.size  # type: ignore[union-attr]
    return same / pixels


def _scores(cfg: Any, *networks: Any) -> tuple[Optional[tuple[float, float]], int]:
    """Return the mIoU of two networks on images of the test split, and how many these are."""
    loader = cfg.get('test_dataloader') or {}
    try:
        dataset = DATASETS.build(dict(loader['dataset']))
    except (KeyError, OSError):  # no test split, or its files are elsewhere
        return None, 0
    chosen = np.unique(np.linspace(0, len(dataset) - 1, min(_SCORED, len(dataset))).astype(int))
    before, after = (_miou(network, dataset, chosen) for network in networks)
    return (before, after), len(chosen)


def _miou(network: Any, dataset: Any, chosen: Any) -> float:
    classes = network.num_classes
    total = np.zeros((classes, classes), np.int64)
    for index in chosen:
        item = dataset[int(index)]
        data = dict(inputs=[item['inputs']], data_samples=[item['data_samples']])
        with torch.inference_mode():
            result = network.test_step(data)[0]
        truth, found = result.gt_sem_seg.data[0], result.pred_sem_seg.data[0].to(torch.int64)
        total += np.asarray(confusion_matrix(found, truth, classes))
    hit = np.diag(total)
    union = total.sum(0) + total.sum(1) - hit
    return float((hit[union > 0] / union[union > 0]).mean())
