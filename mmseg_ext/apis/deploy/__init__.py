"""Trained networks as files that other programs run: ONNX, ``torch.export``, TorchScript, OpenVINO.

A file holds all that predicting needs; it is compared with the network before it is kept.
"""

from ...core.exports import door

__getattr__, __dir__, __all__ = door(
    __name__,
    choose='load_trained',
    exported='is_exported load_exported',
    export='export_model',
    formats='FORMATS check_packages',
    quantize='quantize_model',
)
