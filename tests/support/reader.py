"""A checkout as a reader has it, with little data, in which the commands of the documents are run.

What the documents name in capitals, or as somebody's folders, is there under that name or has an
entry in ``PLACES``. Crops and tables are small; the words of a command change in its length only.
"""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from .documents import marked_commands
from .paths import ROOT
from .warm import WarmPython

CLASSES = 'Sky Building Pole Road Pavement Tree SignSymbol Fence Car Pedestrian Bicyclist'.split()
CONFIG = 'configs/survey/deeplabv3plus_mobilenetv2_scratch_camvid180.py'
FOLDS = 'configs/mfp/mfp_mobilenetv2_bmseg.py'  # folds need a data set with lists
SIZE = (48, 64)  # H and W of all images
PLACES = {'CONFIG': CONFIG, 'CHECKPOINT': 'last.pth',
          'configs/PAPER': 'configs/survey', 'configs/<paper>': 'configs/survey'}  # fmt: skip
# in all configs: small crops, no workers, one of Xception's sixteen middle blocks
SMALLER = {
    r'(crop_size|_crop) ?= ?\(\d+, \d+\)': r'\1=(64, 64)',
    r'num_workers=\d+': 'num_workers=0',
    r"type='XceptionDeepLab'": "type='XceptionDeepLab', num_middle_blocks=1",
}
LONG = ('train', 'kfold', 'table', 'active_learning')  # tools that get a length


# --- data -----------------------------------------------------------------------------------------


def write_pairs(images: Path, masks: Path, names: list, classes: int, **how: str) -> None:
    """Images whose brightness gives the class away, and masks in blocks, of some names."""
    random = np.random.default_rng(len(names))
    for folder in (images, masks):
        folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        mask = random.integers(0, classes, (6, 8)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
        noise = random.integers(0, 20, (*SIZE, 3))
        image = (mask[..., None] * (230 // classes) + noise).astype(np.uint8)
        Image.fromarray(image).save(images / f'{name}{how.get("image", ".jpg")}')
        Image.fromarray(mask * np.uint8(how.get('white', 1))).save(masks / f'{name}.png')


def _numbers(prefix: str, count: int) -> list[str]:
    return [f'{prefix}{index:02d}' for index in range(count)]


def write_camvid(folder: Path, splits: Path) -> None:
    """Twelve images to train on, four of them with labels in the lists of an eighth."""
    for split, names in dict(train=_numbers('a', 12), val=_numbers('v', 3),
                             test=_numbers('t', 3)).items():  # fmt: skip
        write_pairs(folder / 'img_dir' / split, folder / 'ann_dir' / split, names, 11)
    (splits / 'labelled_1_8.txt').write_text('\n'.join(_numbers('a', 4)))
    (splits / 'unlabelled_1_8.txt').write_text('\n'.join(_numbers('a', 12)[4:]))


def write_voc(folder: Path) -> None:
    lists = folder / 'ImageSets/Segmentation'
    lists.mkdir(parents=True)
    names = dict(train=_numbers('2007_0000', 6), val=_numbers('2008_0000', 3))
    for split, part in dict(names, trainval=[*names['train'], *names['val']], aug=[]).items():
        (lists / f'{split}.txt').write_text('\n'.join(part))
    everything = [*names['train'], *names['val']]
    write_pairs(folder / 'JPEGImages', folder / 'SegmentationClass', everything, 21)
    (folder / 'SegmentationClassAug').mkdir()


def _write_video(path: Path) -> None:
    import cv2

    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 5, SIZE[::-1])
    for frame in np.random.default_rng(0).integers(0, 256, (3, *SIZE, 3)).astype(np.uint8):
        video.write(frame)
    video.release()
    assert path.stat().st_size


def write_weights(folder: Path) -> None:
    """Start weights under the names that configs give: random, in the right shapes."""
    import torch
    from mmseg.models.backbones import MobileNetV2

    folder.mkdir()
    state = {f'backbone.{key}': value for key, value in MobileNetV2().state_dict().items()}
    torch.save(dict(state_dict=state), folder / 'mobilenet_v2_imagenet.pth')
    layers: list = []
    channels = 3
    for count, width in zip((2, 2, 3, 3, 3), (64, 128, 256, 512, 512)):
        for _ in range(count):
            layers += [torch.nn.Conv2d(channels, width, 3), torch.nn.BatchNorm2d(width),
                       torch.nn.ReLU()]  # fmt: skip
            channels = width
        layers.append(torch.nn.MaxPool2d(2))
    state = torch.nn.Sequential(*layers).state_dict(prefix='features.')
    torch.save(state, folder / 'vgg16_bn-6c64b313.pth')


# --- the checkout ---------------------------------------------------------------------------------


def copy_checkout(folder: Path) -> None:
    """What git knows or would take, as it is now."""
    listed = subprocess.run(
        ['git', 'ls-files', '-co', '--exclude-standard'], cwd=ROOT, capture_output=True, check=True
    )
    for name in listed.stdout.decode().splitlines():
        if (ROOT / name).is_file() and not name.startswith('tests/'):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def make_small(configs: Path) -> None:
    """Crops of 64x64, one seed, two folds; of tables the baseline and the rows of commands."""
    for path in configs.rglob('*.py'):
        text = path.read_text()
        for pattern, small in SMALLER.items():
            text = re.sub(pattern, small, text)
        path.write_text(text)
    texts = ' '.join(command.text for command in marked_commands() if not command.reason)
    for path in configs.glob('*/tables.yml'):
        content = yaml.safe_load(path.read_text())
        tables = content['tables'].values()
        for protocol in (content['protocol'], *(t.get('protocol', {}) for t in tables)):
            protocol.update(dict(seeds=[0]), **(dict(folds=2) if protocol.get('folds') else {}))
        for table in tables:
            kept = {table.get('baseline') or table['rows'][0]['label']}
            kept |= {row['label'] for row in table['rows'] if f'"{row["label"]},' in texts}
            kept |= {row['label'] for row in table['rows'] if f',{row["label"]}"' in texts}
            table['rows'] = [row for row in table['rows'] if row['label'] in kept]
        path.write_text(yaml.safe_dump(content, sort_keys=False))


class Reader:
    """A reader's checkout, and how the reader's commands are run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.pristine = folder / 'here', folder / 'pristine'
        self.folder.mkdir()
        self.env = {**os.environ, 'PYTHONPATH': str(self.folder), 'OMP_NUM_THREADS': '1',
                    'MMSEG_EXT_PROGRESS': '0'}  # fmt: skip
        for name in ('MMSEG_EXT_DATA', 'MMSEG_EXT_WEIGHTS'):
            self.env.pop(name, None)
        self.warm = WarmPython(self.env)

    def prepare(self) -> None:
        """Make the checkout, the data that documents speak of, and a model trained on them."""
        copy_checkout(self.folder)
        make_small(self.folder / 'configs')
        write_weights(self.folder / 'weights')
        data = self.folder / 'data'
        write_camvid(data / 'camvid', self.folder / 'configs/_base_/splits/camvid')
        write_voc(data / 'VOCdevkit/VOC2012')
        shutil.copytree(data / 'VOCdevkit/VOC2012', data / 'voc12_subset')
        write_pairs(data / 'vertebra_ct/images/train', data / 'vertebra_ct/masks/train',
                    _numbers('c', 4), 2, white=255)  # fmt: skip
        write_pairs(data / 'vertebra_ct/images/val', data / 'vertebra_ct/masks/val',
                    _numbers('d', 2), 2, white=255)  # fmt: skip
        self._write_own()
        run = self.folder / 'work_dirs' / Path(CONFIG).stem
        self.check(f'python tools/train.py {CONFIG}')
        self.check(f'python tools/test.py {CONFIG}')
        shutil.copy(next(run.glob('iter_*.pth')), self.folder / 'last.pth')
        for name in ('A', 'B'):
            shutil.copytree(run, run.with_name(name), copy_function=_kept)
        run.with_name('NAME').symlink_to(run)
        shutil.copytree(self.folder, self.pristine, symlinks=True, copy_function=_kept)

    def restore(self) -> None:
        """Make the checkout what it was before the commands of a page."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.pristine, self.folder, symlinks=True, copy_function=_kept)

    def _write_own(self) -> None:
        """Somebody's files: a folder, photographs, images without labels, masks of scans."""
        here = self.folder
        for folder in (here.parent / 'streets', here / 'FOLDER'):
            write_pairs(folder / 'photos', folder / 'masks', _numbers('s', 10), 11)
            (folder / 'classes.txt').write_text('\n'.join(CLASSES))
        for name, masks in dict(photos='MASKS', unlabelled='spare', new='spare').items():
            write_pairs(here / name, here / masks, _numbers(name[0], 24), 11)
        _write_video(here / 'drive.mp4')
        write_pairs(here / 'scans/a', here / 'spare', ['scan'], 11, image='.tif')
        scans = [f'{patient}_{index}' for patient in range(6) for index in range(2)]
        write_pairs(here / 'IMAGES', here / 'lesions', scans, 2, image='.png')
        (here / 'MASKS_OF_SCANS').mkdir()
        lines = ['stem,patient', *(f'{stem},{stem[0]}' for stem in scans)]
        (here / 'PATIENTS.csv').write_text('\n'.join(lines))
        for stem in scans:
            mask = np.asarray(Image.open(here / f'lesions/{stem}.png')) * np.uint8(255)
            Image.fromarray(mask).save(here / f'MASKS_OF_SCANS/{stem}.png')
        self.check('python tools/dataset_converters/bmseg.py IMAGES MASKS_OF_SCANS data/bmseg '
                   '--patients PATIENTS.csv')  # fmt: skip
        self.check('python tools/dataset.py init ../streets')
        with open(here / 'my_data.yml', 'a') as file:
            print(f'unlabelled: {{images: "{here}/unlabelled"}}', file=file)

    @contextlib.contextmanager
    def without_data_file(self) -> Iterator[None]:
        """For a reader who has no ``my_data.yml`` yet; afterwards the one of before is back."""
        names = ('my_data.yml', 'my_data_splits')
        for name in names:
            (self.folder / name).rename(self.folder / f'kept_{name}')
        yield
        for name in names:
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).unlink(missing_ok=True)
            (self.folder / f'kept_{name}').rename(self.folder / name)

    # --- running ----------------------------------------------------------------------------------

    def check(self, command: str) -> str:
        """Run a command; its output.

        Raises:
            AssertionError: If it fails.
        """
        status, output = self.run(command)
        assert status == 0, f'{command}\nended with {status}\n{output[-3000:]}'
        return output

    def run(self, command: str, places: dict | None = None) -> tuple[int, str]:
        """Status and output of a command, its places filled in and a training kept short."""
        words = self._words(command, places or {})
        if '|' in command or words[0] == 'bash':
            text = ' '.join(words) if words[0] == 'bash' else command
            text = f'PATH={Path(sys.executable).parent}:$PATH; {text}'
            done = self._subprocess('bash', '-c', text)
        elif words[1] == 'tools/serve.py':
            return self._serve(words)
        elif words[1].endswith('.py'):
            done = self.warm.run(words[1:], timeout=600, cwd=str(self.folder), env=self.env)
        else:
            done = self._subprocess(sys.executable, *words[1:])
        return done.returncode, done.stdout + done.stderr

    def _subprocess(self, *words: str) -> subprocess.CompletedProcess:
        place = dict(cwd=self.folder, env=self.env, timeout=600)
        return subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, **place
        )

    def _words(self, command: str, places: dict) -> list[str]:
        places = {**PLACES, **places}
        return short([places.get(word, word) for word in shlex.split(command)])

    def _serve(self, words: list[str]) -> tuple[int, str]:
        """Start a server on a free port, ask it for its page, and end it by a signal."""
        words = [*words, *([] if '--port' in words else ['--port', '0'])]
        streams = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        place = dict(cwd=self.folder, env=self.env)
        with subprocess.Popen([sys.executable, *words[1:]], **streams, **place) as server:
            late, lines = threading.Timer(300, server.kill), []
            late.start()
            for line in server.stdout:
                lines.append(line)
                if found := re.search(r'http://[\d.:]+/', line):
                    with urllib.request.urlopen(found[0], timeout=60) as page:
                        assert b'<html' in page.read()
                    server.send_signal(signal.SIGTERM)
            server.wait(60)
            late.cancel()
        text = ''.join(lines)
        return int('http://' not in text or server.returncode != 128 + signal.SIGTERM), text

    def close(self) -> None:
        self.warm.stop()


def _kept(source: str, target: str) -> None:
    """Copy a file, or link it if it is of weights, which are replaced and never changed."""
    (os.link if source.endswith('.pth') else shutil.copy2)(source, target)


def short(words: list[str]) -> list[str]:
    """The words of a command with two folds, and two iterations of two images, for its length."""
    tool = next((Path(word).stem for word in words[:2] if word.startswith('tools/')), '')
    tool = {'dist_train': 'train', 'dist_test': 'test'}.get(tool, tool)
    if '--num-folds' in words:
        words[words.index('--num-folds') + 1] = '2'
    if tool not in LONG or '--report' in words:
        return words
    steps = words[words.index('--accumulate') + 1] if '--accumulate' in words else 2
    length = [f'max_iters={steps}', 'train_dataloader.batch_size=2']
    words = [word for word in words if not word.startswith(('max_iters=', 'train_dataloader.'))]
    if '--cfg-options' in words:
        at = words.index('--cfg-options') + 1
        return [*words[:at], *length, *words[at:]]
    return [*words, '--cfg-options', *length]
