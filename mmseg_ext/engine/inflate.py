"""Initialisation from RGB weights for any number of input channels.

``core/inflation.py`` says how the first convolution is widened.
"""

from collections.abc import Sequence
from typing import Optional

from mmengine.model.weight_init import update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner.checkpoint import load_state_dict
from torch import Tensor, nn

from ..core.checkpoints import read_checkpoint
from ..core.fitting import weights_of
from ..core.inflation import inflate_conv, needs_inflation


def inflate_state(
    state: dict[str, Tensor], module: nn.Module, *, rgb_index: Sequence[int] = (0, 1, 2)
) -> dict[str, Tensor]:
    """Return the state with the one convolution inflated whose input channels differ, if any.

    Raises:
        ValueError: If more than one convolution differs only in its input channels.
    """
    own = {name: value.shape for name, value in module.state_dict().items()}
    names = [name for name, value in state.items() if needs_inflation(value, own.get(name, ()))]
    if len(names) > 1:
        raise ValueError(
            f'{names} differ in their input channels: only the first convolution can be inflated, '
            'so these weights are of another network'
        )
    done = dict(state)
    for name in names:
        done[name] = inflate_conv(state[name], own[name][1], rgb_index=rgb_index)
    return done


@WEIGHT_INITIALIZERS.register_module()
class InflatedPretrained:
    """Like mmengine's ``Pretrained``, with the first convolution inflated from RGB weights.

    For ``init_cfg`` of a backbone whose ``in_channels`` is not 3::

        backbone=dict(..., in_channels=5, init_cfg=dict(type='InflatedPretrained',
                      checkpoint='weights/mobilenet_v2_imagenet.pth', prefix='backbone.'))

    ``bgr_to_rgb`` of the preprocessor works only with three channels: with any other number leave
    it off and give the positions of the colors by ``rgb_index``.

    Args:
        checkpoint: File or address of the weights.
        prefix: Use only the weights whose names begin with this.
        rgb_index: As in :func:`~mmseg_ext.core.inflation.inflate_conv`.

    Raises:
        ValueError: If the checkpoint has no weights with that prefix, or they do not fit the
            network.
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
        # mmengine initialises child modules after this; only its own 'Pretrained' is applied last.
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
