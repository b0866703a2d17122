"""Read and write checkpoints safely; all other code does so through this module.

A checkpoint may come from a stranger: no code in it is ever executed (``weights_only=True``). It is
read to the CPU, and the checksums of its parts are verified, which torch does not do.
:func:`use_in_mmengine` makes mmengine load and save through this module, too.
"""

import ast
import functools
import http.client
import importlib
import io
import re
import socket
import sys
import urllib.parse
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .files import PathLike, replacing

_TIMEOUT = 60  # seconds to wait for an answer of a server


def read_checkpoint(path: PathLike) -> dict:
    """Read a checkpoint without running any code in it.

    Args:
        path: A file, or the address (URL) of one.

    Returns:
        Its content, with all tensors on the CPU.

    Raises:
        FileNotFoundError: If there is no such file, or it cannot be downloaded.
        ImportError: If this torch is too old to read it safely.
        ValueError: If the file is no checkpoint, is damaged, or holds code.
    """
    from mmengine.utils import digit_version

    if digit_version(str(torch.__version__)) < digit_version('2.6'):
        raise ImportError(
            f'torch {torch.__version__} executes what is in a checkpoint: install torch>=2.6'
        )
    if _is_address(path):
        path = download(str(path))
    file = Path(path).expanduser()
    if file.is_dir():
        raise ValueError(f'checkpoint {file} is a folder: name a file in it')
    if not file.is_file():
        raise FileNotFoundError(
            f'no checkpoint {file}: a training writes them to work_dirs/<config>/iter_<N>.pth'
        )
    try:
        _check_sums(file)
        content = torch.load(file, map_location='cpu', weights_only=True)
    except PermissionError:
        raise
    except Exception as error:  # torch raises many kinds of errors for files that it cannot read
        raise ValueError(
            f'{file} cannot be read as a checkpoint: {_reason(file, error)}'
        ) from error
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise ValueError(f'{file} holds no weights by name but a {kind}: name a checkpoint')
    return _with_tidy_meta(content)


def _with_tidy_meta(content: dict) -> dict:
    """Make ``meta``, if there is one, a dict, and drop a ``dataset_meta`` in it that is no dict."""
    if 'meta' not in content or isinstance(content['meta'], Tensor):
        return content
    meta = content['meta'] if isinstance(content['meta'], dict) else {}
    if not isinstance(meta.get('dataset_meta', {}), dict):
        meta = {key: value for key, value in meta.items() if key != 'dataset_meta'}
    return dict(content, meta=meta)


def _check_sums(file: Path) -> None:
    """Verify the CRC of every part of a zip file, without holding a part in memory.

    Raises:
        ValueError: If it is a TorchScript archive, or a part is compressed.
        zipfile.BadZipFile: If a checksum differs.
    """
    if not zipfile.is_zipfile(file):
        return  # torch before 1.6 wrote it, or it is no checkpoint at all
    with zipfile.ZipFile(file) as parts:
        if any(name.endswith('/constants.pkl') for name in parts.namelist()):
            raise ValueError('a TorchScript archive')
        for part in parts.infolist():
            if part.compress_type != zipfile.ZIP_STORED:  # it could unpack to any size
                raise ValueError(f'its part {part.filename} is compressed, which torch never does')
            with parts.open(part) as stream:
                while stream.read(1 << 20):
                    pass


def _reason(file: Path, error: Exception) -> str:
    """Say in one line what is wrong with a file and what to do."""
    text = str(error).strip()
    first = next(iter(text.splitlines()), '') or type(error).__name__
    if file.stat().st_size == 0:
        return 'it is empty; take another one, or write it again'
    if 'TorchScript' in text:
        return 'it is a TorchScript archive, which holds code; take the state_dict of the model'
    if 'Weights only load failed' in text:
        named = re.search(r'(?:GLOBAL|Unsupported) \S+ ?\S*', text)
        found = f' ({named[0].rstrip(".")})' if named else ''
        return (
            'it is no torch file, or holds more than tensors and plain values, and is not loaded '
            f'for safety{found}; save its state_dict alone where it comes from'
        )
    return f'it is cut short, damaged or no torch file at all ({first}); take another one'


def settings_of(meta: Any) -> dict:
    """Read the config of a training from a checkpoint; the text is parsed but never executed.

    Args:
        meta: The checkpoint's meta data, in which mmengine keeps the config as text.

    Returns:
        Top-level names to plain values, with ``None`` for a value that is no literal. Empty if
        there is no text that can be parsed.
    """
    known = meta if isinstance(meta, dict) else {}
    try:
        tree = ast.parse(str(known.get('cfg') or known.get('cfg_text') or ''))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    pairs = [(node.targets[0], node.value) for node in tree.body if isinstance(node, ast.Assign)]
    return {name.id: _value(node) for name, node in pairs if isinstance(name, ast.Name)}


def _value(node: ast.expr) -> Any:
    """Read the value of ``dict(...)``, of a list or of a literal; ``None`` for anything else.

    mmengine writes ``dict({0: 1})`` where keys are no names.
    """
    if isinstance(node, ast.Call):
        given = [_value(item) for item in node.args if isinstance(item, ast.Dict)]
        named = {str(pair.arg): _value(pair.value) for pair in node.keywords}
        return {**(given[0] if given else {}), **named}
    if isinstance(node, ast.Dict):
        return {_key(key): _value(item) for key, item in zip(node.keys, node.values) if key}
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(item) for item in node.elts]
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError):
        return None


def _key(node: ast.expr) -> Any:
    """Read the key of a dict; the text of one that is no literal."""
    try:
        key = ast.literal_eval(node)
        hash(key)
        return key
    except (ValueError, TypeError, RecursionError):
        return ast.unparse(node)


def write_checkpoint(content: dict, path: PathLike) -> None:
    """Write a checkpoint whole or not at all; an old file stays until the new one is complete.

    Raises:
        OSError: If the disk is full or the folder cannot be written.
    """
    memory = io.BytesIO()  # written straight to a full disk, torch hides the reason of its failure
    torch.save(content, memory)
    with replacing(path) as unfinished:
        unfinished.write_bytes(memory.getbuffer())


def _theirs() -> Any:
    """Import mmengine's module of checkpoints; before its first use here nobody needs mmengine."""
    return importlib.import_module('mmengine.runner.checkpoint')


def _is_address(name: PathLike) -> bool:
    return '://' in str(name)


def download(name: str) -> Path:
    """Download weights into torch's cache, unless they are there; return the file.

    In a distributed run rank 0 downloads for all ranks that share its cache.

    Args:
        name: ``https://...``, ``torchvision://...``, ``open-mmlab://...`` or ``mmcls://...``.

    Raises:
        FileNotFoundError: If the download fails; the message names the remedy.
    """
    from mmengine.dist import barrier, get_rank

    address = _address(name)
    target = Path(
        torch.hub.get_dir(), 'checkpoints', Path(urllib.parse.urlparse(address).path).name
    )
    if get_rank() == 0:
        _fetch(address, target)
    barrier()
    _fetch(address, target)  # a rank on another machine has its own cache
    return target


def _fetch(address: str, target: Path) -> None:
    if target.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT)
    try:
        torch.hub.download_url_to_file(address, str(target), progress=sys.stderr.isatty())
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise FileNotFoundError(
            f'the weights {address} cannot be downloaded ({error}): download them by hand and put '
            f'them to {target}, or name your file in place of the address '
            '(init_cfg.checkpoint=FILE or load_from=FILE)'
        ) from None
    finally:
        socket.setdefaulttimeout(before)


def _address(name: str) -> str:
    """Look up the ``https://`` address that a short name of mmengine stands for."""
    scheme, _, model = name.partition('://')
    if scheme in ('http', 'https'):
        return name
    zoo = _theirs()
    if scheme in ('torchvision', 'modelzoo') and find_spec('torchvision') is not None:
        known = zoo.get_torchvision_models()
    elif scheme in ('open-mmlab', 'openmmlab'):
        known = zoo.get_external_models()
        model = zoo.get_deprecated_model_names().get(model, model)
    else:
        known = zoo.get_mmcls_models() if scheme == 'mmcls' else {}
    address = known.get(model, '')
    if not address.startswith(('http://', 'https://')):
        raise FileNotFoundError(
            f'weights {name}: no address is known for it; download them by hand and name the file '
            '(init_cfg.checkpoint=FILE or load_from=FILE)'
        )
    return address


def use_in_mmengine() -> None:
    """Make mmengine read and write all its checkpoints through this module.

    This covers ``Pretrained`` in an ``init_cfg``, ``load_from``, resuming, testing and inferencers.
    Configs in a file's meta data, which mmengine would execute, are removed on reading.
    """
    from mmengine import runner

    theirs = _theirs()
    for prefix in list(theirs.CheckpointLoader._schemes):
        theirs.CheckpointLoader.register_scheme(prefix, load_from_checked, force=True)
    theirs.load_from_local = theirs.load_from_http = load_from_checked
    if hasattr(theirs.save_checkpoint, '__wrapped__'):
        return
    save = _save_beside(theirs.save_checkpoint)
    theirs.save_checkpoint = runner.save_checkpoint = runner.runner.save_checkpoint = save


def load_from_checked(name: str, map_location: Any = None, **_: Any) -> dict:
    """Read a checkpoint, always to the CPU; mmengine needs this signature."""
    content = read_checkpoint(name)
    if name.startswith('mmcls://'):
        content = _theirs()._process_mmcls_checkpoint(content)
    return _without_code(content)


def _without_code(content: dict) -> dict:
    """Remove the configs that mmengine would execute when it resumes or builds an inferencer.

    The text of the training's config is kept as ``cfg_text`` for :func:`settings_of`.
    """
    meta = content.get('meta')
    if isinstance(meta, dict):
        kept = {key: value for key, value in meta.items() if key not in ('cfg', 'config')}
        content['meta'] = dict(kept, cfg_text=meta.get('cfg'))
    info = content.get('message_hub')
    info = info.get('runtime_info') if isinstance(info, dict) else None
    if isinstance(info, dict):
        info.pop('cfg', None)
    return content


def _save_beside(elsewhere: Callable[..., None]) -> Callable[..., None]:
    """Make the function that saves files by this module, and into remote storage as mmengine."""

    @functools.wraps(elsewhere)
    def save(
        checkpoint: dict, filename: str, file_client_args: Any = None, backend_args: Any = None
    ) -> None:
        if _is_address(filename) or file_client_args or backend_args:  # remote storage
            elsewhere(checkpoint, filename, file_client_args, backend_args)
        else:
            write_checkpoint(checkpoint, filename)

    return save
