"""Two commits side by side on this machine: is B slower than A?

    python -m medkern.bench.compare main HEAD            every kernel on its main shape
    python -m medkern.bench.compare v0.1 main median     only the cases whose name holds "median"

Each commit gets a git worktree, a process and a compile cache of its own. The processes take
turns, A B B A ..., and for each case the time ratio B / A is printed with its 95 % interval (of
the median, from order statistics). Exit code 1 when an interval lies wholly above 1 + MARGIN,
2 when a commit or a case is unknown. Uncommitted changes are not measured: commit them first.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from medkern.bench.cases import MAIN, SMOKE, Case, cases
from medkern.bench.machine import this_machine
from medkern.bench.rows import aligned
from medkern.bench.timing import interval, ratios

ROOT = Path(__file__).resolve().parents[1]
REPEATS = 15
MARGIN = 0.02  # less than this nobody calls slower
PIXELS = 8 << 20  # a turn's batch


class CannotCompare(Exception):
    """An unknown commit or case; the message says which."""


class Side:
    """One commit: its worker process and the two ends of the pipe."""

    def __init__(self, name: str, links: Path, cache: Path):
        self.name = name
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(links), *filter(None, sys.path)]),
            "MEDKERN_CACHE": str(cache),
        }
        # -S: an editable install's import hook would come before PYTHONPATH
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-W", "ignore", str(ROOT / "bench" / "worker.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def ask(self, job: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(json.dumps(job) + "\n")
            self.process.stdin.flush()
            reply = self.process.stdout.readline()
        except BrokenPipeError:
            reply = ""
        if not reply:
            raise CannotCompare(f"{self.name}: its kernels cannot be imported, see above")
        return json.loads(reply)

    def close(self) -> None:
        assert self.process.stdin and self.process.stdout
        with suppress(BrokenPipeError):  # it ended before it read what was written
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


@dataclass(frozen=True)
class Verdict:
    """One case: the time ratio B / A with the interval of its median."""

    case: str
    ratio: float
    low: float
    high: float
    same: bool  # both commits gave the same bits
    note: str = ""

    @property
    def slower(self) -> bool:
        return self.low > 1 + MARGIN

    def show(self) -> dict[str, str]:
        if self.note:
            return {"case": self.case, "B / A": "-", "95 %": "-", "": self.note}
        word = "SLOWER" if self.slower else "faster" if self.high < 1 - MARGIN else ""
        word += "" if self.same else " (other answers)"
        span = f"{self.low:.3f} to {self.high:.3f}"
        return {"case": self.case, "B / A": f"{self.ratio:.3f}", "95 %": span, "": word.strip()}


def compare(
    a: str, b: str, chosen: Sequence[Case], repo: Path = ROOT, repeats: int = REPEATS
) -> Iterator[Verdict]:
    """A verdict a case; the worktrees are gone afterwards."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="compare-")))
        sides = []
        for letter, commit in (("a", a), ("b", b)):
            folder = scratch / letter
            stack.enter_context(worktree(repo, commit, folder / "tree"))
            link(folder)
            side = Side(commit, folder / "links", folder / "cache")
            stack.callback(side.close)
            sides.append(side)
        for case in chosen:
            yield judge(case, sides, scratch, repeats)


def judge(case: Case, sides: list[Side], scratch: Path, repeats: int) -> Verdict:
    n = max(1, min(case.shape.n, PIXELS // case.shape.pixels))
    job: dict[str, Any] = {
        "kernel": case.kernel.name,
        "window": case.shape.window,
        "parameters": case.parameters,
    }
    for name, array in (
        ("images", case.shape.images(n, case.dtype)),
        ("masks", case.shape.masks(n)),
    ):
        job[name] = None if array is None else str(scratch / f"{name}.npy")
        if array is not None:
            np.save(job[name], array)
    answers = [side.ask(job) for side in sides]
    for side, answer in zip(sides, answers, strict=True):
        if "error" in answer:
            return Verdict(case.name, 1, 1, 1, False, f"{side.name}: {answer['error']}")
    seconds: list[list[float]] = [[], []]
    for turn in range(repeats):
        for i in (0, 1) if turn % 2 == 0 else (1, 0):  # whoever comes second finds a warmer machine
            seconds[i].append(sides[i].ask({})["seconds"])
    found = ratios(*seconds)
    same = answers[0]["digest"] == answers[1]["digest"]
    return Verdict(case.name, median(found), *interval(found), same)


@contextmanager
def worktree(repo: Path, commit: str, folder: Path) -> Iterator[None]:
    """A checkout of `commit` in `folder`, taken away again at the end."""
    known = git(repo, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
    if known.returncode:
        raise CannotCompare(f"unknown commit {commit!r} in {repo}")
    made = git(repo, "worktree", "add", "--detach", str(folder), known.stdout.strip())
    if made.returncode:
        raise CannotCompare(f"no worktree for {commit}: {made.stderr.strip()}")
    try:
        yield
    finally:
        git(repo, "worktree", "remove", "--force", str(folder))


def link(folder: Path) -> None:
    """`links/medkern/kernels` -> `tree/kernels`: importable as `medkern.kernels`."""
    (folder / "links" / "medkern").mkdir(parents=True)
    (folder / "links" / "medkern" / "kernels").symlink_to(folder / "tree" / "kernels")


def git(repo: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", "-C", str(repo), *arguments], capture_output=True, text=True, check=False
    )


def select(what: str) -> list[Case]:
    """Main-shape cases, without peers, whose name holds `what`; small ones when asked by name."""
    pool = [*cases(smoke=False), *cases(smoke=True)]
    found = [c for c in pool if what in c.name and (c.shape.name in MAIN or c.shape.name in what)]
    if not found:
        names = "\n  ".join(c.name for c in pool if c.shape.name not in SMOKE)
        raise CannotCompare(f"no case holds {what!r}; there are\n  {names}")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("a", metavar="A", help="a commit, branch or tag")
    parser.add_argument("b", metavar="B", help="another one")
    parser.add_argument("what", nargs="?", default="", help="part of a case's name")
    parser.add_argument("--repo", type=Path, default=ROOT, help="the git repository")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="turns a case (default 15)")
    given = parser.parse_args(arguments)
    try:
        verdicts = list(compare(given.a, given.b, select(given.what), given.repo, given.repeats))
    except CannotCompare as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    print(f"time of {given.b} / time of {given.a}, {given.repeats} turns side by side")
    print(aligned([verdict.show() for verdict in verdicts]))
    if noisy := this_machine().noisy:
        print(noisy)
    return int(any(verdict.slower for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
