"""`srccat run` and `srccat status`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import JsonOption, ProjectOption, RecipesOption
from cli.output import plural, print_json, print_table, say

if TYPE_CHECKING:
    from catalog.stages.engine.run_report import RunReport, StageCount


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("run")(run_command)
    app.command("status")(status_command)


def run_command(
    stages: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="STAGE",
            help="apertures, extract, photometry, properties, variability, spectra, merge, "
            "merged_properties, merged_variability, spectral_fit, or all (but spectral_fit). Unless given: "
            "apertures, extract, photometry, merge, and those others that the catalog has results of.",
        ),
    ] = None,
    recipe: RecipesOption = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Processes; all cores unless given.", show_default=False),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            "--scheduler",
            metavar="URL",
            help="Dask scheduler whose workers compute, as tcp://host:8786.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is stale, and why.")] = False,
    log: Annotated[
        Path | None,
        typer.Option(
            "--log", metavar="FILE", help="Append what happens, one JSON object per line.", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> int:
    """Bring the catalog up to date: compute what changed, no more.

    Example: srccat run --recipe default
    """
    from catalog.config import project_dir
    from catalog.stages.base.project import open_project
    from catalog.stages.engine.run import due_stages, run
    from catalog.stages.engine.run_log import json_lines
    from catalog.stages.engine.stage_list import COMMON_STAGES
    from cli.interruption import Interruption
    from cli.progress import progress

    if workers is not None and scheduler is not None:
        raise typer.BadParameter("the workers of a scheduler are its own: leave out --workers")
    # Ctrl-C, or a batch system that ends a job: what was finished is stored and the run is closed.
    interruption = Interruption()
    interruption.listen()
    with open_project(project_dir(project)) as opened, json_lines(log) as note:
        chosen = COMMON_STAGES if stages == ["all"] else stages or due_stages(opened)
        report = run(
            opened,
            chosen,
            recipe or (),
            workers=workers,
            scheduler=scheduler,
            dry_run=dry_run,
            track=interruption.heeded(progress()),
            log=note,
        )
    if as_json:
        print_json(_plain(report))
    else:
        _describe(report, dry_run)
    return 1 if report.failed else 0


def _plain(report: RunReport) -> dict[str, object]:
    return {
        "run_id": report.run_id,
        "computed": report.computed,
        "failed": report.failed,
        "reasons": report.reasons,
        "counts": [{**vars(count), "times": vars(count.times)} for count in report.counts],
        "failures": [vars(item) for item in report.failures],
    }


def _describe(report: RunReport, dry_run: bool) -> None:
    if not any(count.total for count in report.counts):
        say("nothing to do: add observations and sources first")
        return
    _print_counts([count for count in report.counts if count.stale])
    if not report.computed:
        say("everything is up to date")
    elif dry_run:
        say(f"{plural(report.computed, 'unit')} stale; later stages follow those before them")
    else:
        _print_times([count for count in report.counts if count.stale])
        say(f"run {report.run_id}: {plural(report.computed, 'unit')} computed, {report.failed} failed")
    if report.failures:
        print_table(
            ("stage", "recipe", "observation", "reason", "units", "example"),
            (
                (item.stage, item.recipe, item.scope, item.reason, item.count, item.message)
                for item in sorted(report.failures, key=lambda item: -item.count)
            ),
        )


def _print_counts(counts: list[StageCount]) -> None:
    if counts:
        print_table(
            ("stage", "recipe", "observation", "stale", "of", "why"),
            (
                (
                    count.stage,
                    count.recipe,
                    count.scope,
                    # Each reason has a line of its own; the number is that of the reason.
                    number,
                    count.total,
                    reason,
                )
                for count in counts
                for reason, number in count.why.items()
            ),
        )


def _print_times(counts: list[StageCount]) -> None:
    """Where the time went: of this process in the database, and of all workers together."""
    print_table(
        ("stage", "recipe", "observation", "s", "planning", "reading", "storing", "computing (processor)"),
        (
            (
                count.stage,
                count.recipe,
                count.scope,
                *(
                    f"{value:.1f}"
                    for value in (
                        count.times.elapsed,
                        count.times.planning,
                        count.times.reading,
                        count.times.storing,
                        count.times.computing,
                    )
                ),
            )
            for count in counts
        ),
    )


def status_command(as_json: JsonOption = False, project: ProjectOption = None) -> None:
    """Show what the catalog holds, what is stale, and what failed.

    Example: srccat status
    """
    from catalog.config import project_dir
    from catalog.stages.base.project import open_project
    from catalog.stages.engine.status import status

    with open_project(project_dir(project), read_only=True) as opened:
        found = status(opened)
    if as_json:
        from dataclasses import asdict

        plain = asdict(found)
        for count in plain["counts"]:
            # Of a run, not of what the catalog holds.
            del count["times"]
        print_json({**plain, "stale": found.stale})
        return
    say(f"database {found.database}")
    say(f"{plural(found.n_sources, 'source')}, recipes {', '.join(found.recipes)}")
    if found.observations:
        print_table(
            ("ObsID", "role", "date", "live time (ks)", "events", "dropped", "energies"),
            (
                (
                    item.obs_id,
                    item.role,
                    item.date_obs[:10],
                    f"{item.livetime / 1000:.2f}",
                    item.n_events,
                    item.dropped,
                    "all" if item.energy_range is None else "{:g}-{:g} keV".format(*item.energy_range),
                )
                for item in found.observations
            ),
        )
    stale = [count for count in found.counts if count.stale]
    _print_counts(stale)
    say("stale: `srccat run` brings them up to date" if stale else "everything is up to date")
    if found.failures:
        print_table(
            ("stage", "reason", "units", "example"),
            ((item.stage, item.reason, item.count, item.message) for item in found.failures),
        )
    if found.last_run:
        say("last run: {} ({}, {})".format(*found.last_run))
