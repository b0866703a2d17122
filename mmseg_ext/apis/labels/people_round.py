"""The files of a round with people, and what the rounds of a folder say of themselves.

::

    WORK_DIR/round1/asked.json      config, data set, strategy and more of the call
    WORK_DIR/round1/labelled.txt    what had masks when its training began
    WORK_DIR/round1/run/            training and test
    WORK_DIR/round1/chosen.txt      what people are to label
    WORK_DIR/round1/to_label/       project for the labelling tool
    WORK_DIR/round1/handed_over.txt how to go on: people are to label now
    WORK_DIR/round1/returned.txt    what came back: the round is over
"""

from pathlib import Path
from typing import Any, NamedTuple

from ...core.files import PathLike, read_json, write_json
from ...datasets.folder import read_list
from ..run.folder import RunFolder

_ASKED = 'asked.json'


class PeopleRound(NamedTuple):
    """One round with people; the first is number 1."""

    number: int
    folder: Path

    @property
    def run(self) -> RunFolder:
        """Its training and test."""
        return RunFolder(self.folder / 'run')

    @property
    def is_over(self) -> bool:
        """Whether masks came back."""
        return self.file('returned').is_file()

    def file(self, name: str) -> Path:
        """One of its lists: ``labelled``, ``chosen``, ``handed_over`` or ``returned``."""
        return self.folder / f'{name}.txt'

    def names(self, name: str) -> list[str]:
        """Read one of its lists; empty if it is not there yet."""
        return read_list(self.file(name)) if self.file(name).is_file() else []

    def note(self, **asked: Any) -> None:
        """Keep what the call was asked for."""
        write_json(self.folder / _ASKED, asked)

    def asked(self) -> dict[str, Any]:
        """Read what :meth:`note` kept; empty for a round of an older version.

        Raises:
            ValueError: If the file is damaged.
        """
        path = self.folder / _ASKED
        return read_json(path) if path.is_file() else {}


def people_rounds(work_dir: PathLike) -> list[PeopleRound]:
    """List the rounds with people that have begun; none for other folders."""
    found: list[PeopleRound] = []
    while True:
        one = PeopleRound(len(found) + 1, Path(work_dir, f'round{len(found) + 1}'))
        simulated = (one.folder / 'data.yml').is_file()
        if simulated or not one.file('labelled').is_file():
            return found
        found.append(one)
