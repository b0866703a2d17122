"""Images per second from files to written masks, ours and what a user would pick instead.

All programs run by turns in one process, with the same files and threads; see ``throughput``.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from ...core.progress import VARIABLE
from ...engine.bfloat16 import NO_PRODUCTS, is_imitated
from ..draw.pixels import read_rgb
from ..predict.found import find_images
from ..run.config import load_config
from ..run.load import load_model
from ..run.network.build import build, count_flops
from ..use import Predictor
from .programs import Program, mmseg_inferencer, programs
from .timing import Case, register, sampled

_COUNT = 8  # images that are made
SWITCHES: dict[str, dict] = {'': {}, ' --fast': dict(fast=True), ' --amp': dict(amp=True)}


@register
def throughput(
    repeats: int,
    *,
    configs: Sequence[str] = (),
    images: Sequence[str] = (),
    size: int = 512,
    batch: int = 1,
) -> Iterator[Case]:
    """Count the images per second that each program predicts, from files to written masks.

    Loading a network is not counted. Ours also writes overlays and areas, as ``tools/predict.py``
    does, and mmseg's inferencer pictures where it is asked for a folder; others write masks alone.

    Args:
        repeats: Timed calls of each program, of all images each.
        configs: Configs with random weights, which ours and mmseg's inferencer share.
        images: Files or folders, resized to ``size`` before; photographs are imitated without them.
        size: Height and width of the images.
        batch: Images at once.
    """
    if not configs:
        raise ValueError('the benchmark throughput needs --configs')
    if is_imitated('cpu'):
        yield dict(note=f'no tools/predict.py --amp: {NO_PRODUCTS}')
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        files = _files(images, size, home / 'images')
        found: list[Program] = []
        for number, path in enumerate(configs):
            found += _of_config(path, home / f'{number}.pth', batch)
        classes = 21  # of those whose number can be chosen
        for program in programs(size, classes, batch):
            if isinstance(program, str):
                yield dict(note=program)
            else:
                found.append(program)
        yield from _timed(found, files, home / 'out', repeats, size)


def _files(images: Sequence[str], size: int, folder: Path) -> list[Path]:
    """Write the images as JPEG files of one size."""
    folder.mkdir()
    shown = [read_rgb(path) for path in find_images(images)] if images else _imitated(size)
    files = []
    for number, picture in enumerate(shown):
        files.append(folder / f'{number:04}.jpg')
        Image.fromarray(picture).resize((size, size)).save(files[-1], quality=90)
    return files


def _imitated(size: int) -> list[np.ndarray]:
    """Blurred patches with some noise, which pack about as photographs do."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (_COUNT, 12, 12, 3), np.uint8)
    smooth = [cv2.resize(one, (size, size), interpolation=cv2.INTER_CUBIC) for one in coarse]
    noise = random.normal(0, 6, (_COUNT, size, size, 3))
    return list((np.stack(smooth) + noise).clip(0, 255).astype(np.uint8))


def _of_config(path: str, checkpoint: Path, batch: int) -> Iterator[Program]:
    """Ours in each form, and mmseg's inferencer last, with the same random weights."""
    state = build(load_config(path)).state_dict()
    torch.save(dict(state_dict=state), checkpoint)
    meta = dict(dataset_meta=load_model(path, checkpoint, device='cpu').dataset_meta)
    torch.save(dict(state_dict=state, meta=meta), checkpoint)
    for switch, form in SWITCHES.items():
        if form.get('amp') and is_imitated('cpu'):  # the same as --fast
            continue
        model = load_model(path, checkpoint, device='cpu')
        predictor = Predictor(model, batch=batch, **form)
        predict = partial(_to_folder, predictor)
        yield Program(f'tools/predict.py{switch}', model, predict, 'masks/*.png', path)
    for program in mmseg_inferencer(model.cfg, checkpoint, batch):
        yield program._replace(config=path)


def _to_folder(predictor: Predictor, files: Sequence[Path], out: Path) -> None:
    failures = predictor.to_folder(files, out)
    if failures:
        raise ValueError(failures[0].reason)


def _timed(
    found: Sequence[Program], files: Sequence[Path], out: Path, repeats: int, size: int
) -> Iterator[Case]:
    threads, places = torch.get_num_threads(), [out / str(n) for n in range(len(found))]
    for place in places:
        place.mkdir(parents=True)
    calls = [partial(_call, one, files, place, threads) for one, place in zip(found, places)]
    with _no_progress():
        wall, _ = sampled(calls, repeats=repeats)
    masks = [_masks(program, files, place) for program, place in zip(found, places)]
    stock = {program.config: labels for program, labels in zip(found, masks)}  # the last of each
    for program, labels, seconds in zip(found, masks, wall.T):
        rates, equal = len(files) / seconds, {}
        if program.config:
            equal = dict(label_agreement=_agreement(labels, stock[program.config]))
        yield dict(
            case=program.name,
            network=program.config or program.network_name,
            images_per_second=float(np.median(rates)),
            lowest=float(rates.min()),
            highest=float(rates.max()),
            **_sizes(program.network, size),
            **equal,
        )


@contextmanager
def _no_progress() -> Iterator[None]:
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = '0'
    try:
        yield
    finally:
        os.environ.pop(VARIABLE)
        os.environ.update({} if before is None else {VARIABLE: before})


def _call(program: Program, files: Sequence[Path], out: Path, threads: int) -> None:
    torch.set_num_threads(threads)  # a program may have changed it
    cv2.setNumThreads(threads)
    program.predict(files, out)


def _masks(program: Program, files: Sequence[Path], out: Path) -> list[np.ndarray]:
    """Read the masks, and make sure that each file has one of its size."""
    masks = [np.array(Image.open(path)) for path in sorted(out.glob(program.masks))]
    shapes = [mask.shape[::-1] for mask in masks]
    if shapes != [Image.open(file).size for file in files]:
        raise ValueError(f'{program.name} wrote masks of {shapes} for {len(files)} images')
    return masks


def _agreement(masks: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> float:
    return float(np.mean([(one == other).mean() for one, other in zip(masks, others)]))


def _sizes(network: Any, size: int) -> dict:
    image = torch.empty(1, 3, size, size, device='meta')
    return dict(
        parameters=sum(p.numel() for p in network.parameters()), flops=count_flops(network, image)
    )
