"""The bundled demo weights: small, complete, and they make the driver's expressions."""

from __future__ import annotations

import numpy as np

from megactor_core.animator import Animator
from megactor_core.evaluation.measures import pixels as metrics
from megactor_core.evaluation.puppets.animation import PuppetAnimation, autoencode
from megactor_core.evaluation.puppets.drives import puppet_drives
from megactor_core.weights.folders import BUNDLED
from megactor_core.weights.verify import verify


def test_they_are_at_most_20_megabytes() -> None:
    assert sum(file.stat().st_size for file in (BUNDLED / "demo").iterdir()) <= 20_000_000


def test_every_file_is_sound() -> None:
    findings = list(verify("demo"))
    assert findings and all(finding.problem is None for finding in findings)


def test_a_held_out_face_follows_a_held_out_driver() -> None:
    animator = Animator.from_pretrained("demo", device="cpu")
    gains, over_shuffled, ceilings, agreements = [], [], [], []
    for index in range(4):
        drives = puppet_drives(1, index, num_frames=8, size=animator.size, condition="face")
        truth, picture = drives.pair.truth_frames, drives.pair.reference.image
        animation = PuppetAnimation(animator, drives.pair.reference, animator.settings())
        output = animation.drive(drives.drives["cross"], drives.mode)
        driven = metrics.psnr(output, truth)
        shuffled = metrics.psnr(animation.drive(drives.drives["shuffled"], drives.mode), truth)
        gains.append(driven - metrics.psnr(np.broadcast_to(picture, truth.shape).copy(), truth))
        over_shuffled.append(driven - shuffled)
        agreements.append(metrics.psnr(animation.drive(drives.drives["second"], drives.mode), output))
        ceilings.append(metrics.psnr(autoencode(animator, truth), truth))
    assert np.mean(ceilings) >= 28
    assert np.mean(gains) >= 4.5
    assert np.mean(over_shuffled) >= 2.75
    assert np.mean(agreements) >= 25.5
