"""Linear layers, convolutions and attention by oneDNN, for inference on a CPU.

torch gives a linear layer in float32 to MKL, with its weights as they lie, which are arranged anew
in each call, and multiplies batches of inputs that are not contiguous one by one. oneDNN takes
weights that are arranged once, and applies an activation to what is still in the cache. Products
of many rows and channels, to which that hardly matters, stay MKL's, of all rows at once.

Source: the operators that torch's own compiler calls for a frozen network on a CPU,
``torch.ops.mkldnn``. A torch without them computes as usual.
Differs from torch's layers: nothing but rounding. No gradients are recorded.
Shape letters: N image, T S query and key token, E embedding, H head, C D channels before and after.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Optional, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_Attribute = tuple[str, list, str]  # of oneDNN's operators: activation, its numbers, its variant
_MOST_ROWS, _MOST_CHANNELS = 512, 256  # with more of both, MKL's linear layers are as fast
_NONE: _Attribute = ('none', [], '')
_OPERATORS = (
    '_linear_pointwise',
    '_reorder_linear_weight',
    '_convolution_pointwise',
    '_reorder_convolution_weight',
)


def is_available() -> bool:
    """Whether this torch has oneDNN, and the operators that take arranged weights."""
    has = torch.backends.mkldnn.is_available()
    return has and all(hasattr(torch.ops.mkldnn, name) for name in _OPERATORS)


def is_fusible(activation: nn.Module) -> bool:
    """Whether a layer of this file can apply the activation itself."""
    return _attribute(activation) is not None


def packed(
    layer: Union[nn.Linear, nn.Conv2d], activation: Optional[nn.Module] = None
) -> Optional[nn.Module]:
    """Return a layer that does the same with arranged weights, or ``None`` if there is none.

    Args:
        layer: A trained layer in float32; its parameters are shared.
        activation: Applied to its result, see :func:`is_fusible`.
    """
    if isinstance(layer, nn.Linear):
        return PackedLinear(layer, activation)
    if layer.padding_mode != 'zeros' or isinstance(layer.padding, str):
        return None
    if layer.groups == 1 and layer.kernel_size == (1, 1) and layer.padding == (0, 0):
        return PackedPointwiseConv2d(layer, activation)
    if layer.groups == layer.in_channels == layer.out_channels > 1:
        return PackedDepthwiseConv2d(layer, activation)
    return None


class _Arranged:
    """Weights in oneDNN's order. Copies and files of a layer lack them, and make them anew."""

    def __init__(self) -> None:
        self._made: Optional[tuple[tuple, Tensor]] = None

    def of(
        self, weight: Tensor, arrange: Callable[..., Tensor], *sizes: Any, shape: Any = None
    ) -> Tensor:
        """Return ``arrange(weight, *sizes)``, made anew where the weights or ``shape`` changed."""
        version = None if weight.is_inference() else weight._version
        known, made = (weight.data_ptr(), version, shape), self._made  # threads may share a layer
        if made is None or made[0] != known:
            made = self._made = known, arrange(weight, *sizes)
        return made[1]

    def __deepcopy__(self, memo: dict) -> '_Arranged':
        return type(self)()

    def __reduce__(self) -> tuple:
        return type(self), ()


class _Packed(nn.Module):
    """What the layers below share; each of them is also of the class that it replaces.

    Args:
        layer: The trained layer to replace; parameters are shared.
        activation: Applied to the result.
    """

    def __init__(self, layer: Any, activation: Optional[nn.Module] = None) -> None:
        attribute = _attribute(activation)
        if attribute is None:
            raise ValueError(f'oneDNN has no {activation}')
        nn.Module.__init__(self)
        own = set(vars(self))  # hooks and the like
        self.__dict__.update({key: value for key, value in vars(layer).items() if key not in own})
        self.training = layer.training
        self.register_parameter('weight', layer.weight)
        self.register_parameter('bias', layer.bias)
        self.activation = nn.Identity() if activation is None else activation
        self.attribute, self.arranged = attribute, _Arranged()

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Return what the replaced layer gives, with the activation."""
        weight: Any = self.weight
        if _is_suited(x, weight) and (weight.dim() == 2 or x.dim() == 4):
            return self._by_onednn(x)
        return self.activation(super().forward(x))  # type: ignore[misc]

    def _by_onednn(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def _products(self, x: Tensor) -> Tensor:
        weight: Any = self.weight
        return _products(x, weight.flatten(1), self.bias, self.arranged, self.attribute)  # type: ignore[arg-type]


class PackedLinear(_Packed, nn.Linear):
    """A trained ``nn.Linear`` whose weights are arranged once.

    Shape:
        ``(..., C)`` to ``(..., D)``, contiguous.
    """

    def _by_onednn(self, x: Tensor) -> Tensor:
        if _is_large(x):
            return self.activation(F.linear(x.contiguous(), self.weight, self.bias))
        return self._products(x)


class PackedPointwiseConv2d(_Packed, nn.Conv2d):
    """A trained 1x1 convolution, of one group and without padding, as a linear layer of pixels.

    Shape:
        ``(N, C, H, W)`` to ``(N, D, H', W')``, both fastest in ``channels_last``.
    """

    def _by_onednn(self, x: Tensor) -> Tensor:
        x_NHWC = x[..., :: self.stride[0], :: self.stride[1]].permute(0, 2, 3, 1)
        return self._products(x_NHWC).permute(0, 3, 1, 2)


class PackedDepthwiseConv2d(_Packed, nn.Conv2d):
    """A trained depthwise convolution whose weights are arranged for the last size of its maps.

    Shape:
        ``(N, C, H, W)`` to ``(N, C, H', W')`` in ``channels_last``.
    """

    def _by_onednn(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        geometry = (self.padding, self.stride, self.dilation, self.groups)
        arrange = torch.ops.mkldnn._reorder_convolution_weight
        weight = self.arranged.of(self.weight, arrange, *geometry, x.shape, shape=x.shape)
        return torch.ops.mkldnn._convolution_pointwise(
            x, weight, self.bias, *geometry, *self.attribute
        )


class PackedAttention(nn.Module):
    """A trained ``nn.MultiheadAttention`` by :class:`PackedLinear`; it gives no attention weights.

    Args:
        attention: One with ``kdim`` and ``vdim`` of ``embed_dim``, without ``bias_k`` and
            ``add_zero_attn``, see :func:`is_suited`.

    Shape:
        Query ``(N, T, E)``, key and value ``(N, S, E)`` to ``(N, T, E)`` and ``None``; without
        ``batch_first`` tokens come before images.
    """

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        self.plain = attention
        self.arranged: dict[tuple, _Arranged] = defaultdict(_Arranged)  # by parts of the weights

    @staticmethod
    def is_suited(attention: nn.Module) -> bool:
        """Whether this class can replace ``attention``."""
        return (
            type(attention) is nn.MultiheadAttention
            and attention._qkv_same_embed_dim
            and attention.bias_k is None
            and not attention.add_zero_attn
        )

    @torch.no_grad()
    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Optional[Tensor] = None,
        need_weights: bool = True,
        attn_mask: Optional[Tensor] = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Optional[Tensor]]:
        """Attend as torch's layer does in evaluation mode."""
        masks = dict(key_padding_mask=key_padding_mask, attn_mask=attn_mask)
        masked = is_causal or any(mask is not None for mask in masks.values())
        inputs = (query, key, value)
        if masked or query.dim() != 3 or not self._takes(inputs):
            return self.plain(*inputs, need_weights=False, is_causal=is_causal, **masks)
        if not self.plain.batch_first:
            inputs = (query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1))
        query, key, value = (self._by_head(one) for one in self._projected(*inputs))
        out_NHTE = F.scaled_dot_product_attention(query, key, value)
        out_NTE = out_NHTE.transpose(1, 2).flatten(2)
        last = self.plain.out_proj
        out_NTE = self._product(out_NTE, last.weight, last.bias, ())
        return (out_NTE if self.plain.batch_first else out_NTE.transpose(0, 1)), None

    def _takes(self, inputs: Sequence[Tensor]) -> bool:
        return all(_is_suited(one, self.plain.in_proj_weight) for one in inputs)

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> Sequence[Tensor]:
        """Queries, keys and values; those of the same tokens by one product."""
        if not is_same(key, value):
            return [self._part(one, i, 1)[0] for i, one in enumerate((query, key, value))]
        if is_same(query, key):
            return self._part(query, 0, 3)
        return [*self._part(query, 0, 1), *self._part(key, 1, 2)]

    def _part(self, x_NTE: Tensor, first: int, count: int) -> Sequence[Tensor]:
        rows = slice(first * x_NTE.shape[2], (first + count) * x_NTE.shape[2])
        bias = self.plain.in_proj_bias
        weight = self.plain.in_proj_weight[rows]
        found = self._product(x_NTE, weight, None if bias is None else bias[rows], (first, count))
        return found.chunk(count, -1)

    def _product(
        self, x_NTE: Tensor, weight: Tensor, bias: Optional[Tensor], part: tuple
    ) -> Tensor:
        if _is_large(x_NTE):
            return F.linear(x_NTE.contiguous(), weight, bias)
        return _products(x_NTE, weight, bias, self.arranged[part])

    def _by_head(self, x_NTE: Tensor) -> Tensor:
        return x_NTE.unflatten(-1, (self.plain.num_heads, -1)).transpose(1, 2)


def _attribute(activation: Optional[nn.Module]) -> Optional[_Attribute]:
    if activation is None:
        return _NONE
    if type(activation) is nn.ReLU:
        return 'relu', [], ''
    if type(activation) in (nn.ReLU6, nn.Hardtanh):
        return 'hardtanh', [activation.min_val, activation.max_val], ''  # type: ignore[union-attr]
    return None  # of GELU it has one, too, which takes longer than torch's after the layer


def _is_suited(x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN's operators take it: not where a graph is recorded, nor in half precision."""
    return (
        type(x) is Tensor
        and x.dtype == weight.dtype == torch.float32
        and x.device.type == weight.device.type == 'cpu'
        and x.numel() > 0
        and not torch.is_autocast_enabled('cpu')
        and not torch.compiler.is_compiling()
    )


def _is_large(x: Tensor) -> bool:
    """Whether MKL's products are as fast: what it does to the weights is a small part of them."""
    return x.shape[-1] > _MOST_CHANNELS and x.numel() > _MOST_ROWS * x.shape[-1]


def _products(
    x: Tensor,
    weight_DC: Tensor,
    bias_D: Optional[Tensor],
    arranged: _Arranged,
    attribute: _Attribute = _NONE,
) -> Tensor:
    rows = x.reshape(-1, x.shape[-1])
    weight = arranged.of(weight_DC, torch.ops.mkldnn._reorder_linear_weight, len(rows))
    out = torch.ops.mkldnn._linear_pointwise(rows, weight, bias_D, *attribute)
    return out.view(*x.shape[:-1], -1)


def is_same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are views of the same numbers in the same order."""
    return one is other or (
        one.data_ptr() == other.data_ptr()
        and one.shape == other.shape
        and one.stride() == other.stride()
    )
