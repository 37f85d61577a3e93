"""Rules of stopping on sequences whose right stop is known; that they see no truth; the noise they are studied on."""

import inspect
from dataclasses import replace

import pandas as pd
import pytest
import torch
from conftest import finished

from dip_repro import corruptions, images, presets, stopping
from dip_repro.config import NetworkConfig, Settings
from dip_repro.fitting import Fit, Report
from dip_repro.networks import Hourglass, noise_input
from dip_repro.operators import Identity
from dip_repro.runtime import UserError
from dip_repro.stopping import Below, Count, ExponentialVariance, Lowest, MovingVariance, Residual, Rule
from dip_repro.study import records
from dip_repro.study.experiments import front
from dip_repro.study.experiments import stopping as study
from dip_repro.study.runs import STOPS, Run, perform, prepare
from dip_repro.study.tasks import Damage, Denoising

NOISE = torch.randn(40, 3, 16, 16, generator=torch.Generator().manual_seed(0)) / 20
TRUTH = images.resize(images.open_image("coffee"), 16)
SCALES = torch.tensor([*(abs(t - 20) / 20 + 0.01 for t in range(40))])  # of the error: least at the 21st iterate
ITERATES = [TRUTH + scale * noise for scale, noise in zip(SCALES, NOISE, strict=True)]


def shown(rule: Rule, iterates=ITERATES) -> Rule:
    """Show a rule iterates 10, 20, …, each with another image as the average, until it says stop."""
    for i, image in enumerate(iterates):
        if rule.see(10 * (i + 1), image, 1 - image):
            break
    return rule


@pytest.mark.parametrize(("signal", "late"), [(MovingVariance(3), 1), (ExponentialVariance(0.5), 2)])
def test_the_variance_of_the_iterates_has_its_minimum_where_they_change_least(signal, late):
    rule = shown(Rule("variance", signal, Lowest(100), "image"))
    assert 0 <= rule.iteration - 210 <= 10 * late and rule.stopped
    assert rule.curve[-1][0] == rule.iteration + 100
    assert torch.equal(rule.image, ITERATES[rule.iteration // 10 - 1])
    assert "no lower value for 100 iterations, at" in rule.why and f"iteration {rule.iteration} is kept" in rule.why


def test_the_variances_are_those_of_their_definition():
    window, memory = MovingVariance(4), ExponentialVariance(0.25)
    for image in ITERATES[:9]:
        values = window(image, image), memory(image, image)
    last = torch.stack(ITERATES[5:9])
    assert values[0] == pytest.approx(float((last - last.mean(0)).square().sum(0).div(4).mean()), rel=1e-4)
    # The same recursion as the variance of a weighted sample: weights (1 − α)^age α, the first with all that is left.
    weights = torch.tensor([0.75**8, *(0.25 * 0.75 ** (8 - i) for i in range(1, 9))])[:, None, None, None]
    sample = torch.stack(ITERATES[:9])
    spread = (weights * (sample - (weights * sample).sum(0)).square()).sum(0)
    assert values[1] == pytest.approx(float(spread.mean()), rel=1e-4)


def test_no_variance_is_believed_before_the_window_is_full():
    still = [TRUTH] * 4
    assert [v for _, v in shown(Rule("", MovingVariance(4), Count(99))).curve[:3]] == [stopping.TOO_FEW] * 3
    assert shown(Rule("", MovingVariance(4), Lowest(10)), still).iteration == 40
    assert shown(Rule("", ExponentialVariance(0.25), Lowest(10)), still).iteration == 40


def test_the_window_is_bounded_whatever_the_image():
    rule = MovingVariance(2)
    for _ in range(5):
        rule(torch.rand(3, 200, 130), None)
    assert len(rule.seen) == 2 and max(rule.seen[0].shape) <= 64


def test_a_fixed_count_and_the_end_of_the_fit():
    rule = shown(Rule("count", stopping.nothing, Count(70), "average"))
    assert rule.iteration == 70 and torch.equal(rule.image, 1 - ITERATES[6])
    late = shown(Rule("count", stopping.nothing, Count(9000), "image"))
    assert late.iteration == 400 and not late.stopped and "the fit ended" in late.why


def test_what_is_kept_is_a_copy_and_nothing_changes_after_the_stop():
    average = TRUTH.clone()
    rule = Rule("count", stopping.nothing, Count(10))
    assert rule.see(10, TRUTH, average)
    average += 1
    assert rule.see(20, TRUTH, average) and rule.iteration == 10 and torch.equal(rule.image, TRUTH)


def test_the_discrepancy_principle_stops_at_the_noise():
    noisy = TRUTH + NOISE[0]
    approaching = [noisy + NOISE[1] * (20 - t) / 5 for t in range(20)]
    known = torch.ones(1, 16, 16)
    residual = Residual(noisy, known, variance=1 / 20**2)
    rule = shown(Rule("discrepancy", residual, Below(1.0), "image"), approaching)
    expected = next(i for i, x in enumerate(approaching) if (x - noisy).square().mean() <= 1 / 20**2)
    assert rule.iteration == 10 * (expected + 1) and 0 < expected < 19


@pytest.mark.parametrize("channels", [1, 3])
def test_the_noise_level_is_estimated_and_never_nothing(channels):
    flat = torch.full((channels, 64, 64), 0.5)
    noisy = corruptions.gaussian_noise(flat, 25, seed=0)
    assert stopping.noise_variance(noisy) ** 0.5 * 255 == pytest.approx(25, rel=0.1)
    assert stopping.noise_variance(flat) > 0


def test_held_out_pixels_are_watched_and_not_fitted():
    run = study.twin(replace(study.STOPPING.runs("quick")[0], settings=Settings(10)))
    problem, fit = prepare(run, "cpu")
    plain = replace(run.task, held_out=0).problem(run.seed)
    fitted, watched = stopping.held_out(torch.ones(1, 64, 64), study.HELD_OUT, run.seed)
    assert torch.equal(fitted + watched, torch.ones(1, 64, 64)) and 0.05 < watched.mean() < 0.15
    assert torch.equal(problem.corrupted, plain.corrupted) and (problem.measurement * watched == 0).all()
    # Whatever an image has there, the loss and its gradient do not know.
    x = torch.rand(1, 3, 64, 64, requires_grad=True)
    (fit.operator(x) - fit.x0).square().mean().backward()
    assert (x.grad[0] * watched == 0).all() and (x.grad[0] * fitted != 0).any()
    signal = problem.signals["held_image"]
    assert signal(x[0].detach() * watched, None) == pytest.approx(signal(x[0].detach(), None))
    error = ((x[0].detach() - plain.corrupted) * watched).square().sum() / (3 * watched.sum())
    assert signal(x[0].detach(), None) == pytest.approx(float(error))


def test_missing_pixels_are_never_held_out():
    mask = corruptions.missing_pixels((32, 32), 0.5, seed=1)
    fitted, watched = stopping.held_out(mask, 0.2, seed=1)
    assert torch.equal(fitted + watched, mask) and watched.any() and fitted.any()


def test_a_rule_never_receives_the_truth():
    """Neither as an argument nor in what it holds."""
    assert list(inspect.signature(Rule.see).parameters) == ["self", "iteration", "image", "average"]
    for kind, level in {"gaussian": 25, "jpeg": 10}.items():
        problem = Damage("camera", 32, kind, level).problem(0)
        tensors = [v for s in problem.signals.values() if isinstance(s, Residual) for v in (s.measurement, s.mask)]
        assert tensors and not any(torch.equal(x, problem.truth) for x in tensors)
    seen = []
    spy = Rule("spy", lambda *given: seen.append(given) or 0.0, Count(20))
    run = start(observer=lambda image, average: {"psnr": torch.tensor(99.0)}, stop=spy)
    finished(run)
    assert len(seen) == 2 and all(isinstance(x, torch.Tensor) and x.shape == (3, 16, 16) for x in sum(seen, ()))
    assert "psnr" in run.rows[0] and "row" in Report.__dataclass_fields__  # it was there to be taken


def start(**named) -> Fit:
    config = NetworkConfig.uniform(width=8, depth=2, skip=2, in_channels=4)
    return Fit(TRUTH, Identity(), Hourglass(config), noise_input(4, (16, 16), 0), Settings(60), **named)


def test_a_fit_is_left_where_the_rule_says():
    rule = Rule("count", stopping.nothing, Count(30))
    result = finished(start(stop=rule))
    assert result.stopped == rule.why and result.history.iteration.iloc[-1] == 30
    assert torch.equal(rule.image, result.average)
    late = Rule("count", stopping.nothing, Count(90))
    assert finished(start(stop=late)).stopped == "iterations done" and late.iteration == 60


def test_a_rule_replayed_on_a_record_decides_as_it_did_live(tmp_path):
    run = replace(study.STOPPING.runs("quick")[0], settings=Settings(120), name="x")
    run = replace(run, network=NetworkConfig.uniform(width=8, depth=2, skip=2), task=replace(run.task, side=32))
    perform(run, tmp_path, "cpu", progress=False)
    history = study.by_iteration(records.load(tmp_path / "x.json"))
    names = ("variance_5", "variance_0.2", "discrepancy_average", "nothing")
    for name, criterion in zip(names, (Lowest(20), Lowest(20), Below(3.0), Count(50)), strict=True):
        rule = Rule(name, run.task.problem(run.seed).signals[name], criterion)
        finished(prepare(run, "cpu", stop=rule)[1])
        assert stopping.replay(list(history[name].items()), criterion) == (rule.iteration, rule.curve[-1][0])


def test_the_two_sets_share_neither_image_nor_level():
    for profile in ("quick", "laptop"):
        one, other = (e.runs(profile) for e in (study.TUNING, study.STOPPING))
        assert not {r.task.image for r in one} & {r.task.image for r in other}
        assert not {(r.task.kind, r.task.level) for r in one} & {(r.task.kind, r.task.level) for r in other}
        assert {r.task.kind for r in one} == {r.task.kind for r in other} == set(study.LEVELS)
        levels = {(r.task.kind, r.task.level) for r in other}
        assert levels == {(kind, level) for kind, steps in study.LEVELS.items() for level in steps}


def test_no_rule_has_seen_the_unseen_pictures():
    seen = {run.task.image for study_ in (study.TUNING, study.STOPPING) for run in study_.runs("laptop")}
    cases = [run.task for run in study.UNSEEN.runs("laptop") if not run.task.held_out]
    assert not seen & {case.image for case in cases} and len({case.image for case in cases}) == 8
    for damage in study.UNSEEN_DAMAGES:
        assert len([case for case in cases if (case.kind, case.level) == damage]) == 4


def test_of_two_rules_the_later_decides(tmp_path, monkeypatch):
    cell = study.UNSEEN.runs("laptop")[0].task
    fits = [study.unseen(cell.image, cell.kind, cell.level, share) for share in study.SHARES]
    iterations = [10 * (i + 1) for i in range(60)]
    falls_until = {"held_average": 200, "variance_20": 300}
    curves = {name: [abs(i - least) for i in iterations] for name, least in falls_until.items()}
    curves |= {
        "iteration": iterations,
        "nothing": [0] * 60,
        "psnr": [20] * 60,
        "psnr_average": [i / 10 for i in iterations],
    }
    monkeypatch.setattr(study, "finished", lambda runs, folder: {run: {"curves": curves} for run in fits})
    found = study.unseen_outcomes(tmp_path).set_index("rule")
    sooner = found.loc["held-out pixels, patience 100"]
    assert (sooner.kept, sooner.stopped) == (200, 300)
    later = found.loc["held-out pixels and moving variance"]
    assert (later.kept, later.stopped, later.gap) == (300, 500, 60 - 30)


def test_an_arm_is_judged_by_what_the_rule_keeps(tmp_path, monkeypatch):
    runs_ = front.AGAIN.runs("laptop")
    assert len({str(run.configuration) for run in runs_}) == len(runs_)  # no arm is another's double
    papers = next(run for run in runs_ if "denoising/the-paper" in run.name)
    assert papers.network == NetworkConfig(out_channels=papers.network.out_channels)
    iterations = [10 * (i + 1) for i in range(60)]
    curves = {"iteration": iterations, "held_average": [abs(i - 200) for i in iterations], "psnr": [20.0] * 60}
    curves |= {"psnr_average": [i / 10 for i in iterations], "seconds": [i / 20 for i in iterations]}
    monkeypatch.setattr(study, "finished", lambda runs, folder: {papers: {"curves": curves}})
    (row,) = front.kept(front.CELLS, tmp_path).reset_index().to_dict("records")
    assert (row["arm"], row["psnr"], row["seconds"]) == (front.PAPERS, 20.0, 15.0)


def test_without_noise_an_arm_has_one_count_for_all_pictures(tmp_path, monkeypatch):
    coffee, brick = (front.again(front.Cell("restoration", front.PAPERS, image)) for image in ("coffee", "brick"))
    later = {"iteration": [50, 100, 150], "psnr_average": [20.0, 29.0, 30.0], "seconds": [5.0, 10.0, 100.0]}
    sooner = later | {"psnr_average": [20.0, 40.0, 36.0]}
    monkeypatch.setattr(study, "finished", lambda runs, folder: {coffee: {"curves": later}, brick: {"curves": sooner}})
    found = front.at_one_count(front.CELLS, tmp_path)
    assert list(found.psnr) == [29.0, 40.0]  # at 100: the mean is 34.5 there, 33 at the end
    assert 10 <= found.seconds.iloc[0] < 30  # the pause at the end is not the fit's


def test_the_rule_takes_the_best_cheap_arm_and_of_level_ones_the_cheapest():
    def chosen(**arms):
        table = pd.DataFrame.from_dict(arms | {front.PAPERS: (30.0, 90.0)}, "index", columns=["psnr", "seconds"])
        found = front.chosen(table)
        return None if found is None else found.name

    assert chosen(dear=(35.0, 31.0), better=(29.0, 30.0), cheaper=(28.9, 10.0)) == "better"
    assert chosen(better=(29.0, 30.0), level=(28.96, 20.0), cheaper=(28.94, 10.0)) == "level"
    assert chosen(dear=(35.0, 31.0)) is None
    assert front.chosen(pd.DataFrame(columns=["psnr", "seconds"])) is None


@pytest.mark.parametrize("task", front.FAMILIES)
def test_the_presets_are_what_the_rule_chooses_of_the_committed_records(task):
    network, rate = front.ARMS[task][front.chosen(front.beside_the_papers(task)).name]
    ours, settings = presets.recommended(task), front.FAMILIES[task]
    assert ours.network == network
    assert ours.of(settings.iterations).settings == replace(settings, learning_rate=rate)


def test_a_fit_usually_ends_where_the_rule_ended_those_of_the_unseen_set():
    assert study.by_rule(study.unseen_outcomes())["stops at"][study.TAKEN] == stopping.USUAL


@pytest.mark.parametrize("profile", study.CHOSEN)
def test_the_parameters_are_those_that_the_tuning_set_chose(profile):
    assert list(study.tuned(profile).candidate.to_dict().items()) == list(study.CHOSEN[profile].items())


def test_noise_of_each_kind_is_as_strong_as_it_says():
    grey = torch.full((1, 256, 256), 0.4)
    poisson = corruptions.poisson_noise(grey, 40, seed=0)
    assert float(poisson.mean()) == pytest.approx(0.4, abs=0.003)
    assert float(poisson.var()) == pytest.approx(0.4 / 40, rel=0.03)
    impulse = corruptions.impulse_noise(grey, 0.1, seed=0)
    assert [float((impulse == v).float().mean()) for v in (0.0, 1.0)] == pytest.approx([0.05, 0.05], abs=0.005)
    mixed = corruptions.mixed_noise(grey, 40, seed=0)  # JPEG changes it by a little
    assert float(mixed.var()) == pytest.approx(0.4 / 40 + (10 / 255) ** 2, rel=0.15)
    speckle = corruptions.speckle_noise(grey, 0.25, seed=0)
    assert float(speckle.std()) == pytest.approx(0.4 * 0.25, rel=0.03)
    for noise in (corruptions.poisson_noise, corruptions.impulse_noise, corruptions.speckle_noise):
        assert torch.equal(noise(grey, 0.5, 1), noise(grey, 0.5, 1)) and not torch.equal(
            *(noise(grey, 0.5, s) for s in (1, 2))
        )


def test_wrong_parameters_are_told():
    for wrong in (
        lambda: MovingVariance(1),
        lambda: ExponentialVariance(1.0),
        lambda: stopping.held_out(torch.ones(1, 4, 4), 0, 0),
        lambda: Rule("", stopping.nothing, Count(1), "truth"),
        lambda: corruptions.poisson_noise(TRUTH, 0, 0),
        lambda: corruptions.impulse_noise(TRUTH, 2, 0),
        lambda: corruptions.speckle_noise(TRUTH, -1, 0),
    ):
        with pytest.raises(UserError):
            wrong()


def test_a_run_that_is_stopped_early_keeps_what_its_rule_kept(tmp_path, monkeypatch):
    rules = []

    def falls_then_rises(**numbers) -> Rule:
        values = iter([3, 2, 1, 2, 3, 4, 5, 6, 7, 8])
        rules.append(Rule("spy", lambda image, average: next(values), Lowest(20), "average"))
        return rules[-1]

    monkeypatch.setattr(stopping, "moving_variance", falls_then_rises)
    record = perform(SHORT, tmp_path, "cpu", progress=False)
    assert rules[0].iteration == 30 and record["run"]["iterations"] == 50 and record["run"]["stopped"] == rules[0].why
    history = records.history(record).set_index("iteration")
    assert record["scores"]["average"] == pytest.approx(history.psnr_average[30], abs=1e-3)
    assert record["configuration"]["stop"] == {"rule": "variance", "window": 20, "patience": 50}
    assert perform(replace(SHORT, name="left"), tmp_path, "cpu", progress=False, interrupt=lambda report: True) is None
    with pytest.raises(UserError, match="'never' is not one of , variance, held-out"):
        replace(SHORT, stop="never")


@pytest.mark.parametrize("stop", ["variance", "held-out"])
def test_a_run_with_a_rule_that_is_left_again_and_again_is_the_same(tmp_path, stop):
    run = replace(SHORT, stop=stop)
    whole = perform(run, tmp_path / "whole", "cpu", progress=False)
    for _ in range(run.settings.iterations // run.settings.report_every):
        left = perform(run, tmp_path / "left", "cpu", progress=False, interrupt=lambda report: True)  # after one report
        assert left is None or left["run"]["iterations"] == whole["run"]["iterations"]
    record = perform(run, tmp_path / "left", "cpu", progress=False)
    assert record["scores"] == whole["scores"] and record["run"]["stopped"] == whole["run"]["stopped"]
    for curve, values in whole["curves"].items():
        assert curve == "seconds" or record["curves"][curve] == values
    assert not list(tmp_path.rglob("*.checkpoint"))


@pytest.mark.parametrize("signal", [lambda: MovingVariance(4), lambda: ExponentialVariance(0.3)])
@pytest.mark.parametrize("left", [1, 3, 6])
def test_a_rule_brought_to_a_saved_state_goes_on_alike(signal, left):
    whole, before, after = (Rule("", signal(), Lowest(3)) for _ in range(3))
    draw = torch.Generator().manual_seed(0)
    seen = [(i, *torch.rand(2, 3, 9, 9, generator=draw)) for i in range(10)]
    for iterate in seen:
        whole.see(*iterate)
    for iterate in seen[:left]:
        before.see(*iterate)
    after.load_state_dict(before.state_dict())
    for iterate in seen[left:]:
        after.see(*iterate)
    assert after.curve == whole.curve and after.why == whole.why and torch.equal(after.image, whole.image)


def test_the_recommended_rule_watches_pixels_that_the_fit_does_not_see():
    problem, fit = prepare(replace(SHORT, stop="held-out"), "cpu")
    fitted = fit.operator(torch.ones(1, 1, 16, 16))[0]
    watched = fit.stop.rules[0].signal.mask
    assert torch.equal(fitted + watched, torch.ones(1, 16, 16)) and 0 < watched.mean() < 0.1
    assert torch.equal(problem.measurement, problem.corrupted * fitted)
    (taken,) = study.JUDGED[study.TAKEN]
    assert [(c.criterion, c.keep) for c in taken] == [(r.criterion, r.keep) for r in fit.stop.rules]
    assert STOPS["held-out"]["share"] == study.SHARES[1]
    assert taken[1].signal == f"variance_{fit.stop.rules[1].signal.seen.maxlen}"


def test_of_two_live_rules_the_later_decides():
    first, second = (Rule(name, lambda x, y: float(x.mean()), Lowest(n)) for name, n in (("a", 20), ("b", 30)))
    rule, values = stopping.Later(first, second), [3, 2, 1, 2, 3, 0, 4, 5, 6]
    stops = [
        rule.see(10 * i, torch.full((1, 2, 2), float(v)), torch.full((1, 2, 2), float(v))) for i, v in enumerate(values)
    ]
    assert stops.index(True) == 8 and (first.iteration, second.iteration) == (20, 50)
    assert rule.image.mean() == 0 and "later of a and b" in rule.why and "iteration 50 is kept" in rule.why


def test_denoise_takes_the_rule_that_the_declaration_chooses():
    found = study.by_rule(study.unseen_outcomes())
    assert study.winner(found) == study.TAKEN
    of = pd.DataFrame({"90 % within (dB)": [0.5, 0.54, 0.56], "median gap (dB)": [0.3, 0.2, 0.1]}, list("abc"))
    assert study.winner(of) == "b"  # c is too far from the smallest


SHORT = Run(
    "early/camera",
    Denoising("camera", side=16, sigma_8bit=50),
    NetworkConfig.uniform(width=8, depth=2, out_channels=1),
    Settings(100),
    scored="average",
    stop="variance",
)
