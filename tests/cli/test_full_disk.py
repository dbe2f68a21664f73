"""A disk that fills up while the result is written ends in one line and leaves no file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Job

resource = pytest.importorskip("resource")


@pytest.mark.parametrize("limit", [0, 3000])
def test_a_full_disk(job: Job, capsys: pytest.CaptureFixture[str], limit: int) -> None:
    before = job.files()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        status = job.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    error = capsys.readouterr().err.splitlines()[-1]
    assert status == 2
    assert error.startswith(f"error: {job.output}: cannot be written")
    assert "Free some space or choose another folder" in error
    assert job.files() == before
