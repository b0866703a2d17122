"""A segmentor around another one that is tested: for training in another way."""

import copy
from typing import Any, Optional

from mmseg.models.segmentors import BaseSegmentor, EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from .semi_inputs import SemiDataPreProcessor


class WrappedSegmentor(BaseSegmentor):
    """Predict as the network within does; what is tested is ``tested``.

    Args:
        segmentor: Config of an ``EncoderDecoder`` or of a kind of it.
        data_preprocessor: The segmentor's own; taken from ``segmentor`` without it.
        init_cfg: Of this wrapper; the segmentor has its own.
    """

    def __init__(
        self,
        segmentor: dict,
        *,
        data_preprocessor: Optional[dict] = None,
        init_cfg: Optional[dict] = None,
    ) -> None:
        inner = segmentor.get('data_preprocessor')
        super().__init__(SemiDataPreProcessor(data_preprocessor or inner), init_cfg)

    @property
    def tested(self) -> EncoderDecoder:
        """The network that predicts."""
        raise NotImplementedError

    @property
    def decode_head(self) -> nn.Module:
        """Of the network that predicts."""
        return self.tested.decode_head

    @property
    def num_classes(self) -> int:
        """Of the network that predicts."""
        return self.tested.num_classes

    @property
    def out_channels(self) -> int:
        """Of the network that predicts."""
        return self.tested.out_channels

    @property
    def align_corners(self) -> bool:
        """Of the network that predicts."""
        return self.tested.align_corners

    @property
    def test_cfg(self) -> Any:
        """Of the network that predicts."""
        return self.tested.test_cfg

    def predict(
        self, inputs: Tensor, data_samples: Optional[list[SegDataSample]] = None
    ) -> list[SegDataSample]:
        """Predict with the network that is tested."""
        return self.tested.predict(inputs, data_samples)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits of the network that predicts, at the input's size."""
        return self.tested.encode_decode(inputs, batch_img_metas)

    def extract_feat(self, inputs: Tensor) -> Any:
        """Features of the network that predicts."""
        return self.tested.extract_feat(inputs)

    def _forward(
        self, inputs: Tensor, data_samples: Optional[list[SegDataSample]] = None
    ) -> Tensor:
        return self.tested._forward(inputs, data_samples)


def build_segmentor(config: dict) -> EncoderDecoder:
    """Build the network within, which leaves the preprocessing to the wrapper.

    Raises:
        ValueError: If it is of a kind that gives no logits.
    """
    config = {key: value for key, value in config.items() if key != 'data_preprocessor'}
    segmentor = MODELS.build(copy.deepcopy(config))
    if not isinstance(segmentor, EncoderDecoder):
        raise ValueError(
            f'segmentor.type={config.get("type")} gives no logits that unlabelled images could be '
            'compared by: take an EncoderDecoder, or a kind of it'
        )
    if getattr(segmentor.backbone, 'mirror', None) == 'test':
        raise ValueError(
            "segmentor.backbone.mirror='test' gives logits of the middle of an image while it "
            "trains, and unlabelled images have none for that part: set mirror='always'"
        )
    return segmentor
