"""Whether a processor computes in bfloat16, or torch imitates it there."""

import logging

import torch
from mmengine.logging import print_log

NO_PRODUCTS = 'this processor has no products of bfloat16'


def is_imitated(device: str) -> bool:
    """Whether products of bfloat16 take longer than those of float32, as on CPUs without AVX-512.

    Args:
        device: Type of the device, such as ``'cpu'``.
    """
    if device != 'cpu' or not torch.backends.mkldnn.is_available():  # without it nothing is known
        return False
    return not torch.ops.mkldnn._is_mkldnn_bf16_supported()


def warn_if_imitated(device: str, remedy: str) -> None:
    """Say that bfloat16 is slow here, and what to do.

    Args:
        device: Type of the device that computes.
        remedy: Which setting to change.
    """
    if is_imitated(device):
        print_log(
            f'{NO_PRODUCTS}: they take many times as long as those of float32; {remedy}',
            'current',
            logging.WARNING,
        )
