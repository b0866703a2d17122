"""Load the trained network that a user names: a work folder, a config, or config and weights."""

from pathlib import Path
from typing import Any, Optional

from ...core.files import PathLike
from ..run.config import load_config
from ..run.folder import RunFolder
from ..run.load import load_model
from ..run.testing import chosen_checkpoint


def load_trained(
    model: PathLike, checkpoint: Optional[PathLike] = None, *, dataset: Optional[PathLike] = None
) -> tuple[Any, dict[str, str]]:
    """Load a network onto the CPU.

    Args:
        model: A work folder; or a config, whose work folder is looked for without ``checkpoint``.
        checkpoint: File with the weights; by default, of the work folder the one that was tested,
            else the best one, else the last.
        dataset: File that describes the user's data, as in training.

    Returns:
        The model, and the paths of its ``config`` and ``checkpoint``.

    Raises:
        FileNotFoundError: If one of the files is not there.
        ValueError: If config and checkpoint do not belong together.
    """
    config: Any = model
    if Path(model).is_dir():
        folder = RunFolder(model)
        cfg = folder.training_config(None)
        if cfg is None:
            raise ValueError(f'{model} holds no config: name the config and its checkpoint')
        config, dataset = cfg.filename, None  # the data are part of that config
        checkpoint = checkpoint or chosen_checkpoint(RunFolder.of(cfg, model), cfg)
    elif checkpoint is None:
        cfg = load_config(model, dataset=dataset)
        checkpoint = chosen_checkpoint(RunFolder.of(cfg), cfg)
    network = load_model(config, checkpoint, device='cpu', dataset=dataset)
    return network, dict(config=str(config), checkpoint=str(checkpoint))
