"""What is drawn of numbers that are made up here."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection

from dip_repro.study import dots


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def frame(differences, ours=(), of_2017=()):
    images = [f"image {i}" for i in range(4)]
    one = pd.DataFrame({"authors": 30.0, "2017": np.nan, "scored": np.nan, "ours": np.nan, "nlm": 29.0}, images)
    one.loc[images[: len(differences)], "scored"] = 30 + np.array(differences)
    one.loc[images[: len(ours)], "ours"] = 30 + np.array(ours)
    one.loc[images[: len(of_2017)], "2017"] = 30 + np.array(of_2017)
    return one


def test_each_cell_is_a_dot_at_its_difference():
    shown = {"run": frame([0.1, -0.7], ours=[1.0], of_2017=[0.2]), "not": frame([])}
    (axis,) = dots.less_authors(shown, {}, margin=0.3).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["run\n1 and 2 of 4 cells", "not\nnot run"]
    offsets = [np.asarray(drawn.get_offsets()) for drawn in axis.collections]
    assert [sorted(x[:, 0].round(6)) for x in offsets if len(x)] == [[0.2], [-0.7, 0.1], [1.0]]
    texts = [text.get_text() for text in axis.texts]
    assert texts == ["image 1", "NLM", "NLM"]  # far from the authors'; the baseline of each table


def test_a_band_shows_the_scatter_where_it_is_known():
    def bands(scatter):
        (axis,) = dots.less_authors({"one": frame([0.1]), "other": frame([0.2])}, scatter, margin=0.3).axes
        drawn = [part for part in axis.collections if isinstance(part, PolyCollection) and part.get_paths()]
        return [part.get_paths()[0].get_extents() for part in drawn]

    assert not bands({})
    (band, *_) = bands({"other": 0.1})
    assert band.x1 == pytest.approx(1.96 * 0.1 * 2**0.5) and band.x0 == -band.x1 and band.y0 == pytest.approx(0.55)


def test_names_of_marks_that_are_close_stand_on_lower_lines():
    _, axis = plt.subplots()
    dots.marks(axis, pd.Series({"first": -1.0, "second": -0.99, "third": -0.98, "far": 1.0}), 0)
    heights = {text.get_text(): text.xyann[1] for text in axis.texts}
    assert heights["first"] < heights["second"] < heights["third"] and heights["far"] == heights["first"]


def test_what_the_files_say_has_a_panel_for_each_task():
    index = ["house", "barbara"]
    share = pd.DataFrame({"the authors' deep prior": [0.0, 0.01], "this reproduction, x": [0.1, np.nan]}, index)
    known = pd.DataFrame({"the authors' deep prior": [1.0, 5.0], "this reproduction, x": [8.0, np.nan]}, index)
    figure = dots.said({"σ = 25": share, "σ = 50": share / 2}, known, known, 10 * known)
    first, second, third = figure.axes
    assert [label.get_text() for label in first.get_yticklabels()] == [
        "the authors'\ndeep prior",
        "this\nreproduction, x",
    ]
    assert [label.get_text() for label in second.get_yticklabels()] == ["barbara", "house"]  # the best fit on top
    assert {text.get_text() for text in third.texts} == {"house", "barbara"}
