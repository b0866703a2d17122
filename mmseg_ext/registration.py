"""Register everything into ``mmseg.registry``, at the first moment at which it can be asked for.

That is at once where mmengine is imported already, else with the first import of mmengine, mmcv or
mmseg (:mod:`mmseg_ext.core.deferred`): until then ``import mmseg_ext`` costs no import of torch.
"""

import importlib

from . import compat
from .core.deferred import once_loaded
from .first_use import imported_later, make_figures_later

PARTS = ('datasets', 'engine', 'evaluation', 'models')


def register_with_mmengine() -> None:
    """Register everything now or later; called by ``import mmseg_ext``.

    Raises:
        ImportError: If there is no stack, or two.
    """
    compat.prepare()
    once_loaded(register)


def register() -> None:
    """Make today's stack usable, and import all modules that register themselves.

    Raises:
        ImportError: If a torchvision is installed that does not fit torch.
    """
    try:
        with imported_later():
            compat.apply()  # before anything else imports mmseg.utils, which needs mmcv.ops
            make_figures_later()
            for part in PARTS:
                importlib.import_module(f'{__package__}.{part}')
    except RuntimeError as error:  # mmseg imports an installed timm, and that torchvision
        if 'torchvision' not in str(error):
            raise
        from .env import torchvision_cure

        raise ImportError(
            f'the installed torchvision does not fit torch ({error}): {torchvision_cure()}, '
            'or uninstall it'
        ) from error
