"""Modality Decoupling Control: what clips show and hide, what is learnt from, and what is read by whom."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from tiny_model import tiny_networks

from megactor_core.conditioning.audio import encode_audio
from megactor_core.families.registry import FAMILIES
from megactor_core.models.attention import Pass
from megactor_core.models.denoiser import KeyValues, Regions
from megactor_core.models.sd15.attention import TransformerBlock
from megactor_core.puppets.clips import puppet_faces, render_motion
from megactor_core.puppets.identity import sample_identity
from megactor_core.puppets.motion import MOUTH_COLUMNS, sample_motion
from megactor_core.training.config.modalities import ModalitiesConfig
from megactor_core.training.config.run import read_config
from megactor_core.training.config.tasks import PuppetClipsConfig
from megactor_core.training.data.loader import BatchPart
from megactor_core.training.data.modalities import draw_modality
from megactor_core.training.data.puppets import PuppetClips
from megactor_core.training.data.sample import SampleFormat
from megactor_core.training.tasks.losses import prediction_error
from megactor_core.vision.modes.levels import show
from megactor_core.vision.modes.registry import MODES
from megactor_core.weights.random_model import tiny_config

ROOT = Path(__file__).parents[2]
CONFIGS, SPEECH = ROOT / "configs" / "train", ROOT / "tests" / "data" / "speech.npz"
RELEASED = [
    {"share": 0.2, "show": "eyes", "sound": "speech"},
    {"share": 0.4, "show": "none", "sound": "speech"},
    {"share": 0.4, "show": "eyes_mouth", "sound": "silence"},
]
SIGMA = tiny_config(FAMILIES["megactor-sigma"].config)


def modalities(*draws: dict[str, Any], **fields: Any) -> ModalitiesConfig:
    return ModalitiesConfig.model_validate({"draws": draws or RELEASED, "patches": ["tight"], **fields})


def clips(config: ModalitiesConfig, frames: int = 3, references: int = 1) -> PuppetClips:
    data = PuppetClipsConfig(size=64, references=references, frames=frames, frame_rate=5.0)
    return PuppetClips(data, 4, "train", SampleFormat.of(SIGMA, 64, config))


def test_draws_have_their_shares_and_depend_on_nothing_but_seed_and_number():
    config, count = modalities(), 10_000
    drawn = Counter(draw_modality(config, 1, index, "train").draw.show for index in range(count))
    for draw in config.draws:
        deviation = (count * draw.share * (1 - draw.share)) ** 0.5
        assert abs(drawn[draw.show] - count * draw.share) < 3 * deviation
    without = modalities(*RELEASED, {"share": 0.0, "show": "mouth"})
    first, second = modalities({"share": 0.0, "show": "mouth"}, *RELEASED), without
    for index in range(300):
        expected = draw_modality(config, 1, index, "train").draw
        assert draw_modality(first, 1, index, "train").draw == expected
        assert draw_modality(second, 1, index, "train").draw == expected
    assert (
        draw_modality(config, 2, 0, "train").rng.random() != draw_modality(config, 1, 0, "train").rng.random()
    )


def test_draws_are_the_same_however_many_processes_share_a_batch():
    config = modalities(*RELEASED, patches=["tight", "union", "rectangle"], local_sound=0.5)
    whole, single = clips(config, references=4)[3], clips(config)
    for rank in range(2):
        part = BatchPart(single, 4, slice(2 * rank, 2 * rank + 2))[3]
        for name, value in part.items():
            assert torch.equal(value, whole[name][2 * rank : 2 * rank + 2]), name


@pytest.mark.parametrize("shown", ["eyes_mouth", "eyes", "none"])
def test_tight_patches_are_those_of_the_driving_modes(shown: str):
    rng = np.random.default_rng(0)
    frames, _, boxes, landmarks = render_motion(sample_identity(rng), sample_motion(rng, 3), 64)
    faces = puppet_faces(64, boxes, landmarks, landmarks[0] + 2)
    drawn = draw_modality(modalities({"share": 1.0, "show": shown}), 0, 0, "train")
    painted = show(drawn.mode(MODES["eyes_mouth"]), frames, faces)["driving"]
    expected = show(MODES["eyes" if shown == "eyes" else "eyes_mouth"], frames, faces)["driving"]
    assert np.array_equal(painted, np.zeros_like(expected) if shown == "none" else expected)


@pytest.mark.parametrize("shape", ["union", "rectangle"])
def test_wide_patches_stay_in_place_and_tell_nothing_of_the_size_of_a_part(shape: str):
    tight, wide = (
        clips(modalities({"share": 1.0, "show": "eyes"}, patches=[kind]))[0]["driving"][0] > 0
        for kind in ("tight", shape)
    )
    assert (tight[0] != tight[2]).float().mean() > 0.02
    assert (wide[0] != wide[2]).float().mean() < 0.005 and wide.any()


def test_only_the_mouth_is_shown_where_the_mouth_is_asked_for():
    both = clips(modalities({"share": 1.0, "show": "eyes_mouth"}))[0]["driving"]
    eyes = clips(modalities({"share": 1.0, "show": "eyes"}))[0]["driving"]
    mouth = clips(modalities({"share": 1.0, "show": "mouth"}))[0]["driving"]
    separate = (eyes == 0) | (mouth == 0)
    assert (mouth > 0).any() and ((both > 0) == ((eyes > 0) | (mouth > 0)))[separate].float().mean() > 0.97


def test_a_hidden_mouth_moves_nothing_of_what_is_shown():
    """Neither that of the driver, nor through the box around the face that is driven."""
    usual = {"share": 1.0, "show": "eyes", "sound": "silence"}
    moving, still = clips(modalities(usual))[0], clips(modalities({**usual, "still": True}))[0]
    assert torch.equal(moving["driving"], still["driving"])
    seen = {**usual, "show": "eyes_mouth"}
    moving, still = clips(modalities(seen))[0], clips(modalities({**seen, "still": True}))[0]
    assert not torch.equal(moving["driving"], still["driving"])


def test_clips_that_differ_in_a_hidden_mouth_are_shown_alike_to_the_last_bit():
    """What is said differs, and how lips move; all else that the networks see is the same."""
    usual = modalities({"share": 1.0, "show": "eyes", "sound": "silence"})
    wanted = SampleFormat.of(SIGMA, 64, usual)
    data = PuppetClipsConfig(size=64, frames=4, frame_rate=5.0, speech=SPEECH)
    silent = data.model_copy(update={"speech_share": 0.0})
    one, other = (PuppetClips(mouths, 4, "train", wanted) for mouths in (silent, data))
    for index in range(4):
        first, second = one[index], other[index]
        told = {"targets", "target_points", "weights", "sounding"}  # of the truth, not of the driver
        assert not first["sound"].any() and not second["sound"].any()
        assert not torch.equal(first["targets"], second["targets"])
        for name in first.keys() - told - {"sound_rows"}:
            assert torch.equal(first[name], second[name]), name


def test_patches_of_the_eyes_show_next_to_nothing_of_a_mouth():
    """Of a driver of one's own, whose mouth nobody can put to rest: the jaw moves the edge of a cheek."""
    rng = np.random.default_rng(2)
    for _ in range(3):
        identity, motion = sample_identity(rng), sample_motion(rng, 6)
        other = motion.copy()
        other[1:, MOUTH_COLUMNS] = sample_motion(rng, 6)[1:, MOUTH_COLUMNS]
        shown = []
        for one in (motion, other):
            frames, _, boxes, landmarks = render_motion(identity, one, 128)
            shown.append(
                show(MODES["eyes"], frames, puppet_faces(128, boxes, landmarks, landmarks[0]))["driving"]
            )
        changed = shown[0] != shown[1]
        assert not changed[0].any() and changed.mean() < 0.005
        both = render_motion(identity, motion, 128)[0] != render_motion(identity, other, 128)[0]
        assert both.any(-1).mean() > 10 * changed.mean()


@pytest.mark.parametrize(
    ("stage", "shares"),
    [
        (1, {("eyes_mouth", "silence"): 1.0}),
        (2, {("none", "speech"): 0.75, ("eyes_mouth", "silence"): 0.25}),
        (3, {("eyes", "speech"): 0.2, ("none", "speech"): 0.4, ("eyes_mouth", "silence"): 0.4}),
    ],
)
def test_the_released_recipe_is_that_of_the_public_code(stage: int, shares: dict[tuple[str, str], float]):
    config = read_config(CONFIGS / f"sigma_released_stage{stage}.yaml").task
    drawn = config.modalities
    assert {(draw.show, draw.sound): draw.share for draw in drawn.draws} == shares
    assert not any(draw.masked or draw.still or not draw.reference for draw in drawn.draws)
    assert not drawn.masked_attention and drawn.local_sound == 0 and drawn.speech_weight == 1
    assert config.feature_weight == 1 and config.change_weight == 0 and config.min_snr_gamma is None


def test_masked_parts_weigh_nothing_and_speech_weighs_in_the_lower_face():
    usual = {"share": 1.0, "show": "eyes", "sound": "silence"}
    plain = clips(modalities(usual))[0]
    masked = clips(modalities({**usual, "masked": ["mouth"]}))[0]
    spoken = clips(modalities({**usual, "sound": "speech"}, speech_weight=4.0))[0]
    lower = masked["weights"] == 0
    assert (plain["weights"] == 1).all() and 0.02 < lower.float().mean() < 0.4
    assert torch.equal(spoken["weights"] == 4, lower) and not plain["hidden"].any()
    assert torch.equal(masked["hidden"], lower.any(1))
    eyes = clips(modalities({**usual, "masked": ["mouth", "eyes"]}))[0]["weights"] == 0
    assert (eyes | ~lower).all() and eyes.sum() > lower.sum()


def test_masks_reach_to_the_borders_of_tokens_so_that_nothing_is_learnt_from_what_they_hide():
    """MegActor-Sigma's cut is exact in a transformer: the error outside depends on nothing inside."""
    model = tiny_config(FAMILIES["megactor-sigma-dit"].config)
    masked = modalities({"share": 1.0, "show": "eyes", "sound": "silence", "masked": ["mouth"]})
    data = PuppetClipsConfig(size=64, references=1, frames=1)
    odd = [PuppetClips(data, 4, "train", SampleFormat.of(SIGMA, 64, masked))[i]["hidden"] for i in range(8)]
    assert any(not torch.equal(one, whole(one)) for one in odd), "the parts lie across borders"
    denoiser = tiny_networks(model).denoiser
    context = denoiser.context_keys_values(torch.randn(1, 1, model.denoiser.cross_attention_dim))
    for index in range(8):
        clip = PuppetClips(data, 4, "train", SampleFormat.of(model, 64, masked))[index]
        hidden, weights = clip["hidden"], clip["weights"]
        assert torch.equal(hidden, whole(hidden)) and torch.equal(weights[0] == 0, hidden) and hidden.any()
        sample = torch.randn(1, model.denoiser.in_channels, 1, 8, 8, requires_grad=True)
        output = denoiser(sample, torch.tensor([300]), context, regions=Regions(hidden=hidden))
        prediction_error(output, weights, 0).backward()
        inside = hidden[:, None, None].expand_as(sample)
        assert not sample.grad[inside].any() and sample.grad[~inside].any()


def whole(cells: torch.Tensor) -> torch.Tensor:
    """Cells (1, 8, 8) grown to squares of two by two."""
    return F.interpolate(F.max_pool2d(cells[None].float(), 2), scale_factor=2)[0].bool()


@pytest.mark.parametrize("size", [(8, 8), (6, 10), (7, 5)])
def test_a_coarse_cell_of_a_unet_is_hidden_if_any_of_its_fine_cells_is(size: tuple[int, int]):
    denoiser = tiny_networks(SIGMA).denoiser
    height, width = size
    coarse = (-(-height // 2), -(-width // 2))
    for y, x in ((0, 0), (height - 1, width - 1), (2, 3)):
        hidden = torch.zeros(1, height, width, dtype=torch.bool)
        hidden[0, y, x] = True
        levels = denoiser.of_levels(hidden)
        assert set(levels) == {height * width, coarse[0] * coarse[1]}
        assert levels[coarse[0] * coarse[1]].view(1, *coarse).nonzero().tolist() == [[0, y // 2, x // 2]]
        assert torch.equal(levels[height * width].view(1, height, width).bool(), hidden)


def test_what_is_hidden_is_hidden_in_every_level_of_a_unet():
    """Convolutions and norms cross the border, so that a changed prediction is all there is to see."""
    denoiser = tiny_networks(SIGMA).denoiser
    seen: list[int] = []
    for name, block in denoiser.attending_blocks().items():
        block.register_forward_pre_hook(
            lambda _, given, name=name: seen.append(given[0].shape[1] in given[1].hidden)
        )
    hidden = torch.zeros(1, 8, 8, dtype=torch.bool)
    hidden[:, 5:, 2:6] = True
    sample = torch.randn(1, SIGMA.denoiser.in_channels, 2, 8, 8)
    context = denoiser.context_keys_values(torch.randn(1, 4, SIGMA.denoiser.cross_attention_dim))
    plain = denoiser(sample, torch.tensor([300]), context)
    seen.clear()
    masked = denoiser(sample, torch.tensor([300]), context, regions=Regions(hidden=hidden))
    assert seen and all(seen) and not torch.allclose(plain, masked, atol=1e-4)
    nothing = denoiser(sample, torch.tensor([300]), context, regions=Regions(hidden=hidden & False))
    torch.testing.assert_close(nothing, plain, atol=1e-6, rtol=1e-5)  # a mask takes another kernel


def test_silence_is_a_waveform_and_no_sound_is_no_feature():
    data = {sound: clips(modalities({"share": 1.0, "show": "eyes", "sound": sound}))[1] for sound in
            ("speech", "silence", "none")}  # fmt: skip
    assert data["speech"]["sound"].any() and not data["silence"]["sound"].any()
    assert data["silence"]["hears"].all() and not data["none"]["hears"].any()


def test_changed_speech_changes_neither_its_length_nor_what_is_shown():
    spoken = {"share": 1.0, "show": "eyes", "sound": "speech"}
    plain = clips(modalities(spoken, patches=["union"]))[1]
    changed = clips(modalities(spoken, patches=["union"], augmentation={"gain": 1.0, "noise": 1.0}))[1]
    assert plain["sound"].shape == changed["sound"].shape
    assert not torch.equal(plain["sound"], changed["sound"])
    assert torch.equal(plain["driving"], changed["driving"])


def test_a_still_truth_differs_in_the_mouth_alone():
    usual = {"share": 1.0, "show": "eyes", "sound": "silence"}
    moving, still = clips(modalities(usual))[0], clips(modalities({**usual, "still": True}))[0]
    assert torch.equal(moving["motion"], still["motion"])
    changed = (moving["targets"] != still["targets"]).any(2)
    assert changed.any() and changed.float().mean() < 0.4


def test_masked_error_is_that_of_the_rest():
    truth = torch.randn(2, 3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    weights = torch.ones(2, 2, 4, 4)
    weights[:, :, 2:] = 0
    prediction = (truth + 5 * (weights == 0)[:, None]).requires_grad_()
    assert prediction_error(prediction - truth, weights, 0).item() == 0
    difference = torch.ones_like(truth).requires_grad_()
    prediction_error(difference, weights, 0).backward()
    expected = 2 * weights[:, None].expand_as(truth) / (3 * weights.sum())
    torch.testing.assert_close(difference.grad, expected)
    assert not difference.grad[(weights == 0)[:, None].expand_as(truth)].any()
    everywhere = prediction_error(truth, torch.ones(2, 2, 4, 4), 0)
    torch.testing.assert_close(everywhere, F.mse_loss(truth, torch.zeros_like(truth)), rtol=1e-6, atol=0)
    # (1 * 1 + 4 * 9 + 0 * 25 + 1 * 4) / (1 + 4 + 0 + 1)
    by_hand = prediction_error(
        torch.tensor([1.0, 3, 5, 2]).view(1, 1, 1, 2, 2), torch.tensor([1.0, 4, 0, 1]).view(1, 1, 2, 2), 0
    )
    assert by_hand.item() == pytest.approx(41 / 6)
    assert prediction_error(truth, torch.zeros(2, 2, 4, 4), 1.0).item() == 0


@pytest.fixture
def block() -> TransformerBlock:
    torch.manual_seed(0)
    return TransformerBlock("block", 8, 2, 8)


def attended(block: TransformerBlock, tokens: torch.Tensor, hidden: torch.Tensor | None) -> torch.Tensor:
    context = {"block": KeyValues(*torch.ones(2, 1, 2, 1, 4))}
    reference = {"block": KeyValues(*torch.full((2, 2, 2, 5, 4), 0.5))}
    shared = Pass(
        2, torch.zeros(1), context, reference, rows=2, conditional_rows=2, reference_rows=2,
        hidden={} if hidden is None else {16: hidden.float()},
    )  # fmt: skip
    return block(tokens, shared)


@pytest.mark.parametrize("training", [True, False])
def test_what_is_hidden_changes_nothing_outside(block: TransformerBlock, training: bool):
    tokens = torch.randn(4, 16, 8, generator=torch.Generator().manual_seed(1))
    hidden = torch.zeros(2, 16, dtype=torch.bool)
    hidden[0, 3:7] = True
    changed = tokens.clone()
    changed[:2, 3:7] += 1
    tokens.requires_grad_(training)
    first, second = attended(block, tokens, hidden), attended(block, changed.requires_grad_(training), hidden)
    outside = ~hidden.repeat_interleave(2, 0)
    assert torch.equal(first[outside], second[outside]) and not torch.equal(first[~outside], second[~outside])
    # tokens inside read everything
    tokens_out = tokens.detach().clone()
    tokens_out[:2, 0] += 1
    third = attended(block, tokens_out.requires_grad_(training), hidden)
    assert not torch.equal(first[0, 3:7], third[0, 3:7])
    if training:
        first[outside].sum().backward()
        assert not tokens.grad[~outside].any() and tokens.grad[outside].any()
    nothing = attended(block, tokens, torch.zeros_like(hidden))
    torch.testing.assert_close(nothing, attended(block, tokens, None))


def test_fresh_sound_layers_add_nothing_whatever_is_heard():
    from megactor_core.models.networks import build_networks

    denoiser = build_networks(SIGMA).denoiser
    sample = torch.randn(1, SIGMA.denoiser.in_channels, 2, 8, 8)
    context = denoiser.context_keys_values(torch.randn(1, 4, SIGMA.denoiser.cross_attention_dim))
    width = SIGMA.denoiser.audio_dim
    heard = [denoiser.audio_keys_values(torch.randn(2, 6, width) * size) for size in (0, 1, 10)]
    time = torch.tensor([300])
    outputs = [denoiser(sample, time, context, audio=audio) for audio in heard]
    assert torch.equal(outputs[0], outputs[1]) and torch.equal(outputs[0], outputs[2])


@pytest.mark.parametrize("family", ["megactor-sigma", "megactor-sigma-dit"])
def test_without_weight_no_waveform_is_heard(family: str):
    model = tiny_config(FAMILIES[family].config)
    networks = tiny_networks(model)
    denoiser = networks.denoiser
    sample = torch.randn(1, model.denoiser.in_channels, 2, 8, 8)
    context = denoiser.context_keys_values(torch.randn(1, 4, model.denoiser.cross_attention_dim))
    noise = np.random.default_rng(0).normal(0, 0.2, (2, 8000)).astype(np.float32)
    heard_frames = [
        encode_audio(networks.audio_encoder, one, (Fraction(n, 5) for n in range(2)), "cpu") for one in noise
    ]
    audio = [denoiser.audio_keys_values(one.features[one.rows].flatten(1, 2)) for one in heard_frames]
    time = torch.tensor([300])

    def heard(number: int, weight: float) -> torch.Tensor:
        return denoiser(sample, time, context, audio=audio[number], audio_weight=torch.full((2,), weight))

    assert torch.equal(heard(0, 0.0), heard(1, 0.0)) and not torch.equal(heard(0, 1.0), heard(1, 1.0))


@pytest.mark.parametrize(
    ("draws", "message"),
    [
        ([{"share": 0.5, "show": "eyes"}], "add up to 0.5"),
        ([{"share": 1.0, "show": "lips"}], "eyes_mouth"),
        ([{"share": 1.0, "sound": "speech", "still": True}], "still goes with silence"),
    ],
)
def test_tables_that_cannot_be_meant_are_refused(draws: list[dict[str, Any]], message: str):
    with pytest.raises(ValidationError, match=message):
        ModalitiesConfig.model_validate({"draws": draws})
