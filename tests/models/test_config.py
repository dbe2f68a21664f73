"""Model configurations survive their JSON form."""

from __future__ import annotations

import json

import pytest
from tiny_model import tiny_config

from megactor_core.models.config import ModelConfig


@pytest.mark.parametrize("config", [ModelConfig(), tiny_config(), tiny_config(reference_posterior="mean")])
def test_round_trip_through_json(config: ModelConfig) -> None:
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_an_unknown_field_is_not_dropped_silently() -> None:
    with pytest.raises(ValueError, match="flavour"):
        ModelConfig.from_dict({**ModelConfig().to_dict(), "flavour": "vanilla"})
