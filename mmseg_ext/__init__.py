"""MMSegmentation plugin: five segmentation papers as registered modules, configs and tools.

Importing the package registers everything into ``mmseg.registry`` and makes today's stack usable,
see :mod:`mmseg_ext.registration` and :mod:`mmseg_ext.compat`.
"""

import sys
from pathlib import Path

from .core.exports import door
from .version import __version__

__all__ = ['__version__']
__getattr__ = door(
    __name__,
    *('apis', 'datasets', 'engine', 'evaluation', 'models'),
    **{'apis.use.predictor': 'Predictor'},
)[0]

# The report (env.py) runs where torch is missing, but Python imports a module's package first, and
# nothing but the command line tells why. Whoever else imports the package must be stopped by what
# is missing: passed over, it would leave every ``type='...'`` of a config unknown.
_as_module = sys.argv[0] == '-m' and any(word.endswith('mmseg_ext.env') for word in sys.orig_argv)
if not (_as_module or Path(sys.argv[0]).name == 'mmseg-ext-env'):
    from .registration import register_with_mmengine

    register_with_mmengine()
