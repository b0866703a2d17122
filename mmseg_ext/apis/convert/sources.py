"""All kinds of public checkpoints that can be converted, by name."""

import difflib

from . import imagenet as convert_imagenet
from . import repositories as convert_repositories
from . import swin as convert_swin
from . import transunet as convert_transunet
from .source import Source

SOURCES: dict[str, Source] = {
    **convert_repositories.SOURCES,
    **convert_imagenet.SOURCES,
    **convert_swin.SOURCES,
    **convert_transunet.SOURCES,
}


def find_source(name: str) -> Source:
    """Look up a source.

    Raises:
        ValueError: If there is none of that name; the message suggests the nearest.
    """
    if name in SOURCES:
        return SOURCES[name]
    close = difflib.get_close_matches(name, SOURCES, n=2, cutoff=0.4)
    hint = f'did you mean {" or ".join(close)}?' if close else f'choose from {", ".join(SOURCES)}'
    raise ValueError(f'no source {name}: {hint}')
