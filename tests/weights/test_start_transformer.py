"""What a diffusion transformer's training begins with: PixArt-alpha or Latte in its places, the rest silent.

The public models are tiny ones of diffusers' classes, saved as users get them.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, LatteTransformer3DModel, PixArtTransformer2DModel
from safetensors.torch import load_file, save_file
from tiny_model import tiny_networks
from tiny_pixart import PIXART
from torch import Tensor
from transformers import WhisperConfig, WhisperModel

from megactor_core.cli.main import main
from megactor_core.errors import InputError
from megactor_core.families.registry import FAMILIES
from megactor_core.models.networks import Networks
from megactor_core.weights.loading import LoadedModel, load_model
from megactor_core.weights.pixart_files import open_transformer
from megactor_core.weights.pixart_pipeline import context_tokens
from megactor_core.weights.random_model import tiny_config
from megactor_core.weights.saving import save_model

FAMILY = "megactor-sigma-dit"
EAR = Path(__file__).parents[2] / "megactor_core" / "weights" / "mouth_reader"


@pytest.fixture(scope="module")
def pixart() -> PixArtTransformer2DModel:
    torch.manual_seed(0)
    return PixArtTransformer2DModel(**PIXART).eval()


@pytest.fixture(scope="module")
def latte() -> LatteTransformer3DModel:
    torch.manual_seed(1)
    return LatteTransformer3DModel(**PIXART, video_length=4).eval()


@pytest.fixture(scope="module")
def public(
    pixart: PixArtTransformer2DModel, latte: LatteTransformer3DModel, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Folder of what users download: two pipelines, Whisper, an embedding of T5's width."""
    folder = tmp_path_factory.mktemp("public")
    torch.manual_seed(2)
    vae = AutoencoderKL(**tiny_config(FAMILIES[FAMILY].config).vae)
    for name, model, shard in (("pixart", pixart, "1GB"), ("latte", latte, "500KB")):
        model.save_pretrained(folder / name / "transformer", max_shard_size=shard)
        vae.save_pretrained(folder / name / "vae")
        pipeline = {"_class_name": f"{name.title()}Pipeline"}
        (folder / name / "model_index.json").write_text(json.dumps(pipeline))
    layers = {"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    heads = {"encoder_attention_heads": 1, "decoder_attention_heads": 1, "vocab_size": 8, "pad_token_id": 0}
    whisper = WhisperModel(WhisperConfig(d_model=8, **layers, **heads, max_source_positions=20))
    whisper.save_pretrained(folder / "whisper-tiny")
    save_file({"embedding": torch.randn(1, 2, 12)}, folder / "empty_text.safetensors")
    return folder


def start(public: Path, output: Path, base: Path, *options: object) -> LoadedModel:
    command = ["weights", "start", output, "--family", FAMILY, "--base", base, "--dtype", "float32"]
    ear = ["--audio-encoder", public / "whisper-tiny" / "model.safetensors"]
    assert main([*map(str, (*command, *ear, *options))]) == 0
    return load_model(output)


def predict(networks: Networks, latents: Tensor, timesteps: Tensor, motion: bool = True) -> Tensor:
    """Prediction with any driver and any sound, neither of which is read yet."""
    denoiser, frames = networks.denoiser, latents.shape[2]
    assert networks.constant_context is not None and networks.audio_encoder is not None
    width = denoiser.config.audio_dim
    sound = torch.randn(len(latents) * frames, 3, width)
    context = networks.constant_context.tokens.expand(len(latents), -1, -1)
    sample = torch.cat([latents, torch.randn_like(latents)], 1)
    return denoiser(
        sample,
        timesteps,
        denoiser.context_keys_values(context),
        audio=denoiser.audio_keys_values(sound),
        motion=motion,
    )


@torch.inference_mode()
def test_on_pixart_a_frame_is_pixarts_and_temporal_blocks_do_nothing(
    pixart: PixArtTransformer2DModel, public: Path, tmp_path: Path
) -> None:
    context = public / "empty_text.safetensors"
    model = start(public, tmp_path / "start", public / "pixart", "--context", context)

    latents, timesteps = torch.randn(2, 4, 2, 16, 16), torch.tensor([700, 40])
    captions = load_file(context)["embedding"].expand(2, -1, -1)
    found = predict(model.networks, latents, timesteps)
    for frame in range(2):
        expected = pixart(latents[:, :, frame], captions, timesteps).sample[:, :4]
        torch.testing.assert_close(found[:, :, frame], expected, atol=1e-5, rtol=0)
    reference = model.networks.reference_network.state_dict()
    copied = {k: v for k, v in model.networks.denoiser.state_dict().items() if k in reference}
    assert len(copied) == len(reference)
    for key, value in reference.items():
        assert torch.equal(value, copied[key][:, :4] if key == "pos_embed.proj.weight" else copied[key]), key
    config = model.config
    assert (config.family, config.constant_context) == (FAMILY, 2) and config.audio_encoder.width == 8


@torch.inference_mode()
def test_on_latte_a_window_is_lattes(latte: LatteTransformer3DModel, public: Path, tmp_path: Path) -> None:
    context = public / "empty_text.safetensors"
    base = public / "latte" / "transformer"
    assert len(list(base.glob("*.safetensors"))) > 1  # in shards
    vae = public / "pixart" / "vae" / "diffusion_pytorch_model.safetensors"
    model = start(public, tmp_path / "start", base, "--context", context, "--vae", vae)

    latents, timesteps = torch.randn(2, 4, 4, 16, 16), torch.tensor([700, 40])
    captions = load_file(context)["embedding"].expand(2, -1, -1)
    expected = latte(latents, timesteps, captions).sample[:, :4]
    torch.testing.assert_close(predict(model.networks, latents, timesteps), expected, atol=1e-5, rtol=0)
    assert model.config.denoiser.motion_max_positions == 4


@torch.inference_mode()
def test_pixart_can_move_with_lattes_blocks(
    pixart: PixArtTransformer2DModel, latte: LatteTransformer3DModel, public: Path, tmp_path: Path
) -> None:
    model = start(public, tmp_path / "start", public / "pixart", "--motion", public / "latte")

    state = model.networks.denoiser.state_dict()
    moving, still = latte.state_dict(), pixart.state_dict()
    for key in (key for key in state if key.startswith("motion_modules.")):
        theirs = key.replace("motion_modules", "temporal_transformer_blocks")
        assert torch.equal(state[key], moving[theirs.replace("table.weight", "table")]), key
    spatial = "transformer_blocks.1.ff.net.2.weight"
    assert torch.equal(state[spatial], still[spatial])
    assert not model.networks.constant_context.tokens.any() and model.config.constant_context == 1


@torch.inference_mode()
def test_the_context_is_what_the_public_model_makes_of_an_embedding(
    pixart: PixArtTransformer2DModel, public: Path, tmp_path: Path
) -> None:
    base = open_transformer(public / "pixart", FAMILIES[FAMILY].config.denoiser, 4)
    captions, ready = torch.randn(3, 12), torch.randn(1, 2, 64)
    expected = pixart.caption_projection(captions)[None]
    # the original checkpoint, and tokens that went through the projection before
    original = {"state_dict": {"y_embedder.y_embedding": captions, "t_block.1.weight": torch.ones(2)}}
    torch.save(original, tmp_path / "PixArt.pth")
    save_file({"tokens": ready}, tmp_path / "ready.safetensors")

    torch.testing.assert_close(context_tokens(tmp_path / "PixArt.pth", base, 1), expected)
    assert torch.equal(context_tokens(tmp_path / "ready.safetensors", base, 1), ready)
    save_file({"tokens": torch.ones(1, 2, 10)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="has tokens of 10 numbers; the base reads 12, or 64"):
        context_tokens(tmp_path / "other.safetensors", base, 1)


@pytest.mark.parametrize("kind", ["moves and hears", "pictures alone"])
@torch.inference_mode()
def test_a_model_of_ones_own_gets_an_ear_and_does_what_it_did(kind: str, tmp_path: Path) -> None:
    config = tiny_config(FAMILIES[FAMILY].config)
    if kind == "pictures alone":
        denoiser = replace(config.denoiser, audio_dim=0, temporal_blocks="none")
        config = replace(config, denoiser=denoiser, audio_encoder=None)
    save_model(config, tiny_networks(config), tmp_path / "base", torch.float32)
    command = ["weights", "start", tmp_path / "start", "--family", FAMILY, "--base", tmp_path / "base"]
    assert main([*map(str, command), "--audio-encoder", str(EAR), "--dtype", "float32"]) == 0

    base, model = load_model(tmp_path / "base"), load_model(tmp_path / "start")
    assert model.config.audio_encoder.window_positions and model.config.denoiser.temporal_blocks != "none"
    latents, timesteps = torch.randn(1, 8, 3, 8, 8), torch.tensor([300])
    for name, weights in base.networks.denoiser.named_parameters():
        if "attn_audio.to_out" in name:  # what it has learnt of sound is not kept
            weights.zero_()
    outputs = []
    for networks in (base.networks, model.networks):
        context = networks.denoiser.context_keys_values(networks.constant_context.tokens)
        outputs.append(networks.denoiser(latents, timesteps, context))
    assert torch.equal(*outputs)


def _as_sigma(pipeline: Path) -> None:
    (pipeline / "model_index.json").write_text('{"_class_name": "PixArtSigmaPipeline"}')


def _as_large_as_sigma(pipeline: Path) -> None:
    path = pipeline / "transformer" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "sample_size": 128}))


def _with_vae_of_16_channels(pipeline: Path) -> None:
    arguments = {**tiny_config(FAMILIES[FAMILY].config).vae, "latent_channels": 16}
    AutoencoderKL(**arguments).save_pretrained(pipeline / "vae")


def _with_vae_of_sdxl(pipeline: Path) -> None:
    path = pipeline / "vae" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "scaling_factor": 0.13025}))


def _of_1024_pixels(pipeline: Path) -> None:
    path = _weights(pipeline)
    save_file({**load_file(path), "adaln_single.emb.resolution_embedder.linear_1.bias": torch.ones(8)}, path)


def _half_downloaded(pipeline: Path) -> None:
    path = _weights(pipeline)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _without_a_block(pipeline: Path) -> None:
    path = _weights(pipeline)
    save_file({k: v for k, v in load_file(path).items() if not k.startswith("transformer_blocks.1.")}, path)


def _as_shards_without_one(pipeline: Path) -> None:
    path = _weights(pipeline)
    names = ("diffusion_pytorch_model-00001-of-00002", "diffusion_pytorch_model-00002-of-00002")
    first, second = (f"{name}.safetensors" for name in names)
    keys = list(load_file(path))
    index = {key: (first if place else second) for place, key in enumerate(keys)}
    path.rename(path.with_name(first))
    path.with_name(f"{path.name}.index.json").write_text(json.dumps({"weight_map": index}))


def _as_lora(pipeline: Path) -> None:
    save_file({"transformer_blocks.0.attn1.to_q.lora_A.weight": torch.ones(2, 64)}, _weights(pipeline))


def _without_heads(pipeline: Path) -> None:
    (pipeline / "transformer" / "config.json").unlink()


def _without_vae(pipeline: Path) -> None:
    (pipeline / "vae" / "diffusion_pytorch_model.safetensors").unlink()


def _by_original_names(pipeline: Path) -> None:
    names = ("t_block.1.weight", "blocks.0.cross_attn.kv_linear.weight")
    save_file({name: torch.ones(2, 2) for name in names}, _weights(pipeline))


def _weights(pipeline: Path) -> Path:
    return pipeline / "transformer" / "diffusion_pytorch_model.safetensors"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_as_sigma, "is PixArt-Sigma, whose latents are of another autoencoder"),
        (_as_large_as_sigma, "is PixArt-Sigma, whose latents are of another autoencoder"),
        (
            _with_vae_of_16_channels,
            "makes other latents than PixArt-alpha and Latte know (latent_channels 16)",
        ),
        (_with_vae_of_sdxl, "makes other latents than PixArt-alpha and Latte know (scaling_factor 0.13025)"),
        (_of_1024_pixels, "is PixArt-alpha for 1024 pixels"),
        (_half_downloaded, "is damaged or truncated"),
        (_without_a_block, "it lacks"),
        (_as_shards_without_one, "-00002-of-00002.safetensors: there is no such file"),
        (_as_lora, "is a LoRA file, not a PixArt-alpha or Latte transformer"),
        (_without_heads, "is 64 wide; how many heads share that stands in config.json"),
        (_without_vae, "holds no autoencoder"),
        (_by_original_names, "is a PixArt transformer by its original names"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line_and_nothing_is_written(
    spoil: Any, said: str, pixart: PixArtTransformer2DModel, public: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name in ("transformer", "vae"):
        (tmp_path / "base" / name).mkdir(parents=True)
        for file in (public / "pixart" / name).iterdir():
            (tmp_path / "base" / name / file.name).write_bytes(file.read_bytes())
    spoil(tmp_path / "base")
    ear = public / "whisper-tiny" / "model.safetensors"
    command = ["weights", "start", tmp_path / "start", "--family", FAMILY, "--base", tmp_path / "base"]

    assert main([*map(str, command), "--audio-encoder", str(ear)]) == 2

    error = capsys.readouterr().err.splitlines()[-1]  # behind the bar
    assert error.startswith("error: ") and said in error
    assert not (tmp_path / "start").exists()


def test_other_models_are_no_start(public: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ear = ["--audio-encoder", str(public / "whisper-tiny" / "model.safetensors")]
    command = ["weights", "start", str(tmp_path / "start"), "--family", FAMILY, *ear]

    assert main([*command, "--base", "demo"]) == 2
    assert "is a megactor model without a driven transformer" in capsys.readouterr().err
    assert main([*command, "--base", str(public / "pixart"), "--motion", str(public / "pixart")]) == 2
    assert "which has no temporal blocks" in capsys.readouterr().err
    wide = str(public / "whisper-tiny" / "model.safetensors")
    assert main([*command, "--base", str(public / "pixart"), "--context", wide]) == 2
    assert "is a Whisper speech model, not one embedding" in capsys.readouterr().err
