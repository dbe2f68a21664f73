"""Trains, forgets the last checkpoint and goes on from the one before; started by a launcher."""

import shutil
import sys
from pathlib import Path

import torch

from megactor_core.training.config.run import read_config
from megactor_core.training.distributed import join_process_group
from megactor_core.training.engine.trainer import Trainer
from megactor_core.training.tasks.registry import build_task

path, folder = Path(sys.argv[1]), Path(sys.argv[2])
config = read_config(path)
processes = join_process_group(config.device)
assert Trainer(config, build_task(config, folder), folder, processes).run()
torch.distributed.barrier()
if processes.is_main:
    shutil.rmtree(folder / "model")
    shutil.rmtree(sorted((folder / "checkpoints").iterdir())[-1])
torch.distributed.barrier()
again = Trainer(config, build_task(config, folder), folder, processes)
assert 0 < again.state.step < config.steps and again.run()
processes.end()
