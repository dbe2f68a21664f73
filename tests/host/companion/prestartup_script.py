"""Runs before any pack is imported: watches what the pack does to the machine, and ends with the tests.

Each module that the pack is the first to import is written to the host's log as ``PACK IMPORTS name``; each
connection, look-up of an address, file or folder made by the pack as ``PACK TOUCHES ...``.
"""

import os
import sys
import threading
import time
import traceback

PACK = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "MegActor", "")


def what_is_told(event: str, arguments: tuple) -> str | None:
    """The line for an audit event; None for one that is nobody's business."""
    if event == "import":
        return f"PACK IMPORTS {arguments[0]}"
    if event in ("socket.connect", "socket.getaddrinfo", "os.mkdir"):
        return f"PACK TOUCHES {event} {arguments}"
    if event == "open":
        path, mode, flags = arguments
        writes = any(letter in mode for letter in "wax+") if mode else flags & (os.O_WRONLY | os.O_RDWR)
        # Python's own cache of compiled modules is no work of the pack.
        if writes and "__pycache__" not in str(path):
            return f"PACK TOUCHES open {path}"
    return None


def tell(event: str, arguments: tuple) -> None:
    # Packs are imported and asked for schemas in this thread; nodes, which may do all this, run in another.
    if threading.current_thread() is not threading.main_thread():
        return
    line = what_is_told(event, arguments)
    if line and any(frame.f_code.co_filename.startswith(PACK) for frame, _ in traceback.walk_stack(None)):
        print(line, flush=True)


def end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


sys.addaudithook(tell)
threading.Thread(target=end_with, args=[int(os.environ["TEST_COMPANION_PARENT"])], daemon=True).start()
