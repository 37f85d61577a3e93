"""Make figures/start-here-film.gif again, the animation of notebook `start_here` and README: 20 minutes of one core.

python benchmarks/film.py [--device cpu] [--precision bfloat16]
"""

import argparse

from dip_repro.study import figures
from dip_repro.study.experiments.denoising import FILM
from dip_repro.study.runs import prepare


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="float32")
    given = parser.parse_args()
    problem, fitting = prepare(FILM, given.device, precision=given.precision, progress=True)
    figures.film(fitting, problem, figures.FIGURES / "start-here-film.gif")


if __name__ == "__main__":
    main()
