"""Run tools in forks of one process that has imported the package: an import takes seconds.

Reads requests of one JSON line, ``{arguments, cwd, env, out, err}``, and answers each with the exit
status. A tool sees what it would see in a process of its own, but the imports are done.
"""

import gc
import json
import os
import random
import runpy
import sys
from pathlib import Path

import matplotlib.pyplot  # noqa: F401  what follows is the work that all tools share
import numpy as np
import torch._dynamo  # noqa: F401  by the first step of an optimiser

import mmseg_ext  # noqa: F401


def serve() -> dict:
    """Answer until the input ends; return, in a child, the request that it is to run."""
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            return request
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(status, flush=True)
    sys.exit()


def run(request: dict) -> None:
    for stream, name in ((1, 'out'), (2, 'err')):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(request['cwd'])
    os.environ.clear()
    os.environ.update(request['env'])
    random.seed()  # the children would share the server's state
    np.random.seed()
    sys.argv = request['arguments']
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    runpy.run_path(sys.argv[0], run_name='__main__')


if __name__ == '__main__':
    gc.freeze()  # what is imported is no garbage: a collection need not look at it again
    run(serve())
