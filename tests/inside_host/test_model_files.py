"""Models by name: what is listed, where it is found, downloaded and converted, and what is refused."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import folder_paths
import huggingface_hub.constants
import pytest
import torch
from families.made_up import FAMILY
from hub_server import Hub, serve_hub
from megactor_pack.megactor_core.errors import InputError
from megactor_pack.megactor_core.families.registry import FAMILIES, register
from megactor_pack.megactor_core.weights import catalogue
from megactor_pack.megactor_core.weights.loading import load_model, read_config
from megactor_pack.nodes.host.model_files import (
    DEMO,
    check_name,
    config_of,
    fetch_detectors,
    fingerprint,
    list_models,
    register_folder,
    resolve,
)
from megactor_pack.nodes.load_model import LoadMegActorModel
from weights.official_layout import random_states, small_config, write_official

from megactor_core.models.config import ModelConfig

OFFICIAL = "megactor (official)"
ALWAYS = [DEMO, OFFICIAL, "megactor-sigma (official)", "xportrait (official)"]


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder ``models/megactor`` of a host; it is there only once something is put in."""
    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path / "models"))
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", {})
    register_folder()
    return tmp_path / "models" / "megactor"


def published_config() -> ModelConfig:
    """Small, but with the official number of groups, which only files that are not needed would tell."""
    config = small_config((32, 64))
    networks = config.denoiser, config.reference_network
    denoiser, reference_network = (replace(network, norm_num_groups=32) for network in networks)
    return replace(config, denoiser=denoiser, reference_network=reference_network)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model in the layout of the official weights."""
    config = published_config()
    folder = tmp_path_factory.mktemp("published") / "megactor"
    return write_official(folder, config, random_states(config), vae_safetensors=True)


def test_models_are_listed_by_their_place(models: Path, tiny_folder: Path, published: Path) -> None:
    assert list_models() == ALWAYS and not models.exists()
    shutil.copytree(tiny_folder, models / "mine")
    shutil.copytree(tiny_folder, models / "old" / "first")
    shutil.copytree(tiny_folder, models / ".mine.unfinished")
    shutil.copytree(tiny_folder, models / "megactor")  # what the official weights become
    shutil.copytree(published, models / "official" / "megactor")
    shutil.copytree(published, models / "new")
    (models / "notes.txt").write_text("mine is the best")

    assert list_models() == [*ALWAYS, "mine", "old/first", "new/checkpoint-steps9000.ckpt"]
    assert resolve("old/first") == models / "old" / "first"
    assert resolve(OFFICIAL) == models / "megactor"
    assert load_model(resolve(DEMO)).config.defaults.size == 128


def test_a_new_family_is_listed_after_the_others_and_told_where_its_files_go(
    models: Path,
) -> None:
    folder_paths.add_model_folder_path("checkpoints", str(models.parent / "checkpoints"))
    register(FAMILY)  # in the pack's copy of the core
    try:
        (options,) = (i.options for i in LoadMegActorModel.define_schema().inputs if i.id == "model")
        assert options == list_models() == [*ALWAYS, "made-up (official)"]
        assert config_of("made-up (official)") == FAMILY.config
        with pytest.raises(
            InputError, match=r"made-up\.safetensors to .*official/made-up/made-up\.safetensors"
        ):
            resolve("made-up (official)")
    finally:
        del FAMILIES[FAMILY.name]


def test_extra_folders_are_searched_too(models: Path, tiny_folder: Path, tmp_path: Path) -> None:
    folder_paths.folder_names_and_paths.clear()
    extra = tmp_path / "elsewhere"
    shutil.copytree(tiny_folder, extra / "theirs")
    # what extra_model_paths.yaml does, before any pack is loaded
    folder_paths.add_model_folder_path("megactor", str(extra))
    folder_paths.add_model_folder_path("megactor", str(tiny_folder))
    register_folder()

    assert folder_paths.get_folder_paths("megactor")[0] == str(models)
    assert resolve("theirs") == extra / "theirs"
    assert resolve(tiny_folder.name) == tiny_folder


@pytest.mark.parametrize("name", ["../secret", "/{}/secret", "mine/../../secret", "..", "", "."])
def test_no_name_leads_out_of_the_models_folder(models: Path, tiny_folder: Path, name: str) -> None:
    shutil.copytree(tiny_folder, models / "mine")
    shutil.copytree(tiny_folder, models.parent / "secret")
    name = name.format(models.parent)

    for look in (resolve, check_name, fingerprint):
        with pytest.raises(InputError, match="is not in") as caught:
            look(name)
        assert str(models) in str(caught.value) and "mine" in str(caught.value)
    told = LoadMegActorModel.validate_inputs(model=name)
    assert isinstance(told, str) and f"choose one of: {', '.join(ALWAYS)}, mine" in told


def test_official_weights_that_are_not_here_are_explained(models: Path) -> None:
    with pytest.raises(InputError) as caught:
        resolve(OFFICIAL)

    message = str(caught.value)
    for row in catalogue.find_known("megactor"):
        assert row.address in message and str(models / row.file) in message
    assert "4 files (0.33 GB and 2 of unknown size)" in message and "Switch download on" in message
    assert not models.exists()


def test_official_weights_put_there_by_hand_are_converted_once(models: Path, published: Path) -> None:
    shutil.copytree(published, models / "official" / "megactor")
    told: list[tuple[int, int]] = []

    folder = resolve(OFFICIAL, on_progress=lambda done, total: told.append((done, total)))

    assert folder == models / "megactor" and read_config(folder).denoiser.block_out_channels == (32, 64)
    assert told[-1][0] == told[-1][1] > 0
    told.clear()
    assert resolve(OFFICIAL, on_progress=lambda done, total: told.append((done, total))) == folder
    assert told == []


@pytest.fixture
def hub(published: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The hub with the small model in place of the official one."""
    rows = [replace(row, size=None, sha256=None) for row in catalogue.catalogue()]
    monkeypatch.setattr(catalogue, "catalogue", lambda: tuple(rows))
    files = {}
    for row in catalogue.find_known("megactor"):
        local = published / row.file.removeprefix("official/megactor/")
        for file in local.iterdir() if local.is_dir() else [local]:
            path = row.path + file.name if local.is_dir() else row.path
            files[f"{row.repository}/{path}"] = file
    with serve_hub(files) as served:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", served.address)
        template = served.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield served


def test_official_weights_are_downloaded_when_the_user_says_so(models: Path, hub: Hub) -> None:
    with pytest.raises(InputError):
        resolve(OFFICIAL, download=False)
    assert hub.requests == []
    told: list[tuple[int, int]] = []

    folder = resolve(OFFICIAL, True, lambda done, total: told.append((done, total)))

    assert folder == models / "megactor"
    load_model(folder)
    assert all(0 < done <= total for done, total in told)
    assert not [path for path in models.rglob("*") if path.is_file() and ".incomplete" in path.parts]
    count = len(hub.requests)
    assert resolve(OFFICIAL, True) == folder and len(hub.requests) == count


class Cancelled(BaseException):
    pass


def cancel_halfway(done: int, total: int) -> None:
    if done > total / 2:
        raise Cancelled


def test_a_cancelled_download_goes_on_later(models: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 20_000)

    with pytest.raises(Cancelled):
        resolve(OFFICIAL, True, cancel_halfway)
    (staged,) = (models / ".incomplete").rglob("*.ckpt")
    done = staged.stat().st_size
    assert done > 0 and list_models() == ALWAYS

    load_model(resolve(OFFICIAL, True))
    assert hub.ranges == [f"bytes={done}-"]


def test_a_cancelled_conversion_leaves_nothing(models: Path, published: Path) -> None:
    shutil.copytree(published, models / "new")
    before = sorted(models.rglob("*"))

    with pytest.raises(Cancelled):
        resolve("new/checkpoint-steps9000.ckpt", on_progress=cancel_halfway)
    assert sorted(models.rglob("*")) == before


def test_a_checkpoint_is_converted_beside_itself_and_again_when_it_is_newer(
    models: Path, published: Path
) -> None:
    shutil.copytree(published, models / "new")
    name, checkpoint = "new/checkpoint-steps9000.ckpt", models / "new" / "checkpoint-steps9000.ckpt"
    conversions: list[int] = []

    def count(done: int, total: int) -> None:
        conversions.extend([1] if done == total else [])

    folder = resolve(name, on_progress=count)
    assert folder == models / "new" / "checkpoint-steps9000"
    load_model(folder)
    first = fingerprint(name)
    assert resolve(name, on_progress=count) == folder and len(conversions) == 1 and fingerprint(name) == first

    later = (folder / "config.json").stat().st_mtime + 5
    os.utime(checkpoint, (later, later))
    assert fingerprint(name) != first
    assert resolve(name, on_progress=count) == folder and len(conversions) == 2


def test_a_checkpoint_without_its_companions_says_what_is_missing(models: Path, published: Path) -> None:
    models.mkdir(parents=True)
    shutil.copy(published / "checkpoint-steps9000.ckpt", models)

    with pytest.raises(
        InputError, match=r"image_encoder: holds no weights.*https://huggingface\.co/\S+ there"
    ):
        resolve("checkpoint-steps9000.ckpt")


def test_a_file_of_another_kind_is_named(models: Path) -> None:
    models.mkdir(parents=True)
    torch.save({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(2)}, models / "sd15.ckpt")

    with pytest.raises(InputError, match="is a Stable Diffusion single-file checkpoint, not"):
        resolve("sd15.ckpt")


def test_the_fingerprint_follows_the_files(models: Path, tiny_folder: Path) -> None:
    assert fingerprint(DEMO) == fingerprint(DEMO)
    nothing = fingerprint(OFFICIAL)
    for name, folder in (("mine", models / "mine"), (OFFICIAL, models / "megactor")):
        shutil.copytree(tiny_folder, folder)
        first = fingerprint(name)
        assert first == fingerprint(name) != nothing
        os.utime(folder / "denoiser.safetensors", (1, 1))
        assert fingerprint(name) != first


def test_small_files_that_look_at_pictures_are_fetched_too(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    content = b"a network"
    (tmp_path / "network").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    with serve_hub({"owner/files": tmp_path / "network"}) as served:
        rows = [
            replace(
                *catalogue.find_known(name),
                repository=None,
                path=f"{served.address}/owner/resolve/main/{file}",
                size=len(content),
                sha256=digest,
            )
            for name, file in (("face-detector", "missing"), ("person-segmenter", "files"))
        ]
        monkeypatch.setattr(catalogue, "catalogue", lambda: tuple(rows))
        fetch_detectors()
        count = len(served.requests)
        assert [path.name for path in models.iterdir() if path.is_file()] == ["selfie_segmentation.tflite"]
        assert (models / "selfie_segmentation.tflite").read_bytes() == content
        assert "face_detection_yunet_2023mar.onnx: could not be downloaded" in caplog.text
        fetch_detectors()
    assert not any("files" in path for path in served.requests[count:])
