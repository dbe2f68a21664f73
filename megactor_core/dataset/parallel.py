"""Jobs on the cores of this machine, or on many machines through Ray."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from types import FrameType
from typing import Any, TypeVar

from ..errors import InputError
from ..interruption import kept_from_workers

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Executor:
    """Executor settings: processes on this machine, or a Ray cluster.

    Attributes:
        workers: processes on this machine.
        ray: address of a Ray cluster, "" for the one that ``RAY_ADDRESS`` names or else one of this machine
            alone; None: without Ray.
    """

    workers: int = 1
    ray: str | None = None


def run_jobs(
    function: Callable[[Job], Result], jobs: Sequence[Job], executor: Executor, gpus: int = 0
) -> Iterator[Result]:
    """Results of a function for every job, in the order in which they come in.

    Args:
        function: at the top of its module.
        jobs: what it is called with, one by one.
        executor: where.
        gpus: for one job, on Ray.

    Raises:
        InputError: from a job; a worker process was killed; Ray is not installed or cannot be reached.
    """
    if executor.ray is not None:
        return _on_ray(function, jobs, executor, gpus)
    if executor.workers == 1 or len(jobs) < 2:
        return map(function, jobs)
    return _on_cores(function, jobs, executor.workers)


def _on_cores(function: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> Iterator[Result]:
    # A fresh process each: a fork of one in which torch or FFmpeg has threads may hang.
    pool = ProcessPoolExecutor(min(workers, len(jobs)), get_context("spawn"), _start_worker)
    try:
        with kept_from_workers():
            submitted = [pool.submit(_work, function, job) for job in jobs]
        for done in as_completed(submitted):
            yield done.result()
    except (KeyboardInterrupt, GeneratorExit):
        # The command is stopped: what the workers are at is not waited for.
        for process in active_children():
            process.terminate()
        raise
    except BrokenProcessPool as error:
        raise InputError(
            "worker process",
            "it was killed, by hand or for want of memory",
            "Run the command again: finished shards are kept; fewer --workers need less memory",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    # A process per core: what torch and OpenCV are told before they are imported holds for them.
    os.environ.update(OMP_NUM_THREADS="1", OPENCV_FOR_THREADS_NUM="1")
    # Ended by their parent, or with it, they take half-written files along.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop_worker)
    Thread(target=_end_with_parent, daemon=True).start()


def _work(function: Callable[[Job], Result], job: Job) -> Result:
    try:
        return function(job)
    except SystemExit as stop:
        # Its files under temporary names are gone; the pool would hand it the next job.
        os._exit(int(stop.code or 0))


def _stop_worker(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _on_ray(
    function: Callable[[Job], Result], jobs: Sequence[Job], executor: Executor, gpus: int
) -> Iterator[Result]:
    try:
        import ray
    except ImportError as error:
        raise InputError("--ray", "the package ray is not installed", "Run: pip install ray") from error
    options: dict[str, Any] = {"address": executor.ray} if executor.ray else {}
    if not ray.is_initialized():
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            problem = f"there is no Ray cluster that can be reached ({str(error).splitlines()[0]})"
            raise InputError(f"--ray {executor.ray}", problem, "Start one with: ray start --head") from error
    if gpus > ray.cluster_resources().get("GPU", 0):
        raise InputError("--ray", "the cluster has no GPU, and would wait for one", "Give --device cpu")
    remote = ray.remote(num_cpus=1, num_gpus=gpus)(function)
    pending = [remote.remote(job) for job in jobs]
    try:
        while pending:
            (done,), pending = ray.wait(pending)
            yield ray.get(done)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        problem = f"Ray lost a worker ({type(error).__name__})"
        raise InputError("--ray", problem, "Run the command again: finished shards are kept") from error
    finally:
        for task in pending:
            ray.cancel(task)
