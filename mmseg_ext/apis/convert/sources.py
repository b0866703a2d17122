"""All kinds of public checkpoints that can be converted, by name."""

from ...core.words import unknown
from . import dilateformer as convert_dilateformer
from . import imagenet as convert_imagenet
from . import repositories as convert_repositories
from . import swin as convert_swin
from . import transdeeplab as convert_transdeeplab
from . import transunet as convert_transunet
from . import unet3plus as convert_unet3plus
from .source import Source

SOURCES: dict[str, Source] = {
    **convert_repositories.SOURCES,
    **convert_imagenet.SOURCES,
    **convert_dilateformer.SOURCES,
    **convert_swin.SOURCES,
    **convert_transdeeplab.SOURCES,
    **convert_transunet.SOURCES,
    **convert_unet3plus.SOURCES,
}


def find_source(name: str) -> Source:
    """Look up a source.

    Raises:
        ValueError: If the name is unknown; the message suggests the nearest one.
    """
    if name not in SOURCES:
        raise ValueError(unknown('source', name, SOURCES))
    return SOURCES[name]
