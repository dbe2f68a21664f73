"""``animate`` on files with odd names and odd contents."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

if TYPE_CHECKING:
    from conftest import Job


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the system allows fewer names")
def test_names_of_any_kind(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(job.folder)
    shutil.copy("portrait.png", "12:00.png")
    shutil.copy("driver.mp4", os.fsdecode(b"http:caf\xe9.mp4"))
    output = "\N{GRINNING FACE}" * 61 + ".mp4"
    names = {"reference": "12:00.png", "driving": os.fsdecode(b"http:caf\xe9.mp4"), "output": output}
    assert job.run(stop=2, **names) == 0
    assert Path(output).stat().st_size > 0
    assert not [name for name in os.listdir() if name.startswith(".")]


def test_hdr_is_told_once(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    with av.open(str(job.folder / "hdr.mkv"), "w") as container:
        video = container.add_stream("ffv1", 25)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p10le"
        video.codec_context.colorspace = video.codec_context.color_primaries = 9
        video.codec_context.color_trc = 16
        for index in range(2):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 100, np.uint8)).reformat(
                format="yuv420p10le"
            )
            frame.pts = index
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    assert job.run(driving=job.folder / "hdr.mkv") == 0
    assert capsys.readouterr().out.count("HDR video: its colours were tone-mapped to SDR") == 1
