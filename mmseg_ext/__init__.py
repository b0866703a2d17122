"""MMSegmentation plugin: five segmentation papers as registered modules, configs and tools.

Importing the package registers everything into ``mmseg.registry``. It also makes today's stack
usable, see :mod:`mmseg_ext.compat`. Only ``python -m mmseg_ext.env`` imports nothing heavy: it must
be able to report a missing torch or mmcv.
"""

import sys
from pathlib import Path

from .version import __version__

__all__ = ['__version__']

# Both ways to start the report import this file first, where the imports below may fail.
if 'mmseg_ext.env' not in sys.orig_argv and Path(sys.argv[0]).name != 'mmseg-ext-env':
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
