"""Take one network out of a checkpoint of several: a plain segmentor's, for its plain config.

``python tools/model_converters/extract_network.py iter_4000.pth teacher.pth`` takes what is tested:
the teacher or, without one, the student; of an adversarial run, the segmentor. ``tools/test.py``
and ``tools/predict.py`` do so by themselves; other programs, and a training that is to start from
these weights, need this file.
"""

import argparse
import sys
from pathlib import Path

from mmseg_ext.apis import cli
from mmseg_ext.core.choices import NETWORKS
from mmseg_ext.core.words import message_of


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'input', metavar='IN', help='checkpoint of a semi-supervised or adversarial run'
    )
    parser.add_argument('output', metavar='OUT', type=Path, help='file to write')
    parser.add_argument('--which', choices=NETWORKS, help='network; default: what is tested')
    return cli.parse_args(parser)


def extract(source: str, which: str | None) -> tuple[str, dict]:
    """The network's name, and what its checkpoint holds: weights, and what the run said of itself.

    Raises:
        ValueError: If the file holds a single network, or not the one that is asked for.
    """
    from mmseg_ext.core.checkpoints import read_checkpoint
    from mmseg_ext.core.fitting import weights_of
    from mmseg_ext.core.semi_weights import networks_in, weights_of_network

    content = read_checkpoint(source)
    state = weights_of(content, source)
    which = which or next(iter(networks_in(state)), 'teacher')
    weights = weights_of_network(state, source, which=which)
    return which, dict(meta=content.get('meta') or {}, state_dict=weights)


def main() -> None:
    args = parse_args()
    from mmseg_ext.core.checkpoints import write_checkpoint

    try:
        which, content = extract(args.input, args.which)
        write_checkpoint(content, args.output)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {message_of(error)}')
    print(f'{args.output}: {which}, {len(content["state_dict"])} tensors')


if __name__ == '__main__':
    cli.run_tool(main)
