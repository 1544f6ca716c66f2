"""Reports: plain data -> one self-contained HTML page. The same data are the JSON beside it.

    html = screen_page(report, pictures)     a run; the data come from engine.screen
    html = evaluation_page(report)           training or evaluation; the data from `evaluation`
    about = card(report)                     the model card of the same data, as data again
    html, text = card_page(about), card_markdown(about)
    html = render("x.html", title, report, package="medkern.bench")   a page of another package

A page holds its style and pictures, loads nothing, runs no script (its own content security policy
forbids both), and escapes every text: an id or a recipe can hold anything.
"""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from . import svg
from .card import TITLES, card as card, card_markdown as card_markdown
from .environment import environment as environment
from .evaluation import (
    about_recipe as about_recipe,
    evaluation as evaluation,
    of_model as of_model,
)
from .picture import Picture as Picture, data_uri as data_uri


def screen_page(report: Mapping[str, Any], pictures: Sequence[Picture] = ()) -> str:
    """The page of a screening run."""
    whole = sum(report["stages"].values()) or 1.0
    return render("screen.html", "Screening report", report, pictures=pictures, whole=whole)


def evaluation_page(report: Mapping[str, Any]) -> str:
    """The page of a training or an evaluation, from the data that `evaluation` makes."""
    models = report["models"]
    notes: dict[str, list[str]] = {}
    for name, model in models.items():
        for note in model["notes"]:
            notes.setdefault(note, []).append(name)
    metrics = (name for model in models.values() for name in model["metrics"])
    return render(
        "evaluation.html",
        report["title"],
        report,
        metric_names=list(dict.fromkeys(metrics)),
        metric_titles=TITLES,
        notes=notes,
        reliability=_reliability,
        operating=any(model["operating"] for model in models.values()),
        each=any(model["each"] for model in models.values()),
        subgroups=any(model["subgroups"] for model in models.values()),
        sets=any(model["conformal"] for model in models.values()),
        rocs={name: model["roc"] for name, model in models.items() if model["roc"]},
        benefits=_benefits(models),
        risks={
            name: (model["selective"]["coverage"], model["selective"]["risk"])
            for name, model in models.items()
        },
    )


def card_page(about: Mapping[str, Any]) -> str:
    """The page of a model card, from the data that `card` makes."""
    return render("card.html", about["title"], about)


def _reliability(found: Mapping[str, Any]) -> dict[str, tuple[list[float], list[float]]]:
    """Lines of a reliability chart: after the temperature, and before where there was one."""
    parts = {"calibrated" if found["before"] else "": found["after"], "before": found["before"]}
    return {
        name: (
            [row["probability"] for row in part["bins"]],
            [row["observed"] for row in part["bins"]],
        )
        for name, part in parts.items()
        if part
    }


def _benefits(models: Mapping[str, Any]) -> dict[str, tuple[list[float], list[float]]]:
    """Lines of the decision curves; what lies far below 0 (do nothing) is cut off."""
    lines: dict[str, tuple[list[float], list[float]]] = {}
    for name, model in models.items():
        if (curve := model["decision"]) is None:
            continue
        for line, values in ((name, curve["model"]), ("act on all", curve["all"])):
            shown = [
                pair for pair in zip(curve["thresholds"], values, strict=True) if pair[1] > -0.05
            ]
            lines[line] = ([x for x, _ in shown], [y for _, y in shown])
    if lines:
        lines = {name: lines[name] for name in lines if name != "act on all"} | {
            "act on all": lines["act on all"]
        }
    return lines


def render(
    page: str,
    title: str,
    report: Mapping[str, Any],
    package: str = "medkern.engine.report",
    **more: Any,
) -> str:
    """The template `page` of a package, in its folder `page`; it may extend our `base.html`.

    A text `report["stamp"]` is put at the top, on each heading made by `section(title)` and at the
    foot of each printed page.
    """
    stamp = report.get("stamp")
    return (
        _templates(package)
        .get_template(page)
        .render(
            title=title,
            style=Markup(_page_file("style.css")),
            svg=svg,
            report=report,
            stamp=stamp,
            section=partial(_section, stamp),
            **more,
        )
    )


def _section(stamp: str | None, title: str) -> Markup:
    """A heading; it carries the stamp, so that no part of a page can be read without it."""
    mark = Markup('<span class="stamped">{}</span>').format(stamp) if stamp else ""
    return Markup("<h2>{}{}</h2>").format(mark, title)


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
    templates.filters |= {
        "count": _count,
        "number": _number,
        "score": _score,
        "signed": _signed,
        "chance": _chance,
        "share": _share,
    }
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


def _signed(value: float) -> str:
    """A difference; what rounds to nothing has no minus."""
    return f"{round(value, 3) + 0.0:+.3f}"


def _chance(value: float | None) -> str:
    """A p value."""
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"
