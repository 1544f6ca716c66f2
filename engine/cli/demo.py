"""`medkern demo`: the whole road on images made on the spot."""

from pathlib import Path
from typing import Annotated

import typer

from ._console import progress, say, show_json, show_table


def demo(
    out: Annotated[Path, typer.Option(help="Folder to work in; it is made anew.")] = Path("demo"),
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Make a small cohort with a known ceiling, train on it, screen it, write the report.

    The images are synthetic CT slices with a faint nodule in anatomy-like noise, for which the best
    possible AUC is known; they are screened together with the real DICOM files that come with
    pydicom. Nothing is downloaded.

    Example: medkern demo --out demo
    """
    import shutil
    import time

    from .. import demo as made_up
    from ..learn import identity, save
    from ..learn.judge.metrics import result
    from ..learn.train import train as fit
    from ..recipe import parse
    from ..screen import screen as run
    from ._road import TrainingProgress, columns, find, interval, prepare
    from .evaluate import choose, write_report

    start = time.perf_counter()
    if out.exists():
        _refuse_foreign(out)
        shutil.rmtree(out)
    out.mkdir(parents=True)
    (out / MARK).write_text("made by medkern demo; deleted by its next start\n")
    say(f"1/4  making a cohort of DICOM slices in {out}")
    cohort = made_up.make(out)
    recipe = parse(made_up.recipe_text(), "demo.toml")
    (out / "recipe.toml").write_text(recipe.text)
    items = find(cohort.manifest)

    say("2/4  training on its train and val parts")
    prepared = prepare([item for item in items if item.split != "test"], recipe, "auto")
    with TrainingProgress() as told:
        trained = fit(
            prepared.measured.pixels,
            recipe.layout.bits,
            prepared.measured.features,
            **columns(prepared.items),
            settings=recipe.training,
            recipe=recipe.text,
            progress=told,
        )
    model = trained.model
    save(model, out / "demo.medkern")

    say("3/4  judging it on the test part")
    part, name = choose(items, "test", "demonstration cohort")
    tested = prepare(part, recipe, "auto")
    known = columns(tested.items)
    truth = model.codes(known["labels"])
    probabilities = model.predict(tested.measured.pixels, tested.measured.features)
    figures = [
        result(key, name, truth, p, model.thresholds.get(key), known["groups"])
        for key, p in probabilities.items()
    ]
    page = out / "evaluation.html"
    write_report(
        page, name, recipe, model, truth, probabilities, figures, known, tested,
        ceiling={"ideal observer": cohort.ceiling},
    )  # fmt: skip

    say(f"4/4  screening all {cohort.slices} slices and {cohort.others} real DICOM files")
    everything = find(cohort.images)
    with progress("screening", len(everything)) as advance:
        summary = run(everything, out / "run", model=model, advance=advance)

    seconds = time.perf_counter() - start
    if json:
        show_json(
            {
                "ceiling": cohort.ceiling,
                "model": identity(model),
                "rows": figures,
                "screen": summary.json(),
                "evaluation": str(page),
                "report": summary.report,
                "seconds": seconds,
            }
        )
        return
    rows = [[row["model"], interval(row["metrics"]["auc"])] for row in figures]
    rows.append(["ideal observer", f"{cohort.ceiling:.3f} (ceiling, exact)"])
    show_table("AUC on the test part, 95 % intervals", ("model", "AUC"), rows)
    say(
        f"screened {summary.done} of {summary.rows_in} images at {summary.images_per_s:.4g} "
        f"images/s, {summary.quarantined} set aside with their reasons; {seconds:.0f} s in all"
    )
    say(f"open {page}")
    say(f"open {summary.report}")


MARK = ".medkern-demo"


def _refuse_foreign(folder: Path) -> None:
    """Only a folder that an earlier demonstration made is deleted."""
    from ..errors import UserError

    if not folder.is_dir() or (any(folder.iterdir()) and not (folder / MARK).exists()):
        raise UserError(f"{folder} exists and was not made by medkern demo; choose another --out")
