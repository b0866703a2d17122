"""The contents of a page as plain values: sections of blocks, each with a macro in the template."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Optional, Union

Color = Sequence[int]


class Block:
    """A part of a section."""

    @property
    def kind(self) -> str:
        """Name of the macro that shows this block."""
        return type(self).__name__.lower()


@dataclass(frozen=True)
class Key:
    """The letter of a row and the row's color."""

    letter: str
    color: str


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Args:
        text: Text of the cell.
        small: Lines in small print below the text.
        style: ``'soft'`` is grey, for unreliable values; ``'words'`` allows line breaks.
    """

    text: str
    small: tuple[str, ...] = ()
    style: str = ''


@dataclass(frozen=True)
class Line:
    """A line of a table.

    Args:
        name: Heading of the line.
        cells: The other cells.
        key: Letter and color in front of the heading.
        base: Whether this is the baseline, with which the other lines are compared.
    """

    name: Cell
    cells: Sequence[Cell]
    key: Optional[Key] = None
    base: bool = False


@dataclass(frozen=True)
class Picture:
    """A picture to embed.

    Args:
        content: Content of the file.
        kind: Media type without ``image/``, such as ``'png'``.
        alt: Alternative text.
        role: ``'photo'``, or ``'labels'`` for a label map that can be laid over the photo of its
            figure; empty for other pictures.
        ground: Color behind transparent pixels.
    """

    content: bytes
    kind: str
    alt: str
    role: str = ''
    ground: Optional[Color] = None

    @property
    def source(self) -> str:
        """The picture as a data URL."""
        return f'data:image/{self.kind};base64,{base64.b64encode(self.content).decode("ascii")}'


@dataclass(frozen=True)
class Swatch:
    """A name beside a small square of its color; without a color, the name alone."""

    name: str
    color: Optional[Color]


@dataclass(frozen=True)
class Section:
    """Blocks under a heading."""

    heading: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """The contents of a page; ``lead`` is the line below the title."""

    title: str
    lead: str
    sections: Sequence[Section]
    footer: str


@dataclass(frozen=True)
class Note(Block):
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Cards(Block):
    """Large values side by side, each a name, a value and a remark; the first is highlighted."""

    cards: Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class Table(Block):
    """A table.

    Args:
        head: Headings of all columns.
        lines: The lines; the name of a line is its first column.
        label: Name of the table for screen readers.
        prose: Whether the cells are text instead of numbers.
    """

    head: Sequence[str]
    lines: Sequence[Line]
    label: str
    prose: bool = False

    def is_words(self, column: int) -> bool:
        """Whether a column has text, which is aligned left."""
        return any(line.cells[column - 1].style == 'words' for line in self.lines if column)


@dataclass(frozen=True)
class Facts(Block):
    """A list of names with their values."""

    facts: Mapping[str, str]


@dataclass(frozen=True)
class Figures(Block):
    """Drawings with captions, side by side if there is room."""

    figures: Sequence[tuple[Picture, str]]


@dataclass(frozen=True)
class Bar:
    """A fraction as a bar, with the two ends of its interval."""

    value: Optional[float]
    low: Optional[float]
    high: Optional[float]
    color: str
    key: Optional[Key] = None


@dataclass(frozen=True)
class Bars(Block):
    """Groups of bars, such as one group per class."""

    groups: Sequence[tuple[Swatch, Sequence[Bar]]]


@dataclass(frozen=True)
class Matrix(Block):
    """A square table of fractions; larger ones are darker, and NaN is an empty cell."""

    names: Sequence[str]
    shares: Sequence[Sequence[float]]
    label: str


@dataclass(frozen=True)
class Pair:
    """Pictures that belong together; ``missing`` says which cannot be shown, and why."""

    title: str
    pictures: Sequence[Picture]
    key: Optional[Key] = None
    missing: str = ''


@dataclass(frozen=True)
class Example:
    """An image with its ground truth and predictions."""

    caption: str
    pairs: Sequence[Pair]
    legend: Sequence[Swatch] = ()
    warning: str = ''

    @property
    def columns(self) -> int:
        """Number of pairs side by side on a wide screen: at most five, in rows of like length."""
        rows = -(-len(self.pairs) // 5)
        return -(-len(self.pairs) // rows)

    @property
    def bare(self) -> bool:
        """Whether every pair has a single picture and so needs half the width."""
        return all(len(pair.pictures) == 1 for pair in self.pairs)


@dataclass(frozen=True)
class Examples(Block):
    """Example images; ``over`` says whether label maps lie over the photographs at first."""

    examples: Sequence[Example]
    over: bool = False

    @property
    def layout(self) -> str:
        """Layout of the page for examples of one or of two pairs; empty for more pairs."""
        return {1: 'one', 2: 'few'}.get(max(len(example.pairs) for example in self.examples), '')

    def columns(self, example: Example) -> int:
        """Number of pairs of an example side by side; single pictures have one size in all."""
        alike = self.examples if example.bare else (example,)
        return max(one.columns for one in alike)


@dataclass(frozen=True)
class Legend(Block):
    """A list of names with their colors."""

    items: Sequence[Swatch]


@dataclass(frozen=True)
class Listing(Block):
    """A list of short lines."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Fold(Block):
    """Blocks that can be folded away under a summary.

    Args:
        summary: Heading that stays visible.
        blocks: The blocks.
        opened: Whether the blocks are unfolded at first.
        key: Letter and color in front of the summary.
        remark: Words after the summary.
    """

    summary: str
    blocks: Sequence[Block]
    opened: bool = False
    key: Optional[Key] = None
    remark: str = ''


def table_or_facts(head: Sequence[str], lines: Sequence[Line], label: str) -> Union[Table, Facts]:
    """Make a table of lines, or facts of a single line without a key, as they take less width."""
    if len(lines) > 1 or any(line.key for line in lines):
        return Table(head, lines, label)
    cells = [cell for line in lines for cell in line.cells]
    texts = [
        f'{cell.text} ({", ".join(cell.small)})' if cell.small else cell.text for cell in cells
    ]
    return Facts(dict(zip(head[1:], texts)))


def plain(*texts: str) -> list[Cell]:
    """Make cells of texts."""
    return [Cell(text) for text in texts]


def embed(content: bytes, caption: str, alt: str) -> tuple[Picture, str]:
    """Make a figure of a drawing, an SVG file."""
    return Picture(content, 'svg+xml', alt), caption


def section(heading: str, *blocks: Optional[Block]) -> Section:
    """Put blocks under a heading; ``None`` is left out."""
    return Section(heading, [block for block in blocks if block is not None])
