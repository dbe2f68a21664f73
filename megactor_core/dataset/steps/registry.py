"""From the settings of a step to the worker that does it."""

from __future__ import annotations

from functools import singledispatch
from pathlib import Path

from ..settings import (
    BackgroundSettings,
    FacesSettings,
    FrontalSettings,
    GazeSettings,
    MovesSettings,
    SampleSettings,
    StyliseSettings,
    SwapSettings,
    SyncSettings,
    ValidSettings,
    Worker,
)
from ..shards import Shard

# Each step's module is imported when it runs: none of them needs the libraries of all.


@singledispatch
def open_worker(settings: SampleSettings, shard: Shard) -> Worker:
    """Load what a step needs for the samples of one shard; a new step registers its settings here.

    Raises:
        InputError: a file, package or program of the step is missing.
    """
    raise TypeError(f"no step is registered for {type(settings).__name__}")


def check_step(settings: SampleSettings) -> None:
    """Make sure that a step can run, before any work.

    Raises:
        InputError: a missing file, package or program.
    """
    settings.check()
    if settings.needs_files:
        open_worker(settings, Shard(Path(), ()))


@open_worker.register
def _(settings: FacesSettings, shard: Shard) -> Worker:
    from .faces import FaceFinder

    return FaceFinder.from_files(settings)


@open_worker.register
def _(settings: ValidSettings, shard: Shard) -> Worker:
    from .valid import ValidFilter

    return ValidFilter(settings)


@open_worker.register
def _(settings: FrontalSettings, shard: Shard) -> Worker:
    from .frontal import FrontalFilter

    return FrontalFilter(settings)


@open_worker.register
def _(settings: MovesSettings, shard: Shard) -> Worker:
    from .moves import MovesFilter

    return MovesFilter(settings)


@open_worker.register
def _(settings: SyncSettings, shard: Shard) -> Worker:
    from .sync import SyncFilter

    return SyncFilter.from_files(settings)


@open_worker.register
def _(settings: SwapSettings, shard: Shard) -> Worker:
    from .swap import FaceSwap

    return FaceSwap(settings, shard)


@open_worker.register
def _(settings: StyliseSettings, shard: Shard) -> Worker:
    from .stylise import Styliser

    return Styliser(settings)


@open_worker.register
def _(settings: GazeSettings, shard: Shard) -> Worker:
    from .gaze import GazeFilter

    return GazeFilter.from_files(settings)


@open_worker.register
def _(settings: BackgroundSettings, shard: Shard) -> Worker:
    from .background import BackgroundMasks

    return BackgroundMasks(settings)
