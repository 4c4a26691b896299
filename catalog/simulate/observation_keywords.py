"""Header keywords of a simulated observation, shared by its event list and its aspect solution."""

from __future__ import annotations

from catalog.events.header import ObservationHeader, parse_header
from catalog.simulate.pointing_plan import SIM_ACIS_I, PointingPlan

Keywords = dict[str, str | int | float | bool]


def observation_keywords(plan: PointingPlan) -> Keywords:
    """Keywords of time, pointing and instrument, in the order of the header."""
    detector = "ACIS-" + "".join(str(chip) for chip in sorted(plan.chips))
    live_time = max(plan.live_time(chip) for chip in plan.chips)
    return {
        "ORIGIN": "srccat",
        "CREATOR": "srccat simulate",
        "DATACLAS": "SIMULATED",
        "MISSION": "AXAF",
        "TELESCOP": "CHANDRA",
        "INSTRUME": "ACIS",
        "DETNAM": detector,
        "GRATING": "NONE",
        "OBS_MODE": "POINTING",
        "DATAMODE": plan.datamode,
        "READMODE": "TIMED",
        "CYCLE": "P",
        "OBS_ID": plan.obs_id,
        "OBI_NUM": 0,
        "SEQ_NUM": "000000",
        "OBJECT": "SIMULATED FIELD",
        "TITLE": "Simulated, no real data",
        "OBSERVER": "srccat",
        "DATE-OBS": plan.date_obs,
        "DATE-END": plan.date_end,
        "TIMESYS": "TT",
        "MJDREF": 50814.0,
        "TIMEZERO": 0.0,
        "TIMEUNIT": "s",
        "TIMEREF": "LOCAL",
        "CLOCKAPP": True,
        "TSTART": plan.tstart,
        "TSTOP": plan.tstop,
        **_live_times(plan, live_time),
        "FIRSTROW": 1,
        "NROWS": 1024,
        **dict(zip(("SIM_X", "SIM_Y", "SIM_Z"), SIM_ACIS_I, strict=True)),
        "DEFOCUS": 0.0,
        "FOC_LEN": 10070.0,
        "RADESYS": "ICRS",
        "EQUINOX": 2000.0,
        **{
            f"{axis}_{kind}": value
            for kind in ("TARG", "NOM", "PNT")
            for axis, value in _pointing(plan, kind)
        },
        "DY_AVG": 0.0,
        "DZ_AVG": 0.0,
        "DTH_AVG": 0.0,
    }


def observation_header(plan: PointingPlan) -> ObservationHeader:
    """The header as the room `events` reads it."""
    return parse_header(observation_keywords(plan), f"ObsID {plan.obs_id}")


def _live_times(plan: PointingPlan, live_time: float) -> Keywords:
    keywords: Keywords = {
        "TIMEPIXR": 0.5,
        "TIMEDEL": plan.frame_time,
        "EXPTIME": plan.frame_exposure,
        "ONTIME": live_time / plan.dtcor,
        "LIVETIME": live_time,
        "EXPOSURE": live_time,
        "DTCOR": plan.dtcor,
    }
    for chip in sorted(plan.chips):
        seconds = plan.live_time(chip)
        keywords |= {
            f"ONTIME{chip}": seconds / plan.dtcor,
            f"LIVTIME{chip}": seconds,
            f"EXPOSUR{chip}": seconds,
        }
    return keywords


def _pointing(plan: PointingPlan, kind: str) -> list[tuple[str, float]]:
    angles = [("RA", plan.ra), ("DEC", plan.dec), ("ROLL", plan.roll)]
    return angles[:2] if kind == "TARG" else angles
