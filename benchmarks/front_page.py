"""The picture of README, from a record: a noisy photo, non-local means, and what `dip-repro denoise` makes of it.

`python benchmarks/front_page.py` writes figures/noisy.png, which is what the run of the record was given, and
figures/front-page.jpg.
"""

from PIL import Image

from dip_repro import images
from dip_repro.study import figures, report, runs
from dip_repro.study.experiments import front


def main() -> None:
    run = front.photo(front.Cell("small", "recommended", report.FRONT_PAGE))
    problem, (restored,) = runs.problem_of(run), runs.stored([run])
    Image.fromarray(images.to_8bit(problem.corrupted)).save(figures.FIGURES / "noisy.png", optimize=True)
    shown = {"noisy": problem.corrupted, "non-local means": problem.baselines["NLM"](), "dip-repro denoise": restored}
    scored = figures.with_psnr(shown, problem)
    figure = figures.pictures({title: scored[title] for title in list(scored)[: len(shown)]}, height=3)
    path = figures.FIGURES / "front-page.jpg"
    figure.savefig(path, dpi=100, facecolor="white", pil_kwargs={"quality": 88, "optimize": True})


if __name__ == "__main__":
    main()
