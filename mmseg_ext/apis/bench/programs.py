"""What a user would pick instead, each used as its own documentation says; see ``throughput``.

Networks have random weights, on which the time does not depend. Every program reads image files and
writes a mask of class indices of the same size for each, in PNG.
Shape letters: N image, C channel, H row, W column.
"""

import copy
import importlib
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Union

import numpy as np
import torch
from mmengine.config import Config
from mmseg.apis import MMSegInferencer
from PIL import Image

from ...env import first_line
from .parts import in_stock_form

Predict = Callable[[Sequence[Path], Path], None]  # image files, and the folder for their masks
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Program(NamedTuple):
    """A program with a network.

    Args:
        name: Of the program.
        network: That it runs.
        predict: Predicts files into a folder.
        masks: Pattern of its masks in the folder; sorted, they are in the order of the files.
        config: Of the network, where it has one of ours.
        network_name: Name of the network, where it has none.
    """

    name: str
    network: Any
    predict: Predict
    masks: str = '*.png'
    config: str = ''
    network_name: str = ''


def mmseg_inferencer(cfg: Config, checkpoint: Path, batch: int) -> list[Program]:
    """The inferencer of mmseg, asked for a folder, and for arrays, which Pillow writes.

    In a folder, it also paints the classes over each image. The network is in mmseg's form.
    Source: mmseg's docs/en/user_guides/3_inference.md. Differs from it: the pipeline is the test's
    without all that loads labels, of which the inferencer knows its own class alone.

    Args:
        cfg: Of a model from :func:`~..run.load.load_model`.
        checkpoint: File with its weights.
        batch: Images at once.
    """
    cfg = copy.deepcopy(cfg)
    cfg.test_dataloader.dataset.pipeline = cfg.test_pipeline
    inferencer = MMSegInferencer(cfg, str(checkpoint), device='cpu')
    inferencer.show_progress = False
    in_stock_form(inferencer.model)

    def predict(files: Sequence[Path], out: Path) -> None:
        inferencer.num_pred_imgs = 0
        inferencer([str(file) for file in files], batch_size=batch, out_dir=str(out))

    def predict_arrays(files: Sequence[Path], out: Path) -> None:
        found = inferencer([str(file) for file in files], batch_size=batch)['predictions']
        for file, mask in zip(files, [found] if len(files) == 1 else found):
            _write(mask, file, out)

    name = "mmseg's MMSegInferencer"
    return [
        Program(f'{name}, masks and pictures', inferencer.model, predict, 'pred/*.png'),
        Program(f'{name}, masks alone', inferencer.model, predict_arrays),
    ]


def smp_deeplab(size: int, classes: int, batch: int) -> Program:
    """DeepLabv3+ on MobileNetV2 of segmentation_models_pytorch.

    Source: its README: the encoder's preprocessing, and the network in evaluation mode.
    Differs from it: ``get_preprocessing_fn`` would ask a server for ImageNet's mean and deviation.
    """
    smp = importlib.import_module('segmentation_models_pytorch')
    network = smp.DeepLabV3Plus('mobilenet_v2', encoder_weights=None, classes=classes).eval()
    prepare = partial(
        importlib.import_module('segmentation_models_pytorch.encoders').preprocess_input,
        mean=_MEAN, std=_STD, input_space='RGB', input_range=(0, 1),
    )  # fmt: skip

    @torch.inference_mode()
    def predict(files: Sequence[Path], out: Path) -> None:
        for part in _parts(files, batch):
            images = np.stack([prepare(np.array(_opened(file))) for file in part])
            inputs = torch.from_numpy(images).permute(0, 3, 1, 2).float()
            for file, mask in zip(part, network(inputs).argmax(1)):
                _write(mask.numpy(), file, out)

    name = 'DeepLabV3Plus on mobilenet_v2'
    return Program('segmentation_models_pytorch', network, predict, network_name=name)


def hf_segformer(size: int, classes: int, batch: int) -> Program:
    """SegFormer-B0 of transformers; its configuration's own values are those of B0.

    Source: its documentation of SegFormer and of semantic segmentation.
    """
    hf = importlib.import_module('transformers')
    settings = hf.SegformerConfig(num_labels=classes)
    network = hf.SegformerForSemanticSegmentation(settings).eval()
    processor = hf.SegformerImageProcessor(size=dict(height=size, width=size))

    @torch.inference_mode()
    def predict(files: Sequence[Path], out: Path) -> None:
        for part in _parts(files, batch):
            images = [_opened(file) for file in part]
            outputs = network(**processor(images=images, return_tensors='pt'))
            masks = processor.post_process_semantic_segmentation(
                outputs, target_sizes=[image.size[::-1] for image in images]
            )
            for file, mask in zip(part, masks):
                _write(mask.numpy(), file, out)

    return Program('transformers', network, predict, network_name='SegFormer-B0')


def ultralytics_semantic(size: int, classes: int, batch: int) -> Program:
    """Ultralytics' semantic model of about as many parameters, from its YAML file.

    Source: its documentation of the predict mode and of results.
    """
    ultralytics = importlib.import_module('ultralytics')
    model = ultralytics.YOLO('yolo26s-sem.yaml', task='semantic', verbose=False)

    def predict(files: Sequence[Path], out: Path) -> None:
        source = [str(file) for file in files]
        options = dict(imgsz=size, batch=batch, device='cpu', verbose=False, save=False)
        for result in model.predict(source, stream=True, **options):
            _write(_of_ultralytics(result), Path(result.path), out)

    return Program('ultralytics', model.model, predict, network_name='YOLO26s-sem')


def _of_ultralytics(result: Any) -> np.ndarray:
    mask = result.semantic_mask
    mask = getattr(mask, 'data', mask)
    return np.asarray(mask).reshape(result.orig_shape)


PROGRAMS: dict[str, Callable[[int, int, int], Program]] = {
    'segmentation_models_pytorch': smp_deeplab,
    'transformers': hf_segformer,
    'ultralytics': ultralytics_semantic,
}


def programs(size: int, classes: int, batch: int) -> Iterator[Union[Program, str]]:
    """Build each program that is installed.

    Args:
        size: Height and width of the images.
        classes: Number of classes, where it can be chosen.
        batch: Images at once.

    Yields:
        A program, or a line that says why it is left out.
    """
    threads = torch.get_num_threads()
    for package, make in PROGRAMS.items():
        level = logging.root.level
        try:
            yield make(size, classes, batch)
        except ImportError:
            yield f'no {package}: it is not installed; --peers says how to get it'
        except Exception as error:  # packages raise types of their own
            yield f'no {package}: {type(error).__name__}: {first_line(error)}'
        finally:  # imports of packages may change both
            logging.root.setLevel(level)
            torch.set_num_threads(threads)


def _opened(file: Path) -> Image.Image:
    return Image.open(file).convert('RGB')


def _write(mask_HW: np.ndarray, file: Path, out: Path) -> None:
    Image.fromarray(mask_HW.astype(np.uint8)).save(out / f'{file.stem}.png')


def _parts(files: Sequence[Path], batch: int) -> Iterator[Sequence[Path]]:
    return (files[start : start + batch] for start in range(0, len(files), batch))
