"""One step over a folder of shards: every shard a job, the manifest at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from ..errors import InputError
from ..weights.download import file_sha256
from .parallel import Executor, run_jobs
from .records import Record, Remark, begin_folder, end_folder, finished, folder_history
from .settings import Kept, Rejected, SampleSettings, StepSettings, digest
from .shards import BrokenSample, Shard, find_shards, open_shard, write_shard
from .steps.registry import check_step, open_worker

DAMAGED = "damaged shard"
"""Why the sample at the end of a broken shard is left out; how many came after it, nobody knows."""


@dataclass(frozen=True)
class ShardJob:
    """One step on one shard.

    Attributes:
        settings: of the step.
        source: the shard that is read.
        target: the shard that is written.
    """

    settings: SampleSettings
    source: Path
    target: Path


def run_shard_job(job: ShardJob) -> tuple[str, Record]:
    """Do the job, unless it is done already.

    Returns:
        The name of the shard, and what became of it.

    Raises:
        InputError: the shard cannot be read, the result cannot be written, or the step cannot run.
    """
    name = job.target.name
    work = digest(job.settings.step, job.settings.facts(), file_sha256(job.source))
    done = finished(job.target, work)
    if done is not None:
        return name, done
    shard = open_shard(job.source)
    rejected: list[Remark] = []
    noted: list[Remark] = []
    if shard.damage:
        rejected.append((name, DAMAGED, f"{job.source} {shard.damage}"))
    kept = 0
    with write_shard(job.target) as writer:
        for key, result in _results(job.settings, shard, rejected):
            writer.write(key, result.sample)
            kept += 1
            if result.note:
                noted.append((key, result.note, result.detail))
    record = Record(work, job.target.stat().st_size, kept + len(rejected), kept, rejected, noted)
    record.write(job.target)
    return name, record


def _results(settings: SampleSettings, shard: Shard, rejected: list[Remark]) -> Iterator[tuple[str, Kept]]:
    worker = open_worker(settings, shard)
    for entry in shard.entries:
        try:
            yield entry.key, worker(entry)
        except Rejected as error:
            rejected.append((entry.key, error.reason, error.detail))
        except BrokenSample as error:
            rejected.append((entry.key, "broken sample", str(error)))


Job = TypeVar("Job")


def run_step(settings: SampleSettings, source: Path, target: Path, executor: Executor) -> dict[str, Any]:
    """Run one step; what an earlier run of the same settings has finished is not done again.

    Args:
        settings: of the step.
        source: folder of shards.
        target: folder for the new shards, empty or of an earlier run.
        executor: where the jobs run.

    Returns:
        The manifest: counts in and out, and how many were rejected and why.

    Raises:
        InputError: no shards; a target of other settings or with other files; a job that cannot be done. The
            shards that are finished by then stay.
    """
    check_step(settings)
    sources = find_shards([source])
    if target.resolve() == source.resolve():
        raise InputError(target, "is the --input", "Choose another --output")
    begin_folder(target, settings.step, settings.facts(), folder_history(source))
    jobs = [ShardJob(settings, path, target / path.name) for path in sources]
    return collect(run_shard_job, jobs, target, settings, executor)


def collect(
    function: Callable[[Job], tuple[str, Record]],
    jobs: Sequence[Job],
    target: Path,
    settings: StepSettings,
    executor: Executor,
    records: Mapping[str, Record] | None = None,
) -> dict[str, Any]:
    """Run the jobs of a step and count what became of their samples, also when one of them fails.

    Args:
        function: does one job; returns the shard's name and record.
        jobs: one per shard.
        target: folder that the shards are written to.
        settings: of the step.
        executor: where the jobs run.
        records: what is counted beside the shards.

    Returns:
        The manifest.

    Raises:
        InputError: see ``run_step``.
    """
    done: dict[str, Record] = {}
    try:
        results = run_jobs(function, jobs, executor, settings.gpus)
        for name, record in tqdm(results, desc=settings.step, total=len(jobs), unit="shard"):
            done[name] = record
    finally:
        manifest = end_folder(target, {**(records or {}), **done}, finished=len(done) == len(jobs))
    return manifest
