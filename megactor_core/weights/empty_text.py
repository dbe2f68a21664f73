"""The embedding of the empty text, from the weights of the text encoder that it replaces."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor

from .layout import Shape

Stream = Callable[[Iterable[str]], Iterator[tuple[str, Tensor]]]


def num_text_tokens(shapes: Mapping[str, Shape]) -> int:
    """Tokens of a text encoder with these weights, by the names of transformers' ``CLIPTextModel``."""
    return shapes["text_model.embeddings.position_embedding.weight"][0]


@torch.inference_mode()
def empty_text_tokens(shapes: Mapping[str, Shape], stream: Stream) -> Tensor:
    """Last hidden state of CLIP's text encoder for the empty text, ``(1, tokens, width)`` in float32.

    As in Stable Diffusion 1.5 the text is a start token, and end tokens as many as there is room for.

    Args:
        shapes: of the encoder's weights, by the names of transformers' ``CLIPTextModel``.
        stream: gives the tensors of such names, each valid until the next.

    Raises:
        KeyError: the weights lack a layer every such encoder has.
    """
    from transformers import CLIPTextConfig, CLIPTextModel

    vocabulary, width = shapes["text_model.embeddings.token_embedding.weight"]
    layers = {match[1] for name in shapes if (match := re.search(r"\.layers\.(\d+)\.", name))}
    encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=width,
            intermediate_size=shapes["text_model.encoder.layers.0.mlp.fc1.weight"][0],
            num_hidden_layers=len(layers),
            num_attention_heads=max(1, width // 64),
            max_position_embeddings=num_text_tokens(shapes),
            bos_token_id=vocabulary - 2,
            eos_token_id=vocabulary - 1,
        )
    ).eval()
    # Later versions of transformers leave out the first part of the names.
    names = {name.removeprefix("text_model."): name for name in shapes}
    parameters = {
        names[name.removeprefix("text_model.")]: parameter for name, parameter in encoder.named_parameters()
    }
    for name, tensor in stream(parameters):
        parameters[name].copy_(tensor)
    text = torch.full((1, num_text_tokens(shapes)), vocabulary - 1)
    text[0, 0] = vocabulary - 2
    return encoder(input_ids=text).last_hidden_state.clone()
