"""Render a page with Jinja2 as one HTML file that needs no other.

A page has sections, and a section has blocks (``blocks.py``). The macro with a block's name in
``templates/blocks.html`` shows the block; all markup is in the templates. Autoescape is on and
nothing is marked as safe, so names are always shown as text. Pictures are embedded as data. The
markup is also well-formed XML, so that a test can parse it strictly.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .blocks import Color, Page

# Characters that XML forbids: control characters, and undecodable bytes of file names.
_NO_XML = re.compile('[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]')


def rgb(color: Color) -> str:
    """Format a color for CSS."""
    red, green, blue = color
    return f'rgb({red:d},{green:d},{blue:d})'


def percentage(share: float, least: float = 0.0) -> str:
    """Format a fraction as a CSS length in per cent, but at least ``least`` per cent."""
    return f'{max(least, 100 * share):.1f}%'


def shade(share: float) -> str:
    """Return the CSS color of a fraction, from white for 0 to dark blue for 1."""
    return rgb([round(255 + (low - 255) * share**0.7) for low in (8, 72, 130)])


@cache
def environment() -> Environment:
    """Set up the template engine, which all pages share."""
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
    """Render a page as the content of a file."""
    return as_xml(environment().get_template('page.html').render(page=page)).encode('utf-8')


def as_xml(text: str) -> str:
    """Replace each character that XML forbids by its escape sequence in Python."""
    return _NO_XML.sub(lambda found: ascii(found.group())[1:-1], text)
