"""MMSegmentation plugin: five segmentation papers as registered modules, configs and tools.

Importing the package registers everything into ``mmseg.registry``. It also makes today's stack
usable, see :mod:`mmseg_ext.compat`. Only ``python -m mmseg_ext.env`` imports nothing heavy: it must
be able to report a missing torch or mmcv.
"""
import sys

from .version import __version__

__all__ = ['__version__']

# ``-m mmseg_ext.env`` imports this file first, on a machine where the imports below may fail.
if 'mmseg_ext.env' not in sys.orig_argv:
    from . import compat

    compat.apply()  # before anything imports mmseg.utils, which needs mmcv.ops

    from . import apis, datasets, engine, evaluation, models  # noqa: E402,F401
