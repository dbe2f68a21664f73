"""One step on one shard: the unit of work, on this machine or another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..weights.download import file_sha256
from .records import Record, Remark, finished
from .shards import BrokenSample, Shard, open_shard, write_shard
from .step import Kept, Rejected, SampleSettings, digest

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
    worker = settings.open(shard)
    for entry in shard.entries:
        try:
            yield entry.key, worker(entry)
        except Rejected as error:
            rejected.append((entry.key, error.reason, error.detail))
        except BrokenSample as error:
            rejected.append((entry.key, "broken sample", str(error)))
