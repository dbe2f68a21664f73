"""From videos to shards: shots are found, cut to clips with their sound, encoded alike."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ..errors import InputError
from ..media.reading import VIDEO_SUFFIXES, open_driving
from ..media.source import DrivingSource
from ..media.timing import exact_frame_rate
from ..vision.cuts import find_cuts
from .clip_file import encode_clip
from .parallel import Executor, run_jobs
from .records import MANIFEST, Record, Remark, begin_folder, finished, read_manifest, write_json
from .runner import collect
from .settings import PackSettings, digest
from .shards import CLIP, METADATA, name_bytes, write_shard
from .sound import sound_facts

UNREADABLE = "unreadable video"
SHOTS = "shots"
"""Folder in the output that keeps what was found in each video, so that it is looked for once."""


@dataclass(frozen=True)
class Shot:
    """A clip to be: frames ``start`` to before ``stop`` of a video, ``name`` below the input folder."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class VideoJob:
    """Find the shots of one video; what is found is kept in ``target``."""

    settings: PackSettings
    folder: Path
    name: str
    target: Path


@dataclass(frozen=True)
class PackJob:
    """Encode the clips of one shard."""

    settings: PackSettings
    folder: Path
    shots: tuple[Shot, ...]
    target: Path


def pack(settings: PackSettings, source: Path, target: Path, executor: Executor) -> dict[str, Any]:
    """Cut all videos of a folder into clips and pack them; see ``runner.run_step`` for what is returned.

    Files that are no videos by their names are counted in the manifest as ``passed_over``, by their suffix.

    Args:
        settings: lengths, size, rate.
        source: folder of videos; folders in it count.
        target: folder for the shards, empty or of an earlier run on the same videos.
        executor: where the jobs run.

    Raises:
        InputError: no videos; a target of other settings or videos, or with other files; a full disk.
    """
    names, others = list_videos(source)
    sizes = [[name, (source / name).stat().st_size] for name in names]
    facts = {**settings.facts(), "videos": {"number": len(names), "digest": digest(sizes)}}
    begin_folder(target, settings.step, facts)
    passed_over = dict(Counter(Path(name).suffix.lower() for name in others).most_common())
    write_json(target / MANIFEST, {**(read_manifest(target) or {}), "passed_over": passed_over})
    (target / SHOTS).mkdir(exist_ok=True)
    videos = [VideoJob(settings, source, name, target / SHOTS / f"{_slug(name)}.json") for name in names]
    looked_at = run_jobs(find_shots, videos, executor)
    found = dict(tqdm(looked_at, desc="shots", total=len(videos), unit="video"))
    # Clips of one video stay together, so that it is opened once; the videos are mixed.
    order = np.random.default_rng(0).permutation(len(names))
    shots = [shot for index in order for shot in found[names[index]][0]]
    count = settings.clips_per_shard
    jobs = [
        PackJob(settings, source, tuple(shots[first : first + count]), target / f"{first // count:05d}.tar")
        for first in range(0, len(shots), count)
    ]
    return collect(pack_shard, jobs, target, settings, executor, {"videos": _video_record(found)})


def list_videos(folder: Path) -> tuple[list[str], list[str]]:
    """Files in a folder and below whose names are those of videos, and the others; hidden ones are neither.

    Returns:
        Two lists of paths relative to the folder, sorted.

    Raises:
        InputError: no such folder, or no videos in it.
    """
    if not folder.is_dir():
        raise InputError(folder, "there is no such folder", "Give a folder of videos as --input")
    names: list[str] = []
    others: list[str] = []
    for path in folder.rglob("*"):
        # A name that begins with a dot is a file that was being written when its writer was killed.
        if path.name[0] != "." and path.is_file():
            kind = names if path.suffix.lower() in VIDEO_SUFFIXES else others
            kind.append(path.relative_to(folder).as_posix())
    if not names:
        raise InputError(folder, "holds no videos", f"Give a folder with {', '.join(VIDEO_SUFFIXES)}")
    return sorted(names), sorted(others)


def find_shots(job: VideoJob) -> tuple[str, tuple[list[Shot], list[Remark]]]:
    """Clips of one video, and why there are not more of them."""
    if job.target.is_file():
        shots, remarks = json.loads(job.target.read_text(encoding="utf-8"))
        return job.name, ([Shot(**shot) for shot in shots], [tuple(remark) for remark in remarks])
    try:
        source = open_driving(job.folder / job.name)
        cuts = find_cuts(image for _, _, image in source.frames())
    except InputError as error:
        result: tuple[list[Shot], list[Remark]] = ([], [(job.name, UNREADABLE, error.problem)])
    else:
        result = _cut(job.settings, job.name, source, cuts)
    write_json(job.target, [[asdict(shot) for shot in result[0]], result[1]])
    return job.name, result


def _cut(
    settings: PackSettings, name: str, source: DrivingSource, cuts: Sequence[int]
) -> tuple[list[Shot], list[Remark]]:
    """Shots as clips of allowed length: long ones in equal pieces."""
    shots: list[Shot] = []
    short: list[Remark] = []
    times = source.frame_times
    for begin, end in zip([0, *cuts], [*cuts, source.num_frames], strict=True):
        seconds = float(times.time(end) - times.time(begin))
        if seconds < settings.minimum_seconds:
            short.append((name, "shot too short", f"frames {begin} to {end - 1}, {seconds:.2f} s"))
            continue
        pieces = math.ceil(seconds / settings.maximum_seconds - 1e-6)
        wanted = np.linspace(float(times.time(begin)), float(times.time(end)), pieces + 1)[1:-1]
        begins = [float(times.time(index)) for index in range(begin, end)]
        nearest = np.searchsorted(begins, wanted - float(1 / source.frame_rate) / 2)
        # A frame that is held for longer than a piece takes all of it, or of several.
        edges = sorted({begin, *(begin + nearest).tolist(), end})
        shots += [Shot(name, *pair) for pair in pairwise(edges)]
    return shots, short


def _video_record(found: dict[str, tuple[list[Shot], list[Remark]]]) -> Record:
    rejected = [remark for _, remarks in found.values() for remark in remarks]
    return Record("", 0, len(rejected), 0, rejected, [])


def pack_shard(job: PackJob) -> tuple[str, Record]:
    """Encode the clips of one shard, unless that is done already."""
    sizes = {shot.name: (job.folder / shot.name).stat().st_size for shot in job.shots}
    # Clips that were packed without their sound are packed again.
    work = digest(job.settings.facts(), [asdict(shot) for shot in job.shots], sizes, "sound")
    done = finished(job.target, work)
    if done is not None:
        return job.target.name, done
    sources: dict[str, DrivingSource] = {}
    rejected: list[Remark] = []
    noted: list[Remark] = []
    with write_shard(job.target) as writer:
        for shot in job.shots:
            path = job.folder / shot.name
            try:
                if shot.name not in sources:
                    sources = {shot.name: open_driving(path)}
                key, sample = _clip(job.settings, shot, sources[shot.name])
            except InputError as error:
                if error.subject != str(path):
                    raise  # the disk is full, say: no fault of the video
                rejected.append((shot.name, UNREADABLE, error.problem))
                continue
            writer.write(key, sample)
            noted += [(key, note, shot.name) for note in sources[shot.name].notes]
    count = len(job.shots)
    record = Record(work, job.target.stat().st_size, count, count - len(rejected), rejected, noted)
    record.write(job.target)
    return job.target.name, record


def _clip(settings: PackSettings, shot: Shot, source: DrivingSource) -> tuple[str, dict[str, bytes]]:
    """Key and parts of one clip."""
    rate = exact_frame_rate(settings.frame_rate)
    part = source.part(shot.start, shot.stop)
    scale = min(1.0, settings.shortest_side / min(source.width, source.height))
    size = (round(source.height * scale), round(source.width * scale))
    # More than the most only where a single frame is held for longer.
    longest = Fraction(settings.maximum_seconds) + 1 / rate
    count = max(1, math.floor(min(part.duration, longest) * rate))
    # Sound stays in the clip's file: its packets are copied where MP4 knows their codec, so that nothing is
    # lost, and begin and end with the picture. Every player plays such a clip, and programs that read clips,
    # as one that swaps faces does, take picture and sound in step.
    clip = encode_clip(_resampled(part, rate, count, size), size, rate, part.sound, part.sound_start)
    folder, _, _ = shot.name.rpartition("/")
    metadata = {
        "source": shot.name,
        "first_frame": shot.start,
        "frames": count,
        "frame_rate": float(rate),
        "size": [size[0] + size[0] % 2, size[1] + size[1] % 2],
        "identity": folder if settings.identity == "folder" and folder else shot.name,
        "sound": sound_facts(clip),
        "sha256": hashlib.sha256(clip).hexdigest(),
    }
    key = f"{_slug(shot.name)}_{shot.start:06d}"
    return key, {CLIP: clip, METADATA: json.dumps(metadata).encode()}


def _resampled(
    part: DrivingSource, rate: Fraction, count: int, size: tuple[int, int]
) -> Iterator[NDArray[np.uint8]]:
    """The frame that is shown at each time of an even rate, scaled."""
    written = 0
    for index, _, image in part.frames():
        scaled: NDArray[np.uint8] | None = None
        while written < count and written / rate < part.frame_times.time(index + 1):
            if scaled is None:
                scaled = _scaled(image, size)
            yield scaled
            written += 1


def _scaled(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    if image.shape[:2] == size:
        return image
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def _slug(name: str) -> str:
    """A short unique name without dots: a sample's key ends at the first one."""
    stem = re.sub(r"[^A-Za-z0-9]+", "-", Path(name).stem)[:40].strip("-")
    return f"{stem}-{hashlib.sha256(name_bytes(name)).hexdigest()[:8]}"
