"""A real Label Studio takes our project, shows it to people, and gives it back pixel by pixel."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from support.label_tools import ask, label_studio, python_of
from support.user_folder import SIZE, VALUES, write_folder

from mmseg_ext.apis.labels.exchange import Predicted
from mmseg_ext.apis.labels.merge import merge_masks
from mmseg_ext.apis.labels.project import export_project, find_unlabelled, read_finished
from mmseg_ext.apis.userdata.read import read_data_file
from mmseg_ext.core.masks import read_mask


def drawn(seed):
    """Ids of the user folder's classes, 255 for ignored, in blocks and in single pixels."""
    random = np.random.default_rng(seed)
    ids = random.choice([0, 1, 2, 255], (-(-SIZE[0] // 7), -(-SIZE[1] // 7))).astype(np.uint8)
    label = ids.repeat(7, 0).repeat(7, 1)[: SIZE[0], : SIZE[1]].copy()
    label[::9, ::4] = 1
    return label


ENCODE = """
import numpy as np
from label_studio_sdk.converter import brush
result = [brush.mask2rle(np.array(mask, np.uint8) * 255) for mask in value]
"""


@pytest.mark.slow
@pytest.mark.oracle
def test_predictions_and_a_persons_masks_come_back_from_a_server(tmp_path):
    with label_studio(tmp_path) as server:
        folder = write_folder(server.served / 'user')
        for stem in (3, 4, 5):
            (folder / f'masks/train/{stem}.png').unlink()
        data = read_data_file(folder / 'mine.yml')
        images = find_unlabelled(data)
        assert images.names == ('3.png', '4.png', '5.png')
        predicted = [Predicted(name, SIZE, drawn(int(name[0])), 0.5) for name in images.names]
        lines = export_project(
            data, images, predicted, tmp_path / 'out', version='last.pth', root=server.served
        )
        (place,) = re.findall(r'local files of (\S+) as source storage', '\n'.join(lines))
        assert Path(place) == images.folder
        project = set_up(server, tmp_path / 'out', place)
        exported = annotate(server, project, images.folder)
    (tmp_path / 'finished.json').write_bytes(exported)
    returned = read_finished(tmp_path / 'finished.json', data)
    assert returned.waiting == ['5.png']
    merged = merge_masks(data, returned.finished)
    assert sorted(merged.added) == ['3', '4']
    for stem, seed in ((3, 3), (4, 40)):  # the prediction that was accepted, and the person's own
        mask = read_mask(str(folder / f'masks/train/{stem}.png'))
        assert np.array_equal(mask, VALUES[np.minimum(drawn(seed), 3)])
    assert not (folder / 'masks/train/5.png').exists()


def set_up(server, out, place):
    """Follow the printed steps: the interface, the storage, the tasks."""
    config = (out / 'interface.xml').read_text()
    project = server.post('/api/projects', dict(title='a test', label_config=config))['id']
    storage = dict(project=project, path=place, title='images', use_blob_urls=True)
    server.post('/api/storages/localfiles', storage)
    tasks = json.loads((out / 'tasks.json').read_text())
    found = server.post(f'/api/projects/{project}/import', tasks)
    assert (found['task_count'], found['prediction_count']) == (3, 3)
    return project


def annotate(server, project, folder):
    """Accept the first prediction, paint the second image anew, leave the third; then export."""
    page = json.loads(server.get(f'/api/tasks?project={project}&fields=all&page_size=9'))
    tasks = {task['data']['name']: task for task in page['tasks']}
    assert len(tasks) == 3
    for name, task in tasks.items():  # what it shows is the file itself
        assert server.get(task['data']['image']) == (folder / name).read_bytes()
    (prediction,) = tasks['3.png']['predictions']
    assert (prediction['model_version'], prediction['score']) == ('last.pth', 0.5)
    accepted = prediction['result']
    server.post(f'/api/tasks/{tasks["3.png"]["id"]}/annotations', dict(result=accepted))
    painted = painted_by_the_sdk(drawn(40), accepted[0])
    server.post(f'/api/tasks/{tasks["4.png"]["id"]}/annotations', dict(result=painted))
    return server.get(f'/api/projects/{project}/export?exportType=JSON&download_all_tasks=true')


def painted_by_the_sdk(label, pattern):
    names = {1: 'cat', 2: 'dog', 255: 'ignored'}
    masks = [(label == index).astype(int).tolist() for index in names]
    every = ask(python_of('labelstudio'), ENCODE, masks)
    return [
        dict(pattern, id=f'own{name}', value=dict(format='rle', rle=rle, brushlabels=[name]))
        for name, rle in zip(names.values(), every)
    ]
