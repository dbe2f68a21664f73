"""Pack what the ComfyUI registry delivers into dist/megactor.zip, and check it.

python scripts/make_package.py

Needs `make host`, whose environment has the registry's command line.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

REPOSITORY = Path(__file__).resolve().parent.parent
SIZE_LIMIT = 25 * 10**6
"""Bytes of the archive."""
NEEDED = (
    *("__init__.py", "pyproject.toml", "requirements.txt", "LICENSE", "README.md"),
    *(
        "nodes/*.py",
        "nodes/host/*.py",
        "megactor_core/animator.py",
        "megactor_core/weights/demo/*.safetensors",
        "megactor_core/weights/mouth_reader/*.safetensors",
    ),
    *("examples/portrait.png", "examples/driving.mp4", "examples/run_api.py"),
    *("workflows/*.json", "workflows/api/*.json", "web/docs/*.md", "locales/en/*.json", "locales/zh/*.json"),
)
UNWANTED = ("tests", "benchmarks", "scripts", "docs", "runs", "output", ".ci", ".host", ".venv")


def comfy(*words: str) -> str:
    """What the registry's command line says."""
    command = [
        str(REPOSITORY / ".host" / "environment" / "bin" / "comfy"),
        "--skip-prompt",
        "--no-enable-telemetry",
        *words,
    ]
    # It offers to send usage figures, and would ask the first time.
    environment = {**os.environ, "DO_NOT_TRACK": "1"}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        sys.exit(f"error: `{' '.join(command)}` failed:\n{done.stdout}")
    return done.stdout


def problems_of_validation(said: str) -> list[str]:
    """It ends well even with findings: they are told in words only."""
    return [line for line in said.splitlines() if any(word in line.lower() for word in ("warning", "error"))]


def problems_of_archive(archive: Path) -> list[str]:
    names = [PurePosixPath(name) for name in zipfile.ZipFile(archive).namelist()]
    missing = [pattern for pattern in NEEDED if not any(name.match(pattern) for name in names)]
    unwanted = [str(name) for name in names if name.parts[0] in UNWANTED]
    problems = [f"{pattern} is not in the archive" for pattern in missing]
    problems += [f"{name} is in the archive: see .comfyignore" for name in unwanted]
    if archive.stat().st_size > SIZE_LIMIT:
        problems.append(f"the archive has {archive.stat().st_size} bytes, {SIZE_LIMIT} are allowed")
    return problems


def main() -> None:
    problems = problems_of_validation(comfy("node", "validate"))
    comfy("node", "pack")
    archive = REPOSITORY / "dist" / "megactor.zip"
    archive.parent.mkdir(exist_ok=True)
    (REPOSITORY / "node.zip").replace(archive)
    problems += problems_of_archive(archive)
    if problems:
        sys.exit("error: the package is not fit to publish:\n" + "\n".join(problems))
    print(f"{archive}: {archive.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
