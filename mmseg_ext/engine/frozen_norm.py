"""Says so if a training begins with batch norms that are frozen before anything has set them."""

from collections import Counter
from typing import Any

from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from .distributed import unwrapped


@HOOKS.register_module()
class FrozenNormHook(Hook):
    """Warns of batch norms that stay in evaluation with a mean of 0, a variance of 1 and no shift.

    Such a layer normalises nothing. A network that was designed with normalisation, and whose
    weights are random, then has activations that grow from block to block: DeepLab-v2's loss is a
    thousand times too large after six steps. It happens if the weights, for which batch norm was
    frozen, are left out.
    """

    priority = 'LOWEST'  # after hooks that freeze a part before each step

    def __init__(self) -> None:
        self._looked = False

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Look for such layers before the first step, when every part is in its mode."""
        if self._looked:
            return
        self._looked = True
        found = _unset(unwrapped(runner.model))
        if found:
            names = ', '.join(f'{number} of {name}' for name, number in found.items())
            runner.logger.warning(
                f'batch norms frozen as they were made normalise nothing: {names}. Give '
                'the weights that they are frozen for (init_cfg of that part, or load_from), or '
                "train them (norm_eval=False and norm_cfg=dict(type='BN', requires_grad=True) of "
                'that part)'
            )


def _unset(model: nn.Module) -> Counter[str]:
    """Count the frozen batch norms that nothing has set, by the part of the model they are in."""
    teacher = getattr(model, 'teacher', None)  # follows the student, and is never in training
    left_out = set(teacher.modules()) if isinstance(teacher, nn.Module) else set()
    return Counter(
        name.split('.')[0]
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and module not in left_out and _is_unset(module)
    )


def _is_unset(norm: _BatchNorm) -> bool:
    mean, variance = norm.running_mean, norm.running_var
    if norm.training or mean is None or variance is None:
        return False
    if bool((mean != 0).any() or (variance != 1).any()):
        return False
    # Caffe's weights have their statistics within scale and shift, which then differ by channel.
    return norm.weight is None or bool(
        (norm.weight == norm.weight[0]).all() & (norm.bias == 0).all()
    )
