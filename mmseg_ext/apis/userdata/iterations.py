"""Length of a run on a user's data: as many epochs as the config makes on its own data."""

from mmengine.config import Config

from ..config.schedule import set_max_iters
from .data import UserData

_MIN_ITERS = 1000  # even a small data set needs so many steps, unless the row has fewer


def use_iterations(cfg: Config, data: UserData, options: dict) -> str:
    """Set the iterations so that a run has as many epochs as the config on its own data.

    The run is never longer than that of the config, and not shorter than 1000 steps (or the
    config's steps, if they are fewer). Settings derived from the length change with it. Schedules
    by epochs need no change. ``train_images`` of the config is the number of images in its own data
    set.

    Args:
        cfg: Config, changed in place.
        data: The user's data.
        options: Options that the user will set afterwards.

    Returns:
        A message for the user.
    """
    loop = cfg.get('train_cfg') or {}
    if 'max_iters' not in loop:
        return f'epochs: {loop.get("max_epochs")}, as in the row'
    rows, own = loop['max_iters'], cfg.get('train_images')
    if not own:
        return f'iterations: {rows}, as in the row, which does not say how many images it has'
    length = length_of(rows, own, data)
    if length != rows:
        set_max_iters(cfg, length)
    cfg.train_images = data.num_train
    batch = cfg.train_dataloader.get('batch_size', 1)
    given = options.get('max_iters', options.get('train_cfg.max_iters'))
    if given is not None:
        return f'iterations: {given}, as --cfg-options says'
    return (
        f'iterations: {length} ({length * batch / data.num_train:.1f} passes), the row has {rows} '
        f'({rows * batch / own:.1f} passes over {own} images)'
    )


def length_of(rows: int, own: int, data: UserData) -> int:
    """Convert ``rows`` iterations on ``own`` images to iterations on the user's data."""
    same_passes = round(rows * data.num_train / own)
    return min(rows, max(same_passes, min(rows, _MIN_ITERS)))
