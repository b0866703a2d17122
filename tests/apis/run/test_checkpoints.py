"""Train, resume, test and infer with self-made checkpoints under ``weights_only=True``."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmseg_ext.apis.run import testing, training
from mmseg_ext.apis.run.checkpoints import check_start_weights
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.folder import RunFolder
from mmseg_ext.apis.run.options import use_details, use_voxel


def losses(folder: Path) -> dict[int, float]:
    """Loss by iteration, from the log that mmengine writes."""
    found = {}
    for file in folder.glob('*/vis_data/scalars.json'):
        for line in file.read_text().splitlines():
            values = json.loads(line)
            if 'loss' in values:
                found[values['iter']] = values['loss']
    return found


def prepare(config: Path, folder: Path) -> Config:
    cfg = load_config(config, work_dir=folder)
    cfg.experiment_name = folder.name  # two Runners within a second would share a name
    return cfg


@pytest.fixture(scope='module')
def trained(tiny_config, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('trained')
    training.train(prepare(tiny_config, folder))
    return folder


def test_loss_is_logged_for_every_iteration(trained):
    assert sorted(losses(trained)) == [1, 2, 3, 4, 5, 6]


def test_checkpoints_hold_plain_values_only(trained, python_tool):
    """A process without our packages reads every entry with torch's safe reader."""
    code = (
        'import sys, torch\n'
        'data = torch.load(sys.argv[1], weights_only=True)\n'
        'assert {"state_dict", "optimizer", "message_hub", "meta"} <= set(data), set(data)\n'
        'assert not {"mmengine", "mmseg", "mmseg_ext"} & set(sys.modules)\n'
        'print(len(data["message_hub"]["log_scalars"]["train/loss"]["values"]))'
    )
    done = python_tool('-I', '-c', code, trained / 'iter_6.pth')
    assert done.stdout.strip() == '6'


def test_resumed_run_equals_the_uninterrupted_one(trained, tiny_config, tmp_path):
    """Dropout, shuffling and momentum included: same losses, same weights, to the last bit."""
    shutil.copy(trained / 'iter_3.pth', tmp_path)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_3.pth'))
    training.train(prepare(tiny_config, tmp_path), resume=True)
    straight = losses(trained)
    assert losses(tmp_path) == {i: straight[i] for i in (4, 5, 6)}
    ours = torch.load(tmp_path / 'iter_6.pth')
    theirs = torch.load(trained / 'iter_6.pth')
    for key, value in theirs['state_dict'].items():
        assert torch.equal(ours['state_dict'][key], value), key
    history = [c['message_hub']['log_scalars']['train/loss']['values'] for c in (ours, theirs)]
    assert history[0] == history[1]


def test_testing_writes_results_with_facts(trained, tiny_config):
    metrics = testing.test(prepare(tiny_config, trained))
    results = json.loads((trained / 'results.json').read_text())
    assert results['metrics']['mIoU']['value'] == pytest.approx(metrics['mIoU'] / 100, abs=1e-12)
    facts = dict(config='tiny', init='random', seed=1, torch=torch.__version__)
    assert {k: results[k] for k in facts} == facts
    assert results['dataset'] == dict(name='BaseSegDataset', split='img', num_images=6)
    best = RunFolder(trained).best_or_last()
    assert best.name.startswith('best_mIoU') and results['checkpoint'] == best.name
    assert results['iterations'] == int(best.stem.rpartition('_')[2])
    matrix = np.array(results['confusion'])
    counts = np.load(trained / 'per_image.npz')
    assert matrix.sum() == 6 * 39 * 40  # the first row of each image is ignored
    np.testing.assert_array_equal(counts['tp'].sum(0), matrix.diagonal())
    images = (trained / 'images.csv').read_text().splitlines()
    assert [line.split(',')[0] for line in images[1:]] == counts['names'].tolist()
    confused = (trained / 'confusions.csv').read_text().splitlines()
    assert sum(int(line.split(',')[2]) for line in confused[1:]) == matrix.sum() - matrix.trace()
    assert not (trained / 'details.json').exists() and not (trained / 'volumes.csv').exists()


def test_details_are_those_of_the_last_test(trained, tiny_config):
    cfg = prepare(tiny_config, trained)
    use_details(cfg)
    use_voxel(cfg, [5, 0.5, 0.5])
    testing.test(cfg)
    details = json.loads((trained / 'details.json').read_text())
    results = json.loads((trained / 'results.json').read_text())
    matrix = np.array(results['confusion'])
    assert results['voxel_mm'] == [5, 0.5, 0.5]
    wrong = np.array(details['borders']['counts']).sum(0)
    assert wrong.tolist() == [matrix.sum(), matrix.sum() - matrix.trace()]
    objects = np.array(details['objects']['counts']).sum(1)
    np.testing.assert_array_equal(objects[:, 1:3], np.stack([matrix.sum(1), matrix.diagonal()], 1))
    assert (trained / 'objects.csv').is_file() and (trained / 'borders.csv').is_file()
    testing.test(prepare(tiny_config, trained))
    assert not list(trained.glob('details.json')) + list(trained.glob('borders.csv'))
    with pytest.raises(ValueError, match='--voxel takes three positive lengths'):
        use_voxel(cfg, [1, 0, 1])


def test_inference_with_mmseg_s_own_api(trained, tiny_config, tiny_data):
    """init_model and inference_model give what the network computes by hand."""
    import cv2
    from mmseg.apis import inference_model, init_model

    model = init_model(str(tiny_config), str(trained / 'iter_6.pth'), device='cpu')
    image = tiny_data / 'img' / '0.png'
    predicted = inference_model(model, str(image)).pred_sem_seg.data[0]
    rgb = cv2.imread(str(image))[..., ::-1].astype(np.float32)
    x = torch.from_numpy((rgb - 127.5) / 127.5).permute(2, 0, 1)[None]
    with torch.no_grad():
        logits = model.decode_head(model.backbone(x))
        logits = torch.nn.functional.interpolate(logits, size=x.shape[2:], mode='bilinear')
    assert (logits.argmax(1)[0] == predicted).float().mean() > 0.999


def test_absent_start_weights_are_named_before_anything_is_written(tiny_config, tmp_path):
    cfg = prepare(tiny_config, tmp_path / 'run')
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='none/a.pth')
    with pytest.raises(FileNotFoundError) as caught:
        training.train(cfg)
    assert str(caught.value) == (
        'none/a.pth: no such weights, which model.backbone.init_cfg names: put the file there '
        '(docs/install.md says where it comes from), set MMSEG_EXT_WEIGHTS to the folder that '
        'holds it, or start from random weights with --cfg-options model.backbone.init_cfg=None'
    )
    assert not (tmp_path / 'run').exists()


def test_start_weights_are_found_wherever_they_are_named(tmp_path):
    (tmp_path / 'a.pth').touch()
    here = dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth'))
    remote = dict(type='Pretrained', checkpoint='open-mmlab://resnet50_v1c')
    absent = dict(type='Pretrained', checkpoint='none/b.pth')
    check_start_weights(dict(init_cfg=[dict(type='Kaiming'), here], backbone=dict(init_cfg=remote)))
    with pytest.raises(FileNotFoundError, match='which model.auxiliary_head.1.init_cfg names'):
        check_start_weights(dict(auxiliary_head=[dict(init_cfg=None), dict(init_cfg=[absent])]))


@pytest.mark.parametrize('start', ["{'type':'Pretrained'}", ['dict(type=Pretrained)']])
def test_a_start_that_the_command_line_made_a_text_is_named(start):
    given = r'model\.backbone\.init_cfg must be a dict, got .*Pretrained'
    with pytest.raises(ValueError, match=given + r'.*model\.backbone\.init_cfg\.type=Pretrained'):
        check_start_weights(dict(backbone=dict(init_cfg=start)))


def test_runs_of_one_second_share_no_history(tiny_config, tmp_path):
    """mmengine names log, history and curves after config and second."""
    runners = []
    for name in 'abc':
        cfg = load_config(tiny_config, work_dir=tmp_path / name)
        runners.append(training.build_runner(cfg))
    assert len({runner.experiment_name for runner in runners}) == 3
    assert len({id(runner.message_hub) for runner in runners}) == 3
    assert len({id(runner.visualizer) for runner in runners}) == 3
