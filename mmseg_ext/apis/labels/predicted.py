"""What a model says of images that wait for labels: what people start from."""

import sys
from collections.abc import Iterator
from typing import Any

from ..predict.predictor import Failure, predict
from .exchange import Predicted
from .project import ToLabel, without_predictions


def predict_masks(model: Any, images: ToLabel) -> Iterator[Predicted]:
    """Predict images one by one; one that cannot be predicted is named and has no mask.

    Args:
        model: From ``load_model``.
        images: The images.

    Yields:
        The images in their order. The score is the mean over pixels of the highest probability.
    """
    for name, result in zip(images.names, predict(model, images.paths, keep_prob=True)):
        if isinstance(result, Failure):
            print(f'no prediction: {result.reason}', file=sys.stderr)
            yield from without_predictions(ToLabel(images.folder, (name,)))
            continue
        score = None if result.prob is None else float(result.prob.max(0).mean(dtype='float64'))
        yield Predicted(name, result.label.shape, result.label, score)
