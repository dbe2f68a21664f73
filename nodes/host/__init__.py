"""Bridge between the core and ComfyUI: memory management, models, values, files and progress."""
