"""One step over a folder of shards: every shard a job, the manifest at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from ..errors import InputError
from .parallel import Machines, run_jobs
from .records import Record, begin_folder, end_folder, folder_history
from .shard_job import ShardJob, run_shard_job
from .shards import find_shards
from .step import StepSettings

T = TypeVar("T")


def run_step(settings: StepSettings, source: Path, target: Path, machines: Machines) -> dict[str, Any]:
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
    return collect(settings, target, jobs, machines)


def collect(
    settings: StepSettings, target: Path, jobs: Sequence[ShardJob], machines: Machines
) -> dict[str, Any]:
    """Run jobs and count what became of their samples, also when one of them fails."""
    records: dict[str, Record] = {}
    try:
        results = run_jobs(run_shard_job, jobs, machines, settings.gpus)
        for name, record in progress(results, len(jobs), settings.step):
            records[name] = record
    finally:
        manifest = end_folder(target, records, finished=len(records) == len(jobs))
    return manifest


def progress(results: Iterable[T], total: int, name: str) -> Iterable[T]:
    """A bar over shards."""
    return tqdm(results, desc=name, total=total, unit="shard")
