"""The predictor: a trained model of any kind that is called with images."""

from collections.abc import Iterator
from typing import Any, Optional, Union, overload

from torch import nn

from ...core.files import PathLike
from ..predict.arrays import AnyImage
from ..predict.memory import Memory
from ..predict.predictor import Failure, Prediction, predict
from .given import find_model

Result = Union[Prediction, Failure]
Several = Union[list[Any], tuple[Any, ...]]  # of images of any kind


class Predictor:
    """A trained model that predicts images of any size, from files or in memory.

    Example::

        predictor = Predictor('work_dirs/fmsi_xception_voc')       # or 'net.onnx'
        label = predictor('photo.jpg').label                       # (H, W), class indices
        prob = predictor(array, keep_prob=True).prob               # (K, H, W) of an RGB array
        print(predictor('photo.jpg').areas['cat'].share)           # from 0 to 1
        for result in predictor(['a.png', array]):                 # a Prediction or a Failure each
            print(result.path)

    Args:
        model: The work folder of a run, a config or its name, a file of ``tools/export.py``, or a
            model from :func:`~..run.load.load_model` or
            :func:`~..deploy.exported.load_exported`.
        checkpoint: Checkpoint file for the config; by default the best in its work folder.
        device: ``'auto'`` takes CUDA if there is one; exported files run on the CPU.
        dataset: The user's data, as in training: a file that ``tools/dataset.py init`` writes.
        cfg_options: Settings that override those of the config, by dotted key.

    Attributes:
        model: The network, with ``cfg`` and ``dataset_meta``.
        classes: Names of the classes, in the order of their indices.
        palette: RGB color of each class.

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
        dataset: Optional[PathLike] = None,
        cfg_options: Optional[dict] = None,
    ) -> None:
        if isinstance(model, nn.Module):
            self.model: Any = model
        else:
            words = [str(word) for word in (model, checkpoint) if word is not None]
            given = find_model(words, dataset=dataset)
            self.model = given.load(device=device, dataset=dataset, cfg_options=cfg_options)
        self.classes = list(self.model.dataset_meta['classes'])
        self.palette = list(self.model.dataset_meta['palette'])
        self._memory = Memory(self.model)

    @overload
    def __call__(self, images: AnyImage, *, keep_prob: bool = False) -> Prediction: ...
    @overload
    def __call__(self, images: Several, *, keep_prob: bool = False) -> list[Result]: ...
    def __call__(
        self, images: Union[AnyImage, Several], *, keep_prob: bool = False
    ) -> Union[Prediction, list[Result]]:
        """Predict one image, or several.

        Args:
            images: An image or a list or tuple of images. Each is a path, a PIL image, or an array:
                RGB ``(H, W, 3)`` or grey ``(H, W)``, uint8 from 0 to 255; of a model of other
                channels ``(H, W, C)``, see :func:`~..predict.arrays.load_array`.
            keep_prob: Also return the probability of each class.

        Returns:
            A :class:`~..predict.predictor.Prediction`; for a list, one of them or a ``Failure`` for
            each image. ``label`` is ``(H, W)``, uint8 or, above 255 classes, uint16; ``prob`` is
            ``(K, H, W)`` float16 or ``None``; ``areas`` are pixels and share of each class by name;
            ``picture`` is the image, RGB ``(H, W, 3)`` uint8.

        Raises:
            TypeError: If one of them is no image of any kind.
            ValueError: If a single image cannot be predicted.
        """
        if isinstance(images, (list, tuple)):
            return list(self._predict(images, keep_prob))
        (result,) = self._predict([images], keep_prob)
        if isinstance(result, Failure):
            raise ValueError(result.reason)
        return result

    def _predict(self, images: Several, keep_prob: bool) -> Iterator[Result]:
        return predict(self.model, images, keep_prob=keep_prob, memory=self._memory)
