"""Refine saved probability maps with a dense CRF, or search for its parameters.

It reads the output of ``tools/predict.py --prob``: ``predictions.json`` and ``prob/*.npz``. Images
are divided among processes of one thread each, which is faster than several threads per image.
Shape letters: K class, H row, W column, S setting.
"""

import itertools
import multiprocessing
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch

from ...core import refusals
from ...core.files import PathLike, write_json
from ...core.masks import read_mask
from ...core.progress import Line
from ...evaluation.confusion import confusion_matrix, metrics_from_confusion
from ..draw.pixels import read_rgb
from ..run.outcome.listing import LISTING, read_predictions
from .output import write_prediction
from .predictor import Failure, Prediction
from .refinement import Setting, check_setting, refine, refined_labels

SEARCHABLE = ('pos_w', 'pos_xy', 'bi_w', 'bi_xy', 'bi_rgb', 'iterations')


@dataclass(frozen=True)
class Item:
    """One image to refine.

    Args:
        image: File of the image.
        prob: ``.npz`` file with ``prob``, ``(K, H, W)``.
        name: Path of the outputs below their folder, without suffix.
        truth: Ground-truth label map, or ``None``.
    """

    image: Path
    prob: Path
    name: str
    truth: Optional[Path] = None


def read_listing(folder: PathLike, truth: Optional[PathLike] = None) -> tuple[dict, list[Item]]:
    """List the images of a folder of predictions.

    Args:
        folder: Output folder of ``tools/predict.py --prob``.
        truth: Folder of ``.png`` label maps named like the images. The output's path below the
            folder is tried first, then its file name.

    Returns:
        The listing (``classes``, ``palette``) and the images.

    Raises:
        FileNotFoundError: If the listing or a label map is missing.
        ValueError: If the listing is damaged, names files outside of its folder, or has no image or
            no probabilities.
    """
    folder = Path(folder)
    path = folder / LISTING
    if not path.is_file():
        raise FileNotFoundError(
            f'{path} does not exist: give the folder of tools/predict.py --prob'
        )
    listing = read_predictions(path)
    items = []
    for entry in listing['images']:
        prob = Path(entry.get('prob', ''))
        if prob.parts[:1] != ('prob',) or len(prob.parts) < 2:
            raise ValueError(
                f'{path} lists no probabilities (prob/...) of {entry["image"]}: run '
                'tools/predict.py with --prob'
            )
        name = str(prob.relative_to('prob').with_suffix(''))
        label = None if truth is None else _find_truth(Path(truth), name)
        items.append(Item(Path(entry['image']), folder / entry['prob'], name, label))
    if not items:
        raise ValueError(f'{path} lists no image')
    _check_truth(items)
    return listing, items


def _check_truth(items: Sequence[Item]) -> None:
    owners: dict[Path, Item] = {}
    for item in items:
        if item.truth is not None and owners.setdefault(item.truth, item) is not item:
            other = owners[item.truth]
            raise ValueError(
                f'{item.truth} would be the label map of {other.image} and of {item.image}: give a '
                f'folder that holds {other.name}.png and {item.name}.png'
            )


def _find_truth(folder: Path, name: str) -> Path:
    for path in (folder / f'{name}.png', folder / f'{Path(name).name}.png'):
        if path.is_file():
            return path
    raise FileNotFoundError(f'no label map {name}.png in {folder}')


def read_item(item: Item) -> tuple[np.ndarray, np.ndarray]:
    """Read the probabilities and the image of an item.

    Returns:
        ``(K, H, W)`` float32 and ``(H, W, 3)`` uint8 RGB.

    Raises:
        FileNotFoundError: If the image was moved after its prediction.
        ValueError: If a file cannot be read; it names the file.
    """
    if not item.image.is_file():
        raise FileNotFoundError(
            f'{item.image}, the image of {item.prob}, does not exist: put it back, or correct its '
            f'path in {LISTING}'
        )
    if item.prob.suffix == '.npy':
        raise ValueError(
            f'{item.image} was predicted in windows, as it does not fit into memory, and a dense '
            'CRF refines an image as a whole: cut it into tiles'
        )
    try:
        with np.load(item.prob) as content:
            prob = content['prob'].astype(np.float32)
    except Exception as error:  # numpy and zipfile raise many types, all caused by the file
        raise ValueError(
            f'{item.prob} holds no probabilities ({type(error).__name__}): run tools/predict.py '
            '--prob again'
        ) from None
    return prob, read_rgb(item.image)


def _counts(item: Item, prob: np.ndarray) -> np.ndarray:
    return confusion_matrix(prob.argmax(0), read_mask(str(item.truth)), len(prob))


def _refine_item(
    item: Item, setting: Setting, out: Path, meta: dict, keep_prob: bool
) -> tuple[dict, Optional[np.ndarray]]:
    """Refine and write one image; return counts before and after, ``(2, K, K)``, or None."""
    prob, picture = read_item(item)
    refined = refine(prob, picture, setting)
    kept = refined.astype(np.float16) if keep_prob else None
    entry = write_prediction(
        Prediction(item.image, picture, refined_labels(refined), kept), out, item.name, meta=meta
    )
    if item.truth is None:
        return entry, None
    return entry, np.stack((_counts(item, prob), _counts(item, refined)))


def _score_item(item: Item, settings: Sequence[Setting]) -> np.ndarray:
    """Count the confusion of one image without CRF and for every setting, ``(1 + S, K, K)``."""
    prob, picture = read_item(item)
    refined = (refine(prob, picture, setting) for setting in settings)
    return np.stack([_counts(item, p) for p in itertools.chain([prob], refined)])


# --- all images -----------------------------------------------------------------------------------


def _guarded(function: Callable[[Item], Any], item: Item) -> tuple[Item, Any]:
    """Call in a worker process; a bad file gives a failure and does not stop the others."""
    torch.set_num_threads(1)
    try:
        return item, function(item)
    except (ValueError, OSError) as error:
        if refusals.is_of_the_disk(error):  # the other images would fail too
            raise
        reason, files = str(error), (str(item.image), str(item.prob))
        named = any(file in reason for file in files)
        return item, Failure(item.image, reason if named else f'{item.image}: {reason}')


def _in_parallel(
    function: Callable[[Item], Any], items: Sequence[Item], workers: int, title: str
) -> Iterator[tuple[Item, Any]]:
    if workers < 1:
        raise ValueError(f'workers must be at least 1, got {workers}')
    job: Callable[[Item], tuple[Item, Any]] = partial(_guarded, function)
    with Line(title, len(items), elsewhere=True) as line:
        for item, result in _results(job, items, min(workers, len(items))):
            line.step()
            yield item, result


def _results(
    job: Callable[[Item], Any], items: Sequence[Item], workers: int
) -> Iterable[tuple[Item, Any]]:
    if workers <= 1:
        yield from map(job, items)
        return
    context = multiprocessing.get_context('spawn')  # a fork would break torch's threads
    with context.Pool(workers) as pool:
        yield from pool.imap_unordered(job, items)


def refine_folder(
    folder: PathLike,
    out: PathLike,
    *,
    setting: Setting,
    truth: Optional[PathLike] = None,
    workers: int = 1,
    keep_prob: bool = False,
) -> tuple[dict[str, dict], list[Failure]]:
    """Refine all images of a folder of predictions; write a folder of the same form.

    Args:
        folder: See :func:`read_listing`.
        out: Folder for masks, overlays and ``predictions.json``.
        setting: Arguments of ``DenseCRF``.
        truth: Folder of label maps.
        workers: Processes.
        keep_prob: Also write the refined probabilities.

    Returns:
        The scores ``before`` and ``after`` (see ``metrics_from_confusion``) if there is a ground
        truth, and the images that failed.

    Raises:
        ValueError: If a setting is unknown or out of range, or ``out`` is the folder itself.
    """
    check_setting(setting)
    listing, items = read_listing(folder, truth)
    if Path(out).resolve() == Path(folder).resolve():
        raise ValueError(f'out ({out}) is the folder of the predictions: choose another')
    job = partial(_refine_item, setting=setting, out=Path(out), meta=listing, keep_prob=keep_prob)
    entries, failures, counts = {}, [], []
    for item, result in _in_parallel(job, items, workers, 'crf'):
        if isinstance(result, Failure):
            failures.append(result)
            continue
        entries[item.name], matrices = result
        counts.append(matrices)
    images = [entries[item.name] for item in items if item.name in entries]
    listing = dict(listing, crf=setting, images=images)
    write_json(Path(out) / LISTING, listing)
    if truth is None or not counts:
        return {}, failures
    before, after = (metrics_from_confusion(matrix) for matrix in np.sum(counts, 0))
    return dict(before=before, after=after), failures


def settings_of(grid: dict[str, Sequence[float]], base: Setting) -> list[Setting]:
    """List every combination of a grid; other arguments come from ``base``.

    Raises:
        ValueError: If a name in the grid is not ``SEARCHABLE``, or a value is invalid.
    """
    unknown = sorted(set(grid) - set(SEARCHABLE))
    if unknown or not grid:
        raise ValueError(
            f'cannot search {", ".join(unknown) or "nothing"}: choose from {", ".join(SEARCHABLE)}'
        )
    settings = [{**base, **dict(zip(grid, values))} for values in itertools.product(*grid.values())]
    for setting in settings:
        check_setting(setting)
    return settings


def search(
    folder: PathLike,
    *,
    grid: dict[str, Sequence[float]],
    base: Setting,
    truth: PathLike,
    images: int = 100,
    seed: int = 0,
    workers: int = 1,
) -> tuple[dict, list[Failure]]:
    """Choose the setting with the highest mIoU on some images, and score it on the others.

    Args:
        folder: See :func:`read_listing`; predictions of images not used in training.
        grid: Values to try, by argument name.
        base: All other arguments of ``DenseCRF``.
        truth: Folder of label maps.
        images: Number of random images for the choice; DeepLab used 100.
        seed: Seed of the random images.
        workers: Processes.

    Returns:
        ``best``, the chosen setting; ``table``, the ``mIoU`` of each setting, best first;
        ``chosen_on`` and ``held_out``: number of images, and mIoU ``before`` and ``after`` the CRF
        with the best setting (``held_out`` is ``None`` if no image is left). Then the images that
        failed.

    Raises:
        ValueError: If there is nothing to search, or no image could be read.
    """
    if images < 1:
        raise ValueError(f'images must be at least 1, got {images}')
    settings = settings_of(grid, base)
    _, items = read_listing(folder, truth)
    random.Random(seed).shuffle(items)
    matrices, failures = _collect(items[:images], settings, workers, 'search')
    scores = [metrics_from_confusion(m)['mIoU'] for m in matrices.sum(0)]
    order = sorted(range(len(settings)), key=lambda i: -scores[1 + i])
    best = settings[order[0]]
    report = dict(
        best=best,
        table=[dict(setting=settings[i], mIoU=scores[1 + i]) for i in order],
        chosen_on=dict(images=len(matrices), before=scores[0], after=scores[1 + order[0]]),
        held_out=None,
    )
    if items[images:]:
        matrices, more = _collect(items[images:], [best], workers, 'held out')
        failures += more
        before, after = (metrics_from_confusion(m)['mIoU'] for m in matrices.sum(0))
        report['held_out'] = dict(images=len(matrices), before=before, after=after)
    return report, failures


def _collect(
    items: Sequence[Item], settings: Sequence[Setting], workers: int, title: str
) -> tuple[np.ndarray, list[Failure]]:
    results = list(_in_parallel(partial(_score_item, settings=settings), items, workers, title))
    failures = [result for _, result in results if isinstance(result, Failure)]
    if len(failures) == len(items):
        raise ValueError(f'no image could be scored: {failures[0].reason}')
    return np.stack([r for _, r in results if not isinstance(r, Failure)]), failures
