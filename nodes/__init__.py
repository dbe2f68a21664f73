"""The ComfyUI nodes: schema, tooltips, one call each; ``nodes.host`` alone meets the host's inner parts."""
