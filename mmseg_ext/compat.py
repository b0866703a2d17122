"""What mmengine, mmcv and mmseg need to work with today's torch, upstream's and the OneDL fork's.

1. ``mmcv-lite`` ships no compiled ``mmcv._ext``, but ``mmseg.utils`` imports ``mmcv.ops``. A
   placeholder module lets the import pass; calling an absent operator says what to install.
2. Checkpoints are read with ``weights_only=True`` (torch before 2.6 runs what is in them all the
   same and is refused), and mmengine pickles ``HistoryBuffer`` objects, which reach for
   ``getattr``. Nothing is allow-listed here: the training history is written as plain lists and
   rebuilt on loading, so such a file loads in any process.
3. ``mmengine`` finds the configs of packages on a fixed list only; ours is added to it.
4. ``MMSegInferencer('name', weights=...)`` fails on a metafile without ``Weights``, which it would
   not use. Such an entry gets a file name that explains itself when it is not found.
5. ``_base_ = 'mmseg::_base_/...'`` costs mmengine a second each: it parses every metafile of the
   zoo, in which no base is listed. Bases are looked for in their folder at once.
6. mmengine reads checkpoints with whatever safety torch has by default, executes the configs in
   them, and writes them in place: it reads and writes through :mod:`mmseg_ext.core.checkpoints`.
7. mmengine reads ``.yml``, a base of a config, say, with a loader that runs tags: it gets the safe
   one.
8. mmseg's ``resize`` reads sizes as numbers to warn about them, ``Upsample`` to multiply them,
   ``AdaptivePadding`` to round them and ``VisionTransformer`` to compare them with the training's,
   which fixes the size of images in a recorded graph; :func:`any_size_in_mmseg` computes with sizes
   where graphs are recorded.
9. The stacks differ in four places, which :mod:`mmseg_ext.agreement` makes agree.
10. mmengine lays a config out anew for its log, its copy and each checkpoint, a second each for a
    long one: a text that was laid out is kept.
11. A recorded graph of torch's adaptive average pooling holds the cells of one size of image;
    :func:`any_size_in_pooling` puts another function in its place where graphs are recorded.

Every function may be called twice.
"""

import functools
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from .agreement import make_stacks_agree
from .core.stack import check_stack


class _MissingOps(ModuleType):
    """Stands in for ``mmcv._ext`` and explains itself when an operator is called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):  # import machinery and inspect probe dunder names
            raise AttributeError(name)

        def missing(*args: Any, **kwargs: Any) -> None:
            raise RuntimeError(
                f'the operator {name} needs the compiled mmcv, and the installed one has none: '
                'see "Compiled mmcv" in docs/install.md, or choose a module without such operators'
            )

        return missing


def install_mmcv_placeholder() -> bool:
    """Let ``mmcv.ops`` be imported with a placeholder when mmcv was built without operators.

    Returns:
        True if the placeholder stood in, False if compiled operators are there.
    """
    present = sys.modules.get('mmcv._ext')
    if present is not None:
        return isinstance(present, _MissingOps)
    if importlib.util.find_spec('mmcv._ext') is not None:
        return False
    module = _MissingOps('mmcv._ext')
    module.__spec__ = ModuleSpec('mmcv._ext', None)
    sys.modules['mmcv._ext'] = module
    try:
        importlib.import_module('mmcv.ops')
    finally:  # its modules keep the placeholder, and mmengine asks whether the module is there
        del sys.modules['mmcv._ext']
    return True


def plain(value: Any) -> Any:
    """Turn numpy values inside nested containers into Python's own, leaving tensors alone."""
    import numpy as np

    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(item) for item in value) if type(value) in (list, tuple) else value
    return value


def write_plain_history() -> None:
    """Let ``MessageHub`` save its history as lists and accept both forms when loading."""
    from mmengine.logging import HistoryBuffer, MessageHub

    if getattr(MessageHub, '_mmseg_ext_plain', False):
        return
    save, load = MessageHub.state_dict, MessageHub.load_state_dict

    def state_dict(self: MessageHub) -> dict:
        state = save(self)
        scalars = {}
        for key, buffer in state['log_scalars'].items():
            values, counts = buffer.data
            scalars[key] = dict(
                values=values.tolist(), counts=counts.tolist(), max_length=buffer.max_length
            )
        return dict(
            log_scalars=scalars,
            runtime_info=plain(dict(state['runtime_info'])),
            resumed_keys=dict(state['resumed_keys']),
        )

    def load_state_dict(self: MessageHub, state: Any) -> None:
        if isinstance(state, dict) and isinstance(state.get('log_scalars'), dict):
            scalars = {
                key: HistoryBuffer(value['values'], value['counts'], value['max_length'])
                if isinstance(value, dict)
                else value
                for key, value in state['log_scalars'].items()
            }
            state = dict(state, log_scalars=scalars)
        load(self, state)

    MessageHub.state_dict = state_dict
    MessageHub.load_state_dict = load_state_dict
    MessageHub._mmseg_ext_plain = True


def explain_missing_weights() -> None:
    """Let inferencers take models whose metafile names no weights, if the user gives some."""
    from mmengine.infer import BaseInferencer

    read = BaseInferencer._get_models_from_metafile
    if getattr(read, '_mmseg_ext_explains', False):
        return

    def models(folder: str) -> Iterator[dict]:
        for model in read(folder):
            missing = f'published weights of {model["Name"]} (give weights=FILE of your own)'
            yield {'Weights': missing, **model}  # mmengine goes on: "can not be found."

    models._mmseg_ext_explains = True  # type: ignore[attr-defined]
    BaseInferencer._get_models_from_metafile = staticmethod(models)


def find_bases_at_once() -> None:
    """Find ``_base_ = 'mmseg::_base_/...'`` without parsing the package's metafiles before."""
    from mmengine.config import config

    find = config._get_external_cfg_path
    if getattr(find, '_mmseg_ext_at_once', False):
        return

    def path(package_path: str, cfg_file: str) -> str:
        if cfg_file.startswith('_base_/'):
            raise ValueError(f'{cfg_file} is a base')  # mmengine goes on with the folder
        return find(package_path, cfg_file)

    path._mmseg_ext_at_once = True  # type: ignore[attr-defined]
    config._get_external_cfg_path = path
    config.is_installed = functools.lru_cache(None)(config.is_installed)  # reloads pkg_resources


def read_yaml_safely() -> None:
    """Let mmengine's reader of ``.yml`` run nothing."""
    import yaml
    from mmengine.fileio.handlers import yaml_handler

    yaml_handler.Loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)


def lay_out_configs_once() -> None:
    """Let mmengine lay the same config out once, though each checkpoint holds it."""
    from mmengine.config import config
    from yapf.yapflib import yapf_api

    place = config if hasattr(config, 'FormatCode') else yapf_api  # the fork imports it each time
    lay_out = place.FormatCode
    if hasattr(lay_out, '__wrapped__'):
        return
    kept: dict = {}

    @functools.wraps(lay_out)
    def once(text: str, **settings: Any) -> tuple:
        key = (text, repr(settings))
        if key not in kept:
            laid_out = lay_out(text, **settings)
            if len(kept) == 8:  # a table in one process has many configs
                kept.clear()
            kept[key] = laid_out
        return kept[key]

    place.FormatCode = once


@contextmanager
def any_size_in_mmseg() -> Iterator[None]:
    """Let parts of mmseg make no number of a size, nor ask whether it is the training's.

    These are ``resize``, ``Upsample``, ``AdaptivePadding`` and ``VisionTransformer``.
    """
    from mmseg.models.backbones import VisionTransformer
    from mmseg.models.utils import Upsample, resize
    from mmseg.models.utils.embed import AdaptivePadding

    kept = resize.__defaults__, Upsample.forward, AdaptivePadding.forward
    embed = VisionTransformer._pos_embeding
    resize.__defaults__ = (*kept[0][:-1], False)  # warning=False
    Upsample.forward = _upsample_by_integers(Upsample.forward)
    AdaptivePadding.forward = _pad_by_integers(AdaptivePadding.forward)
    VisionTransformer._pos_embeding = _always_resize_positions(embed)
    try:
        yield
    finally:
        resize.__defaults__, Upsample.forward, AdaptivePadding.forward = kept
        VisionTransformer._pos_embeding = embed


def _upsample_by_integers(forward: Callable) -> Callable:
    """Make ``Upsample.forward`` that multiplies sides by its factor, if that is an integer."""
    from mmseg.models.utils import resize

    def upsample(self: Any, x: Any) -> Any:
        factor = self.scale_factor
        if self.size or not isinstance(factor, float) or not factor.is_integer():
            return forward(self, x)
        size = [side * int(factor) for side in x.shape[-2:]]
        return resize(x, size, None, self.mode, self.align_corners)

    return upsample


def _pad_by_integers(forward: Callable) -> Callable:
    """Make ``AdaptivePadding.forward`` that always pads, also by nothing, if it skips no pixel."""
    import torch.nn.functional as F

    def pad(self: Any, x: Any) -> Any:
        extents = [(k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation)]
        if any(extent < step for extent, step in zip(extents, self.stride)):
            return forward(self, x)
        below, right = (
            (side + step - 1) // step * step - step + extent - side
            for side, step, extent in zip(x.shape[-2:], self.stride, extents)
        )
        above, left = (0, 0) if self.padding == 'corner' else (below // 2, right // 2)
        return F.pad(x, [left, right - left, above, below - above])

    return pad


def _always_resize_positions(embed: Callable) -> Callable:
    """Make ``VisionTransformer._pos_embeding`` that resizes, also to the size that there is.

    mmseg does not if there are as many patches as in training, in whatever rows and columns. As
    recorded, an image of another shape has its own positions, too.
    """

    def added(self: Any, patches: Any, hw_shape: Any, pos_embed: Any) -> Any:
        rows, columns = (side // self.patch_size for side in self.img_size)
        if pos_embed.shape[1] != rows * columns + 1:
            return embed(self, patches, hw_shape, pos_embed)
        resized = self.resize_pos_embed(pos_embed, hw_shape, (rows, columns), self.interpolate_mode)
        return self.drop_after_pos(patches + resized)

    return added


@contextmanager
def any_size_in_pooling(pool: Callable) -> Iterator[None]:
    """Let ``adaptive_avg_pool2d``, and the modules that call it, be ``pool``."""
    import torch.nn.functional as F

    kept = F.adaptive_avg_pool2d
    F.adaptive_avg_pool2d = pool
    try:
        yield
    finally:
        F.adaptive_avg_pool2d = kept


def prepare() -> None:
    """Do what is done before mmengine is imported; called by ``import mmseg_ext``.

    Raises:
        ImportError: If there is no stack, or two.
    """
    check_stack()
    # mmengine imports pkg_resources, which setuptools 81 announces the end of at every start
    warnings.filterwarnings('ignore', message='pkg_resources is deprecated', category=UserWarning)


def apply() -> None:
    """Apply all of the above; called when mmengine, mmcv or mmseg is imported."""
    install_mmcv_placeholder()
    from mmengine.config.utils import MODULE2PACKAGE

    # No distribution has this name, so mmengine falls back to the folder of the imported module,
    # which is right for wheels and for editable installs alike.
    MODULE2PACKAGE.setdefault('mmseg_ext', 'mmseg_ext.registry')
    write_plain_history()
    explain_missing_weights()
    find_bases_at_once()
    read_yaml_safely()
    lay_out_configs_once()
    make_stacks_agree()
    from .core.checkpoints import use_in_mmengine

    use_in_mmengine()
