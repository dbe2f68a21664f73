"""A user's own portraits and drivers, animated while a model is trained: as ``animate`` would."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...animation.animator import Callbacks
from ...animation.inputs import open_inputs
from ...animation.options import AnimationOptions
from ...animation.plan import Plan, make_plan
from ...animator import Animator, find_detector, find_driving_landmarker
from ...errors import InputError
from ...media.contact_sheet import contact_sheet, sheet_indices
from ...media.pictures import save_picture
from ...vision.person_segmenter import find_segmenter
from ...weights.loading import LoadedModel
from ..config.run import SampleConfig
from .log import RunLog


class Samples:
    """The samples of a run, checked.

    What shows before the work is refused: files that cannot be read, a portrait without a face, options that
    the model does not have. What fails later is said in the log, and the training goes on.

    Args:
        samples: what is animated.
        model: with the networks that are trained.
        defaults: options of ``animate`` for all samples, which their own ones replace.

    Raises:
        InputError: a sample that cannot be made; the subject names it.
    """

    def __init__(self, samples: Sequence[SampleConfig], model: LoadedModel, **defaults: Any) -> None:
        self.samples, self.model, self.defaults = samples, model, defaults
        with TemporaryDirectory() as folder:
            for sample in samples:
                try:
                    animator, plan = self._prepare(sample, Path(folder))
                    crops = plan.options.crops
                    animator.segment_reference(
                        plan.inputs.picture,
                        size=plan.size,
                        crop=crops.crop,
                        face=crops.face,
                        mask=plan.inputs.mask,
                    )
                except InputError as error:
                    subject = f"samples: {sample.name}: {error.subject}"
                    raise InputError(subject, error.problem, error.remedy) from error

    def make(self, folder: Path, step: int, log: RunLog | None) -> None:
        """Animate all into ``NAME.mp4`` and ``NAME.png``, a sheet that the log shows too.

        Args:
            folder: where to.
            step: optimizer steps done.
            log: of the process that writes.
        """
        for sample in self.samples:
            try:
                sheet = self._animate(sample, folder)
            except Exception as error:  # whatever it is, it is no reason to end a training of days
                if log:
                    log.say(step, "sample_failed", f"{sample.name}: {error}")
            else:
                if log:
                    log.show(step, f"sample/{sample.name}", sheet)

    def _animate(self, sample: SampleConfig, folder: Path) -> NDArray[np.uint8]:
        animator, plan = self._prepare(sample, folder)
        indices = sheet_indices(plan.clip.num_frames)
        shown: dict[int, NDArray[np.uint8]] = {}

        def on_frame(index: int, frame: NDArray[np.uint8]) -> None:
            if index in indices:
                shown[index] = frame

        report = animator.run(plan, Callbacks(on_frame=on_frame))
        driving = [report.driving.picture(index) for index in shown]
        sheet = contact_sheet(report.portrait.picture, driving, list(shown.values()))
        save_picture(plan.inputs.output.with_suffix(".png"), sheet, overwrite=True)
        return sheet

    def _prepare(self, sample: SampleConfig, folder: Path) -> tuple[Animator, Plan]:
        given = {**self.defaults, **sample.options}
        try:
            asked = AnimationOptions.of(
                reference=sample.reference,
                driving=sample.driving,
                output=folder / f"{sample.name}.mp4",
                overwrite=True,
                speech=sample.audio,
                **given,
            )
        except TypeError as error:
            problem = str(error).split(") ")[-1]  # without the function's name
            raise InputError("options", problem, "See animate --help; with underscores") from None
        inputs = open_inputs(asked)
        animator = Animator(self.model, find_detector(None), segmenter=find_segmenter())
        plan = make_plan(animator.config, inputs, asked, animator.check_memory)
        animator.landmarker = find_driving_landmarker(plan.mode)
        return animator, plan
