"""Identities of puppets: every appearance parameter of one cartoon face, and how to draw one at random."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, fields, replace

import numpy as np

Color = tuple[int, int, int]

STYLES = ("outline", "soft", "painterly", "sketch", "pop")
HAIR_STYLES = ("bald", "short", "spiky", "bob", "long", "bun", "pigtails", "curly", "cap")
FRINGES = ("part_left", "part_right", "straight", "arch")
BEARDS = ("none", "full", "goatee", "moustache")
GLASSES = ("none", "round", "square")
CLOTHES = ("crew", "vneck", "turtleneck", "collar", "stripes")
BACKGROUNDS = ("gradient", "discs", "horizon", "window", "halo", "hills")

_SKINS: tuple[Color, ...] = (
    (255, 224, 204), (250, 208, 178), (243, 190, 152), (230, 172, 128), (214, 150, 106),
    (192, 126, 84), (164, 102, 68), (134, 82, 56), (108, 66, 48), (252, 214, 196),
)  # fmt: skip
_HAIRS: tuple[Color, ...] = (
    (42, 34, 40), (72, 46, 36), (110, 66, 40), (150, 92, 50), (196, 138, 70),
    (236, 196, 112), (250, 226, 168), (184, 72, 40), (222, 106, 58), (150, 146, 150),
    (226, 224, 226), (58, 66, 110), (206, 92, 130), (72, 128, 130),
)  # fmt: skip
_IRISES: tuple[Color, ...] = (
    (88, 54, 34), (124, 80, 40), (62, 118, 74), (56, 118, 172),
    (84, 154, 190), (104, 112, 124), (120, 84, 150),
)  # fmt: skip
# Background (three colours), clothes, accent: chosen by eye so that a face stands out before each of them.
_PALETTES: tuple[tuple[Color, Color, Color, Color, Color], ...] = (
    ((158, 206, 222), (220, 238, 232), (250, 220, 170), (222, 96, 80), (252, 234, 206)),
    ((246, 200, 150), (252, 232, 200), (236, 140, 110), (56, 96, 128), (244, 214, 120)),
    ((170, 206, 166), (228, 238, 204), (104, 160, 130), (240, 240, 226), (218, 116, 76)),
    ((196, 178, 226), (240, 224, 240), (142, 124, 190), (246, 196, 96), (112, 72, 132)),
    ((60, 84, 120), (120, 152, 178), (236, 180, 120), (230, 224, 210), (196, 76, 66)),
    ((44, 60, 78), (84, 108, 120), (180, 196, 180), (216, 132, 60), (250, 222, 160)),
    ((250, 176, 170), (254, 222, 206), (230, 112, 120), (60, 130, 130), (250, 240, 220)),
    ((250, 218, 110), (254, 240, 190), (242, 160, 70), (70, 78, 140), (230, 90, 90)),
    ((118, 188, 182), (196, 228, 214), (52, 128, 140), (250, 226, 214), (232, 112, 104)),
    ((92, 60, 92), (168, 104, 120), (244, 176, 130), (70, 150, 160), (250, 212, 130)),
    ((214, 206, 196), (240, 234, 224), (176, 158, 146), (104, 130, 96), (240, 230, 206)),
    ((120, 160, 216), (200, 222, 246), (84, 112, 180), (250, 206, 70), (236, 92, 76)),
    ((66, 100, 84), (130, 160, 120), (226, 210, 140), (170, 60, 70), (244, 220, 190)),
    ((230, 150, 96), (250, 206, 150), (180, 84, 70), (46, 62, 92), (242, 236, 220)),
)  # fmt: skip
_POP_SKINS: tuple[Color, ...] = (
    (255, 198, 92), (255, 150, 140), (110, 196, 236),
    (150, 222, 176), (206, 160, 246), (255, 226, 214),
)  # fmt: skip
_POP_HAIRS: tuple[Color, ...] = (
    (36, 40, 110), (226, 40, 96), (20, 130, 140), (250, 220, 60),
    (110, 36, 130), (250, 110, 40), (30, 30, 44),
)  # fmt: skip
_POP_PALETTES: tuple[tuple[Color, Color, Color, Color, Color], ...] = (
    ((250, 210, 40), (255, 236, 130), (250, 110, 70), (30, 110, 200), (255, 255, 240)),
    ((30, 170, 190), (120, 220, 220), (250, 220, 70), (240, 60, 110), (255, 240, 200)),
    ((240, 80, 120), (255, 160, 170), (255, 220, 100), (40, 50, 130), (90, 220, 210)),
    ((90, 70, 190), (160, 140, 240), (250, 130, 170), (250, 200, 50), (250, 250, 250)),
    ((70, 190, 110), (180, 236, 150), (250, 240, 120), (230, 60, 60), (40, 40, 90)),
)  # fmt: skip
_SKETCH_TINTS: tuple[tuple[Color, Color], ...] = (
    ((50, 42, 40), (250, 240, 222)), ((30, 44, 74), (236, 242, 248)), ((64, 36, 30), (254, 228, 200)),
    ((34, 54, 46), (234, 242, 226)), ((58, 36, 66), (246, 234, 246)),
)  # fmt: skip


@dataclass(frozen=True)
class Identity:
    """All appearance parameters of a puppet; everything that motion does not change.

    Lengths are fractions of the frame's height (``head_width``, ``head_height``: half axes of the head),
    or multiples of ``head_width`` (all other lengths). Colours are RGB 0..255. ``light_angle`` is the
    direction that the light comes from, radians, 0 = image right, pi/2 = below.
    """

    style: str
    skin: Color
    head_width: float
    head_height: float
    jaw_shape: float
    ear_size: float
    hair_style: str
    hair_color: Color
    hair_volume: float
    fringe: str
    eye_width: float
    eye_height: float
    eye_spacing: float
    eye_level: float
    eye_tilt: float
    iris_color: Color
    iris_size: float
    lid_color: Color
    lash_weight: float
    brow_color: Color
    brow_thickness: float
    brow_length: float
    brow_arch: float
    nose_size: float
    nose_width: float
    lip_color: Color
    lip_thickness: float
    mouth_size: float
    mouth_level: float
    blush: float
    beard: str
    beard_color: Color
    glasses: str
    glasses_color: Color
    clothes: str
    clothes_color: Color
    accent_color: Color
    shoulder_width: float
    background: str
    background_colors: tuple[Color, Color, Color]
    background_shapes: tuple[float, ...]
    light_angle: float
    light_strength: float
    ink: Color


_SHAPE = (
    *("head_width", "head_height", "jaw_shape", "ear_size"),
    *("eye_width", "eye_height", "eye_spacing", "eye_level", "eye_tilt"),
    *("brow_thickness", "brow_length", "brow_arch", "nose_size", "nose_width"),
    *("lip_thickness", "mouth_size", "mouth_level"),
)


def with_shape_of(identity: Identity, other: Identity) -> Identity:
    """An identity whose face has the lengths and places of another's; colours, hair and style stay."""
    return replace(identity, **{name: getattr(other, name) for name in _SHAPE})


def mix(first: Color, second: Color, amount: float) -> Color:
    """Colour between ``first`` (amount 0) and ``second`` (amount 1), channel by channel."""
    r, g, b = (round(x + (y - x) * amount) for x, y in zip(first, second, strict=True))
    return (r, g, b)


def _jitter(rng: np.random.Generator, color: Color, hue: float, saturation: float, value: float) -> Color:
    h, s, v = colorsys.rgb_to_hsv(*(channel / 255 for channel in color))
    h = (h + rng.uniform(-hue, hue)) % 1
    s = float(np.clip(s * (1 + rng.uniform(-saturation, saturation)), 0, 1))
    v = float(np.clip(v * (1 + rng.uniform(-value, value)), 0, 1))
    r, g, b = (round(channel * 255) for channel in colorsys.hsv_to_rgb(h, s, v))
    return (r, g, b)


def _tint(identity: Identity, dark: Color, light: Color) -> Identity:
    """Replace every colour by the one of the same luminance on the ramp from ``dark`` to ``light``."""

    def tinted(value: Color) -> Color:
        return mix(dark, light, (0.299 * value[0] + 0.587 * value[1] + 0.114 * value[2]) / 255)

    changes: dict[str, object] = {}
    for field in fields(identity):
        value = getattr(identity, field.name)
        if field.name == "background_colors":
            changes[field.name] = tuple(mix(tinted(color), light, 0.35) for color in value)
        elif field.name.endswith("_color") or field.name in ("skin", "ink"):
            changes[field.name] = tinted(value)
    return replace(identity, **changes)  # type: ignore[arg-type]


def sample_identity(rng: np.random.Generator) -> Identity:
    """Draw one identity; the same generator state gives the same identity."""
    style = str(rng.choice(STYLES, p=(0.22, 0.28, 0.22, 0.12, 0.16)))
    pop = style == "pop"
    palettes = _POP_PALETTES if pop else _PALETTES
    palette = palettes[int(rng.integers(len(palettes)))]
    shift = rng.uniform(-0.025, 0.025)
    back = tuple(_jitter(rng, color, abs(shift), 0.12, 0.06) for color in palette[:3])
    skins = _POP_SKINS if pop and rng.random() < 0.75 else _SKINS
    skin = _jitter(rng, skins[int(rng.integers(len(skins)))], 0.008, 0.12, 0.05)
    hairs = _POP_HAIRS if pop else _HAIRS
    hair = _jitter(rng, hairs[int(rng.integers(len(hairs)))], 0.015, 0.15, 0.12)
    hair_style = str(rng.choice(HAIR_STYLES, p=(0.08, 0.16, 0.1, 0.13, 0.15, 0.1, 0.08, 0.12, 0.08)))
    beardless = hair_style in ("long", "bob", "bun", "pigtails") or rng.random() < 0.55
    beard = "none" if beardless else str(rng.choice(BEARDS[1:], p=(0.5, 0.2, 0.3)))
    lush = 0.0 if beard != "none" else rng.random()
    eye_width = rng.uniform(0.27, 0.335)
    ink = mix(mix(hair, (30, 20, 40), 0.8), (20, 16, 30), 0.4)
    shadow = mix(skin, (120, 40, 60), 0.28)
    makeup = palette[4] if rng.random() < 0.5 else palette[2]
    dark_brow = mix(hair, (40, 26, 30), 0.45)
    identity = Identity(
        style=style,
        skin=skin,
        head_width=rng.uniform(0.222, 0.262),
        head_height=rng.uniform(0.272, 0.308),
        jaw_shape=rng.uniform(0.62, 1.12),
        ear_size=rng.uniform(0.15, 0.24),
        hair_style=hair_style,
        hair_color=hair,
        hair_volume=rng.uniform(0.09, 0.2),
        fringe=str(rng.choice(FRINGES)),
        eye_width=eye_width,
        eye_height=eye_width * rng.uniform(0.86, 1.12),
        eye_spacing=rng.uniform(0.41, 0.455),
        eye_level=rng.uniform(-0.06, 0.06),
        eye_tilt=rng.uniform(-0.16, 0.1),
        iris_color=_jitter(rng, _IRISES[int(rng.integers(len(_IRISES)))], 0.02, 0.2, 0.12),
        iris_size=rng.uniform(0.52, 0.6),
        lid_color=mix(shadow, makeup, 0.45) if lush > 0.6 else shadow,
        lash_weight=0.05 + 0.03 * lush,
        brow_color=dark_brow,
        brow_thickness=rng.uniform(0.085, 0.13) if lush < 0.5 else rng.uniform(0.07, 0.095),
        brow_length=rng.uniform(0.27, 0.34),
        brow_arch=rng.uniform(0.05, 0.13),
        nose_size=rng.uniform(0.11, 0.19),
        nose_width=rng.uniform(0.12, 0.19),
        lip_color=mix(skin, (190, 40, 60), rng.uniform(0.35, 0.55) + 0.3 * lush * (lush > 0.5)),
        lip_thickness=rng.uniform(0.055, 0.1) + 0.03 * lush,
        mouth_size=rng.uniform(0.4, 0.5),
        mouth_level=rng.uniform(0.68, 0.75),
        blush=rng.uniform(0.0, 0.4),
        beard=beard,
        beard_color=mix(hair, (40, 30, 30), 0.15),
        glasses="none" if rng.random() < 0.74 else str(rng.choice(GLASSES[1:])),
        glasses_color=ink if rng.random() < 0.5 else palette[4],
        clothes=str(rng.choice(CLOTHES)),
        clothes_color=_jitter(rng, palette[3], 0.03, 0.15, 0.1),
        accent_color=_jitter(rng, palette[4], 0.03, 0.15, 0.05),
        shoulder_width=rng.uniform(0.3, 0.38),
        background=str(rng.choice(BACKGROUNDS)),
        background_colors=back,  # type: ignore[arg-type]
        background_shapes=tuple(float(value) for value in rng.random(12)),
        light_angle=rng.uniform(-np.pi, 0) if rng.random() < 0.9 else rng.uniform(0, np.pi),
        light_strength=rng.uniform(0.5, 1.0),
        ink=ink,
    )
    if style == "sketch":
        dark, light = _SKETCH_TINTS[int(rng.integers(len(_SKETCH_TINTS)))]
        identity = _tint(identity, dark, light)
    return identity
