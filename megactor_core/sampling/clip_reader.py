"""What the denoiser reads beside its input; each part is computed as rarely as it changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..models.conditions import Conditions
from ..models.denoiser import Control, Denoiser, HintReader, KeyValues, ReferenceWriter, add_up, gather_rows


class ClipReader:
    """Keys and values of a clip's conditions, and what its ControlNets say.

    Those of context and sound are projected once, here; those of the reference are asked for once per step;
    sound and controls of some frames with every window.

    Args:
        denoiser, reference_network: of the model.
        conditions: of the clip, on the networks' device and in their type.
        controls: the model's ControlNets by name.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        reference_network: ReferenceWriter,
        conditions: Conditions,
        controls: Mapping[str, HintReader],
    ) -> None:
        self.denoiser = denoiser
        self.reference_network = reference_network
        self.conditions = conditions
        tokens = conditions.background.tokens
        self.context = denoiser.context_keys_values(tokens)
        self._reference_context = reference_network.context_keys_values(tokens)
        self._controls = {name: controls[name] for name in conditions.controls}
        self._control_contexts = {
            name: network.context_keys_values(tokens) for name, network in self._controls.items()
        }
        self._audio: Mapping[str, KeyValues] = {}
        if conditions.audio is not None:
            self._audio = denoiser.audio_keys_values(conditions.audio.features)

    def reference(self, timestep: Tensor) -> dict[str, KeyValues]:
        """Keys and values of all references together, one row, at a timestep ``(1,)``."""
        bank = self.reference_network(self.conditions.reference.latents, timestep, self._reference_context)
        return self.denoiser.reference_keys_values(
            {name: tokens.flatten(0, 1)[None] for name, tokens in bank.items()}
        )

    def control(self, noisy: Tensor, timestep: Tensor, indices: list[int]) -> Control | None:
        """What the ControlNets add for some frames; None where none counts at this timestep.

        Args:
            noisy: latents of these frames, ``(frames, channels, h, w)``.
            timestep: ``(1,)``.
            indices: their numbers in the clip.
        """
        controls = []
        for name, condition in self.conditions.controls.items():
            if strength := condition.use.at(int(timestep)):
                features = condition.features[indices].to(noisy)
                control = self._controls[name](noisy, timestep, self._control_contexts[name], features)
                controls.append((control, strength))
        return add_up(controls) if controls else None

    def sound(self, indices: list[int]) -> dict[str, Any]:
        """Sound of some frames, as arguments of ``Denoiser.denoise``; empty where there is none."""
        audio = self.conditions.audio
        if audio is None:
            return {}
        rows = audio.rows[indices]
        projected = {name: gather_rows(pair, rows) for name, pair in self._audio.items()}
        return {"audio": projected, "audio_weight": audio.weight[indices]}
