"""Where the core meets ComfyUI: its memory management, models, values, files and progress."""
