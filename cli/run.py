"""`srccat run` and `srccat status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import JsonOption, ProjectOption, RecipesOption
from cli.output import plural, print_json, print_table, say

if TYPE_CHECKING:
    from catalog.stages.run import RunReport, StageCount


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("run")(run_command)
    app.command("status")(status_command)


def run_command(
    stages: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="STAGE",
            help="apertures, extract, photometry, properties, variability, merge, merged_properties, "
            "merged_variability, or all. Unless given: apertures, extract, photometry, merge, and those "
            "others that the catalog has results of.",
        ),
    ] = None,
    recipe: RecipesOption = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Processes; all cores unless given.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is stale.")] = False,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> int:
    """Bring the catalog up to date: compute what changed, no more.

    Example: srccat run --recipe default
    """
    from catalog.config import project_dir
    from catalog.stages.project import open_project
    from catalog.stages.run import STAGES, due_stages, run
    from cli.progress import progress

    with open_project(project_dir(project)) as opened:
        chosen = STAGES if stages == ["all"] else stages or due_stages(opened)
        report = run(opened, chosen, recipe or (), workers=workers, dry_run=dry_run, track=progress())
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
        "counts": [vars(count) for count in report.counts],
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
        say(f"run {report.run_id}: {plural(report.computed, 'unit')} computed, {report.failed} failed")
    if report.reasons:
        print_table(("reason", "units"), sorted(report.reasons.items(), key=lambda item: -item[1]))


def _print_counts(counts: list[StageCount]) -> None:
    if counts:
        print_table(
            ("stage", "recipe", "observation", "stale", "of"),
            ((count.stage, count.recipe, count.scope, count.stale, count.total) for count in counts),
        )


def status_command(as_json: JsonOption = False, project: ProjectOption = None) -> None:
    """Show what the catalog holds, what is stale, and what failed.

    Example: srccat status
    """
    from catalog.config import project_dir
    from catalog.stages.project import open_project
    from catalog.stages.status import status

    with open_project(project_dir(project), read_only=True) as opened:
        found = status(opened)
    if as_json:
        from dataclasses import asdict

        print_json({**asdict(found), "stale": found.stale})
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
