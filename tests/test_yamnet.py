"""Test YAMNet: its shape, its batch norms, and its output against the original graph."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from affekt.model import yamnet
from affekt.model.logmel import LogMel
from affekt.model.yamnet import BATCH_NORM_EPSILON, BLOCKS, EMBEDDING, YAMNet
from affekt.model.yamnet_weights import Kernels, load_yamnet, read_tflite, unfold_batch_norms

PATCHES = 12


def made_patches(count: int = PATCHES) -> Tensor:
    """Patches as varied as real ones: log-mels have a mean near -3 and slopes over bands."""
    generator = torch.Generator().manual_seed(3)
    slopes = torch.randn(count, 1, 1, generator=generator) * torch.linspace(1, -1, 64)
    return torch.randn(count, 96, 64, generator=generator) + slopes - 3


@pytest.fixture(scope="module")
def kernels() -> Kernels:
    """Folded convolutions that keep the values' size from layer to layer."""
    rng = np.random.default_rng(4)
    pairs = []
    for row in YAMNet().rows:
        shape = tuple(row.convolution.weight.shape)
        kernel = rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))
        bias = rng.normal(size=shape[0]) * 0.3
        pairs.append((kernel.astype(np.float32), bias.astype(np.float32)))
    return pairs


def convolved(kernels: Kernels, patches: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Input of each layer's norm, and the rectifier's, by a plain folded network."""
    x = patches[:, None]
    for (kernel, bias), row in zip(kernels, YAMNet().rows, strict=True):
        weight = torch.from_numpy(kernel)
        stride, size = row.convolution.stride[0], weight.shape[-1]
        # TensorFlow's SAME: the total is what the last window lacks, the far side gets the more.
        lacks = [max((-(-n // stride) - 1) * stride + size - n, 0) for n in x.shape[2:]]
        (high, wide) = ((n // 2, n - n // 2) for n in lacks)
        x = nn.functional.pad(x, (*wide, *high))
        x = nn.functional.conv2d(x, weight, stride=stride, groups=x.shape[1] // weight.shape[1])
        shifted = x + torch.from_numpy(bias)[:, None, None]
        yield x, shifted
        x = shifted.clamp(0, 6)


def folded(kernels: Kernels, patches: Tensor) -> Tensor:
    """Embeddings by the plain folded network, ``(patches, 1, 1024)``."""
    *_, (_, last) = convolved(kernels, patches)
    return last.clamp(0, 6).mean(dim=(2, 3))[:, None]


def unfolded(kernels: Kernels, patches: Tensor, blocks: int = BLOCKS) -> YAMNet:
    network = YAMNet(blocks=blocks).eval()
    unfold_batch_norms(network, kernels, patches)
    return network


def test_has_the_published_size() -> None:
    """Keras counts 3,729,481 weights, of which AudioSet's classifier has 521 x 1,025."""
    network = YAMNet()
    kernels = sum(row.convolution.weight.numel() for row in network.rows)
    shifts = sum(row.norm.bias.numel() for row in network.rows)
    assert kernels + shifts + 521 * 1_025 == 3_729_481
    assert len(network.rows) == 27
    assert {row.norm.eps for row in network.rows} == {BATCH_NORM_EPSILON} == {1e-4}


def test_sizes_halve_as_published() -> None:
    """Channels, frames and bands after the layers that YAMNet's table shows."""
    sizes: list[tuple[int, ...]] = []
    network = YAMNet().eval()
    for row in network.rows:
        row.register_forward_hook(lambda _, __, out: sizes.append(tuple(out.shape[1:])))
    assert network(torch.zeros(2, 96, 64)).shape == (2, 1, EMBEDDING)
    assert [sizes[layer] for layer in (0, 2, 4, 8, 12, 24, 26)] == [
        (32, 48, 32),
        (64, 48, 32),
        (128, 24, 16),
        (256, 12, 8),
        (512, 6, 4),
        (1024, 3, 2),
        (1024, 3, 2),
    ]


#: Blocks, and steps and numbers of a step that are left: frames, and channels times bands.
CUTS = {1: (48, 64 * 32), 2: (24, 128 * 16), 5: (12, 256 * 8), 11: (6, 512 * 4), 12: (3, 1024 * 2)}


@pytest.mark.parametrize(("blocks", "sizes"), CUTS.items())
def test_a_cut_network_keeps_time(blocks: int, sizes: tuple[int, int]) -> None:
    network = YAMNet(blocks=blocks).eval()
    assert (network.steps, network.features) == sizes
    assert len(network.rows) == 1 + 2 * blocks
    with torch.inference_mode():
        assert network(made_patches(2)).shape == (2, *sizes)


def test_a_cut_network_is_the_whole_ones_beginning(kernels: Kernels) -> None:
    """A step is a column of the map: all channels in all bands, one after the other."""
    network = unfolded(kernels, made_patches(), blocks=5)
    _, maps = list(convolved(kernels, made_patches()))[10]
    expected = maps.clamp(0, 6)
    with torch.inference_mode():
        found = network(made_patches())
    assert expected.std() > 0.1
    for step in range(12):
        column = expected[:, :, step].reshape(PATCHES, 256 * 8)
        torch.testing.assert_close(found[:, step], column, atol=1e-5, rtol=1e-5)


def test_rectifies_up_to_six() -> None:
    (first, *_) = YAMNet().rows
    values = torch.tensor([-7.0, 0.0, 5.0, 70.0])
    assert first.rectify(values).tolist() == [0.0, 0.0, 5.0, 6.0]


def test_unfolding_keeps_the_function(kernels: Kernels) -> None:
    network = unfolded(kernels, made_patches())
    others = made_patches(2 * PATCHES)[PATCHES:]
    expected = folded(kernels, others)
    assert expected.std() > 0.1  # the comparison is of something
    with torch.inference_mode():
        torch.testing.assert_close(network(others), expected, atol=1e-5, rtol=1e-5)


def test_unfolded_statistics_are_those_of_the_patches(kernels: Kernels) -> None:
    network = unfolded(kernels, made_patches())
    for row, (before, _) in zip(network.rows, convolved(kernels, made_patches()), strict=True):
        channels = before.transpose(0, 1).flatten(1).double()
        mean = row.norm.get_buffer("running_mean").double()
        variance = row.norm.get_buffer("running_var").double()
        torch.testing.assert_close(mean, channels.mean(1), atol=1e-4 * channels.std(), rtol=1e-3)
        torch.testing.assert_close(variance, channels.var(1), atol=1e-6, rtol=1e-3)


def test_training_on_the_same_patches_starts_from_the_same_function(kernels: Kernels) -> None:
    """In training, norms take the batch's statistics: here those that they were given."""
    network = unfolded(kernels, made_patches()).train()
    expected = folded(kernels, made_patches())
    with torch.no_grad():
        torch.testing.assert_close(network(made_patches()), expected, atol=0.02, rtol=0.02)
        other = network(made_patches() * 3)
    assert (other - folded(kernels, made_patches() * 3)).abs().max() > 0.1


def test_layers_pad_as_tensorflow(kernels: Kernels) -> None:
    """A stride of two pads the far sides only; PyTorch's own padding would shift every layer."""
    network = unfolded(kernels, made_patches())
    near = torch.full((1, 96, 64), -3.0)
    moved = near.clone()
    moved[0, 0, 0] += 1
    first = network.rows[0]
    with torch.inference_mode():
        change = (first(near[:, None]) - first(moved[:, None])).abs().sum(dim=(0, 1))
    assert change[0, 0] > 0
    assert change.count_nonzero() == 1


def test_processors_without_bfloat16_compute_nearly_the_same(
    kernels: Kernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = unfolded(kernels, made_patches())
    results = []
    for there_is in (True, False):
        monkeypatch.setattr(yamnet, "HAS_BFLOAT16", there_is)
        maps = made_patches()[:, None]
        with torch.autocast("cpu", torch.bfloat16):
            for row in network.rows[:5]:
                maps = row(maps)
        network.zero_grad()
        maps.float().square().mean().backward()
        gradients = [row.convolution.weight.grad for row in network.rows[:5]]
        results.append(
            (maps.float(), torch.cat([each.flatten() for each in gradients if each is not None]))
        )
    (maps, gradient), (other, other_gradient) = results
    assert 0 < (maps - other).norm() < 0.02 * maps.norm()
    assert (gradient - other_gradient).norm() < 0.05 * gradient.norm()


Golden = tuple[
    NDArray[np.float32], NDArray[np.float32], NDArray[np.int64], NDArray[np.int64], list[str]
]


@pytest.fixture(scope="module")
def golden(weights: Path, data: Path) -> Golden:
    """What Google's graph, int8 throughout, and our network make of 200 real windows.

    Both embeddings, the AudioSet classes that Google's last layer makes of each, and their names.
    """
    from yamnet_reference import OfficialGraph, real_windows

    windows = real_windows(data)
    graph = OfficialGraph(weights)
    theirs, scores = graph.run(windows, "reduce_mean", "final_output")
    network = YAMNet().eval()
    with torch.inference_mode():
        patches = LogMel()(torch.from_numpy(windows))
        load_yamnet(network, patches[::4], path=weights)
        ours = network(patches)[:, 0].numpy()
    lines = weights.with_name("yamnet_class_map.csv").read_text().splitlines()[1:]
    names = [line.split(",", 2)[2].strip('"') for line in lines]
    return theirs, ours, scores.argmax(axis=1), graph.classify(ours), names


def test_embeddings_are_googles(golden: Golden) -> None:
    theirs, ours, *_ = golden
    assert np.corrcoef(theirs.ravel(), ours.ravel())[0, 1] >= 0.998
    assert min(np.corrcoef(a, b)[0, 1] for a, b in zip(theirs, ours, strict=True)) >= 0.995
    scale = (theirs * ours).sum() / (theirs * theirs).sum()
    assert scale == pytest.approx(1.0, abs=0.02)  # a correlation alone would not see it


def test_audioset_classes_are_googles(golden: Golden) -> None:
    *_, theirs, ours, names = golden
    assert len(names) == 521
    assert np.mean(theirs == ours) >= 0.95
    heard = {names[each] for each in ours}
    assert {"Speech", "Silence"} < heard


def test_unfolding_keeps_the_official_function(weights: Path, data: Path) -> None:
    from yamnet_reference import real_windows

    kernels = read_tflite(weights)
    with torch.inference_mode():
        patches = LogMel()(torch.from_numpy(real_windows(data)[::5]))
        network = unfolded(kernels, patches[:20])
        expected = folded(kernels, patches[20:])
        assert expected.max() > 1
        torch.testing.assert_close(network(patches[20:]), expected, atol=1e-5, rtol=1e-5)
