"""The paper's experiments as data: what is corrupted, how it is fitted, and in which of three sizes.

A `Run` is plain data, says all that decides its outcome, and is stored whole in its record.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from dip_repro import corruptions, images, metrics, records, runtime
from dip_repro.fitting import Fit, FitResult, Settings, finish
from dip_repro.networks import NetworkConfig, ResNetConfig, mesh_input, noise_input
from dip_repro.operators import Identity, Mask, size_of
from dip_repro.runtime import ROOT, UserError

RESULTS = ROOT / "data" / "results"
PROFILES = ("quick", "laptop", "paper")


@dataclass
class Problem:
    """What a task makes of an image: tensors (C, H, W); `truth` is for scores alone, None where it is not known."""

    truth: Tensor | None
    corrupted: Tensor
    measurement: Tensor
    operator: nn.Module
    score: Callable[[Tensor, Tensor], Tensor] = metrics.psnr
    z: Tensor | None = None  # (1, C_z, H, W); None is noise
    measures: dict[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)  # of an image alone


@dataclass(frozen=True)
class Denoising:
    """x0 = x + noise of `sigma_8bit` grey levels, or the file `noisy` that someone published.

    The noise is of the run's seed, or of `noise_seed`, so that runs of several seeds can share one noisy image.
    """

    image: str
    side: int | None = None
    sigma_8bit: float = 25
    noisy: str | None = None
    stored: str = "8bit"
    noise_seed: int | None = None

    def problem(self, seed: int) -> Problem:
        truth = open_at(self.image, self.side)
        if self.noisy:
            noisy = images.open_image(self.noisy)
            agree(truth, noisy, self.noisy)
        else:
            noise_seed = seed if self.noise_seed is None else self.noise_seed
            noisy = corruptions.gaussian_noise(truth, self.sigma_8bit, noise_seed, self.stored)
        return Problem(truth, noisy, noisy, Identity())


@dataclass(frozen=True)
class Jpeg:
    """x0 = x compressed at `quality`; where that is None, `image` is compressed already, and x is not known."""

    image: str
    side: int | None = None
    quality: int | None = 10

    def problem(self, seed: int) -> Problem:
        image = open_at(self.image, self.side)
        truth = None if self.quality is None else image
        x0 = image if truth is None else corruptions.jpeg(truth, self.quality)
        return Problem(truth, x0, x0, Identity(), measures={"blockiness": metrics.blockiness})


@dataclass(frozen=True)
class Restoration:
    """x0 = x ⊙ m with a Bernoulli mask m, or the file `masked` that someone published, its zeros missing."""

    image: str
    side: int | None = None
    missing: float = 0.5
    masked: str | None = None
    normalise: str = "all"

    def problem(self, seed: int) -> Problem:
        truth = open_at(self.image, self.side)
        if self.masked:
            corrupted = images.open_image(self.masked)
            agree(truth, corrupted, self.masked)
            mask = images.known_from_zeros(corrupted)
        else:
            mask = corruptions.missing_pixels(truth.shape[-2:], self.missing, seed)
            corrupted = truth * mask
        operator = Mask(mask, self.normalise)
        return Problem(truth, corrupted, operator(corrupted), operator)


@dataclass(frozen=True)
class Inpainting:
    """x0 = x ⊙ m: missing is where the picture `mask` is black; or where `text`, `height` pixels high, covers x; or a
    central rectangle, `hole` of each side.

    `z` is "noise", or "mesh": the mesh grid of one of the large holes.
    """

    image: str
    side: int | None = None
    mask: str | None = None
    text: str = ""
    height: int = 12
    hole: float = 1 / 3
    z: str = "noise"

    def problem(self, seed: int) -> Problem:
        truth = open_at(self.image, self.side)
        size = truth.shape[-2:]
        if self.mask:
            mask = images.as_mask(images.open_image(self.mask))
            agree(truth, mask, self.mask)
        elif self.text:
            mask = corruptions.text_mask(size, self.text, self.height)
        else:
            mask = corruptions.hole_mask(size, self.hole)
        operator = Mask(mask)
        z = mesh_input(size) if self.z == "mesh" else None
        return Problem(truth, truth * mask, operator(truth), operator, z=z)


def open_at(name: str, side: int | None) -> Tensor:
    image = images.open_image(name)
    return metrics.quantise(images.resize(image, side)) if side else image


def agree(truth: Tensor, other: Tensor, name: str) -> None:
    if truth.shape[-2:] != other.shape[-2:]:
        raise UserError(f"{name} is {size_of(other)} and the image {size_of(truth)}: give them one size")


@dataclass(frozen=True)
class Run:
    """One fit. `scored` names the image that counts: "image", the last iterate, or "average"."""

    name: str
    task: Denoising | Jpeg | Restoration | Inpainting
    network: NetworkConfig | ResNetConfig
    settings: Settings
    seed: int = 0
    scored: str = "image"

    @property
    def configuration(self) -> dict:
        """All that decides the outcome, as JSON holds it."""
        parts = {"network": self.network, "settings": self.settings, "task": self.task}
        plain = {name: {k: listed(v) for k, v in asdict(part).items()} for name, part in parts.items()}
        plain["task"] = {"kind": type(self.task).__name__} | plain["task"]
        return plain | {"seed": self.seed, "scored": self.scored}


def listed(value):
    return list(value) if isinstance(value, tuple) else value


def prepare(run: Run, device: str = "auto", **how) -> tuple[Problem, Fit]:
    """Return a run's problem, and its fit, ready to iterate over; the ground truth stands in the observer alone.

    `how` goes to `Fit`: checkpoint, precision.
    """
    problem = run.task.problem(run.seed)
    where = runtime.pick_device(device)
    network = run.network.build(run.seed).to(where)
    z = problem.z
    if z is None:
        z = noise_input(run.network.in_channels, problem.corrupted.shape[-2:], run.seed)
    truth = None if problem.truth is None else problem.truth.to(where)

    def observe(image: Tensor, average: Tensor) -> dict:
        score = {} if truth is None else {"psnr": lambda x: problem.score(x, truth)}
        watched = score | problem.measures
        return {n: f(image) for n, f in watched.items()} | {f"{n}_average": f(average) for n, f in watched.items()}

    operator = problem.operator.to(where)
    return problem, Fit(problem.measurement, operator, network, z.to(where), run.settings, run.seed, observe, **how)


def fitted(run: Run, device: str = "auto") -> tuple[Problem, FitResult]:
    """Run it under a progress bar, and return its problem and its result; nothing is saved."""
    problem, fitting = prepare(run, device)
    return problem, finish(fitting)


def perform(
    run: Run, folder: Path = RESULTS, device: str = "auto", precision: str = "float32", progress: bool = True
) -> dict:
    """Run it, unless its record is there already, and return the record, saved below `folder`.

    An interrupted run goes on from its checkpoint.
    """
    path = folder / f"{run.name}.json"
    if path.exists():
        record = records.load(path)
        if record["key"] == records.key(run.configuration):
            return record
        raise UserError(f"{path} is the record of another configuration: move it away, or name another folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    where = runtime.pick_device(device)
    provenance = runtime.provenance(where) | {"precision": precision}  # the code as it stands before the run
    checkpoint = path.with_suffix(f".{records.key(run.configuration)}.checkpoint")
    problem, fitting = prepare(run, device, checkpoint=checkpoint, precision=precision)
    result = finish(fitting, progress)
    record = make_record(run, problem, result, where) | {"provenance": provenance}
    records.save(record, getattr(result, run.scored), folder)
    return record


def make_record(run: Run, problem: Problem, result: FitResult, device: torch.device) -> dict:
    """Return the record of a run, without provenance; where the truth is not known, `scores` is empty."""
    history, truth = result.history, problem.truth
    judged = {"corrupted": problem.corrupted, "image": result.image, "average": result.average}
    scores, best = {}, None
    if truth is not None:
        best = history.psnr.idxmax()
        scores = {name: problem.score(x, truth) for name, x in judged.items()} | {"best_by_truth": history.psnr[best]}
        scores = {name: round(float(value), 4) for name, value in scores.items()}
        scores["ssim"] = round(metrics.ssim(getattr(result, run.scored), truth), 5)
    return {
        "schema": records.SCHEMA,
        "name": run.name,
        "key": records.key(run.configuration),
        "configuration": run.configuration,
        "inputs": {
            "truth": None if truth is None else records.tensor_hash(truth),
            "measurement": records.tensor_hash(problem.measurement),
        },
        "scores": scores,
        "measures": {m: {n: round(float(f(x)), 4) for n, x in judged.items()} for m, f in problem.measures.items()},
        "curves": records.curves(history),
        "run": {
            "stopped": result.stopped,
            "iterations": int(history.iteration.iloc[-1]),
            "best_iteration_by_truth": None if best is None else int(history.iteration[best]),
            "rollbacks": result.rollbacks,
            "seconds": round(result.seconds, 2),
            "peak_memory_mb": round(runtime.peak_memory_mb(device)),
        },
    }


@dataclass(frozen=True)
class Experiment:
    """A declaration: what it answers in the paper, and its runs by profile."""

    name: str
    title: str
    answers: str
    profiles: dict[str, tuple[Run, ...]]

    def runs(self, profile: str) -> tuple[Run, ...]:
        if profile not in self.profiles:
            raise UserError(f"{self.name} has no profile {profile!r}; it has {', '.join(self.profiles)}")
        return self.profiles[profile]


def one_of_each(name: str, profiles: dict[str, dict]) -> dict[str, tuple[Run, ...]]:
    return {profile: (Run(f"{name}/{profile}", **parts),) for profile, parts in profiles.items()}


GREY = NetworkConfig(out_channels=1)

START = Experiment(
    "start",
    "An untrained network restores a noisy picture",
    "Figs. 2 and 3, Table 1 in small",
    one_of_each(
        "start",
        {
            "quick": {
                "task": Denoising("astronaut", side=64),
                "network": NetworkConfig.uniform(width=64, depth=3),
                "settings": Settings(iterations=1000),
                "scored": "average",
            },
            "laptop": {
                "task": Denoising("astronaut", side=128),
                "network": NetworkConfig(),
                "settings": Settings(iterations=3000),
                "scored": "average",
            },
            "paper": {
                "task": Denoising(
                    "project-page/Denoising/Color/25/F16_GT.png",
                    noisy="project-page/Denoising/Color/25/F16_noisy.png",
                ),
                "network": NetworkConfig(),
                "settings": Settings(iterations=1800),
                "scored": "average",
            },
        },
    ),
)

COLOUR = "project-page/Denoising/Color"
DENOISED = ("F16", "baboon", "hill", "kodim01", "kodim02", "kodim03", "kodim12", "lena", "peppers")


def denoising(name: str, seed: int) -> dict[str, tuple[Run, ...]]:
    """Return the runs of one seed, by profile; those of another seed see the same noisy images."""

    def run(name: str, task: Denoising, network: NetworkConfig, iterations: int = 1800) -> Run:
        return Run(name, task, network, Settings(iterations), seed, "average")

    def small(image: str, channels: int) -> Run:
        network = NetworkConfig.uniform(width=32, depth=3, out_channels=channels)
        return run(f"{name}/quick-{image}", Denoising(image, side=64, noise_seed=0), network, 700)

    def published(image: str, sigma: int) -> Run:
        files = f"{COLOUR}/{sigma}/{image}"
        task = Denoising(f"{files}_GT.png", sigma_8bit=sigma, noisy=f"{files}_noisy.png")
        # The settings of σ = 50 are not stated: those of 25 (reading 15).
        return run(f"{name}-{sigma}/{image}", task, NetworkConfig())

    middle = Denoising("astronaut", side=256, noise_seed=0)
    return {
        "quick": (small("astronaut", 3), small("grass", 1)),
        "laptop": (run(f"{name}/laptop-astronaut", middle, NetworkConfig()),),
        "paper": tuple(published(image, sigma) for sigma in (25, 50) for image in DENOISED),
    }


DENOISING = Experiment(
    "denoising",
    "Noise removed, on pictures and on a texture",
    "Table of denoising, Sec. 4",
    denoising("denoising", seed=0),
)

SECOND_RUNS = denoising("denoising-second", seed=1)

SECOND = Experiment(
    "denoising-second",
    "A second run on each noisy picture, to be averaged with the first",
    "Denoising, Sec. 4: 31.00 dB",
    SECOND_RUNS | {"quick": SECOND_RUNS["quick"][:1]},
)

NARROW = (8, 16, 32, 64, 128)
SNAIL = NetworkConfig(in_channels=3, n_d=NARROW, n_u=NARROW, n_s=(0, 0, 0, 4, 4))

JPEG = Experiment(
    "jpeg",
    "JPEG's blocks removed; left running, they return",
    "JPEG artefacts (snail), Fig. 4",
    {
        "quick": (Run("jpeg/quick-chelsea", Jpeg("chelsea", side=96), SNAIL, Settings(1200)),),
        "laptop": (Run("jpeg/laptop-chelsea", Jpeg("chelsea", side=256), SNAIL, Settings(2400)),),
        "paper": tuple(
            Run(f"jpeg/{name}", Jpeg("repository/denoising/snail.jpg", quality=None), SNAIL, Settings(iterations))
            for name, iterations in {"snail": 2400, "snail-left-running": 50000}.items()
        ),
    },
)

PAGE = "project-page/Reconstruction/Gray/50p"
RESTORED = (
    "barbara",
    "boat",
    "Cameraman256",
    "couple",
    "fingerprint",
    "hill",
    "house",
    "Lena512",
    "man",
    "montage",
    "peppers256",
)


def restoration_settings(iterations: int, **readings) -> Settings:
    return Settings(iterations, learning_rate=0.001, **readings)


RESTORATION = Experiment(
    "restoration-50",
    "Half of the pixels restored",
    "Table of restoration, Sec. 4 (50 % missing)",
    {
        "quick": tuple(
            Run(
                f"restoration-50/quick-{name}",
                Restoration(name, side=96),
                NetworkConfig.uniform(width=32, depth=3, out_channels=1),
                # A few hundred steps want a larger rate; the paper's is 0.001 over 11 000 iterations.
                Settings(iterations=800, learning_rate=0.01),
            )
            for name in ("camera", "coins")
        ),
        "laptop": (
            Run("restoration-50/laptop-camera", Restoration("camera", side=256), GREY, restoration_settings(2000)),
        ),
        "paper": tuple(
            Run(
                f"restoration-50/{name}",
                Restoration(f"{PAGE}/{name}_GT.png", masked=f"{PAGE}/{name}_masked.png"),
                GREY,
                restoration_settings(11000),
            )
            for name in RESTORED
        ),
    },
)

BRANCHING = Experiment(
    "branching",
    "Where the skip starts, and where the up block up-samples",
    "Fig. 21, open questions 1 and 5",
    {
        "paper": tuple(
            Run(
                f"branching/house-{skip_from}-{upsample_at}",
                Restoration(f"{PAGE}/house_GT.png", masked=f"{PAGE}/house_masked.png"),
                NetworkConfig(out_channels=1, skip_from=skip_from, upsample_at=upsample_at),
                restoration_settings(2000),
            )
            for skip_from in ("input", "output")
            for upsample_at in ("start", "end")
        ),
    },
)

WORDS = "the deep image prior restores what was written over"

TEXT = Experiment(
    "text",
    "Text removed from a picture",
    "Inpainting of text (Kate), Sec. 4",
    one_of_each(
        "text",
        {
            "quick": {
                "task": Inpainting("astronaut", side=64, text=WORDS, height=9),
                "network": NetworkConfig.uniform(width=32, depth=4),
                "settings": Settings(iterations=800),
            },
            "laptop": {
                "task": Inpainting("astronaut", side=256, text=WORDS, height=16),
                "network": NetworkConfig(),
                "settings": Settings(iterations=2000),
            },
            "paper": {
                "task": Inpainting("repository/inpainting/kate.png", mask="repository/inpainting/kate_mask.png"),
                "network": NetworkConfig(),
                "settings": Settings(iterations=6000),
            },
        },
    ),
)


def library(channels: int, depth: int, skip: int = 0, wide_skips: bool = False) -> NetworkConfig:
    """Return the hourglass of the library hole, cut to `depth`; "U-Net" is it with skips as wide as each level."""
    n_d = (16, 32, 64, 128, 128, 128)[:depth]
    n_s = n_d if wide_skips else (skip,) * depth
    kernels = {"k_d": (3,) * depth, "k_u": (5,) * depth, "k_s": (1,) * depth}
    return NetworkConfig(out_channels=channels, n_d=n_d, n_u=n_d, n_s=n_s, upsample="nearest", **kernels)


def hole_runs(profile: str, task: Inpainting, settings: Settings, channels: int, deep: int) -> tuple[Run, ...]:
    networks = {
        "deep": library(channels, deep),
        "shallow": library(channels, depth=2),
        "skips": library(channels, deep, skip=4),
        "unet": library(channels, deep, wide_skips=True),
        "resnet": ResNetConfig(out_channels=channels),
    }
    return tuple(Run(f"hole/{profile}-{name}", task, network, settings) for name, network in networks.items())


HOLE = Experiment(
    "hole",
    "A large hole, filled by networks of several depths and kinds",
    "Large-hole inpainting (library, vase), Sec. 4",
    {
        "quick": hole_runs("quick", Inpainting("brick", side=64), Settings(300, sigma_p=0), channels=1, deep=5)[:3],
        "laptop": hole_runs("laptop", Inpainting("brick", side=256), Settings(2000, sigma_p=0), channels=1, deep=6),
        "paper": hole_runs(
            "library",
            Inpainting("repository/inpainting/library.png", mask="repository/inpainting/library_mask.png"),
            Settings(5000, learning_rate=0.1, sigma_p=0),
            channels=3,
            deep=6,
        ),
    },
)

MESH = Experiment(
    "mesh",
    "A large hole, filled from a mesh grid",
    "Large-hole inpainting (vase), Sec. 4",
    one_of_each(
        "mesh",
        {
            "laptop": {
                "task": Inpainting("coffee", side=256, z="mesh"),
                "network": NetworkConfig(in_channels=2, n_s=(0,) * 5),
                "settings": Settings(2000),
            },
            "paper": {
                "task": Inpainting(
                    "repository/inpainting/vase.png", mask="repository/inpainting/vase_mask.png", z="mesh"
                ),
                "network": NetworkConfig(in_channels=2, n_s=(0,) * 5),
                "settings": Settings(5000),
            },
        },
    ),
)

DECLARED = (START, DENOISING, SECOND, JPEG, TEXT, HOLE, MESH, RESTORATION, BRANCHING)
EXPERIMENTS = {experiment.name: experiment for experiment in DECLARED}


def find(name: str) -> Experiment:
    """Return the experiment called `name`, or suggest the nearest."""
    if name not in EXPERIMENTS:
        near = difflib.get_close_matches(name, EXPERIMENTS, n=1, cutoff=0)
        raise UserError(f"no experiment {name!r}; did you mean {near[0]}? (`dip-repro list` names them)")
    return EXPERIMENTS[name]


def declared(record: dict) -> Run:
    """Return the run that a record answers.

    Raises
    ------
    UserError : no experiment declares a run of that name, or it was declared otherwise since.
    """
    for experiment in EXPERIMENTS.values():
        for runs in experiment.profiles.values():
            for run in runs:
                if run.name == record["name"]:
                    if records.key(run.configuration) != record["key"]:
                        raise UserError(f"{run.name} was declared otherwise when its record was made: run it again")
                    return run
    raise UserError(f"{record['name']}: no experiment declares this run (any more)")
