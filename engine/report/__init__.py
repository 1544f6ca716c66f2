"""Reports: plain data -> one self-contained HTML page. The same data are the JSON beside it.

    html = screen_page(report, pictures)     a run; the data come from engine.screen
    html = evaluation_page(report)           training or evaluation; the data from `evaluation`
    html = render("x.html", title, report, package="medkern.bench")   a page of another package

A page holds its style and pictures, loads nothing, runs no script (its own content security policy
forbids both), and escapes every text: an id or a recipe can hold anything.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from . import svg
from .environment import environment as environment
from .evaluation import about_recipe as about_recipe, evaluation as evaluation
from .picture import Picture as Picture, data_uri as data_uri


def screen_page(report: Mapping[str, Any], pictures: Sequence[Picture] = ()) -> str:
    """The page of a screening run."""
    whole = sum(report["stages"].values()) or 1.0
    return render("screen.html", "Screening report", report, pictures=pictures, whole=whole)


def evaluation_page(report: Mapping[str, Any]) -> str:
    """The page of a training or an evaluation, from the data that `evaluation` makes."""
    models = report["models"].values()
    notes: dict[str, list[str]] = {}
    for name, model in report["models"].items():
        for note in model["notes"]:
            notes.setdefault(note, []).append(name)
    return render(
        "evaluation.html",
        report["title"],
        report,
        metric_names=list(dict.fromkeys(name for model in models for name in model["metrics"])),
        notes=notes,
        rocs={name: model["roc"] for name, model in report["models"].items() if model["roc"]},
    )


def render(
    page: str,
    title: str,
    report: Mapping[str, Any],
    package: str = "medkern.engine.report",
    **more: Any,
) -> str:
    """The template `page` of a package, in its folder `page`; it may extend our `base.html`."""
    style = Markup(_page_file("style.css"))
    return (
        _templates(package)
        .get_template(page)
        .render(title=title, style=style, svg=svg, report=report, **more)
    )


@cache
def _templates(package: str) -> Environment:
    def load(name: str) -> str:
        return _page_file(name, "medkern.engine.report" if name == "base.html" else package)

    templates = Environment(
        loader=FunctionLoader(load),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"count": _count, "number": _number, "score": _score}
    return templates


def _page_file(name: str, package: str = "medkern.engine.report") -> str:
    return (resources.files(package) / "page" / name).read_text("utf-8")


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _number(value: float | None) -> str:
    """Four significant digits, thousands separated, no exponent where one can read without."""
    if value is None:
        return "–"
    size = abs(value)
    if value == 0 or 1e-3 <= size < 1e7:
        return f"{value:,.0f}" if size >= 1000 else f"{value:.4g}"
    return f"{value:.3e}"


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
