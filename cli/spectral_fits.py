"""`srccat spectra fit`, `plot`, `prefer` and `table`: models on stored spectra."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import JsonOption, ProjectOption, RecipeOption
from cli.output import make_folder, print_json, print_table, say

if TYPE_CHECKING:
    from catalog.measure.spectral_fit import SpectralFitResult
    from catalog.stages.contents.live_fits import FitRequest, LiveFit

Sources = Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Numbers, names or labels.")]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="powerlaw, blackbody, bremsstrahlung, thermal or thermal2; may be repeated.",
    ),
]
Absorber = Annotated[str | None, typer.Option("--absorber", help="phabs, tbabs or wabs.")]
Statistic = Annotated[str | None, typer.Option("--statistic", help="cstat, wstat or chi2.")]
Scope = Annotated[str | None, typer.Option("--scope", help="joint, merged or each observation.")]
Band = Annotated[str | None, typer.Option("--band", metavar="LO:HI", help="Energies of the fit in keV.")]
Obs = Annotated[
    list[str] | None, typer.Option("--obs", metavar="OBSID", help="Only this ObsID; may be repeated.")
]
Freeze = Annotated[
    list[str] | None, typer.Option("--freeze", metavar="NAME=VALUE", help="Hold a parameter at a value.")
]
Free = Annotated[
    list[str] | None, typer.Option("--free", metavar="NAME", help="Fit a parameter whatever the counts.")
]
KeepAll = Annotated[bool, typer.Option("--keep-all", help="Keep observations with a contradictory area.")]


def register(group: typer.Typer) -> None:
    """Add the commands to the group `spectra`."""
    group.command("fit")(fit_command)
    group.command("plot")(plot_command)
    group.command("prefer")(prefer_command)
    group.command("table")(table_command)


def fit_command(
    sources: Sources,
    model: Models = None,
    absorber: Absorber = None,
    statistic: Statistic = None,
    scope: Scope = None,
    band: Band = None,
    obs: Obs = None,
    freeze: Freeze = None,
    free: Free = None,
    keep_all: KeepAll = False,
    as_json: JsonOption = False,
    recipe: RecipeOption = None,
    project: ProjectOption = None,
) -> None:
    """Fit models to the spectra of sources and print them.

    Nothing is stored: `srccat run spectra spectral_fit` fits and stores the whole catalog.

    Example: srccat spectra fit 12 --model powerlaw --model blackbody --freeze nh=0.02
    """
    request = _request(model, absorber, statistic, scope, band, obs, freeze, free, keep_all)
    found = _fits(sources, request, recipe, project)
    if as_json:
        from dataclasses import asdict

        print_json(
            [
                {"source": name, "scope": fit.input.scope, "left_out": fit.input.left_out}
                | asdict(fit.result)
                for name, fits in found
                for fit in fits
            ]
        )
        return
    for name, fits in found:
        for fit in fits:
            _describe(name, fit)


def plot_command(
    sources: Sources,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for pages.")] = Path("spectra"),
    format: Annotated[str, typer.Option("--format", help="png, pdf or svg.")] = "png",
    model: Models = None,
    absorber: Absorber = None,
    statistic: Statistic = None,
    scope: Scope = None,
    band: Band = None,
    obs: Obs = None,
    freeze: Freeze = None,
    free: Free = None,
    keep_all: KeepAll = False,
    recipe: RecipeOption = None,
    project: ProjectOption = None,
) -> None:
    """Draw data, model and residuals, one page for each fit.

    Example: srccat spectra plot 12 --out pages
    """
    from catalog.errors import SettingsError
    from catalog.export.light_curve_fits import file_stem
    from catalog.export.spectrum_page import spectrum_page
    from catalog.measure.spectral_curves import fit_curves

    if format not in ("png", "pdf", "svg"):
        raise SettingsError("unknown format", format, "choose png, pdf or svg", code="UNKNOWN_FORMAT")
    request = _request(model, absorber, statistic, scope, band, obs, freeze, free, keep_all)
    found = _fits(sources, request, recipe, project)
    make_folder(out)
    for name, fits in found:
        for fit in fits:
            curves = fit_curves(fit.input.spectra, fit.model, fit.choices, fit.result)
            path = out / f"{file_stem(name)}_{fit.input.scope}_{fit.model.name}.{format}"
            say(str(spectrum_page(path, curves, f"{name}   {_what(fit)}", _lines(fit))))


def prefer_command(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Number, name or label.")],
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A fitted model, or automatic.")],
    why: Annotated[str | None, typer.Option("--why", help="Reason, for the record.")] = None,
    project: ProjectOption = None,
) -> None:
    """Choose the model that a source is shown with.

    The choice stays in force over later runs; `automatic` gives it back to the rule.

    Example: srccat spectra prefer 12 blackbody --why "lines are missing"
    """
    import getpass

    from catalog.config import project_dir
    from catalog.stages.base.project import open_project
    from catalog.stages.contents.manage_sources import find_source
    from catalog.stages.steps.spectral_fit_rows import choose_model
    from catalog.store.runs import begin_run, finish

    with open_project(project_dir(project)) as opened, opened.store.write() as writer:
        row = find_source(writer.connection, source)
        run_id = begin_run(writer, "spectra prefer", opened.frozen_settings(), [])
        choose_model(writer, run_id, row.id, model, getpass.getuser(), why)
        finish(writer, run_id, "done", {})
    say(f"{row.name}: {model}")


def table_command(
    out: Annotated[Path, typer.Argument(metavar="OUT.tex", help="File to write.")],
    kind: Annotated[str, typer.Option("--kind", help="powerlaw or thermal models.")] = "powerlaw",
    distance: Annotated[
        float | None, typer.Option("--distance", min=0.001, help="pc: luminosities in place of fluxes.")
    ] = None,
    least: Annotated[float, typer.Option("--least", help="Least significance of a source.")] = 0.0,
    errors: Annotated[
        float, typer.Option("--errors", help="Least significance of a source shown with errors.")
    ] = 2.0,
    recipe: RecipeOption = None,
    project: ProjectOption = None,
) -> None:
    """Write a LaTeX table of the stored fits.

    It has the columns of ACIS Extract's tables of spectroscopy.

    Example: srccat spectra table powerlaws.tex --distance 1860
    """
    from catalog.config import project_dir
    from catalog.errors import SettingsError
    from catalog.export.fit_latex import FitTableChoices, fit_latex
    from catalog.export.fit_rows import fit_rows
    from catalog.export.spectra_selection import select_spectra
    from catalog.stages.base.project import open_project

    if kind not in ("powerlaw", "thermal"):
        raise SettingsError(
            "unknown kind of models", kind, "choose powerlaw or thermal", code="UNKNOWN_MODEL"
        )
    with open_project(project_dir(project), read_only=True) as opened, opened.store.read() as connection:
        rows = fit_rows(connection, select_spectra(connection, None, recipe).recipe.recipe)
    text = fit_latex(rows, kind == "thermal", FitTableChoices(distance, least, errors))
    out.write_text(text, encoding="utf-8")
    say(str(out))


def _request(
    model: list[str] | None,
    absorber: str | None,
    statistic: str | None,
    scope: str | None,
    band: str | None,
    obs: list[str] | None,
    freeze: list[str] | None,
    free: list[str] | None,
    keep_all: bool,
) -> FitRequest:
    from catalog.errors import SettingsError
    from catalog.stages.contents.live_fits import FitRequest

    for what, value, allowed in (
        ("statistic", statistic, ("cstat", "wstat", "chi2")),
        ("scope", scope, ("joint", "merged", "each")),
    ):
        if value is not None and value not in allowed:
            raise SettingsError(f"unknown {what}", value, f"choose {', '.join(allowed)}", code="UNKNOWN_FIT")
    lo, hi = (None, None) if band is None else _numbers(band, ":", 2, "--band", "LO:HI in keV, as 0.5:7")
    if lo is not None and hi is not None and not 0 < lo < hi:
        raise SettingsError("the band has no width", band, "give LO:HI in keV, as 0.5:7", code="BAND")
    held = []
    for text in freeze or ():
        name, _, value = text.partition("=")
        held.append((name.strip(), _numbers(value, ",", 1, f"--freeze {text}", "NAME=VALUE, as nh=0.02")[0]))
    plain = None if not obs else tuple(item.lstrip("0") or "0" for item in obs)
    return FitRequest(
        tuple(model or ()),
        absorber,
        statistic,
        scope,
        lo,
        hi,
        plain,
        tuple(held),
        tuple(free or ()),
        keep_all,
    )


def _numbers(text: str, sign: str, count: int, where: str, form: str) -> list[float]:
    from catalog.errors import SettingsError

    try:
        found = [float(part) for part in text.split(sign)]
    except ValueError:
        found = []
    if len(found) != count:
        raise SettingsError("not as expected", where, f"give {form}", code="NUMBER")
    return found


def _fits(
    words: list[str], request: FitRequest, recipe: str | None, project: Path | None
) -> list[tuple[str, list[LiveFit]]]:
    from catalog.config import project_dir
    from catalog.export.spectra_selection import select_spectra
    from catalog.stages.base.project import open_project
    from catalog.stages.contents.live_fits import fit_source
    from catalog.stages.contents.manage_sources import find_source

    found = []
    with open_project(project_dir(project), read_only=True) as opened, opened.store.read() as connection:
        chosen = select_spectra(connection, words, recipe, request.obs_ids)
        for source_id in chosen.source_ids:
            name = find_source(connection, str(source_id)).name
            found.append((name, fit_source(connection, opened, chosen.recipe, source_id, request)))
    return found


def _what(fit: LiveFit) -> str:
    names = ", ".join(item.name for item in fit.input.spectra)
    kind = fit.input.scope if fit.input.scope in ("joint", "merged") else "ObsID"
    return f"{fit.model.name}, {kind} {names}".replace("merged merged", "merged")


def _lines(fit: LiveFit) -> list[str]:
    """The result for a page."""
    result = fit.result
    lines = [
        f"{result.statistic_name} {result.statistic:.2f} / {result.degrees_of_freedom}",
        "" if result.goodness is None else f"goodness {result.goodness:.3g}",
        f"net counts {result.net_counts:.1f}, {result.status}",
        *([f"neighbours {result.neighbour_counts:.1f}"] if _has_neighbours(result) else []),
        "",
    ]
    lines += [f"{item.name} {_with_limits(item)}" for item in result.parameters]
    lines += ["", "flux, unabsorbed (erg cm$^{-2}$ s$^{-1}$)"]
    lines += [
        f"{item.lo:g}-{item.hi:g} keV: {item.flux:.3g}, {item.unabsorbed:.3g}" for item in result.fluxes
    ]
    lines += ["", *(f"without {obs_id}" for obs_id in fit.input.left_out)]
    return lines


def _has_neighbours(result: SpectralFitResult) -> bool:
    return abs(result.neighbour_counts) >= 0.05


def _with_limits(item: Any) -> str:
    if item.frozen:
        return f"{item.value:.4g} (frozen)"
    low = "limit" if item.lo90 is None else f"{item.lo90:.4g}"
    high = "limit" if item.hi90 is None else f"{item.hi90:.4g}"
    return f"{item.value:.4g} [{low}, {high}]"


def _describe(name: str, fit: LiveFit) -> None:
    result = fit.result
    goodness = "" if result.goodness is None else f", goodness {result.goodness:.3g}"
    say(f"{name}: {_what(fit)}, absorber {result.absorber}")
    say(
        f"  {result.status}: {result.statistic_name} {result.statistic:.3f}, "
        f"{result.degrees_of_freedom} degrees of freedom{goodness}, {result.net_counts:.1f} net counts"
    )
    if _has_neighbours(result):
        say(f"  {result.neighbour_counts:.1f} counts of neighbours taken off")
    for obs_id, why in fit.input.left_out.items():
        say(f"  without {obs_id}: {why}")
    print_table(
        ("parameter", "value", "68 % from", "to", "90 % from", "to", "", "unit"),
        (
            (item.name, item.value, item.lo68, item.hi68, item.lo90, item.hi90,
             "frozen" if item.frozen else "at its limit" if item.at_limit else "", item.unit)
            for item in result.parameters
        ),
    )  # fmt: skip
    print_table(
        ("band", "keV", "flux", "90 % from", "to", "unabsorbed", "90 % from", "to"),
        (
            (item.band, f"{item.lo:g}-{item.hi:g}", item.flux, item.flux_lolim, item.flux_hilim,
             item.unabsorbed, item.unabsorbed_lolim, item.unabsorbed_hilim)
            for item in result.fluxes
        ),
    )  # fmt: skip
