import dataclasses

import pytest
import torch

from dip_repro import runtime
from dip_repro.fitting import Fit, Settings, finish, fit
from dip_repro.networks import Hourglass, NetworkConfig, noise_input
from dip_repro.operators import Identity, Mask
from dip_repro.runtime import UserError

CONFIG = NetworkConfig.uniform(width=8, depth=2, skip=2, in_channels=4)
SETTINGS = Settings(iterations=30, report_every=5)
X0 = torch.rand(3, 24, 20, generator=torch.Generator().manual_seed(0))


def start(settings=SETTINGS, x0=X0, operator=None, **named) -> Fit:
    z = noise_input(4, x0.shape[-2:], seed=0)
    return Fit(x0, operator or Identity(), Hourglass(CONFIG), z, settings, seed=0, **named)


def test_it_fits():
    history = finish(start(Settings(iterations=300)), progress=False).history
    assert history.loss.iloc[-1] < 0.7 * history.loss.iloc[0]


def test_the_same_seed_gives_the_same_bits():
    first, second = (finish(start(), progress=False) for _ in range(2))
    assert torch.equal(first.image, second.image) and torch.equal(first.average, second.average)
    assert first.history.drop(columns="seconds").equals(second.history.drop(columns="seconds"))


@pytest.mark.parametrize("perturbation", ["fixed", "walk"])
def test_a_run_resumed_half_way_gives_the_same_bits(tmp_path, perturbation):
    settings = dataclasses.replace(SETTINGS, perturbation=perturbation)
    whole = finish(start(settings), progress=False)
    file = tmp_path / "half.checkpoint"
    for report in start(settings, checkpoint=file):
        if report.iteration == 15:
            break
    assert file.exists()
    resumed = start(settings, checkpoint=file)
    assert resumed.iteration == 15
    result = finish(resumed, progress=False)
    assert torch.equal(result.image, whole.image) and torch.equal(result.average, whole.average)
    assert result.history.drop(columns="seconds").equals(whole.history.drop(columns="seconds"))
    assert not file.exists()


def test_a_checkpoint_of_another_fit_is_refused(tmp_path):
    file = tmp_path / "other.checkpoint"
    next(iter(start(checkpoint=file))), start(checkpoint=file).save()
    with pytest.raises(UserError, match="another fit"):
        start(Settings(iterations=31, report_every=5), checkpoint=file)


def test_the_unperturbed_output_is_of_z_itself_and_changes_no_step():
    run, other = start(dataclasses.replace(SETTINGS, output="unperturbed")), start()
    result, perturbed = finish(run, progress=False), finish(other, progress=False)
    assert result.history.loss.equals(perturbed.history.loss) and torch.equal(result.average, perturbed.average)
    assert torch.equal(result.image, run.network(run.z)[0]) and not torch.equal(result.image, perturbed.image)


def test_an_observer_changes_nothing():
    watched = finish(start(observer=lambda image, average: {"mean": image.mean()}), progress=False)
    assert torch.equal(watched.image, finish(start(), progress=False).image)
    assert "mean" in watched.history


@pytest.mark.parametrize(
    "change",
    [
        {"perturbation": "walk"},
        {"sigma_p": 0.0},
        {"learning_rate": 0.001},
        {"epsilon": 1e-3},
        {"beta_1": 0.5},
        {"beta_2": 0.9},
        {"reduction": "sum", "epsilon": 1e-3},
    ],
)
def test_a_setting_changes_the_trajectory(change):
    other = dataclasses.replace(SETTINGS, **change)
    base = dataclasses.replace(SETTINGS, epsilon=1e-3) if "reduction" in change else SETTINGS
    assert not torch.equal(finish(start(other), progress=False).image, finish(start(base), progress=False).image)


def test_the_average_is_the_exponential_one():
    settings = Settings(iterations=6, report_every=1, average_weight=0.9, average_start=2)
    reports = list(start(settings))
    average = reports[1].image
    for report in reports[2:]:
        average = 0.9 * average + 0.1 * report.image
    torch.testing.assert_close(reports[-1].average, average)


def test_missing_pixels_have_no_influence_at_all():
    mask = (torch.rand(1, 24, 20, generator=torch.Generator().manual_seed(1)) > 0.5).float()
    other = X0.where(mask.bool(), torch.rand(3, 24, 20))
    first, second = (finish(start(x0=Mask(mask)(x[None])[0], operator=Mask(mask)), progress=False) for x in (X0, other))
    assert torch.equal(first.image, second.image)
    x = X0.clone()[None].requires_grad_()
    (Mask(mask)(x) - 0.3 * mask).square().mean().backward()
    assert (x.grad[:, :, mask[0] == 0] == 0).all() and (x.grad[:, :, mask[0] == 1] != 0).all()


class Jumps(torch.nn.Module):
    """An operator whose output explodes at some calls, as a destabilised network's does."""

    def __init__(self, at, value):
        super().__init__()
        self.at, self.value, self.calls = at, value, -1  # the check before the run calls it once

    def forward(self, x):
        self.calls += 1
        return x * self.value if self.calls in self.at else x


@pytest.mark.parametrize("value", [50.0, float("nan")])
def test_a_jump_of_the_loss_is_rolled_back(value):
    run = start(Settings(iterations=30, report_every=1), operator=Jumps({12}, value))
    before = None
    for report in run:
        if report.iteration == 11:
            before = {name: x.clone() for name, x in run.network.state_dict().items()}
        if report.iteration == 12:
            assert all(torch.equal(x, before[name]) for name, x in run.network.state_dict().items())
    assert run.rollbacks == 1 and run.stopped == "iterations done"
    assert torch.isfinite(run.result.average).all()


def test_an_unperturbed_run_does_not_jump_again_alike():
    """Were Adam's moments restored with the parameters, the step after a roll-back would be the one that jumped."""
    settings = Settings(iterations=14, report_every=1, sigma_p=0)
    plain, jumped = start(settings), start(settings, operator=Jumps({12}, 50.0))
    for run, until in ((plain, 12), (jumped, 13)):
        next(report for report in run if report.iteration == until)
    assert jumped.rollbacks == 1
    assert not torch.equal(plain.network.head.weight, jumped.network.head.weight)


def test_a_run_that_stays_unstable_stops_and_says_so():
    result = finish(start(operator=Jumps(set(range(15, 10_000)), float("nan")), settings=Settings(500)), progress=False)
    assert result.stopped.startswith("destabilised") and result.rollbacks == Fit.max_rollbacks + 1
    assert torch.isfinite(result.image).all()


def test_wrong_input_is_told_before_computing():
    with pytest.raises(UserError, match="NaN"):
        start(x0=X0 * float("nan"))
    with pytest.raises(UserError, match="agree"):
        fit(X0, Identity(), Hourglass(CONFIG), noise_input(4, (24, 24), 0), SETTINGS)
    with pytest.raises(UserError, match="too small"):
        start(x0=torch.rand(3, 4, 40))
    with pytest.raises(UserError, match="at least 1"):
        Settings(iterations=0)
    with pytest.raises(UserError, match="fixed, walk"):
        Settings(1, perturbation="drift")


def test_a_run_that_would_not_fit_says_what_would(monkeypatch):
    monkeypatch.setattr(runtime, "free_memory", lambda device: 1_000_000)
    with pytest.raises(UserError, match=r"24×20 takes about .* GB are free: scale the picture to"):
        start()


@pytest.mark.parametrize("colour", [(50.0, 50.0, 50.0), (50.0, -50.0, -50.0)], ids=["white", "red"])
def test_a_collapsed_output_is_rolled_back(colour):
    run = start(Settings(iterations=20, report_every=1))
    for report in run:
        if report.iteration == 10:
            with torch.no_grad():
                run.network.head.weight.zero_()
                run.network.head.bias.copy_(torch.tensor(colour))
    assert run.rollbacks == 1 and run.result.image.std() > 0.01


def test_bfloat16_convolutions_stay_near():
    full, half = (finish(start(precision=p), progress=False).history.loss.iloc[-1] for p in ("float32", "bfloat16"))
    assert full != half and abs(full - half) < 0.2 * full
    with pytest.raises(UserError, match="float32, tf32, bfloat16"):
        start(precision="float8")


def test_tf32_is_there_only_where_it_is_asked_for():
    runtime.set_precision("tf32", torch.device("cuda"))
    assert torch.backends.cudnn.allow_tf32 and torch.backends.cuda.matmul.allow_tf32
    start()
    assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32
    with pytest.raises(UserError, match="NVIDIA"):
        start(precision="tf32")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_compiled_network_is_the_same_function(monkeypatch, precision):
    graphs, compile = [], torch.compile

    def traced(network, **how):
        graphs.append(how)
        return compile(network, backend="aot_eager", dynamic=how["dynamic"])  # traced whole, without a C++ compiler

    monkeypatch.setattr(torch, "compile", traced)
    run, plain = (start(precision=precision, compiled=c) for c in (True, False))
    assert run.f is not run.network and len(graphs) == 1 and all(p.grad is None for p in run.network.parameters())
    result, other = (finish(fit, progress=False) for fit in (run, plain))
    assert result.history.loss.to_numpy() == pytest.approx(other.history.loss.to_numpy(), rel=0.01)


def test_what_cannot_be_compiled_is_fitted_as_it_is(monkeypatch):
    def without_compiler(network, **how):
        def f(z):
            raise RuntimeError("Cannot find a working triton installation\nmore")

        return f

    monkeypatch.setattr(torch, "compile", without_compiler)
    with pytest.warns(UserWarning, match="not compiled, so the fit takes longer: Cannot find a working triton"):
        run = start(compiled=True)
    assert torch.equal(finish(run, progress=False).image, finish(start(), progress=False).image)
