"""Write the HTML page about simulated rounds of active learning, from their files alone.

It can be written at any time: rounds that are not finished are left out. Pictures and class shares
are left out, with the reason, if the images have moved.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Optional

from ...core.files import PathLike, write_bytes
from ..draw.blocks import Page, Section
from ..draw.html import render
from ..labels.plan import read_plan
from ..labels.summary import summarise
from . import active_sections
from .active_changes import changes
from .active_choices import choices
from .active_data import ActiveData

ACTIVE_PAGE = 'active_learning.html'


def write_active_report(
    work_dir: PathLike, out: Optional[PathLike] = None, *, title: Optional[str] = None
) -> Path:
    """Sum up the rounds of a folder, in ``active_learning.json`` and as a page.

    Args:
        work_dir: Folder of the rounds.
        out: HTML file, overwritten in one step; default: ``active_learning.html`` in the folder.
        title: Heading of the page; default: names config and data set.

    Returns:
        The path of the file.

    Raises:
        FileNotFoundError: If the folder holds no simulated rounds.
        ValueError: If a file of the rounds is damaged.
    """
    folder = Path(work_dir)
    plan = read_plan(folder)
    data = ActiveData(plan, folder, summarise(plan, folder))
    found = [
        active_sections.budget(data),
        active_sections.areas(data),
        active_sections.tests(data),
        changes(data),
        choices(data),
        active_sections.facts(data),
    ]
    name = f'Active learning: {Path(plan.config).stem} on {Path(plan.dataset).stem}'
    return write_rounds_page(folder, out, title=title or name, lead=data.progress(), found=found)


def write_rounds_page(
    folder: Path,
    out: Optional[PathLike],
    *,
    title: str,
    lead: str,
    found: Iterable[Optional[Section]],
) -> Path:
    """Write those sections that there are as the page about the rounds of a folder."""
    page = Page(
        title=title,
        lead=lead,
        sections=[part for part in found if part is not None],
        footer=f'Written by mmseg_ext from {folder}.',
    )
    return write_bytes(folder / ACTIVE_PAGE if out is None else out, render(page))
