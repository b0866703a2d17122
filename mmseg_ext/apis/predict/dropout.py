"""Monte-Carlo dropout of any trained model: how unsure it is, and of what kind that is.

Source: Y. Gal, "Uncertainty in Deep Learning", 2016, section 3.3: the predictive entropy is that
of the mean over passes with dropout; BALD is what of it comes from passes that disagree.
Shape letters: K class, H row, W column.
"""

from typing import Any

import torch
from mmengine.structures import PixelData
from torch import Tensor, nn

from ...core.choices import DROPOUT_PASSES
from ...core.probabilities import as_probabilities
from ...models.segmentors import MonteCarloEncoderDecoder
from ...models.segmentors.averaged import set_probabilities
from ...models.segmentors.passes import dropout_drawn, dropouts
from .scores import bald_of_means, entropy
from .windows import threshold_of


class DropoutPasses(nn.Module):
    """A segmentor whose predictions are means over passes with dropout.

    Its samples also have ``entropy`` and ``bald``, ``(1, H, W)`` in nats. Each image, or window, is
    given the same random numbers, so that its maps do not depend on the other images.

    Args:
        model: The segmentor, or one with test-time augmentation.
        passes: Number of passes.
        seed: Of dropout.

    Raises:
        ValueError: If the model has no dropout, or averages passes by itself.
    """

    def __init__(self, model: Any, passes: int = DROPOUT_PASSES, seed: int = 0) -> None:
        super().__init__()
        if passes < 2:
            raise ValueError(f'--uncertainty compares passes: at least 2, got {passes}')
        if any(isinstance(part, MonteCarloEncoderDecoder) for part in model.modules()):
            raise ValueError(
                'the model is a MonteCarloEncoderDecoder, which writes its uncertainty by itself: '
                'leave --uncertainty out'
            )
        if not dropouts(model):
            raise ValueError(
                '--uncertainty compares passes with dropout, and this model has none: train it '
                'with decode_head.dropout_ratio above 0; an exported file keeps no dropout'
            )
        self.models = nn.ModuleList([model])
        self.cfg, self.dataset_meta = model.cfg, model.dataset_meta
        self.whole = getattr(model, 'whole', '')
        self.network_size = getattr(model, 'network_size', tuple)
        self.kept = 2 + getattr(model, 'kept', 0)
        self.passes, self.seed = passes, seed

    def test_step(self, data: dict[str, Any]) -> list[Any]:
        """Predict images, one after the other.

        Args:
            data: ``inputs``, images ``(C, H, W)`` as packed, and ``data_samples``.

        Returns:
            The samples; ``seg_logits`` holds mean probabilities.
        """
        pairs = zip(data['inputs'], data['data_samples'])
        return [self._one(image, sample) for image, sample in pairs]

    def _one(self, image: Tensor, sample: Any) -> Any:
        model: Any = self.models[0]
        mean = own = torch.zeros(())
        with dropout_drawn(model, self.seed):
            for number in range(1, self.passes + 1):
                batch = dict(inputs=[image], data_samples=[sample.clone()])
                (result,) = model.test_step(batch)
                prob = as_probabilities(result.seg_logits.data)
                mean = mean + (prob - mean) / number
                own = own + (entropy(prob) - own) / number
        single = len(result.seg_logits.data) == 1
        set_probabilities(result, mean, threshold_of(model) if single else None)
        maps = dict(entropy=entropy(mean), bald=bald_of_means(mean, own))
        result.set_data({name: PixelData(data=values[None]) for name, values in maps.items()})
        return result
