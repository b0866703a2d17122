"""Send a training's curves to TensorBoard, Weights & Biases or MLflow, by mmengine's backends.

All three write into the run's folder, and nothing leaves the machine unless ``WANDB_MODE`` or
``MLFLOW_TRACKING_URI`` says so.
"""

import os
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

from ..config.packages import import_package


@dataclass(frozen=True)
class Tracker:
    """A program that shows curves.

    Args:
        backend: mmengine's class for it.
        module: Module that the class imports.
        package: What pip installs for it.
    """

    backend: str
    module: str
    package: str


TRACKERS = {
    'tensorboard': Tracker('TensorboardVisBackend', 'tensorboard', 'tensorboard'),
    'wandb': Tracker('WandbVisBackend', 'wandb', 'wandb'),
    'mlflow': Tracker('MLflowVisBackend', 'mlflow', 'mlflow-skinny'),
}
_PARAMETERS = ('optim_wrapper', 'train_cfg', 'randomness')  # of a config, for MLflow


def use_tracker(cfg: Config, name: str) -> None:
    """Add a tracker to those that a config has.

    Args:
        cfg: Changed in place.
        name: One of ``TRACKERS``.

    Raises:
        ImportError: If its package is missing; the message says what to install.
    """
    tracker = TRACKERS[name]
    import_package(tracker.module, f'--log-to {name}', tracker.package)
    known = cfg.visualizer.get('vis_backends') or []
    others = [backend for backend in known if backend.get('type') != tracker.backend]
    cfg.visualizer.vis_backends = [*others, dict(type=tracker.backend, **_settings(name, cfg))]


def _settings(name: str, cfg: Config) -> dict[str, Any]:
    if name == 'wandb':
        mode = os.environ.get('WANDB_MODE', 'offline')
        run = os.path.basename(os.path.normpath(cfg.get('work_dir') or 'run'))
        return dict(init_kwargs=dict(mode=mode, project='mmseg_ext', name=run))
    if name == 'mlflow':
        place = os.environ.get('MLFLOW_TRACKING_URI')
        os.environ.setdefault('MLFLOW_ALLOW_FILE_STORE', 'true')  # else it wants a data base
        # MLflow limits the number of parameters; the whole config is there as a text
        kept = [key for key in _PARAMETERS if cfg.get(key) is not None]
        return dict(tracked_config_keys=kept, **(dict(tracking_uri=place) if place else {}))
    return {}
