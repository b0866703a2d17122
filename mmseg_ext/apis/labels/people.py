"""Rounds of active learning with people: train, choose, hand over, take masks back, again.

One command is called again and again. A call takes back what people have finished, trains on all
masks that there are, tests, chooses the next images, and writes a project for the labelling tool.
The files of a round are its state (``people_round.py``), so that a call that was stopped goes on
where it was.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from ...core.files import write_lines
from ...core.locks import locked
from ...core.progress import announce
from ...datasets.folder import read_list
from ..run.load import load_model
from ..userdata.file import DataFile
from ..userdata.read import read_data_file
from ..userdata.scan import pair_files
from .choice import choose_images
from .people_round import PeopleRound
from .predicted import predict_masks
from .project import export_project, find_unlabelled, served_below, waiting_images
from .steps import Steps
from .take_back import take_back


@dataclass(frozen=True)
class PeopleLoop:
    """Rounds in which people label what a model chooses.

    Args:
        steps: How a round is trained and tested.
        data_file: Data set file; masks that come back are put into its training split.
        work_dir: Folder of the rounds.
        strategy: Of ``STRATEGIES``.
        count: Images of a round; fewer if fewer are left.
        images: Folder of images without masks; without it that of the training split.
        kind: Labelling tool, of ``FORMATS``.
        root: Folder that Label Studio serves; without it the one above the images.
        passes: With dropout, for the scores that need it.
        seed: Of trainings and of what is drawn.
        device: That of scoring and predicting.
        command: What the user called, for the advice how to go on.
    """

    steps: Steps
    data_file: Path
    work_dir: Path
    strategy: str
    count: int
    images: Optional[Path] = None
    kind: str = 'label-studio'
    root: Optional[Path] = None
    passes: int = 10
    seed: int = 0
    device: str = 'auto'
    command: str = ''

    def run(self, finished: Optional[Path] = None) -> Optional[tuple[str, Path]]:
        """Go on until people are needed.

        Args:
            finished: What the labelling tool exported of the round that waits.

        Returns:
            ``None``, or the step of the round that failed and its log.

        Raises:
            FileNotFoundError: If a file or image is absent.
            ValueError: If what is given does not fit the round, or the data set has errors.
        """
        with locked(self.work_dir):
            one = self._current()
            waits = one.file('handed_over').is_file()
            if finished is None and waits:
                print('\n'.join(read_list(one.file('handed_over'))))
                return None
            if finished is not None:
                if not waits:
                    raise ValueError(
                        f'{self.work_dir}: no round waits for masks: leave --finished out'
                    )
                self._take_back(one, finished)
            return self._next(self._current())

    def _current(self) -> PeopleRound:
        """The first round that is not over."""
        number = 1
        while (one := PeopleRound(number, self.work_dir / f'round{number}')).is_over:
            number += 1
        return one

    def _take_back(self, one: PeopleRound, finished: Path) -> None:
        """Put masks into the data set; called again, it finds them there."""
        folders = [] if self.images is None else [self.images]
        chosen = read_list(one.file('chosen'))
        names, errors = take_back(self.data_file, finished, folders, expected=chosen)
        if errors:
            raise ValueError(
                f'{self.data_file} has errors now, see above: correct them, and call this again'
            )
        write_lines(one.file('returned'), names)

    def _next(self, one: PeopleRound) -> Optional[tuple[str, Path]]:
        data = read_data_file(self.data_file)
        waiting = waiting_images(data, folder=self.images)  # before hours of training
        if self.kind == 'label-studio':
            served_below(waiting.folder, self.root)
        self._note_labelled(one, data)
        if not one.file('chosen').is_file():
            self._note_asked(one)
        seed, title = self.seed + one.number - 1, f'round {one.number}'
        problem = self.steps.run(one.run, self.data_file, title, seed=seed)
        if problem is not None:
            return problem
        if not waiting.names:
            print('everything has labels: nothing is left to choose')
            return None
        model = load_model(
            self.steps.config, one.run.last_checkpoint(), device=self.device,
            cfg_options=self.steps.options, dataset=self.data_file,
        )  # fmt: skip
        if not one.file('chosen').is_file():
            count = min(self.count, len(waiting.names))
            announce(f'{title}: choose {count} of {len(waiting.names)}')
            choose_images(
                model, data, self.strategy, count, one.file('chosen'),
                folder=self.images, passes=self.passes, seed=seed,
            )  # fmt: skip
        self._hand_over(one, data, model)
        return None

    def _note_labelled(self, one: PeopleRound, data: DataFile) -> None:
        """Keep what a training learns from; it must not change until the training has ended."""
        path, names = one.file('labelled'), [pair.stem for pair in pair_files(data, 'train').pairs]
        begun = one.run.holds_training() and one.run.tested_with() is None
        if begun and path.is_file() and read_list(path) != names:
            raise ValueError(
                f'{data.path}: masks of train changed while {one.run.path} was trained: remove '
                f'{one.folder}, and the round starts anew'
            )
        if not one.run.holds_training():
            write_lines(path, names)

    def _note_asked(self, one: PeopleRound) -> None:
        """Keep what the page of the rounds is to say of this one, and where its images lie."""
        one.note(
            config=self.steps.config, dataset=str(self.data_file.absolute()),
            strategy=self.strategy, images=self.images and str(self.images.absolute()),
            tool=self.kind, seed=self.seed + one.number - 1, options=list(self.steps.typed),
        )  # fmt: skip

    def _hand_over(self, one: PeopleRound, data: DataFile, model: Any) -> None:
        """Write the project, and last how to go on."""
        images = find_unlabelled(data, folder=self.images, listed=one.file('chosen'))
        version = f'round{one.number}'
        lines = export_project(
            data, images, predict_masks(model, images), one.folder / 'to_label',
            kind=self.kind, version=version, root=self.root, back=f'{self.command} --finished FILE',
        )  # fmt: skip
        write_lines(one.file('handed_over'), lines)
        print('\n'.join(lines), flush=True)
