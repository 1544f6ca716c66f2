"""Small inline SVG drawings: histogram, curves, stacked shares.

Colours come from the page's style sheet (classes f0, f1, ... fill; l0, l1, ... stroke), so one
drawing serves light and dark mode. All text is escaped. Every function returns safe markup.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

COLOURS = 8
LEFT, RIGHT, TOP, BOTTOM = 48, 14, 10, 38  # room for axes, in units of the view box


@dataclass(frozen=True)
class Frame:
    """Maps data ranges to a `width` x `height` view box and draws the axes."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: float = 460
    height: float = 230

    def px(self, value: float) -> float:
        return LEFT + (value - self.x[0]) / (self.x[1] - self.x[0]) * (self.width - LEFT - RIGHT)

    def py(self, value: float) -> float:
        share = (value - self.y[0]) / (self.y[1] - self.y[0])
        return self.height - BOTTOM - share * (self.height - TOP - BOTTOM)

    def axes(self, x_label: str, y_label: str) -> Markup:
        left, right = self.px(self.x[0]), self.px(self.x[1])
        low, high = self.py(self.y[0]), self.py(self.y[1])
        parts = []
        for tick in ticks(*self.y):
            y = self.py(tick)
            parts += [
                line("grid", left, y, right, y),
                words("end", left - 6, y + 3.5, f"{tick:,.10g}"),
            ]
        for tick in ticks(*self.x):
            x = self.px(tick)
            parts += [line("axis", x, low, x, low + 4), words("mid", x, low + 16, f"{tick:,.10g}")]
        parts.append(line("axis", left, low, right, low))
        parts.append(words("mid", (left + right) / 2, self.height - 4, x_label))
        parts.append(words("mid", 11, (low + high) / 2, y_label, upright=True))
        return Markup("").join(parts)

    def drawing(self, title: str, *parts: Markup) -> Markup:
        return drawing(title, self.width, self.height, parts, style=f"max-width:{self.width:g}px")


def drawing(
    title: str, width: float, height: float, parts: Iterable[Markup], **attributes: str
) -> Markup:
    """An `svg` element with a view box; its title is what a screen reader says."""
    more = Markup("").join(Markup(' {}="{}"').format(*pair) for pair in attributes.items())
    return Markup('<svg viewBox="0 0 {:g} {:g}" role="img"{}><title>{}</title>{}</svg>').format(
        width, height, more, title, Markup("").join(parts)
    )


def line(style: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    """A straight line of a class of the style sheet."""
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(
        style, x1, y1, x2, y2
    )


def words(style: str, x: float, y: float, text: str, upright: bool = False) -> Markup:
    """A text at its base line; classes mid and end say where it is anchored."""
    turn = " rotate(-90)" if upright else ""
    return Markup('<text class="{}" transform="translate({:.1f} {:.1f}){}">{}</text>').format(
        style, x, y, turn, text
    )


def box(style: str, x: float, y: float, width: float, height: float, says: str) -> Markup:
    """A filled rectangle that says something when pointed at."""
    return Markup(
        '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">'
        "<title>{}</title></rect>"
    ).format(style, x, y, max(width, 0), height, says)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten) from `low` to `high`, both kept inside."""
    step = 10 ** math.floor(math.log10((high - low) / about))
    step *= next(f for f in (1, 2, 5, 10) if (high - low) / (f * step) <= about)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def histogram(
    title: str,
    edges: Sequence[float],
    counts: Mapping[str, Sequence[int]],
    x_label: str,
    mark: float | None = None,
) -> Markup:
    """Counts per bin, one group of bars a name side by side; `mark` draws a line (a threshold)."""
    highest = max((max(row, default=0) for row in counts.values()), default=0)
    frame = Frame((edges[0], edges[-1]), (0, max(highest, 1) * 1.05))
    bars = []
    for i, (name, row) in enumerate(counts.items()):
        for left, right, count in zip(edges[:-1], edges[1:], row, strict=True):
            if count:
                width = (frame.px(right) - frame.px(left) - 1) / len(counts)
                y = frame.py(count)
                says = f"{name}: {count:,} from {left:.3g} to {right:.3g}".removeprefix(": ")
                x = frame.px(left) + 0.5 + i * width
                bars.append(box(f"f{i % COLOURS}", x, y, width, frame.py(0) - y, says))
    if mark is not None and edges[0] <= mark <= edges[-1]:
        bars.append(line("mark", frame.px(mark), TOP, frame.px(mark), frame.py(0)))
    return _with_key(frame.drawing(title, frame.axes(x_label, "images"), *bars), list(counts))


def curves(
    title: str,
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    x_label: str,
    y_label: str,
    *,
    x: tuple[float, float] | None = None,
    y: tuple[float, float] | None = None,
    diagonal: bool = False,
    square: bool = False,
    dots: bool = False,
) -> Markup:
    """One polyline a name through its (xs, ys); values that are not finite leave a gap.

    diagonal, square  draw the line y = x; a square frame
    dots              mark the points, where they are few and the lines between them only guide
    """
    x = x or _span([v for xs, _ in lines.values() for v in xs])
    y = y or _span([v for _, ys in lines.values() for v in ys], room=0.05)
    frame = Frame(x, y, 330, 318) if square else Frame(x, y)
    parts = [frame.axes(x_label, y_label)]
    if diagonal:
        parts.append(line("mark", frame.px(x[0]), frame.py(y[0]), frame.px(x[1]), frame.py(y[1])))
    for i, (xs, ys) in enumerate(lines.values()):
        runs: list[list[tuple[float, float]]] = [[]]
        for a, b in zip(xs, ys, strict=True):
            if math.isfinite(a) and math.isfinite(b):
                runs[-1].append((frame.px(a), frame.py(b)))
            elif runs[-1]:
                runs.append([])
        parts.append(_path(f"l{i % COLOURS}", runs))
        if dots:
            alone = [[point, point] for run in runs for point in run]
            parts.append(_path(f"dots l{i % COLOURS}", alone))
    return _with_key(frame.drawing(title, *parts), list(lines))


def shares(title: str, parts: Mapping[str, float]) -> Markup:
    """One bar cut into the parts' shares of the whole."""
    whole = sum(parts.values())
    if not whole > 0:
        return Markup("")
    width, x, bars = 940.0, 0.0, []
    for i, (name, value) in enumerate(parts.items()):
        long = value / whole * width
        bars.append(box(f"f{i % COLOURS}", x, 0, long - 1, 20, f"{name}: {value / whole:.1%}"))
        x += long
    bar = {"class": "bar", "preserveAspectRatio": "none"}
    return _with_key(drawing(title, width, 20, bars, **bar), list(parts))


def _with_key(drawn: Markup, names: Sequence[str]) -> Markup:
    """The drawing with its names under it; one unnamed series needs no key."""
    if not any(names):
        return drawn
    rows = (
        Markup('<span><i class="b{}"></i>{}</span>').format(i % COLOURS, name)
        for i, name in enumerate(names)
    )
    return drawn + Markup('<div class="key">{}</div>').format(Markup("").join(rows))


def _path(style: str, runs: list[list[tuple[float, float]]]) -> Markup:
    moves = " ".join("M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in run) for run in runs if run)
    return Markup('<path class="{}" d="{}"/>').format(style, moves) if moves else Markup("")


def _span(values: Sequence[float], room: float = 0.0) -> tuple[float, float]:
    """The range of the finite values, never empty, with that share of room at both ends."""
    finite = [v for v in values if math.isfinite(v)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    if not high > low:
        low, high = low - 0.5, high + 0.5
    return low - room * (high - low), high + room * (high - low)
