"""Rounds of labelling with people, as the sections of their page need them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Optional

from ...core.words import USER_ERRORS, message_of
from ...evaluation.units import counted
from ..labels.contents import new_pixels
from ..labels.exchange import match_name
from ..labels.people_round import PeopleRound
from ..labels.steps import is_finished
from ..run.outcome.results import RunResults, Score
from ..userdata.file import DataFile
from ..userdata.pairing import image_files
from ..userdata.read import read_data_file

PEOPLE = 'people'  # in the place of a strategy, which may change from round to round


@dataclass(frozen=True)
class PeopleData:
    """Rounds with people.

    Args:
        folder: Folder of the rounds.
        rounds: All that have begun, in their order.
    """

    folder: Path
    rounds: tuple[PeopleRound, ...]

    @cached_property
    def tested(self) -> dict[int, PeopleRound]:
        """Rounds that were trained and tested, by number."""
        return {one.number: one for one in self.rounds if is_finished(one.run)}

    @property
    def numbers(self) -> Sequence[int]:
        """Numbers of the rounds that have begun."""
        return [one.number for one in self.rounds]

    @property
    def finished(self) -> Mapping[str, Mapping[int, Mapping[int, PeopleRound]]]:
        """Tested rounds as of one strategy and one seed."""
        return {PEOPLE: {0: self.tested}}

    @cached_property
    def _read(self) -> dict[int, RunResults]:
        return {number: one.run.scores() for number, one in self.tested.items()}

    def results(self, one: PeopleRound) -> RunResults:
        """Return the results of a tested round."""
        return self._read[one.number]

    def score(self, one: PeopleRound) -> Optional[Score]:
        """Return the mIoU of a round; ``None`` if it is not tested or has none."""
        found = self._read[one.number].metrics.get('mIoU') if one.number in self.tested else None
        return None if found is None or found.value is None else found

    def before(self, one: PeopleRound) -> Optional[PeopleRound]:
        """Return the round before; ``None`` for the first."""
        return self.rounds[one.number - 2] if one.number > 1 else None

    def pixels(self, one: PeopleRound) -> dict[str, int]:
        """Count the pixels of each class in the masks that are new in a round; none of the first.

        What had masks at the start may be much, and was not chosen by a model.
        """
        before = self.before(one)
        return {} if before is None else new_pixels(one, before)

    def returned(self, one: PeopleRound) -> list[str]:
        """Name the chosen images that came back with a mask, in the order of the choice."""
        data, back = self._data(one), one.names('returned')
        suffixes = () if isinstance(data, str) else data.image_suffix
        chosen = one.names('chosen')
        found = {match_name(name, chosen, suffixes) for name in back}
        return [name for name in chosen if name in found]

    def images(self, one: PeopleRound) -> tuple[dict[str, str], str]:
        """Find the images that a round chose of.

        Returns:
            File of each name, and why there are none.
        """
        data = self._data(one)
        if isinstance(data, str):
            return {}, data
        folder = one.asked().get('images') or data.root / data.part('train')['images']
        try:
            if not Path(folder).is_dir():
                raise FileNotFoundError(f'{folder}: no such folder')
            return image_files(data, folder), ''
        except USER_ERRORS as error:
            return {}, message_of(error)

    def _data(self, one: PeopleRound) -> Any:
        """Read the data set file of a round; a text is the reason why there is none."""
        dataset = one.asked().get('dataset')
        if dataset is None:
            return 'an older version made this round, and did not note its data set'
        try:
            found: DataFile = read_data_file(dataset)
        except USER_ERRORS as error:
            return message_of(error)
        return found

    def state(self) -> str:
        """Say how far the rounds are."""
        last, known = self.rounds[-1], f'{counted(len(self.tested), "round")} tested'
        if last.is_over or not last.file('handed_over').is_file():
            return known
        waiting = counted(len(last.names('chosen')), 'image')
        return f'{known}; round {last.number} waits for the masks of {waiting}'
