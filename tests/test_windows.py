import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.audio.windows import (
    FRAME,
    FRAME_HOP,
    PATCH,
    PATCH_HOP,
    SAMPLE_RATE,
    WINDOW,
    WINDOW_HOP,
    sliding_windows,
    window_count,
)
from affekt.errors import AudioError

lengths = st.integers(1, 5 * WINDOW)
hops = st.integers(1_000, WINDOW)
quick = settings(max_examples=100)


def ramp(samples: int) -> np.ndarray:
    return np.arange(1, samples + 1, dtype=np.float32)


def test_a_window_is_one_patch_of_yamnet():
    assert (WINDOW, WINDOW_HOP) == (15_600, 7_800)
    assert WINDOW / SAMPLE_RATE == 0.975
    assert 1 + (WINDOW - FRAME) // FRAME_HOP == PATCH
    assert PATCH_HOP == 15_360  # so that no frame stands in two windows, and none in no window


@quick
@given(lengths, hops)
def test_windows_start_a_hop_apart(samples, hop):
    sound = ramp(samples)
    windows = sliding_windows(sound, hop=hop)
    assert windows.shape == (window_count(samples, hop=hop), WINDOW)
    for number, window in enumerate(windows):
        expected = sound[number * hop : number * hop + WINDOW]
        np.testing.assert_array_equal(window[: len(expected)], expected)
        assert not window[len(expected) :].any()


@quick
@given(lengths, hops)
def test_only_an_unfilled_last_window_is_dropped(samples, hop):
    count = window_count(samples, hop=hop)
    end = (count - 1) * hop + WINDOW
    assert samples < end + hop  # one more would not fill
    assert end <= max(samples, WINDOW)  # the last one is full, or the only one


@quick
@given(lengths, hops)
def test_padding_keeps_every_sample(samples, hop):
    sound = ramp(samples)
    windows = sliding_windows(sound, hop=hop, last_window="pad")
    count = window_count(samples, hop=hop, last_window="pad")
    assert windows.shape == (count, WINDOW)
    assert (count - 1) * hop + WINDOW >= samples  # all of it is in a window,
    assert count == 1 or (count - 2) * hop + WINDOW < samples  # and no window is of padding alone
    full = sliding_windows(sound, hop=hop)
    np.testing.assert_array_equal(windows[: len(full)], full)
    last = sound[(count - 1) * hop :][:WINDOW]
    np.testing.assert_array_equal(windows[-1, : last.size], last)
    assert not windows[-1, last.size :].any()


@quick
@given(st.integers(WINDOW, 4 * WINDOW), hops, st.integers(0, WINDOW))
def test_more_sound_never_changes_earlier_windows(samples, hop, more):
    sound = ramp(samples + more)
    first = sliding_windows(sound[:samples], hop=hop)
    np.testing.assert_array_equal(first, sliding_windows(sound, hop=hop)[: len(first)])


def test_windows_cost_no_memory_and_cannot_be_written():
    sound = ramp(4 * WINDOW)
    windows = sliding_windows(sound)
    assert np.shares_memory(windows, sound)
    with pytest.raises(ValueError, match="read-only"):
        windows[0, 0] = 1


@pytest.mark.parametrize(
    "options", [{"hop": 0}, {"hop": -1}, {"hop": WINDOW + 1}, {"last_window": "cut"}]
)
def test_another_hop_or_last_window_is_refused(options):
    with pytest.raises(AudioError, match=r"in \[1, 15600\] samples and as last_window one of drop"):
        sliding_windows(ramp(WINDOW), **options)


@pytest.mark.parametrize("shape", [(0,), (), (2, WINDOW), (WINDOW, 1)])
def test_arrays_of_other_shapes_are_refused(shape):
    with pytest.raises(AudioError, match=r"at least one. Got shape"):
        sliding_windows(np.zeros(shape, np.float32))
