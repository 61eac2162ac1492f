import errno
import io
import struct
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.audio import decoding, ffmpeg, headers, reading
from affekt.audio.pcm import ENCODINGS, Pcm
from affekt.audio.reading import MAX_SECONDS, Sound, blocks, channel_blocks, probe, read
from affekt.audio.sound_files import SUFFIXES
from affekt.errors import AudioError
from bad_inputs import BAD_BYTES, BAD_INPUTS, TONE, ffmpeg_bytes, sound_bytes, wav_bytes
from file_formats import CODED, PLAIN, RATES

PCM = (TONE * 32_767).astype("<i2").tobytes()


def chirp(seconds: float = 2.0, rate: int = 16_000) -> np.ndarray:
    """A sweep, in which any shift in time shows."""
    at = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * (200 + 400 * at) * at)).astype(np.float32)


def tone(hertz: float, rate: int, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate).astype(np.float32)


class Pipe(io.RawIOBase):
    """What standard input is: it cannot seek, and gives a few bytes at a time."""

    def __init__(self, content: bytes, most: int = 1_000):
        self._content, self._most = io.BytesIO(content), most

    def readable(self):
        return True

    def readinto(self, buffer):
        part = self._content.read(min(len(buffer), self._most))
        buffer[: len(part)] = part
        return len(part)


# ------------------------------------------------------------------ what is read


WRITTEN = [
    (form, subtype)
    for form in soundfile.available_formats()
    for subtype in soundfile.available_subtypes(form)
    # what has no header; what libsndfile itself cannot read from memory
    if form not in ("RAW", "SD2", "XI") and not subtype.startswith("DWVW")
]


@pytest.mark.parametrize(("form", "subtype"), WRITTEN, ids=[" ".join(each) for each in WRITTEN])
def test_whatever_libsndfile_writes_is_read_whole_and_in_parts(form, subtype):
    """Telephones' codecs among them, in which libsndfile cannot go back."""
    file = io.BytesIO()
    try:
        soundfile.write(file, TONE, 8_000, format=form, subtype=subtype)
    except soundfile.SoundFileError:
        pytest.skip("not at this rate")
    whole = read(file.getvalue())
    assert len(whole) >= 2 * 2 * 16_000 - 16_000
    part = read(file.getvalue(), start=1.0, end=2.0)
    assert len(part) == 16_000
    if subtype.startswith(("PCM", "FLOAT", "DOUBLE")):
        np.testing.assert_allclose(part[500:-500], whole[16_500:31_500], atol=1e-3)


@pytest.mark.parametrize(("form", "subtype"), PLAIN)
def test_plain_formats_keep_every_sample(form, subtype):
    sound = read(sound_bytes(form, subtype, chirp()))
    assert sound.dtype == np.float32
    assert len(sound) >= 32_000
    np.testing.assert_allclose(sound[:32_000], chirp(), rtol=0, atol=PLAIN[form, subtype])


@pytest.mark.parametrize("rate", RATES)
def test_every_rate_comes_out_at_16_khz(rate):
    file = io.BytesIO()
    soundfile.write(file, chirp(rate=rate), rate, format="WAV", subtype="FLOAT")
    sound = read(file)
    np.testing.assert_allclose(sound[500:31_500], chirp()[500:31_500], atol=2e-3)
    assert len(sound) == 32_000
    assert probe(file) == Sound(rate, 1, 2.0)


@pytest.mark.parametrize(("form", "codec", "rate"), CODED)
def test_coded_formats_keep_the_sound_in_its_place(form, codec, rate):
    values = chirp(rate=rate)
    content = ffmpeg_bytes(form, codec, rate=rate, values=values)
    sound = read(content)
    assert len(sound) / 16_000 == pytest.approx(2.0, abs=0.13)
    expected = soxr.resample(values, rate, 16_000)[1_000:31_000]
    lags = range(-60, 61)
    alike = [np.corrcoef(sound[1_000 + lag : 31_000 + lag], expected)[0, 1] for lag in lags]
    assert lags[int(np.argmax(alike))] == 0
    assert max(alike) > 0.995
    assert probe(content).seconds == pytest.approx(len(sound) / 16_000, abs=0.1)


def test_sources_of_every_kind_give_the_same(tmp_path):
    content = sound_bytes("WAV", "FLOAT", chirp())
    path = tmp_path / "Ärger 怒り.bin"
    path.write_bytes(content)
    used = io.BytesIO(content)
    used.seek(0, io.SEEK_END)
    with path.open("rb") as file:
        for source in (path, str(path), content, bytearray(content), used, file, Pipe(content)):
            np.testing.assert_array_equal(read(source), chirp())
        assert not file.closed
    np.testing.assert_array_equal(read(chirp(), sample_rate=16_000), chirp())


def test_only_a_read_method_is_needed():
    class Reader:
        read = staticmethod(io.BytesIO(sound_bytes("FLAC")).read)

    assert len(read(Reader())) == 32_000


def test_standard_input_is_read(tmp_path):
    code = "import sys; from affekt.audio.reading import read; print(len(read(sys.stdin.buffer)))"
    good = subprocess.run(
        [sys.executable, "-c", code], input=wav_bytes(PCM), capture_output=True, check=True
    )
    assert (good.stdout.strip(), good.stderr) == (b"32000", b"")
    bad = subprocess.run([sys.executable, "-c", code], input=b"no", capture_output=True)
    assert b"AudioError: standard input is not audio" in bad.stderr


@pytest.mark.parametrize("size", [0, 2**31, 2**32 - 1, 0x7FFF_F000 - 36])
@pytest.mark.parametrize("wrap", [bytes, Pipe])
def test_a_wav_written_to_a_pipe_is_read_to_its_end(size, wrap):
    np.testing.assert_allclose(read(wrap(wav_bytes(PCM, promised=size))), TONE, atol=2**-14)
    assert probe(wrap(wav_bytes(PCM, promised=size))).seconds == 2.0


ENCODED = {
    **{
        f"{kind}{order}": (subtype, name)
        for order, name in (("le", "LITTLE"), ("be", "BIG"))
        for kind, subtype in (
            ("s16", "PCM_16"),
            ("s24", "PCM_24"),
            ("s32", "PCM_32"),
            ("f32", "FLOAT"),
            ("f64", "DOUBLE"),
        )
    },
    "s8": ("PCM_S8", "FILE"),
    "u8": ("PCM_U8", "FILE"),
    "alaw": ("ALAW", "FILE"),
    "mulaw": ("ULAW", "FILE"),
}


@pytest.mark.parametrize("wrap", [io.BytesIO, Pipe])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_samples_without_a_header_are_what_the_caller_says(encoding, wrap):
    subtype, endian = ENCODED[encoding]
    both = np.stack([chirp(), chirp() / 2], axis=1)
    file = io.BytesIO()
    soundfile.write(file, both, 44_100, format="RAW", subtype=subtype, endian=endian)
    pcm = Pcm(encoding, 44_100, 2)
    with decoding.decode(wrap(file.getvalue()), "raw", pcm=pcm) as sound:
        values = np.concatenate([*sound.chunks])
    assert (sound.sample_rate, sound.channels, sound.frames) == (44_100, 2, None)
    np.testing.assert_allclose(
        values, both, atol=0.02 if "8" in encoding or "law" in encoding else 2**-15
    )


@pytest.mark.parametrize("wrap", [io.BytesIO, Pipe])
def test_a_known_format_is_never_taken_for_samples(wrap):
    for content in (sound_bytes("FLAC"), sound_bytes("AU"), ffmpeg_bytes("adts", "aac")):
        with decoding.decode(wrap(content), "it", pcm=Pcm(sample_rate=1_000)) as sound:
            assert sound.sample_rate == 16_000
    with decoding.decode(wrap(b"\xff\xfb\x90\x00" + PCM), "it", pcm=Pcm()) as sound:
        assert sum(map(len, sound.chunks)) == 32_002  # not an MP3, whatever it begins like
    with (
        pytest.raises(AudioError, match="it is text, not a sound"),
        decoding.decode(wrap(b"no sound"), "it", pcm=Pcm()),
    ):
        pass


@pytest.mark.parametrize("good", [3_000, 5_000, 40_000])
@pytest.mark.parametrize(
    "content",
    [wav_bytes(PCM), ffmpeg_bytes("mp3", "libmp3lame"), ffmpeg_bytes("mp4", "aac")],
    ids=["wav", "mp3", "mp4"],
)
@pytest.mark.parametrize("fault", [KeyboardInterrupt(), OSError(5, "Input/output error")])
def test_a_fault_of_a_pipe_comes_out_once_and_as_it_was(content, good, fault):
    class Failing(Pipe):
        faults = 0

        def readinto(self, buffer):
            if self._content.tell() > min(good, len(content) - 2_000):
                self.faults += 1
                raise fault
            return super().readinto(buffer)

    pipe = Failing(content)
    expected = KeyboardInterrupt if isinstance(fault, KeyboardInterrupt) else AudioError
    with pytest.raises(expected, match=r"^$|Input/output error"):
        read(pipe)
    assert pipe.faults == 1


def test_a_flac_written_to_a_pipe_is_read_to_its_end():
    content = bytearray(sound_bytes("FLAC"))
    content[21] &= 0xF0
    content[22:26] = bytes(4)  # no number of samples
    assert len(read(bytes(content))) == 32_000
    assert probe(bytes(content)).seconds == 2.0


def test_a_live_recording_of_a_browser_is_measured():
    content = ffmpeg_bytes("webm", "libopus", rate=48_000, options={"live": "1"})
    assert probe(content).seconds == pytest.approx(len(TONE) / 48_000, abs=0.01)


def test_a_chained_ogg_is_read_whole():
    assert len(read(2 * sound_bytes("OGG"))) == pytest.approx(64_000, abs=1_000)


def test_the_first_sound_track_of_a_video_is_read():
    content = ffmpeg_bytes("mp4", "aac", tracks=2, picture=True)
    assert np.abs(read(content)[4_000:28_000]).max() == pytest.approx(0.3, abs=0.03)
    content = ffmpeg_bytes("matroska", "aac", tracks=2, picture=True)  # length of the whole only
    assert probe(content).seconds == pytest.approx(2.0, abs=0.1)


def test_an_mp3_inside_a_wav_is_read_without_a_word(capfd):
    content = bytearray(ffmpeg_bytes("wav", "libmp3lame"))
    assert len(read(bytes(content))) == pytest.approx(32_000, abs=2_000)
    content[2_000:3_000] = np.random.default_rng(0).bytes(1_000)
    with pytest.raises(AudioError, match=r"truncated|damaged"):
        read(bytes(content))
    assert capfd.readouterr() == ("", "")


def test_other_bytes_after_an_mp3_are_ignored():
    content = ffmpeg_bytes("mp3", "libmp3lame", options={"write_xing": "0"})
    assert len(read(content + np.random.default_rng(0).bytes(5_000))) == len(read(content))


def test_tags_in_an_unknown_encoding_do_not_hide_the_sound():
    content = ffmpeg_bytes("mp3", "libmp3lame") + b"TAG" + b"\xe4\xff\xfe".ljust(125, b"\xe4")
    assert len(read(content)) == pytest.approx(32_000, abs=700)


def test_suffixes_are_lower_case():
    assert {".wav", ".flac", ".mp3", ".m4a", ".opus", ".webm"} <= SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in SUFFIXES)


# -------------------------------------------------------------- what comes of it


def test_resampling_keeps_speech_and_removes_what_would_fold_back():
    kept = read(tone(1_000, 48_000), sample_rate=48_000)
    gone = read(tone(14_000, 48_000), sample_rate=48_000)
    assert np.sqrt(2 * np.mean(kept[1_000:-1_000] ** 2)) == pytest.approx(1, abs=1e-4)
    assert np.abs(gone[1_000:-1_000]).max() < 1e-4  # -80 dB


@settings(max_examples=50)
@given(
    st.integers(1, 8_000),
    st.sampled_from([8_000, 16_000, 44_100, 48_000, 48_001]),
    st.integers(1, 2),
    st.integers(20, 5_000),
)
def test_blocks_are_what_read_gives_whatever_their_size(samples, rate, channels, chunk):
    values = np.random.default_rng(samples).uniform(-1, 1, (samples + 2, channels))
    values = values.astype(np.float32)
    whole = read(values, sample_rate=rate)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("affekt.audio.sources.CHUNK", chunk)
        pieces = list(blocks(values, sample_rate=rate))
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    assert all(len(piece) for piece in pieces)
    expected = values.mean(axis=1)
    if rate != 16_000:
        expected = soxr.resample(expected, rate, 16_000)
    np.testing.assert_allclose(whole, expected, atol=1e-6)


@pytest.mark.parametrize("chunk", [100, 4_096])
@pytest.mark.parametrize("content", [sound_bytes("FLAC"), sound_bytes("WAV", "DOUBLE")])
def test_files_come_in_blocks_too(monkeypatch, chunk, content):
    whole = read(content)
    monkeypatch.setattr(decoding, "CHUNK", chunk)
    pieces = list(blocks(content))
    assert len(pieces) == -(-32_000 // chunk)
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


@pytest.mark.parametrize(("suffix", "minutes"), [(".flac", 20), (".mp3", 3)])
def test_blocks_need_little_memory_however_long_the_sound(tmp_path, suffix, minutes):
    path = tmp_path / f"long{suffix}"
    with soundfile.SoundFile(path, "w", 16_000, 1) as file:
        for _ in range(minutes):
            file.write(np.zeros(60 * 16_000, np.int16))
    tracemalloc.start()
    samples = sum(len(block) for block in blocks(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert samples == minutes * 60 * 16_000
    assert peak < 0.4 * 4 * samples  # bytes


def test_channels_are_averaged_or_taken_one_by_one():
    left, right = tone(300, 16_000), tone(500, 16_000)
    both = np.stack([left, right], axis=1)
    content = sound_bytes("WAV", "FLOAT", both)
    np.testing.assert_allclose(read(content), (left + right) / 2, atol=1e-7)
    np.testing.assert_array_equal(read(content, channel=0), left)
    np.testing.assert_array_equal(read(content, channel=1), right)
    for channel in (1, 1.0, np.int64(1)):
        np.testing.assert_array_equal(read(both, sample_rate=16_000, channel=channel), right)
    coded = ffmpeg_bytes("mp4", "alac", values=both)
    np.testing.assert_allclose(read(coded, channel=1)[:16_000], right, atol=1e-4)
    assert probe(coded).channels == 2


@pytest.mark.parametrize("channel", [1, -1, 2, 0.5])
def test_a_channel_that_is_not_there_is_refused(channel):
    with pytest.raises(AudioError, match=rf"channel of <bytes> must be in \[0, 0\]. Got {channel}"):
        read(sound_bytes("WAV"), channel=channel)
    with pytest.raises(AudioError, match=r"number from 0.* Got each. Name one channel"):
        read(sound_bytes("WAV"), channel="each")


def test_a_fault_in_another_channel_does_no_harm():
    both = np.stack([TONE, np.full_like(TONE, np.nan)], axis=1)
    np.testing.assert_array_equal(read(both, sample_rate=16_000, channel=0), TONE)
    with pytest.raises(AudioError, match=r"Got nan at 0.000 s"):
        read(both, sample_rate=16_000)


@pytest.mark.parametrize("kind", ["u1", "i1", "<u2", ">i2", "<i4", "<u4"])
def test_integers_are_scaled_to_one(kind):
    limits = np.iinfo(kind)
    middle = 0 if limits.min else (limits.max + 1) // 2
    ends = np.array([limits.min, middle, limits.max], kind)
    sound = read(ends, sample_rate=16_000)
    assert sound[:2].tolist() == [-1.0, 0.0]
    assert 0.99 <= sound[2] <= 1.0


def test_zeros_of_a_power_cut_are_no_chunks():
    """Each would be eight bytes long, and there may be gigabytes of them."""
    content = b"RIFF\xff\xff\xff\x7fWAVE" + bytes(4_000)
    file = io.BytesIO(content)
    assert headers.riff_of(file, "") is None
    assert file.tell() < 100


def test_integers_of_64_bits_are_no_sound():
    """NumPy makes int64 from a list of integers: scaled by this width, speech would be silence."""
    with pytest.raises(AudioError, match=r"integers of 8 to 32 bits, or floats. Got int64"):
        read(np.array([0, 20_000, -20_000]), sample_rate=16_000)


def test_a_rate_may_be_a_whole_number_of_any_type():
    for rate in (np.float32(44_100), np.int32(44_100), 44_100.0):
        assert probe(TONE, sample_rate=rate).sample_rate == 44_100


@pytest.mark.parametrize("kind", ["<f2", "<f4", ">f8"])
def test_floats_are_kept_beyond_one(kind):
    values = np.array([0.5, -3.0, 1.5], kind)
    assert read(values, sample_rate=16_000).tolist() == [0.5, -3.0, 1.5]
    file = sound_bytes("WAV", "FLOAT", values.astype(np.float32))
    assert read(file).tolist() == [0.5, -3.0, 1.5]


# ------------------------------------------------------------------------ a part


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_a_part_is_between_start_and_end(form):
    content = sound_bytes(form, values=chirp())
    whole = read(content)
    part = read(content, start=0.5, end=1.25)
    np.testing.assert_allclose(part, whole[8_000:20_000], atol=1e-6)
    np.testing.assert_allclose(read(content, start=1.5), whole[24_000:], atol=1e-6)
    np.testing.assert_array_equal(read(content, end=2.05), whole)  # annotations are rounded


def test_a_part_of_an_array_in_blocks(monkeypatch):
    monkeypatch.setattr("affekt.audio.sources.CHUNK", 1_000)
    part = read(chirp(), sample_rate=16_000, start=0.5, end=1.25)
    np.testing.assert_array_equal(part, chirp()[8_000:20_000])


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"start": -1.0}, "start must be seconds, at least 0"),
        ({"start": np.nan}, "start must be seconds"),
        ({"end": 0.0}, "end must be seconds after start"),
        ({"start": 1.0, "end": 1.0}, "end must be seconds after start"),
        ({"end": np.inf}, "end must be seconds"),
        ({"max_seconds": 0.0}, "max_seconds must be"),
        ({"start": 1e308}, r"start must be seconds, at least 0, at most 1e\+12. Got 1e\+308"),
        ({"end": 1e308}, r"at most 1e\+12. Got 1e\+308"),
        ({"max_seconds": 1e308}, r"at most 1e\+12. Got 1e\+308"),
        ({"start": 2.0}, "is 2.00 s long; the part asked for is 2.0 s to its end"),
        ({"start": 5.0}, "is 2.00 s long"),
        ({"start": 5.0, "end": 6.0}, "5.0 s to 6.0 s. Ask for a part inside it"),
        ({"end": 2.5}, "is 2.00 s long"),
        ({"sample_rate": 8_000}, "sample_rate is for arrays only; the rate of <bytes> .* Got 8000"),
    ],
)
@pytest.mark.parametrize("form", ["WAV", "MP3"])
def test_a_part_outside_the_sound_is_refused(form, part, message):
    with pytest.raises(AudioError, match=message):
        read(sound_bytes(form), **part)


def test_a_part_shorter_than_a_sample_is_refused():
    with pytest.raises(AudioError, match="shorter than one sample at 16 kHz"):
        read(np.ones(1), sample_rate=48_000)


# ------------------------------------------------------------------------ limits


@pytest.mark.parametrize("form", ["WAV", "MP3"])
def test_the_limit_is_on_the_part_read(form):
    content = sound_bytes(form)
    assert len(read(content, start=0.75, max_seconds=1.25)) == 20_000
    assert len(read(content, end=1.0, max_seconds=1.0)) == 16_000
    with pytest.raises(AudioError, match=r"longer than 1.9 s. Use --timeline"):
        read(content, max_seconds=1.9)


def test_the_limit_holds_for_sound_without_an_end():
    class Endless(Pipe):
        def readinto(self, buffer):
            return super().readinto(buffer) or len(buffer)

    given: list[int] = []
    with pytest.raises(AudioError, match="longer than 30 s"):
        given.extend(map(len, blocks(Endless(wav_bytes(PCM, promised=2**32 - 1)), max_seconds=30)))
    assert 29 * 16_000 <= sum(given) <= 30 * 16_000
    assert MAX_SECONDS == 4 * 3_600


def silent_flac(rate: int) -> io.BytesIO:
    """5 s of 8 channels: many samples in a small file."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros((5 * rate, 8), np.int16), rate, format="FLAC")
    return file


def test_too_many_samples_a_second_are_refused():
    with pytest.raises(AudioError, match="must have at most 4096000 samples a second in all"):
        read(silent_flac(655_350))


def test_more_channels_than_pyav_can_address_are_refused():
    aac = Path(__file__).parent / "fuzz" / "seeds" / "sound" / "many-channels"
    with pytest.raises(AudioError, match=r"must have at most 8 channels in this format. Got 29"):
        read(aac)


def test_many_samples_a_second_shorten_the_longest_part():
    file = silent_flac(96_000)  # four times what the longest part is for
    assert len(read(file, max_seconds=21.0)) == 80_000
    with pytest.raises(AudioError, match=r"longer than 4.75 s, the most of 8 channels of 96000 Hz"):
        read(file, max_seconds=19.0)
    with pytest.raises(AudioError, match=r"the most of 1 channel of 384000 Hz"):
        read(wav_bytes(bytes(768_000), rate=384_000), max_seconds=0.5)


def test_a_pipe_that_gives_too_little_ends(monkeypatch):
    class Slow(Pipe):
        def readinto(self, buffer):
            time.sleep(0.2)
            return super().readinto(buffer)

    monkeypatch.setattr(reading, "MAX_SECONDS", 0.5)
    with pytest.raises(AudioError, match=r"must come within 0.5 s"):
        read(Slow(wav_bytes(PCM, promised=2**32 - 1), 2_000), max_seconds=0.5)


def test_zeros_after_the_header_of_a_pipe_end():
    class Zeros(Pipe):
        def readinto(self, buffer):
            return super().readinto(buffer) or len(buffer)

    loud = wav_bytes(b"", promised=2**32 - 1, rate=48_000, channels=64, bits=8)
    with pytest.raises(AudioError, match=r"longer than 0.5 s, the most of 64 channels of 48000 Hz"):
        sum(map(len, blocks(Zeros(loud), max_seconds=8.0)))


# ----------------------------------------------------------------- what is wrong


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_input_is_one_clear_error(name, tmp_path, capfd):
    path = BAD_INPUTS[name](tmp_path)
    with pytest.raises(AudioError) as raised:
        read(path)
    message = str(raised.value)
    assert str(path) in message
    assert "\n" not in message
    assert message.endswith((".", "pull"))
    assert message.count(". ") >= 1  # what is wrong, then the remedy
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("wrap", [bytes, Pipe])
@pytest.mark.parametrize("name", BAD_BYTES)
def test_bad_bytes_are_one_clear_error(name, wrap, capfd):
    with pytest.raises(AudioError, match=r"<(bytes|Pipe)>.*\. \w+"):
        read(wrap(BAD_BYTES[name]()))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("truncated wav", "promises 2.00 s, only 1.00 s are there (1.00 s missing). Copy"),
        ("truncated aiff", "(1.00 s missing)"),
        ("truncated flac", "before its promised end at 2.00 s"),
        ("truncated m4a with its index first", "is truncated: its header promises 2.00 s"),
        ("git-lfs pointer", "git lfs pull"),
        ("web page", "is a web page"),
        ("picture", "has no audio track (piped png sequence)"),
        ("not a number", "Got nan at 1.250 s"),
        ("zero rate", "must be a whole number of Hz in [1000, 768000]. Got 0."),
        ("no channels", "must have 1 to 256 channels. Got 0. Record or copy it again."),
        ("five hours in a small file", "longer than 14400 s"),
        ("header only", "has no audio samples"),
    ],
)
def test_the_error_names_the_content(name, message, tmp_path):
    with pytest.raises(AudioError) as raised:
        read(BAD_INPUTS[name](tmp_path))
    assert message in str(raised.value)


@pytest.mark.parametrize("name", ["truncated wav", "truncated aiff", "zero rate", "header only"])
def test_a_header_alone_tells_some_faults(name, tmp_path):
    with pytest.raises(AudioError):
        probe(BAD_INPUTS[name](tmp_path))


def test_no_permission_is_said(tmp_path, monkeypatch):
    path = tmp_path / "private.wav"
    path.write_bytes(wav_bytes(PCM))

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(AudioError, match=r"private.wav may not be read. Give yourself permission"):
        read(path)


@pytest.mark.parametrize(
    ("values", "rate", "message"),
    [
        (TONE, None, r"must be a whole number of Hz in \[1000, 768000\]. Got None"),
        (TONE, 16_000.5, "whole number of Hz"),
        (TONE, "16000", r"whole number of Hz in .* Got '16000'"),
        (TONE, 0, r"sample rate of <array> must be .* Got 0"),
        (TONE[:0], 16_000, "no audio samples"),
        (np.zeros((5, 0)), 16_000, "no audio samples"),
        (np.zeros((2, 100)), 16_000, r"Got shape \(2, 100\). Transpose it"),
        (np.zeros((300, 300)), 16_000, "1 to 256 channels"),
        (np.zeros((1, 1, 1)), 16_000, r"\(samples, channels\)"),
        (np.zeros(()), 16_000, r"\(samples, channels\)"),
        (np.zeros(5, complex), 16_000, "integers or floats. Got complex128"),
        (np.zeros(5, bool), 16_000, "integers or floats. Got bool"),
        (np.array([0, np.nan]), 16_000, "Got nan"),
        (np.array([0, 1e300]), 16_000, "Got inf"),
    ],
)
def test_arrays_that_are_no_sound_are_refused(values, rate, message):
    with pytest.raises(AudioError, match=message):
        read(values, sample_rate=rate)
    if message not in ("Got nan", "Got inf"):
        with pytest.raises(AudioError, match=message):
            probe(values, sample_rate=rate)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "binary file or an array. Got <NoneType>. Give one of these, such as numpy"),
        ([0.0, 1.0], "Got <list>"),
        (io.StringIO("text"), "<StringIO> is open as text. Open it with mode 'rb'"),
        ("", "'' is a folder"),
        ("nul\0.wav", r"'nul\\x00.wav' cannot be opened: .*embedded null"),
        ("two\nlines.wav", r"'two\\nlines.wav' does not exist"),
    ],
)
def test_sources_of_the_wrong_kind_are_refused(source, message):
    with pytest.raises(AudioError, match=message):
        read(source)


def test_a_file_object_goes_by_its_name(tmp_path):
    class Standard(Pipe):
        name = "<stdin>"

    with pytest.raises(AudioError, match="standard input is empty"):
        read(Standard(b""))
    (tmp_path / "empty.wav").touch()
    with (
        (tmp_path / "empty.wav").open("rb") as file,
        pytest.raises(AudioError, match=r"/empty.wav is empty"),
    ):
        read(file)
    with (
        (tmp_path / "two\nlines.wav").open("wb+") as file,
        pytest.raises(AudioError, match=r"two\\nlines.wav' is empty"),
    ):
        read(file)


def test_closed_and_unreadable_files_are_refused(tmp_path):
    closed = io.BytesIO(wav_bytes(PCM))
    closed.close()
    with pytest.raises(AudioError, match="<BytesIO> is closed"):
        read(closed)
    with (tmp_path / "new.wav").open("wb") as file, pytest.raises(AudioError, match=r"new.wav is"):
        read(file)
    (tmp_path / "a.flac").write_bytes(bytes([255]))
    with (tmp_path / "a.flac").open() as file, pytest.raises(AudioError, match="is open as text"):
        read(file)


@pytest.mark.parametrize("form", ["WAV", "FLAC", "MP3"])
def test_a_failing_disk_is_one_clear_error(form, capfd):
    class Failing(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 10_000:
                raise OSError(5, "Input/output error")
            return super().read(size)

    values = np.random.default_rng(0).uniform(-0.5, 0.5, 400_000).astype(np.float32)
    with pytest.raises(AudioError, match="Input/output error"):
        read(Failing(sound_bytes(form, values=values)))
    assert capfd.readouterr() == ("", "")


def test_a_pipe_that_had_to_be_rewound_is_reported():
    with pytest.raises(AudioError, match="Save it to a file first"):
        read(Pipe(ffmpeg_bytes("mp4", "aac")))


def test_a_truncated_pipe_is_noticed():
    with pytest.raises(AudioError, match=r"\(1.00 s missing\)"):
        read(Pipe(wav_bytes(PCM)[:32_044]))


@pytest.mark.parametrize(
    "content",
    [
        sound_bytes("W64"),
        sound_bytes("AU"),
        sound_bytes("CAF"),
        ffmpeg_bytes("avi", "pcm_s16le"),
        ffmpeg_bytes("asf", "libmp3lame"),
        ffmpeg_bytes("tta", "tta"),
        ffmpeg_bytes("wv", "wavpack"),
    ],
    ids=["w64", "au", "caf", "avi", "asf", "tta", "wavpack"],
)
def test_a_recording_cut_short_is_refused_in_formats_whose_header_tells(content):
    assert len(read(content)) == pytest.approx(32_000, abs=2_000)
    for share in (0.3, 0.6, 0.9):
        with pytest.raises(AudioError):
            read(content[: int(len(content) * share)])


LONG = np.tile(TONE, 10) + np.random.default_rng(0).normal(0, 0.05, 320_000).astype(np.float32)


@pytest.mark.parametrize("wrap", [bytes, Pipe])
@pytest.mark.parametrize(
    ("form", "codec", "rate"),
    [("OGG", None, 16_000), ("ogg", "libopus", 48_000), ("ogg", "flac", 16_000)]
    + [("adts", "aac", 16_000)]
    + [(codec, codec, rate) for codec in ("ac3", "eac3") for rate in (32_000, 44_100, 48_000)],
)
def test_a_recording_that_ends_within_a_frame_is_refused(form, codec, rate, wrap):
    if codec:
        content = ffmpeg_bytes(form, codec, rate=rate, values=LONG)
    else:
        content = sound_bytes(form, values=LONG)
    assert len(read(wrap(content))) == pytest.approx(320_000 * 16_000 / rate, abs=2_500)
    for kept in np.linspace(len(content) // 2, len(content) - 20, 7).astype(int):
        with pytest.raises(AudioError, match=r"ends within a frame. Missing bytes: \d+"):
            read(wrap(content[:kept]))


def test_the_end_of_an_ogg_is_read_from_its_last_page():
    content = sound_bytes("OGG", values=LONG)
    assert headers.missing_of_page(content[-headers.MAX_PAGE :]) == 0
    assert headers.missing_of_page(content[-headers.MAX_PAGE : -100]) == 100
    assert headers.missing_of_page(content + b"OggS") == 24  # of the next page's header
    assert headers.missing_of_page(b"OggS" + bytes(22) + b"\1\xff" + bytes(255)) == 1  # goes on
    assert headers.missing_of_page(b"no Ogg") == 0
    assert len(read(content + b"junk")) == 320_000


@pytest.mark.parametrize("frame", [b"", b"TAG" + bytes(125), b"\x0bw\0\0\xff" + bytes(9)])
def test_bytes_that_are_no_frame_miss_nothing(frame):
    assert headers.missing_of_frame(frame) == 0


def test_an_au_written_to_a_pipe_promises_no_size():
    content = sound_bytes("AU")
    assert len(read(content[:8] + b"\xff" * 4 + content[12:])) == 32_000


def test_a_caf_written_to_a_pipe_promises_no_size():
    content = sound_bytes("CAF")
    at = content.index(b"data") + 4
    assert len(read(content[:at] + b"\xff" * 8 + content[at + 8 :])) == 32_000
    assert headers.promised_size(b"caff" + bytes(4)) == 0


@pytest.mark.parametrize("codec", ["tta", "wavpack"])
def test_a_flipped_bit_is_refused_where_packets_have_a_checksum(codec):
    content = bytearray(ffmpeg_bytes({"wavpack": "wv"}.get(codec, codec), codec))
    content[len(content) // 2] ^= 0x40
    with pytest.raises(AudioError, match="is damaged"):
        read(bytes(content))


def test_a_recording_that_changes_on_its_way_is_refused():
    first, second = (
        ffmpeg_bytes("mp3", "libmp3lame", values=values, options={"write_xing": "0"})
        for values in (TONE, np.stack([TONE, TONE], axis=1))
    )
    message = "must keep its .* Got 16000 Hz x 1, then 16000 Hz x 2. Split it where they change."
    with pytest.raises(AudioError, match=message):
        read(first + second)


def test_an_empty_sound_track_is_refused():
    content = ffmpeg_bytes("matroska", "pcm_s16le", values=TONE[:0])
    with pytest.raises(AudioError, match="is not audio"):
        read(content)


GOOD = {
    form: sound_bytes(form, values=TONE[:8_000]) for form in ("WAV", "FLAC", "OGG", "MP3", "AIFF")
}


@settings(max_examples=150)
@given(
    st.sampled_from(["WAV", "FLAC", "OGG", "MP3", "AIFF"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=20),
    st.floats(0, 1),
)
def test_damage_of_any_kind_is_sound_or_an_audio_error(form, flips, kept):
    content = bytearray(GOOD[form])
    for place, value in flips:
        content[int(place * len(content))] = value
    try:
        sound = read(bytes(content[: round(kept * len(content))]), max_seconds=60)
    except AudioError:
        return
    assert sound.ndim == 1
    assert 0 < len(sound) <= 60 * 16_000
    assert np.isfinite(sound).all()


# ---------------------------------------------------------------------- headers


def test_chunks_before_the_sound_are_stepped_over():
    content = wav_bytes(PCM)
    odd = b"note" + struct.pack("<I", 3) + b"abc\0"
    content = content[:36] + odd + content[36:]
    riff = headers.riff_of(io.BytesIO(content), "")
    assert riff == headers.Riff(48 + 8, 64_000, 64_000, frame=2, mpeg=False, pcm=Pcm())
    assert len(read(content)) == 32_000


@pytest.mark.parametrize(
    "content",
    [
        b"RIFF",
        b"RIFF\0\0\0\0WAVE",
        wav_bytes(PCM)[:30],
        b"RIFF\0\0\0\0WAVEfmt \x08\0\0\0\1\0\1\0\x80\x3e\0\0",
        sound_bytes("FLAC"),
    ],
)
def test_no_sound_chunk_means_no_promise(content):
    assert headers.riff_of(io.BytesIO(content), "") is None


def test_too_many_chunks_before_the_sound_are_refused():
    content = wav_bytes(PCM)
    junk = b"junk\0\0\0\0"
    few = content[:12] + 9_000 * junk + content[12:]
    assert len(read(few)) == 32_000
    with pytest.raises(AudioError, match="at most 10000 chunks before its sound"):
        read(content[:12] + 20_000 * junk + content[12:])


def test_much_junk_after_an_mp3_is_refused_before_it_fills_memory(tmp_path):
    file, content = tmp_path / "junk.mp3", sound_bytes("MP3")
    content = content[content.index(content[:2], 100) :]  # without the frame that tells its length
    file.write_bytes(content[:3_000])
    with file.open("r+b") as opened:
        opened.truncate(1 << 30)
    command = f"from affekt.audio.reading import read\ntry: read({str(file)!r})\n"
    command += "except Exception as error: print(error)\n"
    command += "print(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0])"
    words = [sys.executable, "-c", command]
    told = subprocess.run(words, capture_output=True, text=True, check=True, timeout=100).stdout
    message, memory = told.splitlines()
    assert "MiB of other bytes" in message
    assert int(memory) < 400_000  # kB
    file.write_bytes(100 * content + bytes(40 << 20) + content)
    with pytest.raises(AudioError, match="MiB of other bytes"):
        read(file)


def test_much_beside_the_sound_of_a_pipe_is_refused(monkeypatch):
    monkeypatch.setattr(ffmpeg, "MAX_BESIDE", 1 << 20)
    content = ffmpeg_bytes("webm", "libopus", rate=48_000, values=LONG, options={"live": "1"})
    at = content.rindex(b"\x1f\x43\xb6\x75")  # start of a cluster
    for size, fault in ((1 << 19, False), (1 << 21, True)):
        beside = b"\xec" + struct.pack(">Q", 1 << 56 | size) + bytes(size)  # an element to skip
        made = Pipe(content[:at] + beside + content[at:])
        if fault:
            with pytest.raises(AudioError, match="at most 1 MiB of other bytes"):
                read(made)
        else:
            assert len(read(made)) > 100_000


@pytest.mark.skipif(not Path("/proc/kmsg").exists(), reason="a file of Linux")
def test_a_file_of_the_system_without_a_size_is_not_waited_for():
    with pytest.raises(AudioError, match="kmsg is empty"):
        read("/proc/kmsg")


def test_big_endian_wavs_are_understood():
    content = sound_bytes("WAV").replace(b"RIFF", b"RIFX")
    file = io.BytesIO()
    soundfile.write(file, TONE, 16_000, format="WAV", subtype="PCM_16", endian="BIG")
    assert headers.riff_of(file, "").promised == 64_000
    np.testing.assert_allclose(read(file), TONE, atol=2**-14)
    with pytest.raises(AudioError):
        read(content)


# ------------------------------------------------------------------ real corpora


def test_the_stereo_clips_of_ravdess(data):
    clips = sorted((data / "ravdess").glob("Actor_*/*.flac"))
    stereo = [clip for clip in clips if probe(clip).channels == 2]
    assert (len(clips), len(stereo)) == (1_440, 5)
    for clip in stereo:
        values, rate = soundfile.read(clip, dtype="float32")
        np.testing.assert_array_equal(read(clip), soxr.resample(values.mean(axis=1), rate, 16_000))


def test_the_two_microphones_of_emovo(data):
    for clip in sorted((data / "emovo" / "f1").glob("*.flac"))[:5]:
        values, rate = soundfile.read(clip, dtype="float32")
        first = soxr.resample(np.ascontiguousarray(values[:, 0]), rate, 16_000)
        np.testing.assert_array_equal(read(clip, channel=0), first)
        assert not np.array_equal(read(clip, channel=1), first)


@pytest.mark.parametrize(("form", "codec"), [("mp3", "libmp3lame"), ("ipod", "aac")])
def test_speech_survives_a_codec_in_its_place(data, form, codec):
    values, rate = soundfile.read(
        data / "ravdess/Actor_01/03-01-05-02-01-01-01.flac", dtype="float32"
    )
    sound = read(ffmpeg_bytes(form, codec, rate=rate, values=values))
    whole = soxr.resample(values, rate, 16_000)
    assert np.corrcoef(sound[: len(whole)], whole[: len(sound)])[0, 1] > 0.98


def test_a_fault_while_another_thread_loads_ffmpeg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", ModuleType("av"))  # as it is until it is loaded
    (tmp_path / "empty.wav").touch()
    with pytest.raises(AudioError, match="is empty"):
        read(tmp_path / "empty.wav")


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG"])
def test_a_file_has_a_defined_position_afterwards(tmp_path: Path, form: str) -> None:
    """libsndfile reads a file on disk by its descriptor, FFmpeg by Python's methods."""
    path = tmp_path / "a"
    soundfile.write(path, chirp(), 16_000, format=form)
    with path.open("rb") as file:
        expected = read(file)
        file.read(4)
        file.seek(0)
        assert file.read(16) == path.read_bytes()[:16]
        np.testing.assert_array_equal(read(file), expected)


def test_a_file_that_is_closed_meanwhile_is_not_another(tmp_path: Path) -> None:
    """The number of its descriptor is soon that of the next file."""
    sounds = [np.full(40 * 16_000, level, np.float32) for level in (0.1, 0.2)]
    paths = [tmp_path / "a.wav", tmp_path / "b.wav"]
    for path, sound in zip(paths, sounds, strict=True):
        soundfile.write(path, sound, 16_000)
    file = paths[0].open("rb")
    heard = blocks(file)
    next(heard)
    file.close()
    with paths[1].open("rb"):
        assert all(np.abs(block - 0.1).max() < 1e-3 for block in heard)


def test_a_disk_that_fails_is_named_as_it_is(tmp_path: Path) -> None:
    """libsndfile says no more than that something failed; Python is asked what."""

    class Failing(io.FileIO):
        fails = False

        def readinto(self, buffer):
            if self.fails:
                raise OSError(errno.EIO, "Input/output error")
            return super().readinto(buffer)

    path = tmp_path / "a.wav"
    soundfile.write(path, chirp(), 16_000)
    with io.BufferedReader(Failing(path)) as file:
        heard = blocks(file)
        next(heard)
        file.raw.fails = True
        with pytest.raises(AudioError, match=r"cannot be decoded \(Input/output error\)"):
            list(heard)
        file.raw.fails = False


def test_channels_of_less_than_one_sample_are_refused():
    with pytest.raises(AudioError, match="is shorter than one sample at 16 kHz"):
        list(channel_blocks(np.ones((1_600, 2), np.float32), sample_rate=16_000, end=1e-5))
