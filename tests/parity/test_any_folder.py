"""The parity tests take golden folders with other sizes, of which only parts of the outputs are stored."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_networks
import test_preprocess
import test_sampling
import test_sigma_audio
import test_sigma_networks
import test_sigma_preprocess
import test_sigma_sampling
import test_training_step
import test_xportrait_networks
import test_xportrait_sampling
import torch
import xportrait_networks
from formula import Case, Golden
from parts import stored_part
from safetensors.numpy import load_file, save_file

from megactor_core.models.sd15.controlnet import ControlNet
from megactor_core.models.sd15.unet import DenoisingUNet
from megactor_core.weights.compvis import unet_key

GOLDEN = Path(__file__).parents[1] / "golden"
DROPPED = re.compile(r"step0\.(eps_guided|pred_x0)|tap\.down1.*|eps_two_references")


def thinned(value: np.ndarray, note: str, frames: list[int]) -> tuple[np.ndarray, str]:
    """Part of a stored output, itself perhaps of some frames only, and its note."""
    said = re.search(r"frames \[([\d, ]*)\]", note)
    frames = [int(i) for i in said[1].split(",")] if said else frames
    words, full = [], list(value.shape)
    axis = 2 if value.ndim == 5 else 0
    if value.ndim >= 4 and value.shape[axis] > 1:
        numbers = frames if len(frames) == value.shape[axis] else list(range(value.shape[axis]))
        kept = list(range(1, len(numbers), 2))
        value = value.take(kept, axis=axis)
        words.append(f"frames {[numbers[i] for i in kept]}")
    elif said:
        words.append(said[0])
    if value.ndim >= 4 and value.shape[-1] > 3:
        value = value[..., ::3, ::3]
        words.append("every 3rd pixel")
    if value.ndim == 3 and min(value.shape[1:]) > 4:
        value = value[:, ::4, ::3]
        words.append(f"every 4th token, every 3rd channel; full shape {full}")
    return value.copy(order="C"), "; ".join(words) or note


def write_variant(source: Path, target: Path) -> None:
    """A family's folder of which less is stored."""
    golden = json.loads((source / "golden.json").read_text())
    target.mkdir()
    for table in source.glob("*.json"):
        (target / table.name).write_bytes(table.read_bytes())
    for spec in golden["cases"].values():
        if "file" not in spec:
            continue
        stored = load_file(source / spec["file"])
        spec["outputs"] = {n: o for n, o in spec["outputs"].items() if not DROPPED.fullmatch(n)}
        for name, output in spec["outputs"].items():
            if "preprocess" not in spec["function"] and "every" not in name:
                frames = spec["config"].get("store_frames", [])
                part, output["note"] = thinned(stored[output["tensor"]], output.get("note", ""), frames)
                stored[output["tensor"]] = part
                output["shape"] = list(part.shape)
        save_file(stored, target / spec["file"])
    (target / "golden.json").write_text(json.dumps(golden))


@pytest.fixture(scope="module")
def variant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    for family in ("megactor_v1", "megactor_sigma", "xportrait"):
        write_variant(GOLDEN / family, folder / family)
    return folder


PARTS = {
    "megactor_v1/driven_encoder": test_networks.test_driving_encoder,
    "megactor_v1/motion_module": test_networks.test_motion_module,
    "megactor_v1/appearance_banks": test_networks.test_reference_banks,
    "megactor_v1/unet_cfg": test_networks.test_guided_forward_and_taps,
    "megactor_v1/schedulers": test_sampling.test_schedules,
    "megactor_v1/clip_branch": test_sampling.test_background_tokens,
    "megactor_v1/preprocess": test_preprocess.test_preprocessing_gives_the_reference_numbers,
    "megactor_sigma/block_basic_audio": test_sigma_networks.test_transformer_block_with_audio,
    "megactor_sigma/unet_audio_reference": test_sigma_networks.test_forward_with_reference_and_taps,
    "megactor_sigma/whisper_windows": test_sigma_audio.test_rows_of_every_frame,
    "megactor_sigma/crop_xpose": test_sigma_preprocess.test_crop_around_the_head_and_patches,
    "megactor_sigma/pipeline_20_frames": test_sigma_sampling.test_pipeline,
    "megactor_sigma/train_step": test_training_step.test_sigma_training_step,
    "xportrait/controlnets": test_xportrait_networks.test_control_networks,
    "xportrait/reference_banks": test_xportrait_networks.test_reference_banks,
    "xportrait/components": test_xportrait_networks.test_single_modules,
    "xportrait/schedule": test_xportrait_sampling.test_schedule,
}


def case_of(folder: Path, place: str) -> Case:
    family, name = place.split("/")
    return Golden(folder / family).case(name)


@pytest.mark.parametrize("place", PARTS)
def test_stored_parts_are_compared(variant: Path, place: str) -> None:
    PARTS[place](case_of(variant, place))


@pytest.mark.parametrize(
    "place", ["megactor_v1/appearance_banks", "megactor_v1/motion_module", "xportrait/components"]
)
def test_a_wrong_number_in_a_stored_part_fails(variant: Path, place: str) -> None:
    case = case_of(variant, place)
    for output in case.spec["outputs"].values():
        wrong = copy.copy(case)
        value = case.stored[output["tensor"]].copy()
        value.reshape(-1)[-1] += 10 * output["atol"]
        wrong.stored = case.stored | {output["tensor"]: value}
        with pytest.raises(AssertionError, match="off by"):
            PARTS[place](wrong)


def test_a_part_that_its_note_does_not_explain_fails(variant: Path) -> None:
    case = case_of(variant, "megactor_v1/appearance_banks")
    for output in case.spec["outputs"].values():
        output["note"] = output.get("note", "").replace("every 4th token", "every 9th token")
    with pytest.raises(AssertionError, match=r"axis 1 of .* has 4 in the stored part: note 'every 9th token"):
        PARTS["megactor_v1/appearance_banks"](case)


@pytest.mark.parametrize("kind", ["tap", "pred"])
def test_a_case_without_any_output_of_a_kind_fails(variant: Path, kind: str) -> None:
    case = case_of(variant, "megactor_sigma/unet_audio_reference")
    case.spec["outputs"] = {n: o for n, o in case.spec["outputs"].items() if not n.startswith(kind)}
    with pytest.raises(AssertionError, match=f"stores no {kind}"):
        PARTS["megactor_sigma/unet_audio_reference"](case)


@pytest.mark.parametrize(
    ("note", "frames", "chosen"),
    [
        ("frames [0, 7]", None, np.s_[:, :, [0, 7]]),
        ("every 8th pixel", None, np.s_[..., ::8, ::8]),
        (
            "frames [0, 3], every 8th pixel; full shape [1, 32, 16, 16, 24]",
            None,
            np.s_[:, :, [0, 3], ::8, ::8],
        ),
        ("every 16th channel of frames [1, 15]", None, np.s_[:, ::16, [1, 15]]),
        ("every 2nd pixel", [5], np.s_[:, :, [5], ::2, ::2]),
        ("frames 0 and last", None, np.s_[:, :, [0, -1]]),
        ("rows 4..7, columns 8..11", None, np.s_[..., 4:8, 8:12]),
    ],
)
def test_notes_name_parts(note: str, frames: list[int] | None, chosen: Any) -> None:
    whole = np.random.default_rng(0).normal(size=(1, 32, 16, 16, 24))
    expected = whole[chosen]
    np.testing.assert_array_equal(stored_part(whole, expected.shape, note, frames), expected)


@dataclass
class Recorder(Case):
    """A case that keeps what a test computes."""

    outputs: dict[str, torch.Tensor] = field(default_factory=dict)

    def check_all(self, outputs: Any, *kinds: str, elsewhere: Any = ()) -> None:
        self.outputs = dict(outputs)

    def part(self, name: str, actual: Any, note: str = "") -> np.ndarray:
        return self.stored[self.spec["outputs"][name]["tensor"]]


def two_wide_rows(place: str) -> Case:
    """A case with two rows of pictures that are wider than high, its inputs stored."""
    case = case_of(GOLDEN, place)
    for name, given in case.spec["inputs"].items():
        if "value" in given or name == "reference_u8":
            continue
        for shape in (given[key] for key in ("shape", "expand_to") if key in given):
            shape[0] = 2
            width = -2 if shape[-1] == 3 else -1
            if len(shape) > 3 and shape[width] in (16, 128):
                shape[width] = shape[width] * 3 // 2
        value = case.input(name).contiguous()
        case.stored[f"in.{name}"] = value.numpy()
        case.spec["inputs"][name] = {"stored": f"in.{name}"}
    return case


def recorded(case: Case, row: int) -> Recorder:
    one = Recorder(case.name, case.folder, case.salt, case.spec, dict(case.stored))
    for given in case.spec["inputs"].values():
        if "stored" in given:
            one.stored[given["stored"]] = case.stored[given["stored"]][row : row + 1]
    return one


ROWS = {
    "megactor_v1/appearance_banks": test_networks.test_reference_banks,
    "megactor_v1/unet_cfg": test_networks.test_guided_forward_and_taps,
    "megactor_sigma/resnet_block3d": test_sigma_networks.test_residual_block_normed_over_frames,
    "megactor_sigma/unet_audio_reference": test_sigma_networks.test_forward_with_reference_and_taps,
    "megactor_sigma/unet_audio_cfg": test_sigma_networks.test_guided_forward,
    "megactor_sigma/train_step": test_training_step.test_sigma_training_step,
}


@pytest.mark.parametrize("place", ROWS)
def test_two_rows_give_what_each_gives_alone(place: str) -> None:
    case = two_wide_rows(place)
    rows = [recorded(case, row) for row in range(2)]
    for row in rows:
        ROWS[place](row)
    for name, output in case.spec["outputs"].items():
        if name in ("grad_norms", "appearance_last_hidden"):
            continue
        parts = [row.outputs[name].detach() for row in rows]
        if name == "loss" or name.startswith("grad."):  # the loss is the mean over the rows
            expected = torch.stack(parts).mean(dim=0)
        else:
            expected = torch.cat(parts)
        case.stored[output["tensor"]] = expected.numpy()
    if "grad_norms" in case.spec["outputs"]:
        names = case.table()["parameters_with_grad_sorted"]
        norms = [torch.stack([row.outputs[f"grad.{n}"] for row in rows]).mean(dim=0).norm() for n in names]
        case.stored["out.grad_norms"] = torch.stack(norms).numpy()
    ROWS[place](case)


@pytest.mark.parametrize("factors", [[1, 1, 2, 2], [1, 2, 2, 4], [1, 1, 1, 2], [1, 2, 3, 4]])
def test_every_parameter_of_other_widths_has_an_official_name(factors: list[int]) -> None:
    config = {"model_channels": 32, "channel_mult": factors, "context_dim": 16}
    case = Case("widths", GOLDEN, "", {"config": config})
    with torch.device("meta"):
        control = xportrait_networks.unet_config(case, out_channels=0, motion_modules=False)
        networks = [DenoisingUNet(xportrait_networks.unet_config(case), None), ControlNet(control)]
    for network in networks:
        layout = xportrait_networks.official_layout(network, "")
        assert {unet_key(key) for key in layout} == {name for name, _ in network.named_parameters()}
        for level in range(1, 4):
            shortcut = f"input_blocks.{1 + 3 * level}.0.skip_connection.weight"
            assert (shortcut in layout) == (factors[level] != factors[level - 1])
