"""What all benchmarks share: the machine, where rows are kept, the table at the end.

Under plain `pytest` the benchmarks are a smoke test on the smallest shapes. They measure with

    pytest bench --benchmark-enable                  prints the table
    pytest bench --benchmark-enable --benchmark-autosave      keeps it under results/<machine>/
"""

from pathlib import Path
from typing import Any

import pytest

from medkern.bench.machine import Machine, machine_name, this_machine
from medkern.bench.rows import aligned

RESULTS = Path(__file__).parent / "results"
TABLES = pytest.StashKey[dict[str, list[dict[str, str]]]]()


def measuring(config: pytest.Config) -> bool:
    """Whether times count (`--benchmark-enable`) or this is the smoke test."""
    return bool(config.getoption("benchmark_enable"))


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TABLES] = {}
    if measuring(config):
        config.option.benchmark_quiet = True  # our table says more
        config.option.benchmark_storage = f"file://{RESULTS}"


def pytest_sessionstart(session: pytest.Session) -> None:
    if measuring(session.config):  # a folder a machine: times of two machines must not mix
        session.config._benchmarksession.storage.default_machine_id = machine_name()  # type: ignore


@pytest.fixture(scope="session")
def machine() -> Machine:
    return this_machine()


@pytest.fixture
def report(request: pytest.FixtureRequest, benchmark: Any) -> Any:
    """`report(table, row, shown)`: the row to `extra_info`, its columns to a table at the end."""

    def note(table: str, row: dict[str, Any], shown: dict[str, str]) -> None:
        benchmark.extra_info.update(row)
        request.config.stash[TABLES].setdefault(table, []).append(shown)

    return note


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict) -> None:
    machine_info.clear()  # host names are nobody's business
    machine_info.update(this_machine().describe())


def pytest_benchmark_update_json(
    config: pytest.Config, benchmarks: list, output_json: dict[str, Any]
) -> None:
    for row in output_json["benchmarks"]:
        row["params"] = {"case": row["param"]}  # instead of the repr of a whole kernel


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    tables = config.stash.get(TABLES, {})
    if not tables or not measuring(config):
        return
    here = this_machine()
    terminalreporter.section(f"{here.cpu}, {here.cores} cores, copies {here.copy_gb_s} GB/s")
    if here.noisy:
        terminalreporter.write_line(here.noisy)
    for title, rows in tables.items():
        terminalreporter.write_line(f"\n{title}\n{aligned(rows)}")
