"""The page and what it loads, made once at the start: a fixed table of addresses."""

import mimetypes
from typing import Any, NamedTuple

from ...core.labels import background_of
from ...version import __version__
from ..draw.html import as_xml, environment, rgb
from .limits import Limits
from .samples import Samples


class Asset(NamedTuple):
    """What an address holds.

    Args:
        type: Its media type.
        content: Its bytes.
    """

    type: str
    content: bytes


def make_assets(name: str, meta: dict, limits: Limits, samples: Samples) -> dict[str, Asset]:
    """Make the page, its style, its script and the sample images, by address.

    Args:
        name: Of the model.
        meta: ``classes`` and ``palette``.
        limits: Told on the page.
        samples: Offered on the page.
    """
    values = _values(name, meta, limits, samples)
    found = {
        '/': _text('text/html', 'serve.html', values),
        '/page.css': _text('text/css', 'serve.css', values),
        '/page.js': _text('text/javascript', 'serve.js', values),
    }
    for index, sample in enumerate(samples.images):
        kind = mimetypes.guess_type(sample.name)[0] or 'application/octet-stream'
        found[f'/samples/{index}'] = Asset(kind, sample.data)
        found[f'/samples/{index}.jpg'] = Asset('image/jpeg', sample.thumb)
    return found


def _values(name: str, meta: dict, limits: Limits, samples: Samples) -> dict[str, Any]:
    classes = [str(entry) for entry in meta['classes']]
    return dict(
        name=name,
        classes=[
            dict(name=entry, color=rgb(color), shown=index != background_of(classes))
            for index, (entry, color) in enumerate(zip(classes, meta['palette']))
        ],
        limits=limits,
        samples=samples,
        version=__version__,
    )


def _text(kind: str, template: str, values: dict) -> Asset:
    text = environment().get_template(template).render(values)
    return Asset(f'{kind}; charset=utf-8', as_xml(text).encode('utf-8'))
