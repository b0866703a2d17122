"""A round's training and test, by the tools that a user would call."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from mmengine.config import Config

from ...core.progress import announce
from ..run.config import load_config
from ..run.folder import RunFolder
from ..run.launch import Launch, option_arguments


@dataclass(frozen=True)
class Steps:
    """Trains and tests a config, as far as it is not done.

    Args:
        config: As given to the tools.
        launch: How the tools are started.
        typed: ``--cfg-options``, as typed.
        options: The same, as read.
        flags: Further words for the training, such as ``--amp``.
    """

    config: str
    launch: Launch
    typed: tuple[str, ...] = ()
    options: Optional[dict] = None
    flags: tuple[str, ...] = ()

    def run(
        self,
        folder: RunFolder,
        dataset: Path,
        title: str,
        *,
        seed: int = 0,
        start: Optional[Path] = None,
    ) -> Optional[tuple[str, Path]]:
        """Train and test in a folder.

        Args:
            folder: Of the run; a training that was stopped goes on.
            dataset: Data set file.
            title: Printed before each step.
            seed: Of the training.
            start: Checkpoint to start from, in place of the config's own start.

        Returns:
            ``None`` if both steps are done, else the step that failed and its log.
        """
        if is_finished(folder):
            announce(f'{title}: finished already, see {folder.path}')
            return None
        shared = ['--work-dir', str(folder.path), '--dataset', str(dataset)]
        if not folder.is_trained(self._config_of(folder, dataset)):
            resumed = folder.resumable().path
            words = [*shared, *self._training(seed, start, resumed is not None)]
            note = '' if resumed is None else f' from {resumed.name}'
            if not self._call('train', words, f'{title}: train{note}', folder):
                return 'train', folder.log_file('train')
        words = [str(folder.last_checkpoint()), *shared, *option_arguments(self.typed)]
        if not self._call('test', words, f'{title}: test', folder):
            return 'test', folder.log_file('test')
        return None

    def _call(self, tool: str, words: Sequence[str], title: str, folder: RunFolder) -> bool:
        command = self.launch.command(tool, self.config, *words)
        return self.launch.run(command, title, folder.log_file(tool)) == 0

    def _training(self, seed: int, start: Optional[Path], resume: bool) -> list[str]:
        options = list(self.typed)
        if resume:  # mmengine would resume from load_from, which is where the training started
            options.append('load_from=None')
        elif start is not None:
            options.append(f'load_from={start}')
        flags = [*self.flags, *(['--resume'] if resume else [])]
        return ['--seed', str(seed), *flags, *option_arguments(options)]

    def _config_of(self, folder: RunFolder, dataset: Path) -> Config:
        return load_config(self.config, options=self.options, work_dir=folder.path, dataset=dataset)


def is_finished(folder: RunFolder) -> bool:
    """Whether a round was tested with its last checkpoint."""
    tested = folder.tested_with()
    try:
        return tested is not None and tested == folder.last_checkpoint().name
    except FileNotFoundError:  # the weights were deleted to save space: the results still hold
        return tested is not None
