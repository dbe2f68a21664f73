"""Options are declared once: what is made of the declarations fits them, and the engine."""

from __future__ import annotations

import argparse
from fractions import Fraction

import pytest

from megactor_core.animation import options
from megactor_core.animation.declare import Options
from megactor_core.animation.options import AnimationOptions, DrivingOptions, SamplingOptions
from megactor_core.animation.plan import sampling_settings
from megactor_core.cli.flags import add_flags, given_options
from megactor_core.errors import InputError
from megactor_core.models.config import ModelConfig
from megactor_core.sampling.schedule import SCHEDULERS
from megactor_core.vision.modes.registry import MODES

SECTIONS = [
    kind
    for kind in vars(options).values()
    if isinstance(kind, type) and issubclass(kind, Options) and kind is not Options
]


def test_names_are_those_of_the_engine() -> None:
    modes = DrivingOptions.option("driving_mode").widget
    schedulers = SamplingOptions.option("scheduler").widget
    assert modes is not None and schedulers is not None
    assert set(modes.choices) == {"auto", *MODES}
    assert set(schedulers.choices) == {"auto", *SCHEDULERS}
    for mode in MODES:
        assert DrivingOptions(driving_mode=mode).driving_mode == mode


def test_a_name_stands_for_one_option() -> None:
    names = [option.name for section in SECTIONS for option in section.declared()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("section", SECTIONS)
def test_what_is_not_given_is_the_default(section: type[Options]) -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser.add_argument_group("options"), section)
    for action in parser._actions:
        action.required = False
    assert given_options(parser.parse_args([]), section) == section()


def test_every_default_and_every_text_is_whole() -> None:
    for section in SECTIONS:
        for option in section.declared():
            assert section(**{option.name: option.default}) == section(), option.name
            for told in filter(None, (option.flag, option.widget)):
                text = told.help if hasattr(told, "help") else told.tooltip
                assert "{" not in text.format(models=option.models, of="", subject=""), option.name


def test_python_takes_options_by_their_names() -> None:
    asked = AnimationOptions.of(mode="hints", lost="pass", stop=7, frame_rate=Fraction(24), paste=True)
    assert (asked.driving.driving_mode, asked.driving.lost, asked.frames.stop) == ("hints", "pass", 7)
    assert (asked.motion.frame_rate, asked.files.paste) == (24, True)
    with pytest.raises(TypeError, match="smothing"):
        AnimationOptions.of(smothing=0.5)
    with pytest.raises(InputError, match="smoothing 1"):
        AnimationOptions.of(smoothing=1.0)
    with pytest.raises(InputError, match="driving mode frontal"):
        AnimationOptions.of(mode="frontal")


def test_what_is_not_said_of_sampling_is_the_models_own() -> None:
    config = ModelConfig()
    assert sampling_settings(config, SamplingOptions()).context_length == config.defaults.context_length
    changed = sampling_settings(config, SamplingOptions(context_length=8, context_overlap=2, noise_scale=0.5))
    assert (changed.context_length, changed.context_overlap, changed.noise_scale) == (8, 2, 0.5)
    assert changed.guidance_scale == config.defaults.guidance_scale
