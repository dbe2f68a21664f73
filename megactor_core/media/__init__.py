"""Pictures, video and sound files: read, written and streamed."""
