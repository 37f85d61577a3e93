import importlib
import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from dip_repro import fast, presets
from dip_repro.blocks import Down, Skip, Up
from dip_repro.config import NetworkConfig, ResNetConfig, Settings
from dip_repro.fast import convolve_upsampled, up, variance_upsampled
from dip_repro.networks import Hourglass, count_parameters, mesh_input, noise_input
from dip_repro.runtime import ROOT, UserError

BRANCHES = list(itertools.product(("input", "output"), ("start", "end"), ("concat", "add")))
SMALL = {"width": 8, "skip": 2, "in_channels": 3}


@pytest.mark.parametrize("depth", range(1, 7))
@pytest.mark.parametrize("size", [(128, 128), (71, 97), (65, 130)])
def test_any_depth_and_odd_size_keeps_the_size(depth, size):
    network = Hourglass(NetworkConfig.uniform(depth=depth, **SMALL))
    assert network(torch.rand(1, 3, *size)).shape == (1, 3, *size)


@pytest.mark.parametrize(("skip_from", "upsample_at", "join"), BRANCHES)
@pytest.mark.parametrize("odd_sizes", ["crop", "canvas"])
def test_every_branching_runs_and_differs(skip_from, upsample_at, join, odd_sizes):
    config = NetworkConfig.uniform(
        depth=3, skip_from=skip_from, upsample_at=upsample_at, join=join, odd_sizes=odd_sizes, **SMALL
    )
    z = noise_input(3, (37, 50), seed=0)
    image = Hourglass(config)(z)
    assert image.shape == (1, 3, 37, 50)
    reference = Hourglass(NetworkConfig.uniform(depth=3, **SMALL))(z)
    same = (skip_from, upsample_at, join, odd_sizes) == ("input", "start", "concat", "crop")
    assert torch.equal(image, reference) == same


@pytest.mark.parametrize(
    "change",
    [
        *({"upsample": "nearest"}, {"padding": "zeros"}, {"align_corners": True}, {"norm_first": False}),
        *({"slope": 0.2}, {"initialisation": "kaiming_normal"}, {"initialisation": "xavier_normal"}),
        *({"n_s": (2, 0, 2)}, {"k_u": (5, 3, 3)}),
    ],
)
def test_a_setting_changes_the_output(change):
    z, config = noise_input(3, (32, 32), seed=0), NetworkConfig.uniform(depth=3, **SMALL)
    assert not torch.allclose(Hourglass(replace(config, **change))(z), Hourglass(config)(z))


def test_a_bias_before_batch_norm_has_no_effect_on_the_image():
    z = noise_input(3, (32, 32), seed=0)
    with_bias, without = (
        Hourglass(NetworkConfig.uniform(depth=2, bias_before_norm=bias, **SMALL))(z) for bias in (True, False)
    )
    torch.testing.assert_close(with_bias, without, atol=1e-5, rtol=0)


def test_the_blocks_shapes():
    config = NetworkConfig()
    x = torch.rand(1, 16, 20, 31)
    assert Down(16, 128, 3, config)(x).shape == (1, 128, 10, 16)
    assert Skip(16, 4, 1, config)(x).shape == (1, 4, 20, 31)
    up = Up(128, 4, 128, 3, config)
    assert up(torch.rand(1, 128, 10, 16), torch.rand(1, 4, 20, 31), x.shape[-2:]).shape == (1, 128, 20, 31)


def test_parameter_counts_by_hand():
    # One depth of widths d, u, s on c channels: d_i (9cd + 2d + 9dd + 2d), s_i (cs + 2s), u_i (2(d + s) + 9(d + s)u
    # + 2u + uu + 2u), last 3u + 3.
    c, d, u, s = 5, 7, 11, 3
    by_hand = (9 * c * d + 2 * d + 9 * d * d + 2 * d) + (c * s + 2 * s)
    by_hand += 2 * (d + s) + 9 * (d + s) * u + 2 * u + u * u + 2 * u + 3 * u + 3
    config = NetworkConfig(in_channels=c, n_d=(d,), n_u=(u,), n_s=(s,), k_d=(3,), k_u=(3,), k_s=(1,))
    assert count_parameters(Hourglass(config)) == by_hand
    down = 9 * 32 * 128 + 9 * 128 * 128 * 9 + 10 * 2 * 128
    skip = (32 + 4 * 128) * 4 + 5 * 2 * 4
    up = 5 * (2 * 132 + 9 * 132 * 128 + 128 * 128 + 2 * 2 * 128) + 3 * 128 + 3
    assert count_parameters(Hourglass(NetworkConfig())) == down + skip + up == 2_215_251


def test_layers_that_two_configurations_share_start_alike():
    one = Hourglass(NetworkConfig.uniform(depth=3, **SMALL), seed=3)
    other = Hourglass(NetworkConfig.uniform(depth=3, norm_first=False, **SMALL), seed=3)
    assert torch.equal(one.downs[1][3].weight, other.downs[1][3].weight)
    assert torch.equal(one.head.weight, other.head.weight)
    assert not torch.equal(one.head.weight, Hourglass(one.config, seed=4).head.weight)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"n_u": (128,)}, "one entry per depth"),
        ({"k_d": (2,) * 5}, "odd"),
        ({"n_d": (0,) * 5}, "at least 1"),
        ({"upsample": "bicubic"}, "bilinear, nearest"),
        ({"skip_from": "both"}, "input, output"),
    ],
)
def test_a_wrong_configuration_is_told(change, sentence):
    with pytest.raises(UserError, match=sentence):
        NetworkConfig(**change)


def test_too_small_an_image_is_told():
    with pytest.raises(UserError, match="at least 33"):
        Hourglass(NetworkConfig.uniform(width=4, depth=5)).check_size(32, 200)
    assert Hourglass(NetworkConfig.uniform(width=4, depth=5))(torch.rand(1, 32, 33, 33)).shape[-2:] == (33, 33)


def test_the_inputs():
    z = noise_input(32, (10, 12), seed=1)
    assert z.shape == (1, 32, 10, 12) and z.min() >= 0 and 0.09 < z.max() <= 0.1
    assert torch.equal(z, noise_input(32, (10, 12), seed=1))
    columns, rows = mesh_input((3, 5))[0]
    assert columns[0].tolist() == [0, 0.25, 0.5, 0.75, 1] and rows[:, 0].tolist() == [0, 0.5, 1]


@pytest.mark.parametrize("padding", ["reflect", "zeros"])
@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("n_s", [(2, 2, 2), (2, 0, 2)])
def test_the_shortcut_is_the_same_function(norm_first, n_s, padding, monkeypatch):
    monkeypatch.setattr(fast, "QUARTER_FROM", 0)  # else maps as small as these take the plain path
    config = NetworkConfig.uniform(depth=3, norm_first=norm_first, padding=padding, **SMALL)
    network = Hourglass(replace(config, n_s=n_s)).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += torch.rand(parameter.shape, dtype=torch.float64) / 9  # or all of batch norm is 0 and 1
    z, outputs, gradients = torch.rand(1, 3, 28, 40, dtype=torch.float64), [], []
    taken = []
    monkeypatch.setattr(fast, "convolve_upsampled", lambda *of: taken.append(of) or convolve_upsampled(*of))
    for shortcut in (True, False):
        for block in network.ups:
            assert block.fast or not shortcut
            block.fast = shortcut
        network.zero_grad()
        image = network(z)
        (image * z[:, :1]).sum().backward()
        outputs.append(image)
        gradients.append({n: p.grad for n, p in network.named_parameters() if p.grad is not None})
    assert len(taken) == 2  # of three levels: one has an odd side
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=1e-10)
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("mode", ["reflect", "constant"])
@pytest.mark.parametrize("size", [(2, 2), (2, 5), (4, 3), (8, 9)])
def test_the_convolution_of_an_upsampled_map(size, mode):
    x, weight = torch.randn(1, 3, *size).double(), torch.randn(5, 3, 3, 3).double()
    plain = nn.functional.conv2d(nn.functional.pad(up(x), (1, 1, 1, 1), mode), weight)
    torch.testing.assert_close(convolve_upsampled(x, weight, mode), plain)
    torch.testing.assert_close(variance_upsampled(x), up(x).var((0, 2, 3), correction=0))


def test_the_quarter_cost_path_is_taken_by_shape_and_processor(monkeypatch):
    large, doubled = torch.empty(1, 128, 64, 64, device="meta"), torch.Size((128, 128))
    assert fast.quarter_is_faster(large, doubled)
    assert not fast.quarter_is_faster(large, torch.Size((127, 128)))
    assert not fast.quarter_is_faster(large[:, :16], doubled)
    for amx in (False, True):
        monkeypatch.setattr(fast, "has_amx", lambda amx=amx: amx)
        with torch.autocast("cpu", torch.bfloat16):
            assert fast.quarter_is_faster(large, doubled) != amx
        assert fast.quarter_is_faster(large, doubled)


@pytest.mark.parametrize("avx512", [True, False])
@pytest.mark.parametrize("least", [0, math.inf])  # on the quarter-cost path, and on the plain one
def test_maps_weights_and_gradients_have_one_layout(least, avx512, monkeypatch):
    monkeypatch.setattr(fast, "QUARTER_FROM", least)
    monkeypatch.setattr(torch.cpu, "_is_avx512_supported", lambda: avx512)
    expected = torch.channels_last if avx512 else torch.contiguous_format
    network, foreign = Hourglass(NetworkConfig.uniform(width=16, depth=3)), []

    def look(layer, direction, x):
        if not x.is_contiguous(memory_format=expected):
            foreign.append((type(layer).__name__, direction, tuple(x.shape), x.stride()))

    def hook(layer, given, x):
        look(layer, "given", given[0])
        look(layer, "returned", x)
        x.register_hook(lambda gradient: look(layer, "gradient", gradient))

    for layer in network.modules():
        if isinstance(layer, nn.LeakyReLU):
            layer.inplace = False  # else the hook sees the next layer's
        if isinstance(layer, nn.Conv2d | nn.BatchNorm2d | nn.LeakyReLU) and layer is not network.head:
            layer.register_forward_hook(hook)
    network(noise_input(32, (64, 64), seed=0)).square().sum().backward()
    assert all(p.is_contiguous(memory_format=expected) for p in network.parameters() if p.dim() == 4)
    assert not foreign


def test_the_residual_network():
    network = ResNetConfig(in_channels=4, out_channels=1, width=8, blocks=2).build(seed=1)
    assert network(torch.rand(1, 4, 17, 23)).shape == (1, 1, 17, 23)
    by_hand = (9 * 4 * 8 + 16) + 2 * 2 * (9 * 8 * 8 + 16) + 9
    assert count_parameters(network) == by_hand


def test_it_is_the_plain_recursive_network_of_the_benchmark(monkeypatch):
    """With its slope and biases: the same outputs and gradients, to float64's rounding, at an odd size too."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    textbook = importlib.import_module("textbook")
    ours = Hourglass(NetworkConfig.uniform(6, 3, skip=2, slope=0.2, bias_before_norm=True)).double()
    plain = nn.Sequential(textbook.Level(32, 6, 2, 3), nn.Conv2d(6, 3, 1), nn.Sigmoid()).double()
    pairs, level = list(zip(ours.head.parameters(), plain[1].parameters(), strict=True)), plain[0]
    for d, s, u in zip(ours.downs, ours.skips.values(), ours.ups, strict=True):
        for mine, theirs in ((d, level.down), (s, level.skip), (u, level.up)):
            pairs += zip(mine.parameters(), theirs.parameters(), strict=True)
        level = level.deeper
    assert len(pairs) == len(list(ours.parameters())) == len(list(plain.parameters()))

    def in_its_order(x, shape):
        """The benchmark has the skip's 2 channels before the deeper ones, and this network behind."""
        return x.roll(2, tuple(shape).index(8)) if 8 in shape else x

    with torch.no_grad():
        for parameter, copy in pairs:
            parameter += torch.rand(parameter.shape, dtype=torch.float64) / 9  # or all of batch norm would be 0 and 1
            copy.copy_(in_its_order(parameter, copy.shape))
    for size in ((32, 40), (27, 33)):
        z = torch.rand(1, 32, *size, dtype=torch.float64)
        images = ours(z), plain(z)
        torch.testing.assert_close(*images, rtol=0, atol=1e-12)
        for network, image in zip((ours, plain), images, strict=True):
            network.zero_grad()
            (image * z[:, :3]).sum().backward()
        for parameter, copy in pairs:  # what batch norm takes away has no gradient, but for rounding
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            torch.testing.assert_close(in_its_order(gradient, copy.shape), copy.grad, rtol=1e-9, atol=1e-10)


def test_the_scale_of_batch_norm_is_drawn_from_0_to_1_where_that_is_asked_for():
    drawn, ones = (
        torch.cat([m.weight.detach() for m in Hourglass(config).modules() if isinstance(m, nn.BatchNorm2d)])
        for config in (NetworkConfig(norm_scale="uniform"), NetworkConfig())
    )
    assert (ones == 1).all() and 0 <= drawn.min() < 0.01 and 0.99 < drawn.max() <= 1
    assert drawn.mean() == pytest.approx(0.5, abs=0.03)
    one, other = Hourglass(NetworkConfig(norm_scale="uniform"), seed=1), Hourglass(NetworkConfig(), seed=1)
    assert torch.equal(one.downs[0][0].weight, other.downs[0][0].weight)


def test_pooling_takes_the_place_of_the_stride_and_keeps_the_weights():
    strided, pooled = (NetworkConfig.uniform(8, 2, downsample=by).build() for by in ("stride", "average"))
    assert all(torch.equal(pooled.state_dict()[name], weight) for name, weight in strided.state_dict().items())
    x = torch.rand(1, 32, 9, 12)
    convolved = pooled.downs[0][0](x)
    whole = nn.functional.conv2d(nn.functional.pad(x, (1, 1, 1, 1), mode="reflect"), strided.downs[0][0].weight)
    assert torch.allclose(
        convolved[..., :4, :], whole[..., :8, :].unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2)), atol=1e-6
    )
    assert convolved.shape[2:] == strided.downs[0][0](x).shape[2:] == (5, 6)


def test_presets_are_by_task_and_channels():
    grey = presets.recommended("denoising", channels=1)
    assert grey.network.out_channels == 1 and grey.network.build()(torch.rand(1, 32, 17, 20)).shape == (1, 1, 17, 20)
    assert presets.preset("denoising", "paper") == presets.Preset(NetworkConfig(), Settings(1800))
    assert presets.preset("denoising from 512²", "paper") == presets.preset("denoising", "paper")
    with pytest.raises(UserError, match="no preset 'quick' of 'denoising': there are recommended, paper of denoising"):
        presets.preset("denoising", "quick")
