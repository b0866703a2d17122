"""What a page says, as plain values: sections of blocks, each shown by the macro of its name."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Optional, Union

Color = Sequence[int]


class Block:
    """Something that a section shows."""

    @property
    def kind(self) -> str:
        """The macro that shows it."""
        return type(self).__name__.lower()


@dataclass(frozen=True)
class Key:
    """The letter of a row, on the row's color."""

    letter: str
    color: str


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Args:
        text: As shown.
        small: Smaller lines below it.
        style: ``'soft'`` is grey, for what must not be read as sure; ``'words'`` may be broken.
    """

    text: str
    small: tuple[str, ...] = ()
    style: str = ''


@dataclass(frozen=True)
class Line:
    """A row of a table: its heading, its cells, and whether the others are compared with it."""

    name: Cell
    cells: Sequence[Cell]
    key: Optional[Key] = None
    base: bool = False


@dataclass(frozen=True)
class Picture:
    """A picture to embed.

    Args:
        content: The file.
        kind: Its media type without ``image/``.
        alt: What it shows, for those who cannot see it.
        role: ``'photo'``; ``'labels'`` may be laid over the photo of its figure.
        ground: Color behind what is transparent.
    """

    content: bytes
    kind: str
    alt: str
    role: str = ''
    ground: Optional[Color] = None

    @property
    def source(self) -> str:
        """The picture as an address."""
        return f'data:image/{self.kind};base64,{base64.b64encode(self.content).decode("ascii")}'


@dataclass(frozen=True)
class Swatch:
    """A small square of a color, where it is known, and what has it."""

    name: str
    color: Optional[Color]


@dataclass(frozen=True)
class Section:
    """Blocks under a heading."""

    heading: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """All that a page says."""

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
    """Large values beside each other: what it is, the value, a remark; the first one stands out."""

    cards: Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class Table(Block):
    """A table; ``prose`` has cells of words, not numbers."""

    head: Sequence[str]
    lines: Sequence[Line]
    label: str
    prose: bool = False

    def is_words(self, column: int) -> bool:
        """Whether a column has words, which begin at its left."""
        return any(line.cells[column - 1].style == 'words' for line in self.lines if column)


@dataclass(frozen=True)
class Facts(Block):
    """Names and values below each other."""

    facts: Mapping[str, str]


@dataclass(frozen=True)
class Figures(Block):
    """Drawings with captions, side by side where there is room."""

    figures: Sequence[tuple[Picture, str]]


@dataclass(frozen=True)
class Bar:
    """A share as a bar, with its interval; fractions."""

    value: Optional[float]
    low: Optional[float]
    high: Optional[float]
    color: str
    key: Optional[Key] = None


@dataclass(frozen=True)
class Bars(Block):
    """For each class its bars."""

    groups: Sequence[tuple[Swatch, Sequence[Bar]]]


@dataclass(frozen=True)
class Matrix(Block):
    """A square table of shares, darker for more; NaN is empty."""

    names: Sequence[str]
    shares: Sequence[Sequence[float]]
    label: str


@dataclass(frozen=True)
class Pair:
    """Pictures that belong together, and what they are."""

    title: str
    pictures: Sequence[Picture]
    key: Optional[Key] = None
    missing: str = ''


@dataclass(frozen=True)
class Example:
    """An image with what is known and predicted of it."""

    caption: str
    pairs: Sequence[Pair]
    legend: Sequence[Swatch] = ()
    warning: str = ''

    @property
    def columns(self) -> int:
        """Pairs side by side on a wide screen: five at most, rows of a figure equally full."""
        rows = -(-len(self.pairs) // 5)
        return -(-len(self.pairs) // rows)

    @property
    def bare(self) -> bool:
        """Whether no pair has two pictures: they need half of the place."""
        return all(len(pair.pictures) == 1 for pair in self.pairs)


@dataclass(frozen=True)
class Examples(Block):
    """Images, each in its figure; ``over`` says whether labels start over the photograph."""

    examples: Sequence[Example]
    over: bool = False

    @property
    def layout(self) -> str:
        """Few pairs lie flat, so that their pictures are small; single ones share a line."""
        return {1: 'one', 2: 'few'}.get(max(len(example.pairs) for example in self.examples), '')


@dataclass(frozen=True)
class Legend(Block):
    """What has which color."""

    items: Sequence[Swatch]


@dataclass(frozen=True)
class Listing(Block):
    """Short lines."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Fold(Block):
    """Blocks that can be folded away under a summary."""

    summary: str
    blocks: Sequence[Block]
    opened: bool = False
    key: Optional[Key] = None
    remark: str = ''


def table_or_facts(head: Sequence[str], lines: Sequence[Line], label: str) -> Union[Table, Facts]:
    """Lay lines out as a table, and a single one without a key as facts, which need no width."""
    if len(lines) > 1 or any(line.key for line in lines):
        return Table(head, lines, label)
    cells = [cell for line in lines for cell in line.cells]
    texts = [
        f'{cell.text} ({", ".join(cell.small)})' if cell.small else cell.text for cell in cells
    ]
    return Facts(dict(zip(head[1:], texts)))


def plain(*texts: str) -> list[Cell]:
    """Make cells of text alone."""
    return [Cell(text) for text in texts]


def embed(content: bytes, caption: str, alt: str) -> tuple[Picture, str]:
    """Make a figure of a drawing."""
    return Picture(content, 'svg+xml', alt), caption


def section(heading: str, *blocks: Optional[Block]) -> Section:
    """Put those blocks that there are under a heading."""
    return Section(heading, [block for block in blocks if block is not None])
