"""Starting from RGB weights with any number of input channels.

Source: the idea is common (timm's ``adapt_input_conv`` repeats the three filters); here the new
channels get the mean filter instead, and the scale keeps one property exact: an image whose
channels are all equal gives the same response as a grey image gave before.
Shape letters: O output channel, I input channel, H row, W column.
"""

from collections.abc import Sequence
from typing import Optional

import torch
from mmengine.model.weight_init import update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner.checkpoint import load_state_dict
from torch import Tensor, nn

from ..core.checkpoints import read_checkpoint
from ..core.fitting import weights_of


def inflate_conv(
    weight_O3HW: Tensor, in_channels: int, *, rgb_index: Sequence[int] = (0, 1, 2)
) -> Tensor:
    """Widen (or narrow) a convolution from 3 input channels to any number.

    Args:
        weight_O3HW: Weights for red, green, blue, in this order.
        in_channels: I, at least 1.
        rgb_index: Where red, green and blue are among the I channels: ``(2, 1, 0)`` if blue comes
            first, ``()`` if the image has no such channels. All others get the mean of the three.
            Fewer than 3 channels always get the mean.

    Returns:
        Weights ``(O, I, H, W)``; their sum over I is that of the original.

    Raises:
        ValueError: If the weights have not 3 input channels or the positions are not possible.
    """
    if weight_O3HW.ndim != 4 or weight_O3HW.shape[1] != 3:
        raise ValueError(f'expected weights (O, 3, H, W), got {tuple(weight_O3HW.shape)}')
    if in_channels < 1:
        raise ValueError(f'in_channels must be at least 1, got {in_channels}')
    places = list(rgb_index) if in_channels >= 3 else []
    if places and not (len(places) == len(set(places) & set(range(in_channels))) == 3):
        raise ValueError(
            f'rgb_index must be three different channels below {in_channels}, or (), got {places}'
        )
    weight = weight_O3HW.mean(dim=1, keepdim=True).repeat(1, in_channels, 1, 1)
    if places:
        weight[:, places] = weight_O3HW
    return weight * (3 / in_channels)


def inflate_state(
    state: dict[str, Tensor], module: nn.Module, *, rgb_index: Sequence[int] = (0, 1, 2)
) -> dict[str, Tensor]:
    """Return the state with the one convolution inflated that needs it, if any does.

    Raises:
        ValueError: If more than one convolution differs by its input channels alone.
    """
    own = {name: value.shape for name, value in module.state_dict().items()}
    names = [name for name, value in state.items() if _needs_inflation(value, own.get(name))]
    if len(names) > 1:
        raise ValueError(
            f'{names} differ in their input channels: only the first convolution can be inflated, '
            'so these weights are of another network'
        )
    done = dict(state)
    for name in names:
        done[name] = inflate_conv(state[name], own[name][1], rgb_index=rgb_index)
    return done


def _needs_inflation(value: Tensor, wanted: Optional[torch.Size]) -> bool:
    if wanted is None or value.ndim != 4 or len(wanted) != 4 or value.shape == wanted:
        return False
    return value.shape[1] == 3 and value.shape[0] == wanted[0] and value.shape[2:] == wanted[2:]


@WEIGHT_INITIALIZERS.register_module()
class InflatedPretrained:
    """Like mmengine's ``Pretrained``, with the first convolution inflated from RGB weights.

    For ``init_cfg`` of a backbone whose ``in_channels`` is not 3::

        backbone=dict(..., in_channels=5, init_cfg=dict(type='InflatedPretrained',
                      checkpoint='weights/mobilenet_v2_imagenet.pth', prefix='backbone.'))

    ``bgr_to_rgb`` of the preprocessor keeps three channels only: leave it off with any other number
    and say with ``rgb_index`` where the colors are.

    Args:
        checkpoint: File or address of the weights.
        prefix: Take only the part of the checkpoint whose names begin with this.
        rgb_index: As in :func:`inflate_conv`.

    Raises:
        ValueError: If the checkpoint has no weights of that prefix, or not this network's.
    """

    def __init__(
        self,
        checkpoint: str,
        *,
        prefix: Optional[str] = None,
        rgb_index: Sequence[int] = (0, 1, 2),
    ) -> None:
        self.checkpoint = checkpoint
        self.prefix = prefix
        self.rgb_index = rgb_index

    def __call__(self, module: nn.Module) -> None:
        """Load the weights into ``module``."""
        # mmengine initialises the children after this; only its own 'Pretrained' comes last there.
        for child in module.children():
            init_weights = getattr(child, 'init_weights', None)
            if callable(init_weights):
                init_weights()
                setattr(child, '_is_init' if hasattr(child, '_is_init') else 'is_init', True)
        state = inflate_state(self._read(), module, rgb_index=self.rgb_index)
        if not state.keys() & module.state_dict().keys():
            raise ValueError(
                f'{self.checkpoint}: not one name fits {type(module).__name__}: set prefix, or '
                'choose the weights of this network'
            )
        load_state_dict(module, state, strict=False, logger='current')
        if hasattr(module, '_params_init_info'):
            note = f'{type(self).__name__}: load from {self.checkpoint}'
            update_init_info(module, init_info=note)

    def _read(self) -> dict[str, Tensor]:
        state = weights_of(read_checkpoint(self.checkpoint), self.checkpoint)
        if self.prefix is None:
            return state
        prefix = self.prefix.rstrip('.') + '.'
        part = {name[len(prefix) :]: v for name, v in state.items() if name.startswith(prefix)}
        if not part:
            raise ValueError(f'{self.checkpoint}: no weights begin with {prefix!r}: check prefix')
        return part
