"""The two views that SQL users live in, built from the tables and the registry.

Views are code, not migrations: they are dropped before an upgrade and created after it, on both engines.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from catalog.band import CSC_BANDS, CSC_SUFFIX
from catalog.flags import Flag
from catalog.schema.column import ColumnDefinition
from catalog.schema.measurement import POSTERIORS
from catalog.schema.properties import MERGED_PROPERTY_NAMES, PROPERTY_NAMES
from catalog.schema.registry import REGISTRY
from catalog.schema.spectrum import FIT_PARAMETERS

VIEW_NAMES = ("catalog", "detections")

_POSTERIOR_COLUMNS = tuple(f"{name}{end}" for name in POSTERIORS for end in ("", "_lolim", "_hilim", "_mean"))

_DERIVED = (
    "flux_method",
    "flux_conversion",
    "src_significance",
    "snr_gehrels",
    "flux_significance",
    "log10_prob_no_source",
    "photflux_limit",
    "limit_alpha",
    "limit_power",
    "confidence",
)

_VARIABILITY = (
    "var_index",
    "var_prob",
    "gl_log10_odds",
    "ks_prob",
    "kp_prob",
    "ks_log10_pvalue",
    "kp_log10_pvalue",
)
_VARIABILITY_DETAILS = (
    *(f"{name}_net" for name in _VARIABILITY),
    "bkg_var_index",
    "bkg_var_prob",
    "var_peak_bins",
    "var_frac_3sigma",
    "var_frac_5sigma",
    "n_blocks",
)

_MERGED_VARIABILITY = (
    "var_intra_index",
    "var_intra_prob",
    "var_inter_index",
    "var_inter_prob",
    "var_inter_log10_pvalue",
    "var_inter_chi2_log10_pvalue",
    "ks_merged_log10_pvalue",
    "ks_min_log10_pvalue",
    "kp_min_log10_pvalue",
)

_HARDNESS = tuple(f"hard_{pair}{end}" for pair in ("hm", "ms", "hs") for end in ("", "_lolim", "_hilim"))

_COUNT_HARDNESS = tuple(
    f"hard_cnts_{pair}{end}" for pair in ("hm", "ms", "hs") for end in ("", "_lolim", "_hilim")
)

_APRATES = ("src_rate_aprates", "src_rate_aprates_lolim", "src_rate_aprates_hilim")


_FIT = (
    "absorber",
    "fit_scope",
    "fit_status",
    "fit_statistic",
    "statistic",
    "degrees_of_freedom",
    "fit_goodness",
    "fit_cnts",
    "fit_frozen",
    *(f"fit_{name}{end}" for name in FIT_PARAMETERS for end in ("", "_lolim", "_hilim")),
)
_FIT_FLUXES = tuple(f"{name}{end}" for name in ("flux_fit", "uflux_fit") for end in ("", "_lolim", "_hilim"))


@dataclass(frozen=True)
class ViewColumn:
    """A column of a view: what it means and the SQL that gives it.

    Attributes
    ----------
    definition, expression
        Meaning and SQL.
    optional
        The table without whose rows it is NULL; empty where there is none.
    """

    definition: ColumnDefinition
    expression: str
    optional: str = ""


_OF_DETECTIONS = {
    "v": "variability",
    "p": "measurement_property",
    "h": "observation_hardness",
    "c": "crowding",
}
"""Tables that only some stages fill, by their alias in the view."""


def _from(alias: str, *names: str) -> list[ViewColumn]:
    optional = _OF_DETECTIONS.get(alias, "")
    return [ViewColumn(REGISTRY[name], f"{alias}.{name}", optional) for name in names]


def _of_band(table: str, alias: str, band: str, *names: str) -> list[ViewColumn]:
    """Columns of one band from a table that only some stages fill."""
    limits, suffix = f"{CSC_BANDS[band].lo:g}-{CSC_BANDS[band].hi:g}", CSC_SUFFIX[band]
    return [
        ViewColumn(REGISTRY[name].for_band(suffix, band, limits), f"{alias}{suffix}.{name}", table)
        for name in names
    ]


def detections_columns() -> list[ViewColumn]:
    """Columns of `detections`: one row per source, observation, band and recipe."""
    return [
        ViewColumn(REGISTRY["source_id"], "s.id"),
        *_from("s", "name", "ra", "dec"),
        *_from("o", "obs_id"),
        *_from("b", "band"),
        *_from("r", "recipe"),
        *_from("m", "run_id"),
        ViewColumn(REGISTRY["flags"], "(e.flags | m.flags | COALESCE(v.flags, 0))"),
        *_from(
            "e", "theta", "phi", "chip_id", "chipx", "chipy", "in_fov", "near_edge", "good_frac", "livetime"
        ),
        *_from("m", "cnts_aper", "cnts_aperbkg"),
        *_from("e", "area_aper", "area_aperbkg"),
        *_from("m", "exposure_aper", "exposure_aperbkg", "exposure_area_aper", "exposure_area_aperbkg"),
        *_from("m", "bkg_ratio", "psf_frac_aper", "psf_frac_aperbkg", *_POSTERIOR_COLUMNS, *_DERIVED),
        *_from("v", *_VARIABILITY),
        *_from("e", "radius_aper", "cnts_per_frame"),
        *_from("m", "response_ratio", "calibration"),
        *_from("o", "date_obs", "obi_num", "cycle", "datamode"),
        *_from("es", "role"),
        *_from("v", *_VARIABILITY_DETAILS),
        *_from("p", *PROPERTY_NAMES, *_APRATES),
        *_from("h", *_HARDNESS, *_COUNT_HARDNESS),
        *_from("c", "crowding", "psf_frac_target", "psf_frac_contour", "overlap", "clipped_frac"),
        *_from("c", "bkg_correction", "bkg_imbalance"),
        *_from("m", "n_joint", "contam_cnts_aper", "contam_cnts_aperbkg"),
    ]


_DETECTIONS_FROM = """
FROM extraction e
JOIN source s ON s.id = e.source_id
JOIN event_set es ON es.id = e.event_set_id
JOIN observation o ON o.id = es.observation_id
JOIN recipe r ON r.id = e.recipe_id
JOIN measurement m ON m.extraction_id = e.id
JOIN band b ON b.id = m.band_id
LEFT JOIN variability v ON v.extraction_id = e.id AND v.band_id = m.band_id
LEFT JOIN measurement_property p ON p.extraction_id = e.id AND p.band_id = m.band_id
LEFT JOIN observation_hardness h ON h.extraction_id = e.id
LEFT JOIN crowding c ON c.extraction_id = e.id
"""


def catalog_columns() -> list[ViewColumn]:
    """Columns of `catalog`: one wide row per source and recipe, CSC bands only."""
    columns = [
        ViewColumn(REGISTRY["source_id"], "s.id"),
        *_from("s", "name", "ra", "dec", "label"),
        *_from("r", "recipe"),
        *_from("g", "run_id"),
        # Summed up by the stages: joining all bands would take ten times as long.
        ViewColumn(REGISTRY["flags"], f"COALESCE(g.all_flags, {all_flags('g')})"),
        *_from("g", "n_obs", "livetime", "theta_min", "theta_mean", *_HARDNESS),
    ]
    per_band = ("cnts_aper", "cnts_aperbkg", "bkg_ratio", *_POSTERIOR_COLUMNS, *_DERIVED)
    for band, suffix in CSC_SUFFIX.items():
        limits = f"{CSC_BANDS[band].lo:g}-{CSC_BANDS[band].hi:g}"
        columns += [
            ViewColumn(REGISTRY[name].for_band(suffix, band, limits), _merged(suffix, name))
            for name in ("flags", *per_band, "response_ratio_min", "response_ratio_max")
        ]
        columns += _of_band("merged_property", "p", band, *MERGED_PROPERTY_NAMES)
        columns += _of_band("merged_variability", "v", band, *_MERGED_VARIABILITY)
    columns += [ViewColumn(REGISTRY[name], f"sf.{name}", "spectral_fit") for name in ("model", *_FIT)]
    for band in CSC_SUFFIX:
        columns += _of_band("spectral_flux", "x", band, *_FIT_FLUXES)
    return [_nullable(column) for column in columns]


def _merged(suffix: str, name: str) -> str:
    if name == "flags":
        return f"(m{suffix}.flags | COALESCE(v{suffix}.flags, 0))"
    return f"m{suffix}.{name}"


def _nullable(column: ViewColumn) -> ViewColumn:
    # A band that the recipe does not measure gives NULL in each of its columns.
    definition = column.definition
    if definition.name in ("model", "fit_scope"):
        return replace(column, definition=replace(definition, null="no fit"))
    if definition.name[-2:-1] == "_" and definition.name[-1] in CSC_SUFFIX.values() and not definition.null:
        return replace(column, definition=replace(definition, null="the recipe does not measure the band"))
    return column


def all_flags(merge: str) -> str:
    """Return the SQL of the flags of a merge and of all CSC bands of it, where `merge` is its table."""
    # That a band was not measured says nothing about the source: it stays with the band.
    kept = (1 << 62) - 1 - int(Flag.BAND_NOT_MEASURED)
    parts = [f"{merge}.flags"]
    for band in CSC_SUFFIX:
        for table in ("merged_measurement", "merged_variability"):
            condition = f"x.merge_id = {merge}.id AND x.band_id = {_band_id(band)}"
            parts.append(f"COALESCE((SELECT x.flags FROM {table} x WHERE {condition}), 0)")
    return f"(({' | '.join(parts)}) & {kept})"


def _band_id(band: str) -> str:
    return f"(SELECT id FROM band WHERE band.band = '{band}')"


def _catalog_from() -> str:
    joins = [
        "FROM merge g",
        "JOIN source s ON s.id = g.source_id",
        "JOIN recipe r ON r.id = g.recipe_id",
    ]
    for band, suffix in CSC_SUFFIX.items():
        for table, alias in (
            ("merged_measurement", f"m{suffix}"),
            ("merged_property", f"p{suffix}"),
            ("merged_variability", f"v{suffix}"),
        ):
            condition = f"{alias}.merge_id = g.id AND {alias}.band_id = {_band_id(band)}"
            joins.append(f"LEFT JOIN {table} {alias} ON {condition}")
    joins.append(
        "LEFT JOIN spectral_fit sf ON sf.merge_id = g.id AND sf.preferred "
        "AND sf.fit_scope IN ('joint', 'merged')"
    )
    for band, suffix in CSC_SUFFIX.items():
        condition = f"x{suffix}.spectral_fit_id = sf.id AND x{suffix}.band_id = {_band_id(band)}"
        joins.append(f"LEFT JOIN spectral_flux x{suffix} ON {condition}")
    joins.append("WHERE g.purpose = 'photometry'")
    return "\n".join(joins)


def view_columns(view: str) -> list[ViewColumn]:
    """Columns of a view, in order.

    Raises
    ------
    KeyError
        When there is no such view.
    """
    return {"catalog": catalog_columns, "detections": detections_columns}[view]()


def create_view_sql(view: str) -> str:
    """Return the CREATE VIEW statement, the same on both engines."""
    selected = ",\n  ".join(
        f"{column.expression} AS {column.definition.name}" for column in view_columns(view)
    )
    source = _catalog_from() if view == "catalog" else _DETECTIONS_FROM.strip()
    return f"CREATE VIEW {view} AS\nSELECT\n  {selected}\n{source}"


def drop_view_sql(view: str) -> str:
    """Return the statement that drops a view if it is there."""
    return f"DROP VIEW IF EXISTS {view}"
