import contextlib
import dataclasses
import inspect
import itertools
import warnings

import pytest
import torch
from conftest import finished

from dip_repro import fast, memory, rollback, stopping
from dip_repro.fitting import Fit, fit
from dip_repro.networks import Hourglass, NetworkConfig, noise_input
from dip_repro.operators import Decimation, Identity, Mask
from dip_repro.runtime import UserError
from dip_repro.settings import Settings
from dip_repro.study.variants import Varied, strategies

CONFIG = NetworkConfig.uniform(width=8, depth=2, skip=2, in_channels=4)
SETTINGS = Settings(iterations=30, report_every=5)
X0 = torch.rand(3, 24, 20, generator=torch.Generator().manual_seed(0))


def start(settings=SETTINGS, x0=X0, operator=None, **named) -> Fit:
    z = noise_input(4, x0.shape[-2:], seed=0)
    named |= strategies(settings, 0, z.device)
    return Fit(x0, operator or Identity(), Hourglass(CONFIG), z, settings, seed=0, **named)


def test_it_fits():
    history = finished(start(Settings(iterations=300))).history
    assert history.loss.iloc[-1] < 0.7 * history.loss.iloc[0]


def test_the_same_seed_gives_the_same_bits():
    first, second = (finished(start()) for _ in range(2))
    assert torch.equal(first.image, second.image) and torch.equal(first.average, second.average)
    assert first.history.drop(columns="seconds").equals(second.history.drop(columns="seconds"))


@pytest.mark.parametrize("change", [{}, {"perturbation": "walk"}, {"schedule": "cosine"}, {"weight_noise": 0.01}])
def test_a_run_resumed_half_way_gives_the_same_bits(tmp_path, change):
    settings = Varied(**dataclasses.asdict(SETTINGS) | change)
    whole = finished(start(settings))
    file = tmp_path / "half.checkpoint"
    for report in start(settings, checkpoint=file):
        if report.iteration == 15:
            break
    assert file.exists()
    resumed = start(settings, checkpoint=file)
    assert resumed.iteration == 15
    result = finished(resumed)
    assert torch.equal(result.image, whole.image) and torch.equal(result.average, whole.average)
    assert result.history.drop(columns="seconds").equals(whole.history.drop(columns="seconds"))
    again = start(settings, checkpoint=file)  # it stays until the result is safe, and holds it
    assert torch.equal(finished(again).image, whole.image) and again.result.stopped == "iterations done"


def interrupted(file, **named) -> Fit:
    """Return a fit that was left after its first report, its checkpoint written."""
    run = start(checkpoint=file, **named)
    with contextlib.closing(iter(run)) as reports:
        next(reports)
    return run


@pytest.mark.parametrize(
    "other",
    [
        {"settings": Settings(iterations=31, report_every=5)},
        {"z": noise_input(4, (24, 20), seed=1)},
        {"network": Hourglass(CONFIG, seed=1)},
        {"network": Hourglass(dataclasses.replace(CONFIG, slope=0.2))},
        {"operator": Decimation(2, a=3)},
        {"operator": Decimation(2, phase=0.5)},
        {"operator": Decimation(2, border="reflect")},
        {"measurement": torch.rand(3, 12, 10)},
        {"seed": 1},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_checkpoint_of_another_fit_is_refused(tmp_path, other):
    file, draw = tmp_path / "fit.checkpoint", torch.Generator().manual_seed(0)
    this = {"measurement": torch.rand(3, 12, 10, generator=draw), "operator": Decimation(2)}
    this |= {"network": Hourglass(CONFIG), "z": noise_input(4, (24, 20), seed=0), "settings": SETTINGS}
    with contextlib.closing(iter(Fit(**this, checkpoint=file))) as reports:
        next(reports)
    assert Fit(**this | {"network": Hourglass(CONFIG)}, checkpoint=file).iteration == 5
    with pytest.raises(UserError, match="another fit"):
        Fit(**this | {"network": Hourglass(CONFIG)} | other, checkpoint=file)


def interrupt_the_13th_step(monkeypatch) -> None:
    """Let Adam's 13th step from now on raise what Ctrl-C raises, once."""
    step, calls = torch.optim.Adam.step, itertools.count(1)

    def step_or_interrupt(self, closure=None):
        if next(calls) == 13:
            raise KeyboardInterrupt
        return step(self, closure)

    monkeypatch.setattr(torch.optim.Adam, "step", step_or_interrupt)


def test_an_interrupt_within_a_step_leaves_the_last_report_to_go_on_from(tmp_path, monkeypatch):
    """Wherever it falls, the run that goes on equals one left alone, report by report."""
    whole, file = finished(start()), tmp_path / "fit.checkpoint"
    interrupt_the_13th_step(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        finished(start(checkpoint=file))
    resumed = start(checkpoint=file)
    assert resumed.iteration == 10
    assert finished(resumed).history.drop(columns="seconds").equals(whole.history.drop(columns="seconds"))


def test_a_report_falls_on_the_grid_after_an_interrupt_without_a_checkpoint(monkeypatch):
    run = start()
    interrupt_the_13th_step(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        finished(run)
    assert finished(run).history.iteration.tolist() == [5, 10, 15, 20, 25, 30]


def test_a_fit_that_is_degenerate_from_the_start_leaves_no_checkpoint(tmp_path):
    file = tmp_path / "fit.checkpoint"
    with pytest.raises(UserError, match="degenerate from the start"):
        finished(start(operator=Jumps(set(range(100)), float("nan")), checkpoint=file))
    assert not file.exists()


def test_a_damaged_checkpoint_is_told(tmp_path):
    file = tmp_path / "fit.checkpoint"
    interrupted(file)
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(UserError, match="damaged checkpoint"):
        start(checkpoint=file)
    torch.save({"network": 1}, file)
    with pytest.raises(UserError, match="damaged checkpoint"):
        start(checkpoint=file)


def test_the_unperturbed_output_is_of_z_itself_and_changes_no_step():
    run, other = start(dataclasses.replace(SETTINGS, output="unperturbed")), start()
    result, perturbed = finished(run), finished(other)
    assert result.history.loss.equals(perturbed.history.loss) and torch.equal(result.average, perturbed.average)
    assert torch.equal(result.image, run.network(run.z)[0]) and not torch.equal(result.image, perturbed.image)


def test_an_observer_changes_nothing():
    watched = finished(start(observer=lambda image, average: {"mean": image.mean()}))
    assert torch.equal(watched.image, finished(start()).image)
    assert "mean" in watched.history


@pytest.mark.parametrize(
    "change",
    [
        {"perturbation": "walk"},
        {"schedule": "cosine"},
        {"weight_noise": 0.01},
        {"sigma_p": 0.0},
        {"learning_rate": 0.001},
        {"epsilon": 1e-3},
        {"beta_1": 0.5},
        {"beta_2": 0.9},
        {"reduction": "sum", "epsilon": 1e-3},
    ],
)
def test_a_setting_changes_the_trajectory(change):
    other = Varied(**dataclasses.asdict(SETTINGS) | change)
    base = dataclasses.replace(SETTINGS, epsilon=1e-3) if "reduction" in change else SETTINGS
    assert not torch.equal(finished(start(other)).image, finished(start(base)).image)


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
    first, second = (finished(start(x0=Mask(mask)(x[None])[0], operator=Mask(mask))) for x in (X0, other))
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
    history = run.result.history.set_index("iteration")
    assert history.rolled_back[history.rolled_back > 0].index.tolist() == [12]
    assert not history.loss[12] < 2 * history.loss[11]  # the jump is to be seen
    assert torch.isfinite(run.result.average).all()


def test_a_jump_relative_to_the_loss_of_the_moment_is_rolled_back():
    """After thousands of iterations an eightfold loss is a small share of the first one."""
    rows = [{"loss": loss, "rolled_back": 0} for loss in (0.1, 0.01, 0.0005)]
    relative = dataclasses.replace(SETTINGS, rollback_ratio=3.0)
    for loss, settings, expected in ((0.004, SETTINGS, False), (0.004, relative, True), (0.001, relative, False)):
        assert rollback.jumped(loss, rows, settings, X0, X0) == expected
    settings = Settings(iterations=30, report_every=1, rollback_threshold=1e9, rollback_ratio=3.0)
    assert finished(start(settings, operator=Jumps({12}, 50.0))).rollbacks == 1
    with pytest.raises(UserError, match="rollback_ratio"):
        Settings(1, rollback_ratio=1.0)


def test_an_unperturbed_run_does_not_jump_again_alike():
    """Were Adam's moments restored with the parameters, the step after a roll-back would be the one that jumped."""
    settings = Settings(iterations=14, report_every=1, sigma_p=0)
    plain, jumped = start(settings), start(settings, operator=Jumps({12}, 50.0))
    for run, until in ((plain, 12), (jumped, 13)):
        next(report for report in run if report.iteration == until)
    assert jumped.rollbacks == 1
    assert not torch.equal(plain.network.head.weight, jumped.network.head.weight)


def test_a_run_that_stays_unstable_stops_and_says_so():
    result = finished(start(operator=Jumps(set(range(15, 10_000)), float("nan")), settings=Settings(500)))
    assert result.stopped.startswith("destabilised") and result.rollbacks == rollback.MOST + 1
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
        Varied(1, perturbation="drift")


def test_a_run_that_would_not_fit_says_what_would(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda device: 1_000_000)
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


def test_bfloat16_convolutions_stay_near(monkeypatch):
    monkeypatch.setattr(fast, "SLOWER", float("inf"))  # also where it is emulated
    full, half = (finished(start(precision=p)).history.loss.iloc[-1] for p in ("float32", "bfloat16"))
    assert full != half and abs(full - half) < 0.2 * full
    with pytest.raises(UserError, match="float32, tf32, bfloat16"):
        start(precision="float8")


@pytest.mark.parametrize(("slower", "taken"), [(40.0, "float32"), (0.7, "bfloat16")])
def test_bfloat16_is_taken_where_it_pays(monkeypatch, slower, taken):
    times = iter((0.4, 0.4 * slower))
    monkeypatch.setattr(fast, "seconds_of_two_steps", lambda f, z: next(times))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert start(precision="bfloat16").precision == taken
    sentences = [str(warning.message) for warning in told]
    expected = ["a step takes 0.20 s in float32 and 8.00 s in bfloat16 on this processor: float32 is used"]
    assert sentences == (expected if taken == "float32" else [])


def test_tf32_is_there_only_where_it_is_asked_for():
    z = noise_input(4, (24, 20), seed=0)
    fast.evaluator(Hourglass(CONFIG), z, "tf32")
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
    monkeypatch.setattr(fast, "SLOWER", float("inf"))
    run, plain = (start(precision=precision, compiled=c) for c in (True, False))
    assert len(graphs) == 1 and all(p.grad is None for p in run.network.parameters())
    result, other = (finished(fit) for fit in (run, plain))
    assert result.history.loss.to_numpy() == pytest.approx(other.history.loss.to_numpy(), rel=0.01)


def test_what_cannot_be_compiled_is_fitted_as_it_is(monkeypatch):
    def without_compiler(network, **how):
        def f(z):
            raise RuntimeError("Cannot find a working triton installation\nmore")

        return f

    monkeypatch.setattr(torch, "compile", without_compiler)
    with pytest.warns(UserWarning, match="not compiled, so the fit takes longer: Cannot find a working triton"):
        run = start(compiled=True)
    assert torch.equal(finished(run).image, finished(start()).image)


def test_both_ways_to_run_a_fit_take_the_same_arguments():
    once, watched = inspect.signature(fit).parameters, inspect.signature(Fit).parameters
    assert list(once) == list(watched)
    assert [p.default for n, p in once.items() if n != "progress"] == [
        p.default for n, p in watched.items() if n != "progress"
    ]
    z = noise_input(4, X0.shape[-2:], seed=0)
    result = fit(X0, Identity(), Hourglass(CONFIG), z, SETTINGS, progress=False)
    assert torch.equal(result.image, finished(start()).image)


@contextlib.contextmanager
def told(sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        yield
    assert "\n" not in str(caught.value)


def blur(x):
    return torch.nn.functional.avg_pool2d(x, 3, 1, 1)


def cut_by(kind):
    return {
        "numpy": lambda x: torch.from_numpy(x.numpy()),
        "detach": lambda x: x.detach(),
        "no_grad": torch.no_grad()(blur),
        "constant": lambda x: torch.zeros_like(x),
    }[kind]


@pytest.mark.parametrize("kind", ["numpy", "detach", "no_grad", "constant"])
def test_an_operator_that_autograd_cannot_follow_is_told(kind):
    with told("cut from autograd"):
        start(operator=cut_by(kind))


def test_what_is_no_tensor_is_told():
    class Two(Hourglass):
        def forward(self, z):
            return super().forward(z), z

    with told("the network returns a tuple"):
        Fit(X0, Identity(), Two(CONFIG), noise_input(4, X0.shape[-2:], seed=0), SETTINGS)
    with told("the operator returns a list"):
        start(operator=lambda x: [x])


def test_parts_on_several_devices_are_told():
    z, network, operator = noise_input(4, X0.shape[-2:], seed=0), Hourglass(CONFIG), Decimation(2)
    with told("the network lies on meta and z on cpu"):
        Fit(X0, Identity(), network.to("meta"), z, SETTINGS)
    with told("the operator lies on meta and z on cpu"):
        Fit(X0, operator.to("meta"), Hourglass(CONFIG), z, SETTINGS)


def test_an_optimiser_that_asks_for_the_loss_again_is_told():
    with told("LBFGS"):
        start(optimizer=lambda parameters, settings: torch.optim.LBFGS(parameters))


def test_an_observer_may_return_nothing_and_a_checkpoint_be_a_str(tmp_path):
    seen, file = [], str(tmp_path / "fit.checkpoint")
    first = finished(start(Settings(10), observer=lambda image, average: seen.append(image), checkpoint=file))
    assert len(seen) == 1 and torch.equal(start(Settings(10), checkpoint=file).result.average, first.average)


def test_a_fit_within_no_grad_is_the_same():
    with torch.no_grad():
        within = finished(start())
    assert torch.equal(within.average, finished(start()).average)


def test_a_rule_that_compares_pixels_is_refused_with_an_operator_of_other_pixels():
    mask, rule = stopping.recommended(X0)
    for operator, measurement in ((blur, X0), (Decimation(2), X0[:, ::2, ::2])):
        with told("means nothing with this operator"):
            Fit(measurement, operator, Hourglass(CONFIG), noise_input(4, X0.shape[-2:], seed=0), SETTINGS, stop=rule)
        assert start(operator=blur, stop=stopping.calm()).stop
    for sound in (mask, Identity(), lambda x: x, lambda x: x * mask.mask):
        assert start(operator=sound, stop=rule).stop is rule
