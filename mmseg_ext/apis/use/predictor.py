"""The predictor: a trained model of any kind that is called with images."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Optional, Union, overload

from mmengine.logging import print_log
from mmseg.models.segmentors import EncoderDecoder
from torch import nn

from ...core.files import PathLike
from ...core.words import check_choice
from ...models.layers.dense_crf import SETTINGS
from ...models.segmentors import CRFRefined
from ..predict.arrays import AnyImage
from ..predict.augmented import Augmented
from ..predict.dropout import DropoutPasses
from ..predict.large import tell_windows
from ..predict.memory import Memory
from ..predict.output import predict_to_folder
from ..predict.predictor import CRF_NEEDS, Failure, Prediction, predict
from ..predict.refinement import Setting, check_setting
from ..predict.video import is_video
from ..run.network.fast import fast_form
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
        tta: Average over the flips and scales of the config's ``tta_pipeline``; without one, over
            the image and its mirror image. Of an image in windows, each window is augmented.
        passes: With dropout: predictions are their mean, and come with maps of ``entropy`` and
            ``bald``; 0 is one pass without.
        crf: Refine with a dense CRF: the name of a setting (``SETTINGS`` of ``dense_crf``), or
            arguments of ``DenseCRF``.
        batch: How many images of one size go through the network together.
        fast: Use the model's fast form, see :func:`~..run.network.fast.fast_form`; the predictions
            are the same up to rounding.
        amp: Use it in bfloat16, on CUDA in float16: a few labels may change.

    Attributes:
        model: The network, with ``cfg`` and ``dataset_meta``; with ``tta`` or ``passes``, what runs
            it several times.
        classes: Names of the classes, in the order of their indices.
        palette: RGB color of each class.

    Raises:
        FileNotFoundError: If one of the files is not there.
        ValueError: If the checkpoint belongs to another model, a folder is that of no run, or the
            model cannot do what an option asks for.
    """

    def __init__(
        self,
        model: Union[PathLike, nn.Module],
        checkpoint: Optional[PathLike] = None,
        *,
        device: str = 'auto',
        dataset: Optional[PathLike] = None,
        cfg_options: Optional[dict] = None,
        tta: bool = False,
        passes: int = 0,
        crf: Union[str, Setting, None] = None,
        batch: int = 1,
        fast: bool = False,
        amp: bool = False,
    ) -> None:
        if isinstance(model, nn.Module):
            self.model: Any = model
        else:
            words = [str(word) for word in (model, checkpoint) if word is not None]
            given = find_model(words, dataset=dataset)
            self.model = given.load(device=device, dataset=dataset, cfg_options=cfg_options)
        if fast or amp:
            self.model = _fast(self.model, amp)
        self.crf, self.batch = _setting(crf, self.model), batch
        if tta:
            self.model = Augmented(self.model).eval()
        if passes:
            self.model = DropoutPasses(self.model, passes).eval()
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
            Of one image a :class:`~..predict.predictor.Prediction`; of a list, one of them or a
            ``Failure`` for each image. ``label`` is ``(H, W)``, uint8 or, above 255 classes,
            uint16; ``prob`` is ``(K, H, W)`` float16 or ``None``; ``areas`` are pixels and share of
            each class by name; ``picture`` is the image, RGB ``(H, W, 3)`` uint8.

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

    def _predict(self, images: Iterable[AnyImage], keep_prob: bool) -> Iterator[Result]:
        options = dict(batch=self.batch, crf=self.crf, memory=self._memory)
        return predict(self.model, images, keep_prob=keep_prob, **options)

    def to_folder(
        self,
        images: Sequence[Path],
        out: PathLike,
        *,
        keep_prob: bool = False,
        frame_masks: bool = False,
        source: Optional[dict] = None,
    ) -> list[Failure]:
        """Predict files into a folder, with a progress bar, as ``tools/predict.py`` does.

        Args:
            images: Images and videos, from :func:`~.given.find_inputs`.
            out: Folder for masks, overlays, ``predictions.json``, ``areas.csv`` and what else is
                asked for.
            keep_prob: Also write probabilities.
            frame_masks: Also write the mask of each frame of a video.
            source: Information to store in the list, such as config and checkpoint.

        Returns:
            The files that failed; all others are written.

        Raises:
            OSError: If the disk is full or the folder cannot be written.
            ValueError: If probabilities or uncertainty are asked for, and all files are videos;
                videos among images are predicted without them, and named.
        """
        if keep_prob or isinstance(self.model, DropoutPasses):
            _check_videos(images)
        whole = CRF_NEEDS if self.crf else ''
        told = tell_windows(self.model, images, keep_prob=keep_prob, whole=whole)
        if told:
            print(told)
        return predict_to_folder(
            self.model, images, out, prob=keep_prob, batch=self.batch, crf=self.crf,
            frame_masks=frame_masks, source=source)  # fmt: skip


def _fast(model: Any, amp: bool) -> Any:
    if not isinstance(model, EncoderDecoder) or next(model.parameters(), None) is None:
        raise ValueError(
            f'{type(model).__name__} has no fast form: leave out fast and amp; an exported file is '
            'in one already'
        )
    return fast_form(model, amp=amp)


def _check_videos(paths: Sequence[Path]) -> None:
    """Name videos whose frames get neither probabilities nor uncertainty; refuse them alone."""
    videos = [path for path in paths if is_video(path)]
    if not videos:
        return
    only = 'probabilities and uncertainty are written of images only'
    if len(videos) == len(paths):
        raise ValueError(
            f'{videos[0]} is a video, and {only}: leave --prob and --uncertainty out, or save its '
            'frames as images'
        )
    named = ', '.join(map(str, videos[:3])) + (', ...' if len(videos) > 3 else '')
    text = f'videos get overlays and areas alone, as {only}: {named}'
    print_log(text, 'current', logging.WARNING)


def _setting(crf: Union[str, Setting, None], model: Any) -> Optional[Setting]:
    """Return the arguments of the CRF, checked."""
    if crf is None:
        return None
    if isinstance(crf, str):
        check_choice('crf', crf, list(SETTINGS))
        crf = SETTINGS[crf]
    if isinstance(model, CRFRefined):
        raise ValueError('the model refines by a CRF of its own: leave --crf out')
    check_setting(crf)
    return dict(crf)
