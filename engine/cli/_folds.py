"""Cross-validation as the command line runs and shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ._console import show_table

if TYPE_CHECKING:
    from ..ingest import Item
    from ..learn import Settings


def cross_validated(
    road: tuple[Any, int, Any],
    items: Sequence[Item],
    settings: Settings,
    folds: int,
    leak: bool,
) -> dict[str, Any] | None:
    """{count, groups, figures, per_fold, by_image} for JSON; None where it is not asked for.

    road      pixels, bits, features of the items
    by_image  the figures of folds that separate groups, None unless `leak`
    """
    from ..learn.folds import cross_validate
    from ._road import TrainingProgress, columns

    if not folds:
        if leak:
            raise UserError("--leak needs --folds, e.g. --folds 5 --leak")
        return None
    known = columns(items)
    arguments: dict[str, Any] = {
        "labels": known["labels"], "groups": known["groups"], "folds": folds, "settings": settings,
    }  # fmt: skip
    with TrainingProgress() as progress:
        by_group = cross_validate(*road, **arguments, progress=progress)
        by_image = None
        if leak:
            by_image = cross_validate(*road, **arguments, by_image=True, progress=progress)
    return {
        "count": folds,
        "groups": by_group.groups,
        "figures": by_group.figures,
        "per_fold": by_group.per_fold,
        "by_image": by_image.figures if by_image else None,
    }


def show_folds(folded: Mapping[str, Any] | None) -> None:
    """The out-of-fold tables."""
    from ._tables import HEADINGS, summary_rows

    if not folded:
        return
    show_table(f"{folded['count']} folds, out of fold", HEADINGS, summary_rows(folded["figures"]))
    if folded["by_image"]:
        title = f"{folded['count']} folds by image: leaks, not to be trusted"
        show_table(title, HEADINGS, summary_rows(folded["by_image"]))
