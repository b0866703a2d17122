"""Which of a folder of images people should label next, by a trained model."""

from typing import Any, Optional

from ...core.files import PathLike, write_lines
from ..userdata.file import DataFile
from ..userdata.scan import pair_files
from .candidates import Candidates, check_count
from .pool import ScorePool, without_labels
from .project import find_unlabelled
from .select import choose
from .strategies import STRATEGIES


def choose_images(
    model: Any,
    data: DataFile,
    strategy: str,
    count: int,
    out: PathLike,
    *,
    folder: Optional[PathLike] = None,
    passes: int = 10,
    seed: int = 0,
) -> list[str]:
    """Choose images that have no mask, and write their names to a list.

    Args:
        model: From ``load_model``.
        data: The data set; what has a mask in its training split is left out.
        strategy: Of ``STRATEGIES``.
        count: How many images.
        out: List to write, one name a line.
        folder: Of the images; without it that of the training split.
        passes: With dropout, for the scores that need it.
        seed: Of whatever is drawn.

    Returns:
        The names.

    Raises:
        ValueError: If more are asked for than there are.
    """
    # what is chosen is compared by pixels when it is handed over
    images = find_unlabelled(data, folder=folder, by_pixels=False)
    files = dict(zip(images.stems(data.image_suffix), map(str, images.paths)))
    check_count(list(files), count)
    how = STRATEGIES[strategy]
    candidates = Candidates(tuple(files))
    if how.score is not None:
        known = {}
        if how.with_labelled:
            pairs = pair_files(data, 'train').pairs
            known = {f'labelled:{pair.stem}': pair.image for pair in pairs}
        score = ScorePool(model, how.score, passes=passes, seed=seed)
        candidates = without_labels(score({**files, **known}), set(known))
    chosen = choose(how.selector, candidates, count, seed=seed)
    write_lines(out, chosen)
    return chosen
