"""The length of a run on a user's data: as many passes over them as the row makes over its own."""

from mmengine.config import Config

from ..config.schedule import set_max_iters
from .data import UserData

_MIN_ITERS = 1000  # no data set is so small that fewer steps would do, unless the row has fewer


def use_iterations(cfg: Config, data: UserData, options: dict) -> str:
    """Let a schedule by iterations make as many passes over the data as the row's.

    It never gets longer than the row's, nor shorter than 1000 steps (or the row's, if that is
    less); what is written from its length follows. Schedules by epochs follow by themselves.
    ``train_images`` of the config says how many images the row's own data set has.

    Args:
        cfg: Changed in place.
        data: The user's.
        options: What the user will set afterwards.

    Returns:
        What to tell the user.
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
    """Iterations on the user's data, for a row's on its ``own`` number of images."""
    same_passes = round(rows * data.num_train / own)
    return min(rows, max(same_passes, min(rows, _MIN_ITERS)))
