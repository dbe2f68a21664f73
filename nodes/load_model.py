"""Node: load a portrait model."""

from __future__ import annotations

from comfy_api.latest import io

from ..megactor_core.errors import InputError
from ..megactor_core.families.features import has_plain_base
from ..megactor_core.families.registry import labels_with
from . import types


class LoadMegActorModel(io.ComfyNode):
    """A name in; the model, its VAE and its image encoder out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        from .host.model_files import OWN_BASE, list_bases, list_models

        return io.Schema(
            node_id="MegActorLoadModel",
            display_name="Load MegActor Model",
            category="MegActor",
            description="Loads a portrait model: the small demo that comes with the pack, the official "
            "weights, or a model folder or checkpoint in models/megactor.",
            search_aliases=["megactor loader", "checkpoint loader", "portrait animation", "talking head"],
            inputs=[
                io.Combo.Input(
                    "model",
                    options=list_models(),
                    tooltip="The bundled demo, official weights, or what is in models/megactor. Checkpoint "
                    "files and official weights are converted when first used.",
                ),
                io.Boolean.Input(
                    "download",
                    default=False,
                    tooltip="Fetch official weights that are not on this machine, several GB, from Hugging "
                    "Face (HF_ENDPOINT sets a mirror), and the small files that find faces and people. Off: "
                    "nothing is ever fetched, and the error says which files go where.",
                ),
                io.Combo.Input(
                    "base",
                    options=[OWN_BASE, *list_bases()],
                    default=OWN_BASE,
                    optional=True,
                    advanced=True,
                    tooltip="Another Stable Diffusion 1.5 checkpoint of models/checkpoints under "
                    f"{labels_with(has_plain_base)}'s modules, whose base is plain Stable Diffusion 1.5.",
                ),
            ],
            outputs=[
                types.Model.Output("model_out", display_name="model", tooltip="For all nodes of this pack."),
                io.Vae.Output("vae", tooltip="The model's VAE, for VAE Decode after sampling."),
                io.ClipVision.Output(
                    "clip_vision", tooltip="The image encoder of the background; linking it is optional."
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, model: str | None = None) -> bool | str:
        from ..megactor_core.animation.checks import check_base
        from .host.linked_model import inputs_of
        from .host.model_files import OWN_BASE, check_name, config_of

        try:
            if model is not None:  # else it comes from another node
                check_name(model)
                # The base is taken from the prompt: the host repeats an answer for every input named above.
                base = inputs_of(cls.hidden.unique_id).get("base", OWN_BASE)
                config = config_of(model) if base != OWN_BASE else None
                if config is not None:
                    check_base(config)
        except InputError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(
        cls, model: str | None, download: bool | None, base: str | None = None
    ) -> tuple[str | None, float | None]:
        from .host.model_files import base_file, fingerprint

        base_path = base_file(base)
        return model and fingerprint(model), None if base_path is None else base_path.stat().st_mtime

    @classmethod
    def execute(cls, model: str, download: bool, base: str | None = None) -> io.NodeOutput:
        from .host.model_files import base_file, fetch_detectors, resolve
        from .host.model_loading import load_portrait_model
        from .host.progress import NodeProgress

        percent = NodeProgress(100)

        def on_progress(done: int, total: int) -> None:
            percent.report(100 * done // total)

        folder = resolve(model, download, on_progress)
        if download:
            fetch_detectors(on_progress)
        portrait_model = load_portrait_model(folder, base=base_file(base))
        return io.NodeOutput(portrait_model, portrait_model.vae, portrait_model.clip_vision)
