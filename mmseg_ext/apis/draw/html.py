"""Pages: one HTML file that needs nothing else, rendered by Jinja2 from plain values.

A page is sections, a section is blocks (``blocks.py``), and a block is shown by the macro of its
name in ``templates/blocks.html``. All markup stands there. Autoescape is on and nothing is marked
as safe: a name is text, whatever it holds; pictures are embedded as data. The markup is well-formed
XML as well, so that a test can parse it strictly.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .blocks import Color, Page

# What XML has no place for: controls, and bytes of names that are no text.
_NO_XML = re.compile('[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]')


def rgb(color: Color) -> str:
    """Write a color as a style wants it."""
    red, green, blue = color
    return f'rgb({red:d},{green:d},{blue:d})'


def percentage(share: float, least: float = 0.0) -> str:
    """Write a share as a length: per cent of the place that there is."""
    return f'{max(least, 100 * share):.1f}%'


def shade(share: float) -> str:
    """Choose the color of a share, from white to dark blue."""
    return rgb([round(255 + (low - 255) * share**0.7) for low in (8, 72, 130)])


@cache
def environment() -> Environment:
    """Set up the one engine."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / 'templates'),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = dict(rgb=rgb, percentage=percentage, shade=shade)
    made.filters.update(filters)
    return made


def render(page: Page) -> bytes:
    """Render a page as a file's content."""
    return as_xml(environment().get_template('page.html').render(page=page)).encode('utf-8')


def as_xml(text: str) -> str:
    """Write characters that no page may hold by their number."""
    return _NO_XML.sub(lambda found: ascii(found.group())[1:-1], text)
