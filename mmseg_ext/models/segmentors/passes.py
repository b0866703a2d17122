"""Single passes of a segmentor, for what runs it several times: mode, dropout, logits.

Shape letters: M image, K class, H row, W column.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd


def plain_metas(images: Tensor) -> list[dict]:
    """Meta data of images that are neither resized nor padded; a dict of its own for each."""
    size = images.shape[2:]
    return [
        dict(ori_shape=size, img_shape=size, pad_shape=size, padding_size=[0] * 4) for _ in images
    ]


def logits_of(segmentor: EncoderDecoder, images: Tensor) -> Tensor:
    """Logits at the images' size, ``(M, K, H, W)``; a single one for two classes becomes two."""
    return _of_two(segmentor.encode_decode(images, plain_metas(images)))


def _of_two(logits: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(logits), logits], 1) if logits.shape[1] == 1 else logits


def _predicted(head: Any, output: Any, metas: list[dict]) -> Tensor:
    """Let a head make its prediction of what its ``forward`` has given."""
    if isinstance(output, Tensor):
        return head.predict_by_feat(output, metas)
    head.forward = lambda *_: output  # which of several maps predicts, the head's method knows
    try:
        return head.predict(None, metas, None)
    finally:
        del head.forward


def last_head(segmentor: EncoderDecoder) -> Any:
    """The head that predicts; of a cascade, the last one."""
    heads: Any = segmentor.decode_head
    return heads[-1] if isinstance(heads, nn.ModuleList) else heads


@contextmanager
def heard_logits(segmentor: EncoderDecoder, images: Tensor) -> Iterator[Callable[[], Tensor]]:
    """Keep the logits of which ``segmentor.loss(images, ...)`` takes its loss; a pass is saved.

    Yields:
        A function, to be called afterwards, that gives them as :func:`logits_of` does.

    Raises:
        ValueError: By that function, if the head's loss is of anything but maps of classes.
    """
    head = last_head(segmentor)
    inner, heard = head.loss_by_feat, []

    def loss_by_feat(logits: Any, *args: Any, **kwargs: Any) -> dict:
        heard.append(logits)  # the last ones are those of the final prediction
        return inner(logits, *args, **kwargs)

    def at_full_size() -> Tensor:
        try:
            return _of_two(_predicted(head, heard[-1], plain_metas(images)))
        except (IndexError, TypeError, AttributeError, NotImplementedError, ValueError) as error:
            raise ValueError(
                f'decode_head.type={type(head).__name__} trains by something else than one map of '
                f'logits, which a discriminator could judge: take another head ({error})'
            ) from error

    head.loss_by_feat = loss_by_feat
    try:
        yield at_full_size
    finally:
        del head.loss_by_feat


@contextmanager
def in_mode(segmentor: nn.Module, *, training: bool) -> Iterator[None]:
    """Put a segmentor into training or evaluation mode, and back into the mode before."""
    before = segmentor.training
    segmentor.train(training)
    try:
        yield
    finally:
        segmentor.train(before)


def dropouts(model: nn.Module) -> list[nn.Module]:
    """The dropout layers of a model that can drop something."""
    return [layer for layer in model.modules() if isinstance(layer, _DropoutNd) and layer.p > 0]


@contextmanager
def dropout_on(model: nn.Module) -> Iterator[None]:
    """Put only the dropout layers into training mode: BN keeps its statistics."""
    layers = dropouts(model)
    modes = [layer.training for layer in layers]
    try:
        for layer in layers:
            layer.train()
        yield
    finally:
        for layer, mode in zip(layers, modes):
            layer.train(mode)


@contextmanager
def kept_statistics(model: nn.Module) -> Iterator[None]:
    """Leave the running statistics of normalisation layers as they are before."""
    layers = [
        layer
        for layer in model.modules()
        if isinstance(layer, _NormBase) and layer.running_mean is not None
    ]
    kept = [dict(layer._buffers) for layer in layers]
    try:
        for layer, buffers in zip(layers, kept):  # autograd minds writing into its own: copies
            layer._buffers.update(
                {name: None if value is None else value.clone() for name, value in buffers.items()}
            )
        yield
    finally:
        for layer, buffers in zip(layers, kept):
            layer._buffers.update(buffers)


@contextmanager
def dropout_drawn(model: nn.Module, seed: int) -> Iterator[None]:
    """As :func:`dropout_on`, with numbers of their own: no other random number depends on them."""
    with torch.random.fork_rng(), dropout_on(model):
        torch.manual_seed(seed)
        yield


@contextmanager
def dropped_features(segmentor: EncoderDecoder, share: float) -> Iterator[None]:
    """Drop channels of the maps that the heads get.

    Running statistics stay: a map without half of its channels has twice the second moment, and
    such maps are never predicted from.
    """
    with _maps_changed(segmentor, lambda one: _dropped(one, share)):
        yield


@contextmanager
def complementary_features(segmentor: EncoderDecoder, *, untouched: float = 0.5) -> Iterator[None]:
    """Give each channel of the maps to one of two views of an image, twice as strong.

    Source: UniMatch V2, arXiv:2410.10777 (LiheYoung/UniMatch-V2, MIT). Differs from it: maps of
    different numbers of channels, which its backbone does not have, get masks of their own.

    Args:
        segmentor: Its passes get the first views of M images, then the second views.
        untouched: Share of the images whose views keep all channels, rounded down.
    """
    masks: dict[int, Tensor] = {}  # by the number of channels
    intact: list[Tensor] = []  # drawn once: the same images for all maps

    def split(one: Tensor) -> Tensor:
        count, axis = len(one) // 2, 2 if one.dim() == 3 else 1  # tokens have channels last
        channels = one.shape[axis]
        if not intact:
            intact.append(torch.randperm(count)[: int(count * untouched)])
        if channels not in masks:
            first = 2.0 * torch.randint(2, (count, channels))
            first[intact[0]] = 1.0
            masks[channels] = torch.cat([first, 2.0 - first])
        shape = [len(one), *([1] * (one.dim() - 1))]
        shape[axis] = channels
        return one * masks[channels].to(one).reshape(shape)

    with _maps_changed(segmentor, split):
        yield


@contextmanager
def _maps_changed(segmentor: EncoderDecoder, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Change each of the maps that the heads get; running statistics do not see it."""
    last = segmentor.neck if segmentor.with_neck else segmentor.backbone
    handle = last.register_forward_hook(lambda _module, _inputs, maps: _each(maps, change))
    try:
        with kept_statistics(segmentor):
            yield
    finally:
        handle.remove()


def _each(maps: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(maps, Tensor):
        return change(maps)
    if isinstance(maps, (list, tuple)):
        return type(maps)([_each(one, change) for one in maps])
    return maps


def _dropped(one: Tensor, share: float) -> Tensor:
    drop = F.dropout2d if one.dim() == 4 else F.dropout
    return drop(one, share, training=True)
