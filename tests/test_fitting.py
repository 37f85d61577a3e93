import contextlib
import dataclasses
import inspect
import itertools

import pytest
import torch
from conftest import finished
from torch import nn

from dip_repro import fast, memory, rollback, runtime, stopping
from dip_repro.config import NetworkConfig, Settings
from dip_repro.fitting import Fit, fit
from dip_repro.networks import Hourglass, noise_input
from dip_repro.operators import Decimation, Identity, Mask
from dip_repro.runtime import UserError
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
    with pytest.raises(UserError, match="came to NaN within its first iterations: lower the learning rate"):
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

    def __init__(self, *changes):
        super().__init__()
        self.values = {call: value for at, value in zip(changes[::2], changes[1::2], strict=True) for call in at}
        self.calls = -1  # the check before the loop follows its gradient once

    def forward(self, x):
        self.calls += x.requires_grad  # as in the loop's steps; a look at a report asks for no gradient
        return x * self.values[self.calls] if x.requires_grad and self.calls in self.values else x


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
        assert rollback.jumped(loss, rows, settings) == expected
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
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)  # or emulated
    full, half = (finished(start(precision=p)).history.loss.iloc[-1] for p in ("float32", "bfloat16"))
    assert full != half and abs(full - half) < 0.2 * full
    with pytest.raises(UserError, match="auto, float32, tf32, bfloat16"):
        start(precision="float8")


AMX, AVX, NONE = (True, True), (False, True), (False, False)  # whether it has AMX, and AVX512-BF16


@pytest.mark.parametrize(
    ("has", "vendor", "width", "taken"),
    [
        *((AMX, "GenuineIntel", 64, "bfloat16"), (AMX, "GenuineIntel", 32, "float32")),
        *((AVX, "AuthenticAMD", 128, "bfloat16"), (AVX, "GenuineIntel", 128, "float32")),
        (NONE, "AuthenticAMD", 128, "float32"),
    ],
)
def test_auto_is_a_rule_by_processor_and_width(monkeypatch, has, vendor, width, taken):
    monkeypatch.setattr(fast, "has_amx", lambda: has[0])
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has[1])
    monkeypatch.setattr(runtime, "vendor", lambda: vendor)
    network, cpu = Hourglass(NetworkConfig.uniform(width=width, depth=1)), torch.device("cpu")
    assert fast.choose_precision("auto", network, cpu) == taken
    if has != NONE:
        assert fast.choose_precision("bfloat16", network, cpu) == "bfloat16"
        return
    with pytest.warns(UserWarning, match="no instructions for bfloat16: float32 is used"):
        assert fast.choose_precision("bfloat16", network, cpu) == "float32"


def test_a_fit_resumes_in_its_precision_on_another_processor(tmp_path, monkeypatch):
    monkeypatch.setattr(fast, "WIDE", 1)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)  # or emulated
    monkeypatch.setattr(fast, "bfloat16_is_faster", lambda device: True)
    file = tmp_path / "fit.checkpoint"
    assert interrupted(file, precision="auto").precision == "bfloat16"
    monkeypatch.setattr(fast, "bfloat16_is_faster", lambda device: False)
    resumed = start(checkpoint=file, precision="auto")
    assert (resumed.precision, resumed.iteration) == ("bfloat16", 5)
    with pytest.raises(UserError, match=r"belongs to another fit.*bfloat16, not float32"):
        start(checkpoint=file, precision="float32")


def test_tf32_is_there_only_within_a_fit_that_asks_for_it():
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    for before in (True, False):
        cudnn.allow_tf32 = matmul.allow_tf32 = before
        for precision in ("float32", "tf32", "bfloat16"):
            with fast.products(precision, torch.device("cuda")):
                assert cudnn.allow_tf32 == matmul.allow_tf32 == (precision != "float32")
            assert cudnn.allow_tf32 == matmul.allow_tf32 == before
    with pytest.raises(UserError, match="NVIDIA"):
        start(precision="tf32")


def test_the_program_around_a_fit_stays_as_it_was():
    def result():
        return finished(start(settings=Settings(10))).image

    usual, state = result(), torch.get_rng_state()
    noise_input(4, (9, 9), seed=0)
    Hourglass(CONFIG)
    assert torch.equal(state, torch.get_rng_state())
    for kind in (torch.float64, torch.bfloat16):
        torch.set_default_dtype(kind)
        try:
            assert torch.equal(result(), usual) and torch.get_default_dtype() == kind
        finally:
            torch.set_default_dtype(torch.float32)
    with torch.device("meta"):
        assert torch.equal(result(), usual)


class Remembering:
    """An observer that remembers: its score is the number of reports, and their mean."""

    def __init__(self):
        self.seen = []

    def __call__(self, image, average):
        self.seen.append(float(image.mean()))
        return {"count": len(self.seen), "mean": sum(self.seen) / len(self.seen)}

    def state_dict(self):
        return {"seen": list(self.seen)}

    def load_state_dict(self, state):
        self.seen = list(state["seen"])


def test_an_observer_that_remembers_resumes_with_the_fit(tmp_path):
    whole, file = finished(start(observer=Remembering())), tmp_path / "fit.checkpoint"
    interrupted(file, observer=Remembering())
    resumed = finished(start(observer=Remembering(), checkpoint=file))
    assert resumed.history.drop(columns="seconds").equals(whole.history.drop(columns="seconds"))
    assert resumed.history["count"].tolist() == [1, 2, 3, 4, 5, 6]


def test_the_place_to_roll_back_to_survives_an_interruption(tmp_path):
    """A jump, then an interruption, then NaN: as without the interruption."""
    settings, file = Settings(20, report_every=1), tmp_path / "fit.checkpoint"
    whole = finished(start(settings, operator=Jumps({10}, 50.0, {11, 12}, float("nan"))))
    first = start(settings, operator=Jumps({10}, 50.0), checkpoint=file)
    with contextlib.closing(iter(first)) as reports:
        assert next(report for report in reports if report.iteration == 10).row["rolled_back"]
    resumed = start(settings, operator=Jumps({1, 2}, float("nan")), checkpoint=file)
    result = finished(resumed)
    assert torch.equal(result.image, whole.image) and torch.equal(result.average, whole.average)
    assert result.rollbacks == whole.rollbacks == 3


def test_roll_backs_count_against_a_fit_only_without_progress():
    bad, sound = {"loss": 9.0, "rolled_back": 1}, {"loss": 0.1, "rolled_back": 0}
    assert rollback.in_a_row([sound, bad, sound]) == 0 and rollback.in_a_row([sound, bad, bad]) == 2
    jumps = set(range(20, 400, 25))  # more than MOST, each at a report
    result = finished(start(Settings(420, report_every=5), operator=Jumps(jumps, 50.0)))
    assert result.rollbacks > rollback.MOST and result.stopped == "iterations done"


def test_a_report_is_not_changed_by_later_ones():
    reports = [(r, r.image.clone(), r.average.clone()) for r in start()]
    assert len(reports) == 6
    for report, image, average in reports:
        assert torch.equal(report.image, image) and torch.equal(report.average, average)


@pytest.mark.parametrize("keep", ["image", "average"])
def test_the_result_is_what_the_rule_kept(keep):
    values = iter([3.0, 2.0, 1.0, 2.0, 3.0, 4.0])
    rule = stopping.Rule("spy", lambda image, average: next(values), stopping.Lowest(10), keep)
    run = start(stop=rule)
    reports = {report.iteration: report for report in run}
    assert rule.iteration == 15 and max(reports) == 25 and f"the {keep} of iteration 15 is kept" in run.result.stopped
    assert torch.equal(getattr(run.result, keep), getattr(reports[15], keep))


def with_coordinates():
    class Coordinates(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = nn.Conv2d(5, 3, 3, padding=1)

        def forward(self, z):
            column = torch.linspace(0, 1, z.shape[-1]).expand(1, 1, *z.shape[-2:])
            return self.convolution(torch.cat([z, column], 1)).sigmoid()

    return Coordinates()


def with_a_value():
    class Value(nn.Conv2d):
        def forward(self, z):
            x = super().forward(z).sigmoid()
            return x / max(1.0, x.detach().max().item())

    return Value(4, 3, 3, padding=1)


OWN = {
    "tensors made in forward": with_coordinates,
    "a value read in forward": with_a_value,
    "weight norm": lambda: nn.Sequential(nn.utils.weight_norm(nn.Conv2d(4, 3, 1)), nn.Sigmoid()),
    "lazy layers": lambda: nn.Sequential(nn.LazyConv2d(8, 3, padding=1), nn.ReLU(), nn.LazyConv2d(3, 1)),
    "a traced one": lambda: torch.jit.trace(nn.Conv2d(4, 3, 1), torch.rand(1, 4, 24, 20)),
}


@pytest.mark.filterwarnings("ignore")  # PyTorch's, about its own older parts
@pytest.mark.parametrize("kind", OWN)
def test_a_network_of_your_own_is_fitted_where_the_memory_estimate_fails(kind):
    run = Fit(X0, Identity(), OWN[kind](), noise_input(4, X0.shape[-2:], seed=0), SETTINGS)
    history = finished(run).history
    assert history.loss.iloc[-1] < history.loss.iloc[0]


def test_a_container_s_own_limit_counts_as_free_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "GROUPS", {str(tmp_path): ("memory.max", "memory.current", "inactive_file")})
    assert runtime.free_in_container() is None
    for name, content in {"memory.max": "3000000", "memory.current": "2500000"}.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "memory.stat").write_text("anon 2000000\ninactive_file 400000\n")
    assert runtime.free_in_container() == 900_000 == runtime.free_memory(torch.device("cpu"))
    (tmp_path / "memory.max").write_text("max\n")
    assert runtime.free_in_container() is None


UNITS = {
    "counts": lambda x: 1000 * x,
    "with an offset": lambda x: 2000 * x - 1000,
    "Fourier": lambda x: torch.view_as_real(torch.fft.fft2(x)).flatten(1),
    "sums": lambda x: torch.cat([x.sum(-2), x.sum(-1)], -1),
}


@pytest.mark.parametrize("kind", UNITS)
def test_a_measurement_in_any_units_is_fitted(kind):
    z, x0 = noise_input(4, X0.shape[-2:], seed=0), UNITS[kind](X0[None])[0]
    result = finished(Fit(x0, UNITS[kind], Hourglass(CONFIG), z, Settings(30, 1e-3, report_every=5)))
    assert result.rollbacks == 0 and result.stopped == "iterations done"


@pytest.mark.parametrize(
    ("x0", "sentence"),
    [
        ((255 * X0).to(torch.uint8), "uint8.*divided by 255"),
        (255 * X0, "from .* to 25., and those .* to .*: give both in the same units"),
    ],
)
def test_the_right_cause_is_named(x0, sentence):
    with pytest.raises(UserError, match=sentence):
        finished(start(x0=x0))


def test_an_operator_that_returns_nan_is_named():
    with pytest.raises(UserError, match="the operator makes NaN"):
        finished(start(operator=lambda x: (x - 2).sqrt()))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_compiled_network_is_the_same_function(monkeypatch, precision):
    graphs, compile = [], torch.compile

    def traced(network, **how):
        graphs.append(how)
        return compile(network, backend="aot_eager", dynamic=how["dynamic"])  # traced whole, without a C++ compiler

    monkeypatch.setattr(torch, "compile", traced)
    monkeypatch.setattr(fast, "COMPILED_ON", ("cpu",))
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)  # or emulated
    run, plain = (start(precision=precision, compiled=c) for c in (True, False))
    assert len(graphs) == 1 and all(p.grad is None for p in run.network.parameters())
    result, other = (finished(fit) for fit in (run, plain))
    assert result.history.loss.to_numpy() == pytest.approx(other.history.loss.to_numpy(), rel=0.01)


def test_what_cannot_be_compiled_is_fitted_as_it_is(monkeypatch):
    def without_compiler(network, **how):
        def f(z):
            raise RuntimeError("Cannot find a working triton installation\nmore")

        return f

    with pytest.warns(UserWarning, match="helps on a GPU only"):
        start(compiled=True)
    monkeypatch.setattr(fast, "COMPILED_ON", ("cpu",))
    monkeypatch.setattr(torch, "compile", without_compiler)
    with pytest.warns(UserWarning, match="not compiled, so the fit takes longer: Cannot find a working triton"):
        run = start(compiled=True)
    assert torch.equal(finished(run).image, finished(start()).image)


def test_both_ways_to_run_a_fit_take_the_same_arguments():
    assert inspect.signature(fit).parameters == inspect.signature(Fit).parameters
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
        assert start(operator=blur, stop=stopping.moving_variance()).stop
    for sound in (mask, Identity(), lambda x: x, lambda x: x * mask.mask):
        assert start(operator=sound, stop=rule).stop is rule


def test_what_a_mask_marks_missing_may_hold_anything():
    mask = torch.ones(1, *X0.shape[-2:])
    mask[:, 5:9, 5:9] = 0
    expected = finished(start(Settings(10), x0=X0 * mask, operator=Mask(mask)))
    for anything in (torch.nan, torch.inf, 7.0):
        holed = torch.where(mask > 0, X0, anything)
        found = finished(start(Settings(10), x0=holed, operator=Mask(mask)))
        assert torch.equal(found.average, expected.average) and found.history.loss.equals(expected.history.loss)
    with told("mark them missing in a Mask"):
        start(x0=torch.where(mask > 0, torch.nan, X0), operator=Mask(mask))
