"""What a newcomer does: open a template, press Run, see the video on its node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from comfy_page import ComfyPage


@pytest.mark.parametrize(
    ("name", "picture"),
    [
        ("1_animate_portrait", "comfyui_one_node.png"),
        ("2_step_by_step", "comfyui_step_by_step.png"),
        ("3_ksampler_native_model", "comfyui_ksampler.png"),
    ],
)
def test_template_runs_and_its_video_plays_on_the_node(
    name: str, picture: str, open_page: Callable[..., ComfyPage], screenshots: Path
) -> None:
    page = open_page()

    page.open_template(name)
    page.run()

    assert page.errors == []
    video = page.page.locator("video").last
    video.evaluate("video => new Promise(done => video.readyState > 2 ? done() : (video.oncanplay = done))")
    # 16 frames at the driver's 25 per second
    assert video.evaluate("video => video.duration") == pytest.approx(0.64, abs=0.05)
    assert video.evaluate("video => video.videoWidth") in (128, 256)
    page.screenshot(screenshots / picture)


@pytest.mark.parametrize("drawn_by_vue", [False, True])
@pytest.mark.parametrize(
    ("name", "sampler"),
    [("1_animate_portrait", "MegActorAnimatePortrait"), ("2_step_by_step", "MegActorSampler")],
)
def test_clip_plays_on_its_node_while_it_is_sampled(
    name: str, sampler: str, drawn_by_vue: bool, open_page: Callable[..., ComfyPage]
) -> None:
    page = open_page(**{"Comfy.VueNodes.Enabled": drawn_by_vue})
    page.open_template(name)
    page.set_widget(sampler, "seed", 7 + drawn_by_vue)  # nothing of it is in the host's cache
    page.page.evaluate(
        """() => {
            window.shown = []
            const look = () => {
                for (const image of document.querySelectorAll('img[src^="blob:"]'))
                    window.shown.push([image.naturalWidth, image.naturalHeight])
            }
            window.app.api.addEventListener('megactor.clip_preview', () => setTimeout(look, 300))
        }"""
    )

    page.run()

    assert page.errors == []
    shown = page.page.evaluate("window.shown")
    assert shown and all(size == [128, 128] for size in shown), "the clip, and no sheet of stills beside it"
    assert page.page.locator("video").last.evaluate("video => video.error") is None
    assert page.page.get_by_text("failed to load").count() == 0


def test_pictures_of_prepare_driving_are_shown_by_vue(open_page: Callable[..., ComfyPage]) -> None:
    page = open_page(**{"Comfy.VueNodes.Enabled": True})
    page.open_template("2_step_by_step")

    page.run()

    # Segment Reference's picture and this one
    page.page.wait_for_function(
        "[...document.images].filter(image => image.src.includes('/view?') && image.naturalWidth).length > 1"
    )
    assert page.page.get_by_text("failed to load").count() == 0
