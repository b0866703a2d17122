"""The batch f_score that the reference repositories print while training.

Source: the reference repositories of FMSI-DeepLab (bubbliiiing/deeplabv3-plus-pytorch, 90dee27):
softmax probabilities above a threshold, Dice per class over the pixels of one batch, plain mean.
Differs from it: nothing. Ignored pixels have no true class, but a prediction there is a false
positive.

**Not a macro F1.** A class that is neither labelled nor predicted in the batch scores 1, so with 21
classes, predicting only background scores about 0.9. Use it only for comparison with printed
tables.
Shape letters: N image, K class, H row, W column.
"""

import torch
from torch import Tensor


def batch_f_score(
    prob_NKHW: Tensor,
    label_NHW: Tensor,
    num_classes: int,
    smooth: float = 1e-5,
    threshold: float = 0.5,
) -> float:
    """Score one batch as the reference repositories do.

    Args:
        prob_NKHW: Softmax probabilities, shape ``(N, K, H, W)``.
        label_NHW: Class ids, shape ``(N, H, W)``; ids outside of 0..K-1 are ignored.
        num_classes: K.
        smooth: Added to numerator and denominator.
        threshold: A class is predicted where its probability exceeds this.

    Returns:
        The mean over classes, in (0, 1].

    Raises:
        ValueError: If the shapes do not fit.
    """
    sums = f_score_sums(prob_NKHW, label_NHW, num_classes, threshold)
    return f_score_from_sums(sums, smooth)


def f_score_sums(
    prob_NKHW: Tensor, label_NHW: Tensor, num_classes: int, threshold: float = 0.5
) -> Tensor:
    """Sum hits, predicted and labelled pixels; float64 ``(3, K)``, additive over images.

    Raises:
        ValueError: If the shapes do not fit.
    """
    n, k, h, w = prob_NKHW.shape
    if k != num_classes or label_NHW.shape != (n, h, w):
        raise ValueError(
            f'probabilities {tuple(prob_NKHW.shape)} and labels {tuple(label_NHW.shape)} do not '
            f'fit num_classes={num_classes}: expected (N, {num_classes}, H, W) and (N, H, W)'
        )
    guess = prob_NKHW > threshold
    classes = torch.arange(k, device=label_NHW.device).view(1, k, 1, 1)
    truth = label_NHW.unsqueeze(1) == classes
    counts = [(guess & truth).sum((0, 2, 3)), guess.sum((0, 2, 3)), truth.sum((0, 2, 3))]
    return torch.stack(counts).double().cpu()


def f_score_from_sums(sums: Tensor, smooth: float = 1e-5) -> float:
    """Turn the sums of one batch into its score."""
    hits, guessed, labelled = sums
    return float(((2 * hits + smooth) / (guessed + labelled + smooth)).mean())
