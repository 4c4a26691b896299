"""Registry: merged properties, variability and hardness."""

from __future__ import annotations

from catalog.schema.column import ColumnDefinition as Col

_NOT_RUN = "not computed, or fewer counts than the test needs"


def _hardness(pair: str, first: str, second: str) -> tuple[Col, ...]:
    text = f"Hardness ({first} - {second})/({first} + {second}) of aperture photon fluxes"
    ucd = "phot.color;em.X-ray"
    return (
        Col(f"hard_{pair}", "float", "", ucd, text, 3, _NOT_RUN, f"HR{pair}"),
        Col(
            f"hard_{pair}_lolim",
            "float",
            "",
            f"{ucd};stat.min",
            f"{text}; lower end of the interval",
            3,
            _NOT_RUN,
            f"b_HR{pair}",
        ),
        Col(
            f"hard_{pair}_hilim",
            "float",
            "",
            f"{ucd};stat.max",
            f"{text}; upper end of the interval",
            3,
            _NOT_RUN,
            f"B_HR{pair}",
        ),
    )


COLUMNS = (
    Col("purpose", "text", "", "meta.code.class", "What the merge is for: photometry, position or validity"),
    Col(
        "all_flags",
        "bigint",
        "",
        "meta.code.qual",
        "Flags of the merge and of all its CSC bands: `flags` of the view catalog",
        null="not summed up: written before schema 0003, or no merge for photometry",
    ),
    Col("n_obs", "int", "", "meta.number;obs", "Observations used", mrt="Nobs"),
    Col(
        "theta_min",
        "float",
        "arcmin",
        "pos.angDistance;stat.min",
        "Smallest off-axis angle of the observations used",
        -3,
        "no observation used",
    ),
    Col(
        "theta_mean",
        "float",
        "arcmin",
        "pos.angDistance;stat.mean",
        "Mean off-axis angle weighted by live time",
        -3,
        "no observation used",
    ),
    Col("used", "bool", "", "meta.code", "Whether the extraction entered the merge"),
    *_hardness("hm", "hard", "medium"),
    *_hardness("ms", "medium", "soft"),
    *_hardness("hs", "hard", "soft"),
    Col(
        "var_index",
        "int",
        "",
        "src.var.index",
        "Variability index 0-10 of Gregory and Loredo's test",
        None,
        _NOT_RUN,
    ),
    Col(
        "var_prob",
        "float",
        "",
        "stat.probability;src.var",
        "Probability that the source varies (Gregory-Loredo)",
        4,
        _NOT_RUN,
    ),
    Col(
        "gl_log10_odds",
        "float",
        "",
        "stat.likelihood;src.var",
        "log10 odds of a varying over a constant source (Gregory-Loredo)",
        5,
        _NOT_RUN,
    ),
    Col(
        "ks_prob",
        "float",
        "",
        "stat.probability;src.var",
        "1 - p of the Kolmogorov-Smirnov test against a constant source",
        4,
        _NOT_RUN,
    ),
    Col(
        "kp_prob",
        "float",
        "",
        "stat.probability;src.var",
        "1 - p of Kuiper's test against a constant source",
        4,
        _NOT_RUN,
    ),
    Col(
        "ks_log10_pvalue",
        "float",
        "",
        "stat.probability;src.var",
        "log10 p of the Kolmogorov-Smirnov test",
        4,
        _NOT_RUN,
    ),
    Col("kp_log10_pvalue", "float", "", "stat.probability;src.var", "log10 p of Kuiper's test", 4, _NOT_RUN),
    Col(
        "var_intra_index",
        "int",
        "",
        "src.var.index",
        "Highest variability index of a single observation",
        None,
        _NOT_RUN,
    ),
    Col(
        "var_intra_prob",
        "float",
        "",
        "stat.probability;src.var",
        "Highest probability of variability within an observation",
        4,
        _NOT_RUN,
    ),
    Col(
        "var_inter_index",
        "int",
        "",
        "src.var.index",
        "Index of variability between observations",
        None,
        _NOT_RUN,
    ),
    Col(
        "var_inter_prob",
        "float",
        "",
        "stat.probability;src.var",
        "Probability of variability between observations",
        4,
        _NOT_RUN,
    ),
)
