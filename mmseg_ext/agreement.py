"""Where upstream's stack and the OneDL fork's differ, and what makes them agree.

1. mmengine looks for the configs of ``mmseg::`` in the distribution mmsegmentation; that of the
   fork has another name.
2. The fork's ``SegDataPreProcessor`` has another parent, which takes means of one or three channels
   only and calls ``channel_conversion`` otherwise.
3. Cross entropy with ``class_weight`` fails upstream on ignored pixels, and in the fork with
   ``avg_non_ignore=True``.
4. One seed draws other weights: a loader draws a random number when it is first asked for a batch,
   which in the fork is after the weights are drawn, and upstream before.
5. A resumed training is not the whole one in the fork, which passes over the images that were seen
   without drawing for their augmentation. Upstream reads them again, and so does it here.
6. The fork's data sets print at each import that a package of its makers is not there.

Every function may be called twice, and leaves a stack alone that needs nothing.
"""

import functools
import io
from contextlib import redirect_stdout
from typing import Any

from .core.stack import stack_of, version_of


def find_configs_of_the_fork() -> None:
    """Let mmengine look for a package's configs in its distribution of the fork, if it is there."""
    from mmengine.config.utils import MODULE2PACKAGE

    for module, name in MODULE2PACKAGE.items():
        fork = f'onedl-{name}'
        if version_of(name) is None and version_of(fork) is not None:
            MODULE2PACKAGE[module] = fork


def import_quietly() -> None:
    """Import the fork's data sets without what they print, which tools would print first."""
    if stack_of() == 'onedl':
        with redirect_stdout(io.StringIO()):
            import mmseg.datasets  # noqa: F401


def open_preprocessor() -> None:
    """Give the fork's ``SegDataPreProcessor`` any number of channels and upstream's attribute."""
    import torch
    from mmengine.model import ImgDataPreprocessor
    from mmseg.models import SegDataPreProcessor

    if not issubclass(SegDataPreProcessor, ImgDataPreprocessor):
        return
    if hasattr(SegDataPreProcessor, 'channel_conversion'):
        return
    build = SegDataPreProcessor.__init__

    @functools.wraps(build)  # whoever checks a config asks for the names of its arguments
    def build_open(self: Any, mean: Any = None, std: Any = None, *args: Any, **kwargs: Any) -> None:
        build(self, None, None, *args, **kwargs)
        assert (mean is None) == (std is None), 'give both mean and std, or neither'
        if mean is not None:
            self._enable_normalize = True
            self.register_buffer('mean', torch.tensor(mean).view(-1, 1, 1), False)
            self.register_buffer('std', torch.tensor(std).view(-1, 1, 1), False)

    SegDataPreProcessor.__init__ = build_open
    SegDataPreProcessor.channel_conversion = property(lambda self: self._channel_conversion)


def average_weighted_cross_entropy() -> None:
    """Let cross entropy with ``class_weight`` divide by the weights of the pixels that count.

    So does torch. mmseg fails on ignored pixels, as their label has no weight, and on no others:
    nothing that worked changes.
    """
    import torch
    from mmseg.models import losses
    from mmseg.models.losses import cross_entropy_loss as home

    plain_loss = home.cross_entropy
    if getattr(plain_loss, '_mmseg_ext_average', False):
        return

    @functools.wraps(plain_loss)
    def cross_entropy(
        pred: torch.Tensor,
        label: torch.Tensor,
        weight: Any = None,
        class_weight: Any = None,
        reduction: str = 'mean',
        avg_factor: Any = None,
        ignore_index: int = -100,
        avg_non_ignore: bool = False,
    ) -> torch.Tensor:
        if class_weight is not None and avg_factor is None and reduction == 'mean':
            avg_factor = class_weight[label[label != ignore_index]].sum()
        return plain_loss(
            pred, label, weight, class_weight, reduction, avg_factor, ignore_index, avg_non_ignore
        )

    cross_entropy._mmseg_ext_average = True  # type: ignore[attr-defined]
    home.cross_entropy = losses.cross_entropy = cross_entropy


def draw_as_upstream() -> None:
    """Draw as upstream: when a loop is built, and for all images that a resumed one passes over."""
    from mmengine.runner.loops import _InfiniteDataloaderIterator as Batches

    if not hasattr(Batches, '_ensure_iterator') or hasattr(Batches, '_mmseg_ext_draws'):
        return
    build = Batches.__init__

    def skip_as_upstream(self: Any, num_iters: int) -> None:
        for _ in range(num_iters):
            next(self)

    def build_and_draw(self: Any, dataloader: Any) -> None:
        build(self, dataloader)
        self._ensure_iterator()

    Batches.__init__, Batches.skip_iter = build_and_draw, skip_as_upstream
    Batches._mmseg_ext_draws = True


def make_stacks_agree() -> None:
    """Apply all of the above."""
    import_quietly()
    find_configs_of_the_fork()
    draw_as_upstream()
    open_preprocessor()
    average_weighted_cross_entropy()
