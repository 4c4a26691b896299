"""AASTeX: a deluxetable for the journal, values with asymmetric errors."""

from __future__ import annotations

from catalog.export.latex_columns import escape, latex_columns
from catalog.export.table import ExportTable


def latex_bytes(table: ExportTable) -> bytes:
    r"""Return the table as an AASTeX deluxetable, to be read by ``\input``."""
    columns = latex_columns(table)
    heads = " & ".join(f"\\colhead{{{column.head}}}" for column in columns)
    units = " & ".join(f"\\colhead{{{column.unit}}}" for column in columns)
    rows = [" & ".join(cells) for cells in zip(*(column.cells for column in columns), strict=True)]
    meanings = "; ".join(f"{column.head}: {column.meaning}" for column in columns)
    lines = [
        f"% {table.metadata.get('creator', 'srccat')}, {table.metadata.get('date', '')}",
        *(f"% {run}" for run in table.runs),
        f"\\begin{{deluxetable}}{{{''.join(column.align for column in columns)}}}",
        "\\tabletypesize{\\scriptsize}",
        f"\\tablecaption{{X-ray sources: {escape(table.name)}, recipe {escape(table.recipe)}"
        f"\\label{{tab:{table.name}}}}}",
        f"\\tablehead{{{heads} \\\\ {units}}}",
        "\\startdata",
        *_ended(rows),
        "\\enddata",
        f"\\tablecomments{{{meanings}. "
        "Values with errors: mode and credible interval; "
        "$<$: the interval reaches zero, its upper end is given.}",
        "\\end{deluxetable}",
        "",
    ]
    return "\n".join(lines).encode("utf-8")


def _ended(rows: list[str]) -> list[str]:
    # No line end after the last row: a deluxetable would print an empty one.
    return [row + (" \\\\" if number < len(rows) - 1 else "") for number, row in enumerate(rows)]
