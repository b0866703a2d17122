"""MMSegmentation plugin: five segmentation papers as registered modules, configs and tools.

Importing the package registers everything into ``mmseg.registry``. It also makes today's stack
usable, see :mod:`mmseg_ext.compat`.
"""

import sys
from pathlib import Path

from .version import __version__

__all__ = ['__version__']


def _is_report() -> bool:
    """Whether Python was started for :mod:`mmseg_ext.env` alone, which reports a missing torch.

    Python imports a module's package first, and nothing but the command line tells why. Whoever
    else imports the package must be stopped by what is missing: passed over, it would leave every
    ``type='...'`` of a config unknown.
    """
    as_module = sys.argv[0] == '-m' and any(a.endswith('mmseg_ext.env') for a in sys.orig_argv)
    return as_module or Path(sys.argv[0]).name == 'mmseg-ext-env'


if not _is_report():
    from . import compat

    compat.apply()  # before anything imports mmseg.utils, which needs mmcv.ops

    try:
        from . import apis, datasets, engine, evaluation, models  # noqa: E402,F401
    except RuntimeError as error:  # mmseg imports an installed timm, and that torchvision
        if 'torchvision' not in str(error):
            raise
        from .env import torchvision_cure

        raise ImportError(
            f'the installed torchvision does not fit torch ({error}): {torchvision_cure()}, '
            'or uninstall it'
        ) from error
