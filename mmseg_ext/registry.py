"""Empty child registries of mmseg's, with the scope ``mmseg_ext``.

Our modules are registered into ``mmseg.registry`` itself. ``mmengine.hub.get_model`` switches to
the scope of the package it is asked for, so a registry of that scope must exist and pass every
look-up on to mmseg's.
"""

from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS
from mmengine.registry import Registry
from mmseg import registry as mmseg


def _child_of(parent: Registry) -> Registry:
    return Registry(parent.name, parent=parent, scope='mmseg_ext', locations=['mmseg_ext'])


DATASETS = _child_of(mmseg.DATASETS)
DATA_SAMPLERS = _child_of(mmseg.DATA_SAMPLERS)
EVALUATOR = _child_of(mmseg.EVALUATOR)
HOOKS = _child_of(mmseg.HOOKS)
INFERENCERS = _child_of(mmseg.INFERENCERS)
LOG_PROCESSORS = _child_of(mmseg.LOG_PROCESSORS)
LOOPS = _child_of(mmseg.LOOPS)
METRICS = _child_of(mmseg.METRICS)
MODELS = _child_of(mmseg.MODELS)
MODEL_WRAPPERS = _child_of(mmseg.MODEL_WRAPPERS)
OPTIMIZERS = _child_of(mmseg.OPTIMIZERS)
OPTIM_WRAPPERS = _child_of(mmseg.OPTIM_WRAPPERS)
OPTIM_WRAPPER_CONSTRUCTORS = _child_of(mmseg.OPTIM_WRAPPER_CONSTRUCTORS)
PARAM_SCHEDULERS = _child_of(mmseg.PARAM_SCHEDULERS)
RUNNERS = _child_of(mmseg.RUNNERS)
RUNNER_CONSTRUCTORS = _child_of(mmseg.RUNNER_CONSTRUCTORS)
TASK_UTILS = _child_of(mmseg.TASK_UTILS)
TRANSFORMS = _child_of(mmseg.TRANSFORMS)
VISBACKENDS = _child_of(mmseg.VISBACKENDS)
VISUALIZERS = _child_of(mmseg.VISUALIZERS)
WEIGHT_INITIALIZERS = _child_of(mmseg.WEIGHT_INITIALIZERS)

# collate functions, which mmseg has no registry for
FUNCTIONS = _child_of(MMENGINE_FUNCTIONS)
