"""Reader of the conditions beside the denoiser's input; each part is computed as rarely as it changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..models.conditions import Conditions, ControlStrength
from ..models.denoiser import Control, Denoiser, HintReader, KeyValues, ReferenceWriter, add_up, gather_rows

Frames = list[int] | slice
"""Numbers of frames of a clip."""


class ClipReader:
    """Keys and values of conditions, and what the model's ControlNets say, of one clip or of many rows.

    Those of context and sound are projected once, here; those of the reference are asked for once per step;
    sound and controls of some frames with every window.

    Args:
        denoiser, reference_network: of the model.
        conditions: on the networks' device and in their type.
        controls: the model's ControlNets by name.
        reference_rows: how many of the last rows read the reference; all if not given.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        reference_network: ReferenceWriter,
        conditions: Conditions,
        controls: Mapping[str, HintReader],
        reference_rows: int | None = None,
    ) -> None:
        self.denoiser = denoiser
        self.reference_network = reference_network
        self.conditions = conditions
        tokens = conditions.background.tokens
        self.context = denoiser.context_keys_values(tokens)
        rows = conditions.num_rows
        self._reading = slice(0 if reference_rows is None else rows - reference_rows, None)
        latents = conditions.reference.latents
        self._together = len(latents) // rows
        # A slice: another view would lose the memory format, and with it the last bits of a convolution.
        self._references = latents[self._reading.start * self._together :]
        self._reference_context = reference_network.context_keys_values(
            tokens if len(tokens) == 1 else tokens[self._reading]
        )
        self._controls = {name: controls[name] for name in conditions.controls}
        self._control_contexts = {
            name: network.context_keys_values(tokens) for name, network in self._controls.items()
        }
        self._audio: Mapping[str, KeyValues] = {}
        if conditions.audio is not None:
            self._audio = denoiser.audio_keys_values(conditions.audio.features)

    def reference(self, timestep: Tensor) -> dict[str, KeyValues] | None:
        """Keys and values of the rows that read, ``(rows, heads, tokens, head_width)``, at a timestep.

        The references of a row lie one after the other. ``timestep`` is ``(1,)``, or one per row ``(rows,)``,
        of all of them. None where none is read.
        """
        if self.conditions.reference_strength == 0:
            return None
        rows = len(self._references) // self._together
        if len(timestep) > 1:
            timestep = timestep[self._reading].repeat_interleave(self._together)
        bank = self.reference_network(self._references, timestep, self._reference_context)
        return self.denoiser.reference_keys_values(
            {name: tokens.unflatten(0, (rows, -1)).flatten(1, 2) for name, tokens in bank.items()}
        )

    def control(self, noisy: Tensor, timestep: Tensor, indices: Frames) -> Control | None:
        """Residuals of the ControlNets for some frames; None where none counts at these timesteps.

        Args:
            noisy: latents of these frames, ``(rows * frames, channels, h, w)``.
            timestep: ``(1,)``, or one per row ``(rows,)``.
            indices: their numbers in the clip.
        """
        frames = len(noisy) // self.conditions.num_rows
        controls: list[tuple[Control, float | Tensor]] = []
        for name, condition in self.conditions.controls.items():
            # Reading timesteps waits for the device, so training, where all count alike, reads none.
            plain = condition.use == ControlStrength()
            strengths = [1.0 if plain else condition.use.at(int(one)) for one in timestep]
            if not any(strengths):
                continue
            features = self._of_frames(condition.features, indices).to(noisy)
            at = timestep if len(timestep) == 1 else timestep.repeat_interleave(frames)
            control = self._controls[name](noisy, at, self._control_contexts[name], features)
            strength: float | Tensor = strengths[0]
            if len(timestep) > 1 or condition.weight is not None:
                strength = noisy.new_tensor(strengths)
                strength = strength if condition.weight is None else strength * condition.weight.to(noisy)
                strength = strength.expand(self.conditions.num_rows).repeat_interleave(frames)
                strength = strength[:, None, None, None]
            controls.append((control, strength))
        return add_up(controls) if controls else None

    def sound(self, indices: Frames) -> dict[str, Any]:
        """Sound of some frames, as arguments of ``Denoiser.denoise``; empty where there is none."""
        audio = self.conditions.audio
        if audio is None:
            return {}
        rows, weight = (self._of_frames(part, indices) for part in (audio.rows, audio.weight))
        projected = {name: gather_rows(pair, rows) for name, pair in self._audio.items()}
        return {"audio": projected, "audio_weight": weight}

    def _of_frames(self, tensor: Tensor, indices: Frames) -> Tensor:
        """Entries of some frames of every row."""
        if self.conditions.num_rows == 1:
            return tensor[indices]
        return tensor.unflatten(0, (self.conditions.num_rows, -1))[:, indices].flatten(0, 1)
