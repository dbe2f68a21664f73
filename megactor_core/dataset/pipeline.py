"""One step over a folder of shards: every shard a job, the manifest at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from ..errors import InputError
from .parallel import Machines, run_jobs
from .records import Record, begin_folder, end_folder, folder_history
from .shard_job import ShardJob, run_shard_job
from .shards import find_shards
from .step import SampleSettings, StepSettings

Job = TypeVar("Job")


def run_step(settings: SampleSettings, source: Path, target: Path, machines: Machines) -> dict[str, Any]:
    """Run one step; what an earlier run of the same settings has finished is not done again.

    Args:
        settings: of the step.
        source: folder of shards.
        target: folder for the new shards, empty or of an earlier run.
        machines: where the jobs run.

    Returns:
        The manifest: counts in and out, and how many were rejected and why.

    Raises:
        InputError: no shards; a target of other settings or with other files; a job that cannot be done. The
            shards that are finished by then stay.
    """
    settings.check()
    sources = find_shards([source])
    if target.resolve() == source.resolve():
        raise InputError(target, "is the --input", "Choose another --output")
    begin_folder(target, settings.step, settings.facts(), folder_history(source))
    jobs = [ShardJob(settings, path, target / path.name) for path in sources]
    return collect(run_shard_job, jobs, target, settings, machines)


def collect(
    function: Callable[[Job], tuple[str, Record]],
    jobs: Sequence[Job],
    target: Path,
    settings: StepSettings,
    machines: Machines,
    records: Mapping[str, Record] | None = None,
) -> dict[str, Any]:
    """Run the jobs of a step and count what became of their samples, also when one of them fails.

    Args:
        function: does one job; returns the shard's name and record.
        jobs: one per shard.
        target: folder that the shards are written to.
        settings: of the step.
        machines: where the jobs run.
        records: what is counted beside the shards.

    Returns:
        The manifest.

    Raises:
        InputError: see ``run_step``.
    """
    done: dict[str, Record] = {}
    try:
        results = run_jobs(function, jobs, machines, settings.gpus)
        for name, record in tqdm(results, desc=settings.step, total=len(jobs), unit="shard"):
            done[name] = record
    finally:
        manifest = end_folder(target, {**(records or {}), **done}, finished=len(done) == len(jobs))
    return manifest
