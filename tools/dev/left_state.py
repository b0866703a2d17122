"""What a run has left, as text that two runs can be compared by."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmseg_ext.apis.run.folder import RunFolder
from mmseg_ext.core.checkpoints import read_checkpoint
from mmseg_ext.core.saved import best_checkpoint, last_checkpoint

_RUN = RunFolder('.')
RECORDS = {
    path.name for path in (_RUN.results_file(), _RUN.folds_file, _RUN.listing_file, _RUN.row_file)
}


def state_of(work: Path) -> dict:
    """What a run leaves: digests of weights and optimiser, scores, names of the checkpoints."""
    state: dict[str, Any] = {}
    folders = sorted({path.parent for path in work.rglob('*.pth')})
    for folder in folders:
        where = str(folder.relative_to(work))
        for name, find in (('last', last_checkpoint), ('best', best_checkpoint)):
            path = find(folder)
            content = read_checkpoint(path)
            state[f'{where}: {name} checkpoint'] = path.name
            state[f'{where}: {name} weights'] = digest(content['state_dict'])
            if name == 'last':
                state[f'{where}: optimizer'] = digest(content['optimizer'])
    for path in sorted(work.rglob('*')):
        name = str(path.relative_to(work))
        if path.suffix == '.npz':
            with np.load(path) as arrays:
                state[name] = digest({key: arrays[key] for key in arrays.files})
        elif path.name in RECORDS:
            state[name] = plain(json.loads(path.read_text()), work)
        elif path.suffix == '.png' and 'masks' in path.parts:
            state[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.name.endswith('.part'):
            state['unfinished files'] = state.get('unfinished files', 0) + 1
    return state


def plain(value: Any, work: Path) -> Any:
    """JSON without what differs from run to run: dates, and where the folder lies."""
    if isinstance(value, dict):
        return {k: plain(v, work) for k, v in value.items() if k not in ('date', 'commit', 'dirty')}
    if isinstance(value, list):
        return [plain(item, work) for item in value]
    return value.replace(str(work), 'WORK') if isinstance(value, str) else value


def digest(tree: Any) -> str:
    """Identify tensors, arrays and numbers, bit for bit."""
    found = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, dict):
            for key in sorted(value, key=str):
                found.update(str(key).encode())
                add(value[key])
        elif isinstance(value, (list, tuple)):
            for item in value:
                add(item)
        elif isinstance(value, torch.Tensor):
            add(value.contiguous().numpy())
        elif isinstance(value, np.ndarray):
            found.update(f'{value.dtype}{value.shape}'.encode() + value.tobytes())
        else:
            found.update(repr(value).encode())

    add(tree)
    return found.hexdigest()


def difference(wanted: dict, found: dict) -> str:
    """Say what is different; empty if nothing is."""
    keys = [key for key in {**wanted, **found} if wanted.get(key) != found.get(key)]
    return '; '.join(f'{key} differs' for key in sorted(keys))[:600]
