"""Predictions without output files: a model that is called with image files."""

from typing import Any, Optional, Union, overload

from torch import nn

from ...core.files import PathLike
from ..run.load import load_model
from .given import config_file, find_model
from .predictor import Failure, Prediction, predict

Result = Union[Prediction, Failure]


class Predictor:
    """A trained model that predicts image files of any size.

    Example::

        predictor = Predictor('work_dirs/fmsi_xception_voc')
        label = predictor('photo.jpg').label              # (H, W), class indices
        for result in predictor(['a.png', 'b.png']):      # a Prediction or a Failure each
            print(result.path)

    Args:
        model: The work folder of a run, a config or its name, or a model from
            :func:`~..run.load.load_model`.
        checkpoint: Checkpoint file for the config; by default the best in its work folder.
        device: ``'auto'`` takes CUDA if there is one.

    Attributes:
        model: The network, with ``cfg`` and ``dataset_meta``.
        classes: Names of the classes, in the order of their indices.

    Raises:
        FileNotFoundError: If one of the files is not there.
        ValueError: If the checkpoint belongs to another model, or a folder is that of no run.
    """

    def __init__(
        self,
        model: Union[PathLike, nn.Module],
        checkpoint: Optional[PathLike] = None,
        *,
        device: str = 'auto',
    ) -> None:
        if isinstance(model, nn.Module):
            self.model: Any = model
        elif checkpoint is not None:
            self.model = load_model(config_file(str(model)), checkpoint, device=device)
        else:
            self.model = find_model([str(model)]).load(device=device)
        self.classes = list(self.model.dataset_meta['classes'])

    @overload
    def __call__(self, images: PathLike, *, keep_prob: bool = False) -> Prediction: ...
    @overload
    def __call__(self, images: list[PathLike], *, keep_prob: bool = False) -> list[Result]: ...
    def __call__(
        self, images: Union[PathLike, list[PathLike]], *, keep_prob: bool = False
    ) -> Union[Prediction, list[Result]]:
        """Predict one image file, or several.

        Args:
            images: A path or a list of paths.
            keep_prob: Also return the probability of each class.

        Returns:
            A prediction; for a list of images, one prediction or failure each.

        Raises:
            ValueError: If a single image cannot be predicted.
        """
        if isinstance(images, list):
            return list(predict(self.model, images, keep_prob=keep_prob))
        (result,) = predict(self.model, [images], keep_prob=keep_prob)
        if isinstance(result, Failure):
            raise ValueError(result.reason)
        return result
