"""Registry: what crowding did to apertures and backgrounds, and the light of neighbours in them."""

from __future__ import annotations

from catalog.schema.column import ColumnDefinition as Col

_NONE = "no aperture"
_CIRCLE = "no aperture, or a recipe with circles"
_PLAIN = "no background, or one whose counts need no correction"

COLUMNS = (
    Col(
        "crowding",
        "text",
        "",
        "meta.code;instr.setup",
        "What neighbours did to the source aperture: none, excluded, divided, shrunk or drawn",
        null=_NONE,
        mrt="Crowd",
    ),
    Col(
        "psf_frac_target",
        "float",
        "",
        "arith.factor;instr.det.psf",
        "Fraction of the PSF that the source aperture aims at, at the recipe's energy",
        digits=-3,
        null=_NONE,
        mrt="PSFt",
    ),
    Col(
        "psf_frac_contour",
        "float",
        "",
        "arith.factor;instr.det.psf",
        "Fraction of the PSF inside the contour as drawn, at the recipe's energy",
        digits=-4,
        null=_CIRCLE,
        mrt="PSFc",
    ),
    Col(
        "overlap",
        "float",
        "",
        "arith.factor;instr.setup",
        "Share of the source aperture inside that of its neighbour",
        digits=-4,
        null=_NONE,
        mrt="Ovlp",
    ),
    Col(
        "clipped_frac",
        "float",
        "",
        "arith.factor;instr.setup",
        "Share of the aperture's whole shape that neighbours and the edge of the field cut away",
        digits=-4,
        null=_NONE,
        mrt="Clip",
    ),
    Col(
        "bkg_correction",
        "float",
        "",
        "arith.factor;instr.background",
        "Factor on the background scaled to the aperture that makes up for the light of neighbours",
        digits=-4,
        null=_PLAIN,
        mrt="BkgCor",
    ),
    Col(
        "bkg_imbalance",
        "float",
        "",
        "arith.factor;instr.background",
        "Difference between neighbours' light in the aperture and in the scaled background that is left",
        digits=-4,
        null=_PLAIN,
        mrt="BkgImb",
    ),
    Col("neighbour_id", "int", "", "meta.id;src", "Source whose light it is", mrt="Nbr"),
)
