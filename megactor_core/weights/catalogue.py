"""The one table of files that can be fetched: where each lives, how it is checked, what it is for."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError

HUB = "https://huggingface.co"
OFFICIAL_FOLDERS = {
    "megactor": "official/megactor",
    "megactor-sigma": "official/megactor-sigma",
    "xportrait": "official/xportrait",
}
"""Folder below the models folder that holds a family's files as published, ready for conversion."""


@dataclass(frozen=True)
class KnownFile:
    """One file, or all weight files of one published folder.

    Attributes:
        name: what ``weights download`` calls it.
        family: the model family it belongs to, or ``vision`` for detectors.
        file: where it is kept, relative to the models folder; a folder ends in ``/``.
        path: its path inside ``repository``, or a whole https address if there is no repository.
        repository: Hugging Face repository, ``owner/name``; None for other servers.
        revision: commit of the repository the row was checked against, or a branch.
        size: bytes; None if not known before the download.
        sha256: hexadecimal digest; None if not known. The hub announces the digest of its large files, and a
            download is checked against that instead.
        licence: licence as published.
        purpose: what the file is for.
        required: whether downloading the family includes it.
    """

    name: str
    family: str
    file: str
    path: str
    licence: str
    purpose: str
    repository: str | None = None
    revision: str = "main"
    size: int | None = None
    sha256: str | None = None
    required: bool = True

    @property
    def address(self) -> str:
        """Address a browser can open."""
        if self.repository is None:
            return self.path
        view = "tree" if self.is_folder else "resolve"
        return f"{HUB}/{self.repository}/{view}/{self.revision}/{self.path}".rstrip("/")

    @property
    def is_folder(self) -> bool:
        """Whether the row stands for a published folder whose file names the hub tells."""
        return self.file.endswith("/")


_MEGACTOR, _SIGMA = OFFICIAL_FOLDERS["megactor"], OFFICIAL_FOLDERS["megactor-sigma"]
_PUBLISHER = "HVSiniX/RawVideoDriven"
_VAE = "stabilityai/sd-vae-ft-mse"
_VAE_COMMIT = "31f26fdeee1355a5c34592e401dd41e45d25a493"


def _vae_rows(family: str) -> tuple[KnownFile, KnownFile]:
    """The autoencoder of a family whose files lie together; both MegActors use the same."""
    folder = f"{OFFICIAL_FOLDERS[family]}/sd-vae-ft-mse"
    weights = KnownFile(
        name=f"{family}-vae",
        family=family,
        file=f"{folder}/diffusion_pytorch_model.safetensors",
        repository=_VAE,
        revision=_VAE_COMMIT,
        path="diffusion_pytorch_model.safetensors",
        size=334_643_276,
        sha256="a1d993488569e928462932c8c38a0760b874d166399b14414135bd9c42df5815",
        licence="MIT",
        purpose="autoencoder between pictures and latents",
    )
    config = KnownFile(
        name=f"{family}-vae-config",
        family=family,
        file=f"{folder}/config.json",
        repository=_VAE,
        revision=_VAE_COMMIT,
        path="config.json",
        size=547,
        sha256="92d3dfb746fca211a2c9e019e285f8597412211728dce3c5bcf4eda0f2d62e7e",
        licence="MIT",
        purpose="configuration of the autoencoder",
    )
    return weights, config


CATALOGUE: tuple[KnownFile, ...] = (
    KnownFile(
        name="face-detector",
        family="vision",
        file="face_detection_yunet_2023mar.onnx",
        repository="opencv/face_detection_yunet",
        revision="3cc26e7f1014a5ee5d74a42acee58bafc9d0a310",
        path="face_detection_yunet_2023mar.onnx",
        size=232_589,
        sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
        licence="MIT",
        purpose="finds faces and their five points (YuNet, read by OpenCV)",
    ),
    KnownFile(
        name="face-landmarker",
        family="vision",
        file="face_landmarker_v2_with_blendshapes.task",
        path="https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/"
        "face_landmarker.task",
        size=3_758_596,
        sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
        licence="Apache-2.0",
        purpose="478 face landmarks for the contour driving mode (optional, read by MediaPipe)",
    ),
    KnownFile(
        name="person-segmenter",
        family="vision",
        file="selfie_segmentation.tflite",
        path="https://cdn.jsdelivr.net/npm/@mediapipe/selfie_segmentation@0.1.1675465747/"
        "selfie_segmentation.tflite",
        size=249_024,
        sha256="8d13b7fae74af625c641226813616a2117bd6bca19eb3b75574621fc08557f27",
        licence="Apache-2.0",
        purpose="tells people from background (MediaPipe's selfie segmentation, read by OpenCV)",
    ),
    KnownFile(
        name="megactor-checkpoint",
        family="megactor",
        file=f"{_MEGACTOR}/checkpoint-steps9000.ckpt",
        repository=_PUBLISHER,
        path="weights/checkpoint-steps9000.ckpt",
        licence="see the repository (unknown)",
        purpose="MegActor (v1): denoiser with motion modules and driving encoder, reference network",
    ),
    KnownFile(
        name="megactor-image-encoder",
        family="megactor",
        file=f"{_MEGACTOR}/StableDiffusion/image_encoder/",
        repository=_PUBLISHER,
        path="weights/StableDiffusion/image_encoder/",
        licence="see the repository (unknown)",
        purpose="CLIP image encoder of the background picture",
    ),
    *_vae_rows("megactor"),
    KnownFile(
        name="megactor-base-unet",
        family="megactor",
        file=f"{_MEGACTOR}/StableDiffusion/unet/",
        repository=_PUBLISHER,
        path="weights/StableDiffusion/unet/",
        licence="CreativeML OpenRAIL-M (Stable Diffusion 1.5)",
        purpose="fills denoiser keys that the checkpoint lacks; normally none",
        required=False,
    ),
    KnownFile(
        name="megactor-base-reference",
        family="megactor",
        file=f"{_MEGACTOR}/appearance_encoder/appearance_encoder/",
        repository=_PUBLISHER,
        path="weights/appearance_encoder/appearance_encoder/",
        licence="see the repository (unknown)",
        purpose="fills reference network keys that the checkpoint lacks; normally none",
        required=False,
    ),
    KnownFile(
        name="megactor-sigma-checkpoint",
        family="megactor-sigma",
        file=f"{_SIGMA}/megactor-sigma.ckpt",
        repository=_PUBLISHER,
        path="weights/megactor-sigma.ckpt",
        licence="see the repository (unknown)",
        purpose="MegActor-Sigma: denoiser with motion modules, audio attention and driving encoder, and "
        "reference network",
    ),
    KnownFile(
        name="megactor-sigma-constant-context",
        family="megactor-sigma",
        file=f"{_SIGMA}/sd15_empty_str_embedding.pt",
        repository=_PUBLISHER,
        path="weights/sd15_empty_str_embedding.pt",
        licence="see the repository (unknown)",
        purpose="the embedding of the empty text, which stands where Stable Diffusion reads its prompt",
    ),
    KnownFile(
        name="megactor-sigma-audio-encoder",
        family="megactor-sigma",
        file=f"{_SIGMA}/whisper-tiny/model.safetensors",
        repository="openai/whisper-tiny",
        path="model.safetensors",
        licence="Apache-2.0",
        purpose="speech features (Whisper tiny, of which the encoder is used)",
    ),
    *_vae_rows("megactor-sigma"),
    KnownFile(
        name="xportrait-checkpoint",
        family="xportrait",
        file=f"{OFFICIAL_FOLDERS['xportrait']}/model_state-415001.th",
        repository="fffiloni/X-Portrait",
        path="model_state-415001.th",
        licence="CreativeML OpenRAIL-M (this copy; the code is Apache-2.0)",
        purpose="X-Portrait: denoiser, reference network, two ControlNets, autoencoder, text encoder; about "
        "12.3 GB, 6 GB after conversion",
    ),
)


def find_known(name: str) -> tuple[KnownFile, ...]:
    """Rows called ``name``, or the required rows of the family ``name``.

    Raises:
        InputError: no such row or family.
    """
    rows = tuple(row for row in CATALOGUE if row.name == name)
    rows = rows or tuple(row for row in CATALOGUE if row.family == name and row.required)
    if not rows:
        names = ", ".join(dict.fromkeys([row.family for row in CATALOGUE] + [row.name for row in CATALOGUE]))
        raise InputError(name, "is not in the table of weights", f"Choose one of: {names}")
    return rows
