"""Initialisation from torchvision's VGG16 ImageNet weights.

Source: torchvision's ``vgg16_bn``, whose ``features`` hold 13 convolutions, each followed by its
batch norm, and ``vgg16``, which has none.
Differs from mmengine's ``Pretrained``: a file that does not fit is an error, not a warning;
``VGG16BNPretrained`` matches layers by their order, not by their names.
"""

import re

import torch
from mmengine.model.weight_init import update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import Tensor, nn

from ..core.checkpoints import read_checkpoint
from ..core.fitting import weights_of
from ..core.inflation import needs_inflation

_NORM = ('weight', 'bias', 'running_mean', 'running_var')


def vgg16_bn_states(state: dict[str, Tensor]) -> list[dict[str, dict[str, Tensor]]]:
    """Sort the weights of torchvision's ``vgg16_bn`` by layer.

    Args:
        state: Weights with names such as ``features.N.weight``; others, such as the classifier's,
            are ignored.

    Returns:
        For each convolution, in order, the weights of ``conv`` and ``norm``.

    Raises:
        ValueError: If there are no such names, or the convolutions have no batch norm.
    """
    numbers = sorted(
        int(found[1])
        for name, value in state.items()
        if (found := re.fullmatch(r'features\.(\d+)\.weight', name)) and value.ndim == 4
    )
    if not numbers:
        raise ValueError("no weights are called 'features.0.weight' and so on")
    layers = []
    for number in numbers:
        names = {key: f'features.{number + 1}.{key}' for key in _NORM}
        if names['running_mean'] not in state:
            raise ValueError(
                f'features.{number} has no batch norm behind it: these are the weights of vgg16, '
                'take those of vgg16_bn'
            )
        conv = {key: state[f'features.{number}.{key}'] for key in ('weight', 'bias')}
        layers.append(dict(conv=conv, norm={key: state[name] for key, name in names.items()}))
    return layers


@WEIGHT_INITIALIZERS.register_module()
class VGG16BNPretrained:
    """Load torchvision's ``vgg16_bn`` into the encoder of :class:`SegNet` or :class:`ResSegNet`.

    Used in ``init_cfg`` of the backbone. A network with fewer convolutions takes the first ones.

    Args:
        checkpoint: File or address; torchvision's own is
            ``https://download.pytorch.org/models/vgg16_bn-6c64b313.pth``.

    Raises:
        ValueError: If the file holds other weights, or they do not fit the network.
    """

    def __init__(self, checkpoint: str) -> None:
        self.checkpoint = checkpoint

    def __call__(self, module: nn.Module) -> None:
        """Load the weights into ``module``, which lists its layers by ``vgg16_layers()``."""
        given = weights_of(read_checkpoint(self.checkpoint), self.checkpoint)
        own = getattr(module, 'vgg16_layers', None)
        if own is None:
            raise ValueError(f'{type(module).__name__} has no layers of VGG16 to start')
        try:
            _load(own(), vgg16_bn_states(given))
        except ValueError as error:
            raise ValueError(f'{self.checkpoint}: {error}') from None
        if hasattr(module, '_params_init_info'):
            note = f'{type(self).__name__}: load from {self.checkpoint}'
            update_init_info(module, init_info=note)


def _load(own: list, given: list) -> None:
    if len(own) > len(given):
        raise ValueError(f'{len(given)} convolutions, the network has {len(own)}')
    for index, ((conv, norm), states) in enumerate(zip(own, given)):
        shapes = tuple(conv.weight.shape), tuple(states['conv']['weight'].shape)
        if shapes[0] != shapes[1] and not needs_inflation(states['conv']['weight'], shapes[0]):
            raise ValueError(
                f'convolution {index} is {shapes[1]}, that of the network {shapes[0]}: VGG16 has 3 '
                'channels at the input and 2, 2, 3, 3, 3 convolutions per stage'
            )
        conv.load_state_dict(states['conv'])
        norm.load_state_dict(
            dict(states['norm'], num_batches_tracked=torch.zeros_like(norm.num_batches_tracked))
        )


@WEIGHT_INITIALIZERS.register_module()
class VGG16Pretrained:
    """Load torchvision's ``vgg16``, or ``vgg16_bn`` for one with batch norms, into :class:`VGG16`.

    fc6 and fc7 become convolutions; stages that the network does not have are left out.

    Args:
        checkpoint: File or address; torchvision's own are
            ``https://download.pytorch.org/models/vgg16-397923af.pth`` and
            ``https://download.pytorch.org/models/vgg16_bn-6c64b313.pth``.

    Raises:
        ValueError: If the file lacks a weight of the network, or one has another shape.
    """

    def __init__(self, checkpoint: str) -> None:
        self.checkpoint = checkpoint

    def __call__(self, module: nn.Module) -> None:
        """Load the weights into ``module``, whose names are torchvision's."""
        given = weights_of(read_checkpoint(self.checkpoint), self.checkpoint)
        own = {
            k: v for k, v in module.state_dict().items() if not k.endswith('num_batches_tracked')
        }
        try:
            state = {name: _fitting(name, value, given) for name, value in own.items()}
        except ValueError as error:
            raise ValueError(f'{self.checkpoint}: {error}') from None
        module.load_state_dict(state, strict=False)  # everything except num_batches_tracked
        if hasattr(module, '_params_init_info'):
            note = f'{type(self).__name__}: load from {self.checkpoint}'
            update_init_info(module, init_info=note)


def _fitting(name: str, own: Tensor, given: dict[str, Tensor]) -> Tensor:
    if name not in given:
        raise ValueError(
            f'{name} is missing: a network without batch norms takes the weights of vgg16, one '
            'with batch norms those of vgg16_bn'
        )
    value = given[name]
    if value.ndim == 2 and value.numel() == own.numel():  # a fully connected layer
        value = value.reshape(own.shape)
    if value.shape != own.shape and not needs_inflation(value, own.shape):
        raise ValueError(
            f'{name} is {tuple(value.shape)}, that of the network {tuple(own.shape)}: weights of '
            'vgg16 have no batch norms, and need fc_channels=4096'
        )
    return value
