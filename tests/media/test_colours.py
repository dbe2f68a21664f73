"""Colours come out right whatever matrix, range, primaries, curve and opacity a file declares."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from megactor_core.media.reading import open_driving

COLOURS = np.array(
    [
        *((200, 40, 40), (40, 180, 60), (50, 60, 200), (220, 200, 40), (100, 50, 150)),
        *((240, 240, 240), (128, 128, 128), (16, 16, 16), (255, 255, 255), (0, 0, 0)),
    ],
    np.float64,
)
LUMA = {4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}
BT709_LUMA = (0.2126, 0.0722)
# linear RGB of BT.709 to that of other primaries, ITU-R BT.2087 and SMPTE EG 432
TO_BT2020 = np.array([(0.6274, 0.3293, 0.0433), (0.0691, 0.9195, 0.0114), (0.0164, 0.0880, 0.8956)])
TO_P3 = np.array([(0.8225, 0.1774, 0), (0.0332, 0.9669, 0), (0.0171, 0.0724, 0.9108)])


def _write(path: Path, planes: list[np.ndarray], pix_fmt: str, **marks: int) -> Path:
    """Two frames without loss, of planes as they are, in a file that declares ``marks``."""
    height, width = planes[0].shape
    with av.open(str(path), "w") as container:
        video = container.add_stream("ffv1", 25)
        video.width, video.height, video.pix_fmt = width, height, pix_fmt
        for name, value in marks.items():
            setattr(video.codec_context, name, value)
        frame = av.VideoFrame(width, height, pix_fmt)
        for plane, values in zip(frame.planes, planes, strict=True):
            rows = np.zeros((plane.height, plane.line_size), np.uint8)
            data = np.ascontiguousarray(values).view(np.uint8)
            rows[:, : data.shape[1]] = data
            plane.update(rows.tobytes())
        for frame.pts in range(2):
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


def _patches(values: np.ndarray) -> list[np.ndarray]:
    """Columns of 8 pixels of each colour, 16 high, as planes."""
    return [np.repeat(np.tile(values[:, i], (16, 1)), 8, axis=1) for i in range(3)]


def _read(path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """The colours of the patches, and what is told about the file."""
    source = open_driving(path)
    (image, second) = (image for _, _, image in source.frames())
    assert np.array_equal(image, second)
    return image[8, 4::8].astype(int), source.notes


def _codes(ycc: np.ndarray, full_range: bool, depth: int = 10) -> np.ndarray:
    half, largest = 2 ** (depth - 1), 2**depth - 1
    scales = np.array((largest, largest, largest) if full_range else (219, 224, 224))
    offsets = np.array((0, half, half) if full_range else (16, 128, 128))
    unit = 1 if full_range else 2 ** (depth - 8)
    return np.clip(np.rint((ycc * scales + offsets) * unit), 0, largest).astype(np.uint16)


def _camera(light: np.ndarray) -> np.ndarray:
    return np.where(light < 0.018, 4.5 * light, 1.0993 * np.maximum(light, 0) ** 0.45 - 0.0993)


def _scene(signal: np.ndarray) -> np.ndarray:
    return np.where(signal < 0.081, signal / 4.5, ((signal + 0.0993) / 1.0993) ** (1 / 0.45))


def _encoded(matrix: int, rgb: np.ndarray) -> np.ndarray:
    """Y in 0..1, Cb and Cr in -0.5..0.5 by the equations of ITU-T H.273."""
    red, green, blue = rgb.T
    if matrix == 8:
        return np.stack(
            [red / 4 + green / 2 + blue / 4, -red / 4 + green / 2 - blue / 4, (red - blue) / 2], 1
        )
    kr, kb = LUMA.get(9 if matrix == 10 else matrix, BT709_LUMA)
    kg = 1 - kr - kb
    if matrix not in (10, 13):
        y = kr * red + kg * green + kb * blue
        return np.stack([y, (blue - y) / 2 / (1 - kb), (red - y) / 2 / (1 - kr)], 1)
    y = _camera(kr * _scene(red) + kg * _scene(green) + kb * _scene(blue))
    chroma = []
    for value, share in ((blue, kb), (red, kr)):
        below, above = _camera(np.array(1 - share)), 1 - _camera(np.array(share))
        chroma.append((value - y) / 2 / np.where(value < y, below, above))
    return np.stack([y, *chroma], 1)


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", [1, 4, 5, 6, 7, 8, 9, 10, 12, 13])
def test_every_matrix_and_range_gives_the_colours(tmp_path: Path, matrix: int, full_range: bool) -> None:
    codes = _codes(_encoded(matrix, COLOURS / 255), full_range)
    marks = {"colorspace": matrix, "color_range": 2 if full_range else 1}
    got, notes = _read(_write(tmp_path / "a.mkv", _patches(codes), "yuv444p10le", **marks))
    assert np.abs(got - COLOURS).max() <= 1 and not notes


@pytest.mark.parametrize(("matrix", "pix_fmt", "depth"), [(16, "yuv444p10le", 10), (17, "yuv444p9le", 9)])
def test_reversible_matrices_give_the_colours_exactly(
    tmp_path: Path, matrix: int, pix_fmt: str, depth: int
) -> None:
    red, green, blue = COLOURS.astype(int).T
    orange = red - blue
    base = blue + (orange >> 1)
    lime = green - base
    codes = np.stack([base + (lime >> 1), *(value + (1 << depth - 1) for value in (lime, orange))], 1)
    path = _write(tmp_path / "a.mkv", _patches(codes.astype(np.uint16)), pix_fmt, colorspace=matrix)
    assert np.array_equal(_read(path)[0], COLOURS)


def test_a_matrix_that_nobody_knows_is_told(tmp_path: Path) -> None:
    codes = _codes(_encoded(6, COLOURS / 255), False)
    got, notes = _read(_write(tmp_path / "a.mkv", _patches(codes), "yuv444p10le", colorspace=15))
    assert np.abs(got - COLOURS).max() <= 1
    assert notes == ("colour matrix 15 is not known: its colours may be wrong",)


def _light(rgb: np.ndarray) -> np.ndarray:
    signal = rgb / 255
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def _pq(light: np.ndarray) -> np.ndarray:
    power = np.maximum(light * 203 / 10_000, 0) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def _hlg(light: np.ndarray) -> np.ndarray:
    scene = np.maximum(light, 0) * 0.26496  # graphics white at 75 % of the signal
    bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)


@pytest.mark.parametrize("matrix", [9, 10, 14])
@pytest.mark.parametrize(("transfer", "curve"), [(16, _pq), (18, _hlg)])
def test_hdr_graphics_look_like_the_sdr_ones(tmp_path: Path, transfer: int, curve, matrix: int) -> None:
    light = _light(COLOURS) @ TO_BT2020.T
    if matrix == 14:
        lms = curve(light @ (np.array([(1688, 2146, 262), (683, 2951, 462), (99, 309, 3688)]) / 4096).T)
        chroma = [(6610, -13613, 7003), (17933, -17390, -543)]
        if transfer == 18:
            chroma = [(3625, -7465, 3840), (9500, -9212, -288)]
        ycc = lms @ (np.array([(2048, 2048, 0), *chroma]) / 4096).T
    else:
        ycc = _encoded(matrix, curve(light))
    marks = {"colorspace": matrix, "color_primaries": 9, "color_trc": transfer, "color_range": 1}
    path = _write(tmp_path / "a.mkv", _patches(_codes(ycc, False)), "yuv444p10le", **marks)
    got, notes = _read(path)
    assert notes == ("HDR video: its colours were tone-mapped to SDR",)
    white = COLOURS[:, 0] == 255
    assert np.abs(got - COLOURS)[~white].max() <= 4
    # pure white leaves room for what is brighter
    assert 240 < got[white].min() and got[white].max() < 255


def test_hdr_highlights_are_pressed_together_not_cut(tmp_path: Path) -> None:
    grey = np.repeat(np.array((0.5, 1.0, 2.0, 4.0, 40.0))[:, None], 3, axis=1)
    codes = _codes(_encoded(9, _pq(grey)), False)
    marks = {"colorspace": 9, "color_primaries": 9, "color_trc": 16}
    got, _ = _read(_write(tmp_path / "a.mkv", _patches(codes), "yuv444p10le", **marks))
    assert np.all(np.diff(got[:, 0]) > 0) and np.ptp(got, axis=1).max() <= 1


@pytest.mark.parametrize(("primaries", "to_them"), [(9, TO_BT2020), (12, TO_P3)])
def test_wide_gamuts_lose_none_of_their_colour(tmp_path: Path, primaries: int, to_them: np.ndarray) -> None:
    light = _light(COLOURS) @ to_them.T
    signal = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055)
    marks = {"colorspace": 1, "color_primaries": primaries, "color_trc": 1, "color_range": 1}
    path = _write(tmp_path / "a.mkv", _patches(_codes(_encoded(1, signal), False)), "yuv444p10le", **marks)
    got, notes = _read(path)
    assert np.abs(got - COLOURS).max() <= 2 and not notes


@pytest.mark.parametrize(
    ("transfer", "curve"),
    [
        (4, lambda light: light ** (1 / 2.2)),
        (5, lambda light: light ** (1 / 2.8)),
        (8, lambda light: light),
        (9, lambda light: np.where(light < 0.01, 0, 1 + np.log10(np.maximum(light, 0.01)) / 2)),
    ],
)
def test_other_curves_are_straightened(tmp_path: Path, transfer: int, curve) -> None:
    codes = _codes(_encoded(1, curve(_light(COLOURS))), False)
    marks = {"colorspace": 1, "color_primaries": 1, "color_trc": transfer, "color_range": 1}
    got, _ = _read(_write(tmp_path / "a.mkv", _patches(codes), "yuv444p10le", **marks))
    bright = COLOURS.min(axis=1) > 30
    assert np.abs(got - COLOURS)[bright].max() <= 3


@pytest.mark.parametrize("matrix", [1, 9, 14])
def test_no_mark_makes_a_file_unreadable(tmp_path: Path, matrix: int) -> None:
    grey = _patches(np.full((1, 3), 512, np.uint16))
    for name, values in (("color_trc", range(1, 20)), ("color_primaries", (*range(1, 13), 22))):
        for value in values:
            path = _write(tmp_path / "a.mkv", grey, "yuv444p10le", **{"colorspace": matrix, name: value})
            assert len(_read(path)[0]) == 1
            path.unlink()


def test_the_marks_of_old_television_change_nothing(tmp_path: Path) -> None:
    codes = _codes(_encoded(5, COLOURS / 255), False)
    for standard in (5, 6):
        marks = {"colorspace": standard, "color_primaries": standard, "color_trc": standard}
        got, notes = _read(_write(tmp_path / "a.mkv", _patches(codes), "yuv444p10le", **marks))
        assert np.abs(got - COLOURS).max() <= 1 and not notes


def _transparent() -> np.ndarray:
    """From the top: transparent over black, half transparent red, red."""
    image = np.zeros((48, 64, 4), np.uint8)
    image[16:] = (200, 40, 40, 255)
    image[16:32, :, 3] = 128
    return image


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.mov", "prores_ks", "yuva444p10le"),
        ("a.mov", "qtrle", "argb"),
        ("a.mov", "png", "rgba"),
        ("a.mkv", "ffv1", "bgra"),
        ("a.avi", "utvideo", "gbrap"),
        ("a.webm", "libvpx-vp9", "yuva420p"),
    ],
)
def test_transparent_parts_are_white(tmp_path: Path, name: str, codec: str, pix_fmt: str) -> None:
    with av.open(str(tmp_path / name), "w") as container:
        video = container.add_stream(codec, 25)
        video.width, video.height, video.pix_fmt = 64, 48, pix_fmt
        for index in range(3):
            frame = av.VideoFrame.from_ndarray(_transparent(), format="rgba").reformat(format=pix_fmt)
            frame.pts = index
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    images = [image for _, _, image in open_driving(tmp_path / name).frames()]
    assert len(images) == 3
    for image in images:
        assert image[[8, 24, 40], 32].tolist() == [
            pytest.approx(colour, abs=2) for colour in ((255, 255, 255), (227, 147, 147), (200, 40, 40))
        ]


def test_the_fourth_byte_of_uncompressed_avi_is_no_opacity(tmp_path: Path) -> None:
    image = np.full((48, 64, 4), (200, 40, 40, 0), np.uint8)
    with av.open(str(tmp_path / "a.avi"), "w") as container:
        video = container.add_stream("rawvideo", 25)
        video.width, video.height, video.pix_fmt = 64, 48, "bgra"
        frame = av.VideoFrame.from_ndarray(image, format="rgba").reformat(format="bgra")
        container.mux([*video.encode(frame), *video.encode(None)])
    ((_, _, shown),) = open_driving(tmp_path / "a.avi").frames()
    assert np.all(shown == (200, 40, 40))
