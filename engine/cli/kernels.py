"""`medkern kernels`: the catalogue."""

from typing import Annotated

import typer

from ._console import show_json, show_table


def kernels(
    name: Annotated[str, typer.Argument(help="One kernel, with all that its docstring says.")] = "",
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """List the kernels: what each does, on which data, with which parameters.

    Example: medkern kernels median
    """
    from medkern.kernels import catalogue

    known = catalogue()
    if name and name not in known:
        raise typer.BadParameter(f"no kernel {name!r}; there are: {', '.join(known)}")
    chosen = [known[name]] if name else list(known.values())
    if json:
        show_json([kernel.describe() for kernel in chosen])
    elif name:
        print(known[name].__doc__)
    else:
        show_table(
            "",
            ("kernel", "family", "what it does", "data", "parameters"),
            (
                (
                    kernel.name,
                    kernel.family,
                    kernel.summary,
                    " ".join(kernel.dtypes),
                    ", ".join(f"{n}={p.default}" for n, p in kernel.parameters.items()),
                )
                for kernel in chosen
            ),
        )
