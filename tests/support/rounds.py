"""Stand-ins for the tools that rounds of active learning call, and data for them."""

import json

from mmseg_ext.apis.labels.plan import Plan
from mmseg_ext.apis.labels.rounds import Rounds
from mmseg_ext.apis.labels.subset import Pool
from mmseg_ext.apis.run.launch import Launch
from mmseg_ext.apis.userdata.read import read_data_file
from mmseg_ext.core.saved import VALIDATED
from support.checkpoints import write_whole_checkpoint
from support.tiny import write_tiny_config
from support.user_folder import write_folder

# Stands in for train.py and test.py: writes down its arguments and what the tool would leave. The
# score is that of how many images it was trained on.
FAKE = """
import json, shutil, sys
from pathlib import Path
tool, arguments = Path(sys.argv[0]).stem, sys.argv[1:]
def value(name):
    return arguments[arguments.index(name) + 1]
with open({log!r}, 'a') as log:
    log.write(json.dumps([tool, *arguments]) + '\\n')
folder, data = Path(value('--work-dir')), Path(value('--dataset'))
if Path({fail!r}).is_file() and Path({fail!r}).read_text() == tool + data.parent.name:
    sys.exit('error: on purpose')
folder.mkdir(parents=True, exist_ok=True)
if tool == 'train':
    shutil.copy({whole!r}, folder / 'iter_3.pth')
    (folder / 'last_checkpoint').write_text(str(folder / 'iter_3.pth'))
else:
    images = data.parent / 'images.txt'
    number = len(images.read_text().split()) if images.is_file() else 0
    metrics = dict(mIoU=dict(value=number / 100))
    text = json.dumps(dict(checkpoint=Path(arguments[1]).name, metrics=metrics))
    (folder / 'results.json').write_text(text)
"""


class Setup:
    """Ten training images, stand-ins, and scores that follow the names."""

    def __init__(self, folder):
        self.folder, self.work = folder, folder / 'work'
        write_folder(folder / 'data', size=(40, 40), counts=(10, 3))
        self.file = folder / 'data/mine.yml'
        self.config = write_tiny_config(folder / 'tiny.py', folder / 'unused')
        self.log, self.fail, tools = folder / 'calls.txt', folder / 'fail', folder / 'tools'
        whole = folder / 'whole.pth'
        done = dict(log_scalars={}, runtime_info={VALIDATED: 3}, resumed_keys={})
        write_whole_checkpoint(whole, iteration=3, message_hub=done)
        tools.mkdir()
        for name in ('train', 'test'):
            text = FAKE.format(log=str(self.log), fail=str(self.fail), whole=str(whole))
            (tools / f'{name}.py').write_text(text)
        self.launch = Launch(tools)

    def plan(self, **settings):
        settings = dict(dict(strategies=('entropy',), rounds=3, budget='20%'), **settings)
        return Plan(str(self.config), str(self.file), options=('max_iters=3',), **settings)

    def rounds(self, **settings):
        plan = self.plan(**settings)
        pool = Pool.of(read_data_file(self.file), plan.regions, plan.size)
        return Rounds(plan, self.work, pool, self.launch, dict(max_iters=3))

    def calls(self):
        """The calls since the last look, as (tool, round, all arguments)."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        calls = [json.loads(line) for line in lines]
        places = [call[call.index('--dataset') + 1].split('/') for call in calls]
        return [(c[0], '/'.join(p[-3:-1]), c[1:]) for c, p in zip(calls, places)]
