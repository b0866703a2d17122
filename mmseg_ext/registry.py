"""Empty child registries of mmseg's, with the scope ``mmseg_ext``.

Our modules are registered into ``mmseg.registry`` itself. ``mmengine.hub.get_model`` switches to
the scope of the package it is asked for, so a registry of that scope must exist and pass every
look-up on to mmseg's.
"""

from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS
from mmengine.registry import Registry
from mmseg import registry as mmseg_registry

_NODES = (
    'DATASETS',
    'DATA_SAMPLERS',
    'EVALUATOR',
    'HOOKS',
    'INFERENCERS',
    'LOG_PROCESSORS',
    'LOOPS',
    'METRICS',
    'MODELS',
    'MODEL_WRAPPERS',
    'OPTIMIZERS',
    'OPTIM_WRAPPERS',
    'OPTIM_WRAPPER_CONSTRUCTORS',
    'PARAM_SCHEDULERS',
    'RUNNERS',
    'RUNNER_CONSTRUCTORS',
    'TASK_UTILS',
    'TRANSFORMS',
    'VISBACKENDS',
    'VISUALIZERS',
    'WEIGHT_INITIALIZERS',
)

for _node in _NODES:
    _parent = getattr(mmseg_registry, _node)
    globals()[_node] = Registry(
        _parent.name, parent=_parent, scope='mmseg_ext', locations=['mmseg_ext']
    )

# collate functions, which mmseg has no registry for
FUNCTIONS = Registry('function', parent=MMENGINE_FUNCTIONS, scope='mmseg_ext')

__all__ = [*_NODES, 'FUNCTIONS']
