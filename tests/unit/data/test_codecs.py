"""JPEG and h264: what is stored is read back, at random, whatever way it came in."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_demonstrations import make_demonstration

from hearth.benchmark import Benchmark, load_benchmark
from hearth.core.errors import DataError, SettingsError
from hearth.core.results import Results
from hearth.core.settings import Settings, validate_settings
from hearth.data import preparation
from hearth.data.codecs import H264Decoder, decode_pieces, encode_h264, encode_jpegs
from hearth.data.conversion import FrameConverter
from hearth.data.frames import FrameReader, read_frames
from hearth.data.lerobot import DatasetWriter, open_dataset, write_index
from hearth.data.lerobot.video import VideoSpan, decode_span, encode_video
from hearth.data.packets import copy_packets
from hearth.data.prepare import prepare_task
from hearth.data.resize import resize_with_padding

RADIO = "turning_on_radio"
Maker = Callable[..., Settings]


def pictures(count: int, size: int = 64, seed: int = 0) -> np.ndarray:
    """uint8[count, size, size, 3]: soft patches that move, a bar that tells the frames apart."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(40, 200, (8, 8, 3)).repeat(2 * size // 8, 0)
    coarse = coarse.repeat(2 * size // 8, 1)
    images = np.stack([coarse[n % size : n % size + size, :size] for n in range(count)])
    images[:, : size // 4] = (np.arange(count) * 11 % 200)[:, None, None, None]
    return images.astype(np.uint8)


def video_frames(images: np.ndarray, pixel_format: str) -> list[av.VideoFrame]:
    frames = [av.VideoFrame.from_ndarray(image, "rgb24") for image in images]
    return [frame.reformat(format=pixel_format) for frame in frames]


def error(one: np.ndarray, two: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - two.astype(int)).mean())


H264 = {"group": 4, "quality": 18, "frames_per_second": 30}


def test_h264_packets_decode_without_a_container() -> None:
    images = pictures(18)
    encoded = encode_h264(video_frames(images, "yuv420p"), **H264)
    assert len(encoded.pieces) == 18 and encoded.key_slots.tolist() == [0, 4, 8, 12, 16]
    decoder = H264Decoder()
    for start, stop in ((12, 16), (0, 4), (8, 10), (16, 18)):
        found = decoder.decode(encoded.pieces[start:stop], range(stop - start))
        assert error(found, images[start:stop]) < 4.0
    again = encode_h264(video_frames(images, "yuv420p"), **H264)
    assert again.pieces == encoded.pieces, "the same frames give the same bytes"


def test_jpegs_decode_alone() -> None:
    images = pictures(5)
    encoded = encode_jpegs(video_frames(images, "rgb24"), quality=90)
    assert error(decode_pieces("jpeg", encoded.pieces, [4, 1]), images[[4, 1]]) < 4.0


@pytest.mark.parametrize("codec", ["jpeg", "h264"])
def test_damaged_pieces_are_named(codec: Any) -> None:
    with pytest.raises(DataError, match=r"cannot be decoded|decode to"):
        decode_pieces(codec, [b"nothing of the kind", b"nor this"], [0])
    with pytest.raises(DataError, match="unknown codec 'av1'; valid: h264, jpeg"):
        decode_pieces("av1", [b""], [0])
    good = encode_h264(video_frames(pictures(4), "yuv420p"), **H264)
    assert decode_pieces("h264", good.pieces, [3]).shape == (1, 64, 64, 3), "it recovers"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same two episodes prepared with each codec."""
    benchmark, root = load_benchmark("household"), tmp_path_factory.mktemp("source")
    writer = DatasetWriter(root, benchmark)
    lengths = {0: 40, 1: 23}
    entries = [
        writer.write_episode(make_demonstration(benchmark, RADIO, length, number), number)
        for number, length in lengths.items()
    ]
    write_index(root, benchmark, entries, image_size=64)
    files = {}
    for codec in ("jpeg", "h264"):
        values = {
            "experiment": codec,
            "results": str(root / "results"),
            "benchmark": "household",
            "data": {"dataset": str(root), "codec": codec, "group_of_pictures": 5},
        }
        experiment = validate_settings(values, source="test")
        assert prepare_task(experiment, RADIO)["codec"] == codec
        files[codec] = Results.of(experiment).episodes(RADIO)
    return files


def source_frames(prepared: dict[str, Path], benchmark: Benchmark, episode: int) -> np.ndarray:
    dataset = open_dataset(prepared["jpeg"].parents[3], benchmark)
    return np.stack(list(dataset.read_frames(episode, "head")))


@pytest.mark.parametrize("codec", ["jpeg", "h264"])
def test_both_codecs_hold_the_source_frames(
    prepared: dict[str, Path], benchmark_facts: Benchmark, codec: str
) -> None:
    expected = source_frames(prepared, benchmark_facts, 10)
    assert error(read_frames(prepared[codec], 10, "head", range(23)), expected) < 4.0


@settings(max_examples=25, deadline=None)
@given(slots=st.lists(st.integers(0, 39), max_size=12), codec=st.sampled_from(["jpeg", "h264"]))
def test_random_access_is_what_reading_in_order_gives(
    prepared: dict[str, Path], slots: list[int], codec: str
) -> None:
    reader = FrameReader(prepared[codec])
    whole = reader.read_frames(0, "left_wrist", range(40))
    found = reader.read_frames(0, "left_wrist", slots)
    assert found.shape == (len(slots), 64, 64, 3)
    np.testing.assert_array_equal(found, whole[slots])


@pytest.mark.parametrize("codec", ["jpeg", "h264"])
def test_threads_and_copies_read_the_same(prepared: dict[str, Path], codec: str) -> None:
    reader = FrameReader(prepared[codec])
    whole = reader.read_frames(0, "head", range(40))
    copy = pickle.loads(pickle.dumps(reader))
    np.testing.assert_array_equal(copy.read_frames(0, "head", [39, 2]), whole[[39, 2]])
    wrong: list[int] = []

    def read(seed: int) -> None:
        for slots in np.random.default_rng(seed).integers(0, 40, (20, 3)):
            if not np.array_equal(reader.read_frames(0, "head", slots), whole[slots]):
                wrong.append(seed)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("codec", ["jpeg", "h264"])
def test_faults_of_reading_are_named(prepared: dict[str, Path], tmp_path: Path, codec: str) -> None:
    path = tmp_path / "copy.h5"
    path.write_bytes(prepared[codec].read_bytes())
    reader = FrameReader(path)
    with pytest.raises(DataError, match=r"no episode 7: .*Valid: 0, 10"):
        reader.read_frames(7, "head", [0])
    with pytest.raises(DataError, match=r"no camera 'heat': did you mean 'head'"):
        reader.read_frames(0, "heat", [0])
    with pytest.raises(DataError, match=r"slots -1 to 2; valid are 0 to 39"):
        reader.read_frames(0, "head", [2, -1])
    with h5py.File(path, "r+") as file:
        content: Any = file["0/frames/head/bytes"]
        content[:] = 0
        offsets: Any = file["0/frames/left_wrist/offsets"]
        offsets[3] = 10**9
    with pytest.raises(DataError, match=r"episode 0: image 3 of camera 'head' cannot be decoded"):
        FrameReader(path).read_frames(0, "head", [3])
    with pytest.raises(DataError, match=r"offsets are damaged"):
        FrameReader(path).read_frames(0, "left_wrist", [3])
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"copy.h5 cannot be read"):
        FrameReader(path)


def test_files_of_before_have_no_codec(prepared: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "old.h5"
    path.write_bytes(prepared["jpeg"].read_bytes())
    with h5py.File(path, "r+") as file:
        del file["0/frames/head"].attrs["codec"]
    np.testing.assert_array_equal(
        read_frames(path, 0, "head", [5]), read_frames(prepared["jpeg"], 0, "head", [5])
    )


@pytest.mark.parametrize("pixel_format", ["rgb24", "yuv420p"])
@pytest.mark.parametrize("shape", [(720, 720), (96, 128)])
def test_scaling_is_that_of_the_acting_policy(pixel_format: str, shape: tuple[int, int]) -> None:
    """Training and acting differ by rounding, and by the colours that 4:2:0 halves."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 255, (12, 16, 3)).astype(np.uint8)
    image = coarse.repeat(-(-shape[0] // 12), 0).repeat(-(-shape[1] // 16), 1)
    image = np.ascontiguousarray(image[: shape[0], : shape[1]])
    decoded = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p")
    acting = resize_with_padding(decoded.reformat(format="rgb24").to_ndarray(), 64)
    found = FrameConverter(64, pixel_format).convert(decoded)
    assert (found.width, found.height, found.format.name) == (64, 64, pixel_format)
    through = av.VideoFrame.from_ndarray(acting, "rgb24").reformat(format=pixel_format)
    loss = error(through.reformat(format="rgb24").to_ndarray(), acting)
    assert error(found.reformat(format="rgb24").to_ndarray(), acting) < 2.0 + 1.1 * loss


def make_video(path: Path, images: np.ndarray, **options: str) -> VideoSpan:
    size = images.shape[1]
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "14", **options})
        stream.width = stream.height = size
        stream.pix_fmt, stream.thread_count = "yuv420p", 1
        for frame in video_frames(images, "yuv420p"):
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return span(path, len(images), size)


def span(path: Path, length: int, size: int = 64, first: int = 0) -> VideoSpan:
    whole = first == 0
    return VideoSpan(path, first, length, whole, 30, size, size, "h264")


SHORT = {"g": "5", "bf": "0", "sc_threshold": "0"}


def test_usable_source_packets_are_copied(tmp_path: Path) -> None:
    images = pictures(23)
    source = make_video(tmp_path / "a.mp4", images, **SHORT)
    copied = copy_packets(source, image_size=64, group=5)
    assert copied is not None and copied.key_slots.tolist() == [0, 5, 10, 15, 20]
    for start in copied.key_slots.tolist():
        stop = min(start + 5, 23)
        found = decode_pieces("h264", copied.pieces[start:stop], range(stop - start))
        assert error(found, images[start:stop]) < 4.0
    # A part of a file that begins at a key frame, as v3.0 has them.
    part = copy_packets(span(tmp_path / "a.mp4", 7, first=10), image_size=64, group=5)
    assert part is not None and part.pieces == copied.pieces[10:17]


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({**SHORT, "g": "12"}, 64),  # too many frames from key to key
        ({**SHORT, "bf": "2"}, 64),  # out of the order of time
        (SHORT, 32),  # another size
    ],
)
def test_other_packets_are_encoded_anew(tmp_path: Path, options: dict[str, str], size: int) -> None:
    source = make_video(tmp_path / "a.mp4", pictures(23), **options)
    assert copy_packets(source, image_size=size, group=5) is None


def test_copying_checks_like_decoding(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    make_video(path, pictures(23), **SHORT)
    with pytest.raises(DataError, match="has 23 frames; its table has 24 rows"):
        copy_packets(span(path, 24), image_size=64, group=5)
    with pytest.raises(DataError, match="does not exist"):
        copy_packets(span(tmp_path / "b.mp4", 23), image_size=64, group=5)


def test_prepare_copies_what_it_can(
    make_dataset: Maker, benchmark_facts: Benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_dataset({RADIO: [20]}, codec="h264", group_of_pictures=5)
    dataset = open_dataset(settings.data.dataset or "", benchmark_facts)
    make_video(dataset.video_path(0, "head"), pictures(20), **SHORT)
    encoded: list[int] = []
    original = preparation.encode_h264

    def counting(*arguments: Any, **options: Any) -> Any:
        encoded.append(1)
        return original(*arguments, **options)

    monkeypatch.setattr(preparation, "encode_h264", counting)
    prepare_task(settings, RADIO)
    assert len(encoded) == 2, "both wrists are encoded, the head is copied"
    path = Results.of(settings).episodes(RADIO)
    assert error(read_frames(path, 0, "head", range(20)), pictures(20)) < 4.0


def test_kept_frames_of_h264(make_dataset: Maker, benchmark_facts: Benchmark) -> None:
    settings = make_dataset({RADIO: [20]}, codec="h264", keep_every=3)
    prepare_task(settings, RADIO)
    dataset = open_dataset(settings.data.dataset or "", benchmark_facts)
    expected = np.stack(list(dataset.read_frames(0, "head", every=3)))
    found = read_frames(Results.of(settings).episodes(RADIO), 0, "head", range(7))
    assert error(found, expected) < 4.0


def test_colours_of_another_matrix_survive(tmp_path: Path) -> None:
    """A source in the colours of HD television reads the same through both codecs."""
    colours = np.array([[[250, 20, 20], [20, 220, 30]], [[30, 30, 230], [200, 200, 40]]], np.uint8)
    images = np.broadcast_to(colours.repeat(64, 0).repeat(64, 1), (6, 128, 128, 3))
    path = tmp_path / "hd.mp4"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "8"})
        stream.width = stream.height = 128
        stream.pix_fmt = "yuv420p"
        stream.codec_context.colorspace = 1  # BT.709
        for image in images:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709")))
        container.mux(stream.encode())
    found = {}
    for codec, pixel_format in (("jpeg", "rgb24"), ("h264", "yuv420p")):
        converter = FrameConverter(64, pixel_format)
        frames = (converter.convert(frame) for frame in decode_span(span(path, 6, size=128)))
        encoded = (
            encode_jpegs(frames, 95)
            if codec == "jpeg"
            else encode_h264(frames, group=4, quality=8, frames_per_second=30)
        )
        found[codec] = decode_pieces(codec, encoded.pieces[:4], [0, 1, 2, 3])
    small = np.stack([resize_with_padding(image, 64) for image in images[:4]])
    assert error(found["jpeg"], small) < 3.0  # the other matrix would be 12 levels off
    assert error(found["h264"], small) < 3.0


def test_a_size_that_h264_cannot_have_is_refused() -> None:
    data = {"dataset": "d", "image_size": 63}
    values = {"experiment": "e", "benchmark": "household", "data": data}
    with pytest.raises(SettingsError, match="needs an even image_size, not 63"):
        validate_settings(values, source="test")
    validate_settings({**values, "data": {**data, "codec": "jpeg"}}, source="test")


def test_encoding_refuses_odd_sources(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot encode 3 frames of 33x32"):
        encode_video(tmp_path / "a.mp4", np.zeros((3, 33, 32, 3), np.uint8), 30)
    assert list(tmp_path.iterdir()) == []
