"""The pack loads quickly and quietly: no heavy packages, no network, nothing written."""

from __future__ import annotations

import re

from host_process import HostProcess


def start_log(process: HostProcess) -> str:
    """What the host wrote until it was ready."""
    return process.log().split("To see the GUI go to")[0]


def test_the_pack_is_imported_at_once(host_process: HostProcess) -> None:
    line = re.search(r"([\d.]+) seconds(.*): \S+/custom_nodes/MegActor\n", start_log(host_process))
    assert line is not None
    assert "FAILED" not in line[2]
    # About 0.1 s on an idle machine; this one may be busy.
    assert float(line[1]) < 3


def test_heavy_packages_wait_until_a_node_runs(host_process: HostProcess) -> None:
    imported = set(re.findall(r"PACK IMPORTS (\S+)", start_log(host_process)))
    assert imported, "the companion watches"
    heavy = {"av", "cv2", "diffusers", "huggingface_hub", "torch._dynamo", "torchvision", "transformers"}
    assert not heavy & imported


def test_nothing_is_written_and_nobody_is_called(host_process: HostProcess) -> None:
    assert re.findall(r"PACK TOUCHES .*", start_log(host_process)) == []


def test_nothing_in_the_log_complains_of_the_pack(host_process: HostProcess) -> None:
    complaints = re.findall(r".*(?:WARNING|ERROR).*MegActor.*", start_log(host_process))
    assert complaints == []
