"""Videos: frame by frame what the predictor says of each; damage; nothing half-written."""

import csv
import json
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg_ext import apis
from mmseg_ext.apis.draw.pixels import overlay
from mmseg_ext.apis.predict import video as module
from mmseg_ext.apis.predict.predictor import Prediction
from mmseg_ext.apis.predict.video import is_video, open_video
from mmseg_ext.apis.use import predictor as use_module
from mmseg_ext.apis.use.given import find_inputs

RATE, FRAMES, SIZE = 12.5, 9, (46, 62)


def _write(path, frames=FRAMES, codec='MJPG'):
    random = np.random.default_rng(1)
    coarse = random.integers(0, 256, (5, 6, 3)).astype(np.uint8)
    writer = cv2.VideoWriter(
        str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), RATE, SIZE[::-1]
    )
    for number in range(frames):
        writer.write(cv2.resize(np.roll(coarse, number, 1), SIZE[::-1]))
    writer.release()
    return path


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    return _write(tmp_path_factory.mktemp('clip') / 'ein film ü.avi')


@pytest.fixture(scope='module')
def predictor(tiny_config, random_weights, tmp_path_factory):
    path = random_weights(tiny_config, tmp_path_factory.mktemp('video') / 'w.pth')
    return apis.Predictor(tiny_config, path, device='cpu', batch=4)


def _frames(path):
    capture, found = cv2.VideoCapture(str(path)), []
    while True:
        more, bgr = capture.read()
        if not more:
            return found, capture.get(cv2.CAP_PROP_FPS)
        found.append(bgr[..., ::-1])


def test_frames_at_uneven_times_keep_their_times(predictor, tmp_path):
    path = tmp_path / 'uneven.gif'
    pages = [Image.fromarray(np.full((40, 40, 3), value, np.uint8)) for value in (0, 90, 180, 250)]
    durations = [100, 1000, 200, 100]  # milliseconds
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=durations)
    assert predictor.to_folder([path], tmp_path / 'out') == []
    rows = list(csv.DictReader((tmp_path / 'out/areas/uneven.csv').open()))
    found = {int(row['frame']): float(row['seconds']) for row in rows}
    assert found == {0: 0.0, 1: 0.1, 2: 1.1, 3: 1.3}
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=200)
    assert open_video(path).times == () and open_video(path).seconds(3) == pytest.approx(0.6)


def test_each_frame_is_predicted_as_an_image(predictor, clip, tmp_path):
    assert predictor.to_folder([clip], tmp_path, frame_masks=True) == []
    listing = json.loads((tmp_path / 'predictions.json').read_text())
    (entry,) = listing['videos']
    assert (entry['frames'], entry['frame_rate'], listing['images']) == (FRAMES, RATE, [])
    frames, _ = _frames(clip)
    painted, rate = _frames(tmp_path / entry['overlay'])
    assert len(painted) == len(frames) == FRAMES and rate == RATE
    rows = list(csv.DictReader((tmp_path / entry['areas']).open()))
    assert len(rows) == 3 * FRAMES
    results = predictor(frames)
    assert len(np.unique([result.label for result in results])) > 1
    for number, result in enumerate(results):
        mask = Image.open(tmp_path / entry['masks'] / f'{number:06d}.png')
        np.testing.assert_array_equal(np.asarray(mask), result.label)
        expected = overlay(result.picture, result.label, predictor.palette)
        assert np.abs(painted[number].astype(int) - expected).mean() < 10  # lossy
        counts = [int(row['pixels']) for row in rows[3 * number : 3 * number + 3]]
        assert counts == np.bincount(result.label.ravel(), minlength=3).tolist()
        assert float(rows[3 * number]['seconds']) == pytest.approx(number / RATE, abs=1e-3)


def test_odd_sides_grow_by_one_and_none_is_cut_off(predictor, tmp_path):
    pictures = [Image.new('RGB', (33, 21), (value, 0, 0)) for value in (0, 99, 200)]
    pictures[0].save(tmp_path / 'a.gif', save_all=True, append_images=pictures[1:], duration=100)
    assert predictor.to_folder([tmp_path / 'a.gif'], tmp_path / 'out') == []
    painted, rate = _frames(tmp_path / 'out/overlays/a.mp4')
    assert [one.shape for one in painted] == [(22, 34, 3)] * 3 and rate == 10


def test_frames_are_read_while_they_are_predicted(predictor, clip, monkeypatch):
    read, most, video = 0, 0, open_video(clip)

    def pictures(self):
        nonlocal read
        for bgr in _frames(clip)[0]:
            read += 1
            yield bgr

    monkeypatch.setattr(module.Video, 'pictures', pictures)
    for done, result in enumerate(apis_predict(predictor, video)):
        most = max(most, read - done)
        assert isinstance(result, Prediction)
    assert read == FRAMES and most <= 2


def apis_predict(predictor, video):
    from mmseg_ext.apis.predict.predictor import predict

    return predict(predictor.model, video.pictures(), batch=2)


def test_videos_are_found_and_told_from_images(clip, tmp_path, tiny_data):
    folder = tmp_path / 'in'
    folder.mkdir()
    shutil.copy(tiny_data / 'img/0.png', folder / 'film.png')
    shutil.copy(clip, folder / 'film.avi')
    shutil.copy(clip, folder / 'camera.dav')  # an ending that says nothing
    pictures = [Image.new('RGB', (8, 8), (value, 0, 0)) for value in (0, 200)]
    pictures[0].save(folder / 'still.gif')
    pictures[0].save(folder / 'moving.gif', save_all=True, append_images=pictures[1:])
    found = find_inputs([str(folder), str(folder / 'camera.dav')])
    names = ['film.avi', 'film.png', 'moving.gif', 'still.gif', 'camera.dav']
    assert [path.name for path in found] == names
    assert [is_video(path) for path in found] == [True, False, True, False, True]


def test_a_video_and_an_image_of_one_name_stay_apart(predictor, clip, tmp_path, tiny_data):
    image = tmp_path / 'a.png'
    shutil.copy(tiny_data / 'img/0.png', image)
    film = shutil.copy(clip, tmp_path / 'a.avi')
    assert predictor.to_folder([image, tmp_path / 'a.avi'], tmp_path / 'out') == []
    written = sorted(p.relative_to(tmp_path / 'out').as_posix()
                     for p in (tmp_path / 'out').rglob('*.*'))  # fmt: skip
    assert written == [
        'areas.csv', 'areas/a.avi.csv', 'masks/a.png.png', 'overlays/a.avi.mp4',
        'overlays/a.png.png', 'predictions.json',
    ]  # fmt: skip
    assert film


def test_probabilities_are_of_images_and_videos_beside_them_are_named(
    predictor, clip, tmp_path, tiny_data, monkeypatch
):
    image, film, out = tmp_path / 'a.png', tmp_path / 'a.avi', tmp_path / 'out'
    shutil.copy(tiny_data / 'img/0.png', image)
    shutil.copy(clip, film)
    told = []
    monkeypatch.setattr(use_module, 'print_log', lambda text, *_: told.append(text))
    unsure = apis.Predictor(predictor.model, passes=2)
    for one, kinds in ((predictor, ('prob',)), (unsure, ('prob', 'entropy', 'bald'))):
        shutil.rmtree(out, ignore_errors=True)
        assert one.to_folder([film, image], out, keep_prob=True) == []
        listed = json.loads((out / 'predictions.json').read_text())
        assert set(kinds) < set(listed['images'][0]) and len(listed['videos']) == 1
        assert (out / listed['videos'][0]['overlay']).is_file()
        assert [*(p.name for p in (out / 'prob').iterdir())] == ['a.png.npz']
    assert told == 2 * [
        'videos get overlays and areas alone, as probabilities and uncertainty are written of '
        f'images only: {film}'
    ]
    with pytest.raises(ValueError, match='a.avi is a video, .*leave --prob'):
        predictor.to_folder([film], out, keep_prob=True)


def test_what_a_killed_call_left_is_removed_by_the_next(predictor, clip, tmp_path, tiny_data):
    out, dead = tmp_path / 'out', 99999999
    film, image = tmp_path / 'film.avi', tmp_path / '0.png'
    shutil.copy(clip, film)
    shutil.copy(tiny_data / 'img/0.png', image)
    left = [f'overlays/.film.mp4.{dead}.part.mp4', f'areas/.film.csv.{dead}.part',
            f'masks/.0.png.{dead}.part', f'.predictions.json.{dead}.part']  # fmt: skip
    other = out / f'masks/.other.png.{dead}.part'
    for path in [*(out / name for name in left), other]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'half')
    (out / f'masks/.film.{dead}.part').mkdir()
    assert predictor.to_folder([film, image], out, frame_masks=True) == []
    hidden = [path for path in out.rglob('.*')]
    assert hidden == [other]


def _left(folder):
    return sorted(p.name for p in folder.rglob('*') if p.is_file())


def test_damage_is_one_line_and_leaves_nothing(predictor, clip, tmp_path, capfd):
    whole, out = _write(tmp_path / 'whole.mp4', 40, 'mp4v'), tmp_path / 'out'
    bad = {'empty.mp4': b'', 'words.avi': b'no film', 'cut.mp4': whole.read_bytes()[:2000]}
    bad['hole.avi'] = clip.read_bytes()[:6000] + b'\0' * 10
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    paths = [tmp_path / name for name in bad]
    failures = predictor.to_folder([*paths, clip], out)
    assert [failure.path for failure in failures] == paths
    for failure in failures:
        assert str(failure.path) in failure.reason and '\n' not in failure.reason
    assert _left(out) == sorted([
        'areas.csv', 'predictions.json', f'{clip.stem}.csv', f'{clip.stem}.mp4'])  # fmt: skip
    assert 'moov' not in capfd.readouterr().err


def test_a_stop_in_the_middle_keeps_what_was_there(predictor, clip, tmp_path, monkeypatch):
    assert predictor.to_folder([clip], tmp_path, frame_masks=True) == []
    before = _left(tmp_path)
    kept = (tmp_path / f'overlays/{clip.stem}.mp4').read_bytes()
    real, calls = predictor.model.test_step, []

    def stops(data):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(data)

    monkeypatch.setattr(predictor.model, 'test_step', stops)
    with pytest.raises(KeyboardInterrupt):
        predictor.to_folder([clip], tmp_path, frame_masks=True)
    assert _left(tmp_path) == before
    assert (tmp_path / f'overlays/{clip.stem}.mp4').read_bytes() == kept


def test_a_disk_that_fills_up_is_noticed(predictor, clip, tmp_path, monkeypatch):
    """OpenCV's writer says nothing when frames are lost."""
    real = module._Painter.write

    def loses_one(self, result):
        real(self, result)
        self.frames += self.frames == 1

    monkeypatch.setattr(module._Painter, 'write', loses_one)
    with pytest.raises(OSError, match='ein film .*mp4'):
        predictor.to_folder([clip], tmp_path)
    assert not list(tmp_path.rglob('*.mp4')) and not list(tmp_path.rglob('*.part*'))
