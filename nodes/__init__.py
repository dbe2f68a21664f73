"""The ComfyUI nodes: schema, tooltips and one call each; the host's inner parts are met in ``nodes.host`` only."""
