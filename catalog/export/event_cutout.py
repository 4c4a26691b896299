"""Events of a region as a FITS event list, with its good times, as ds9, astropy and CIAO read it."""

from __future__ import annotations

import io

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from catalog import __version__
from catalog.events.event_list import EventList
from catalog.events.fits_file import open_fits


class EventCutter:
    """An event file whose rows are written to smaller ones; the file is read once.

    Parameters
    ----------
    events
        The cleaned list: what it left out is left out here too.
    """

    def __init__(self, events: EventList) -> None:
        self._events = events
        with open_fits(events.path) as hdus:
            self._primary = hdus[0].header.copy()
            table = hdus["EVENTS"]
            self._header = table.header.copy()
            self._rows = table.data[events.row]

    def content(self, chosen: NDArray[np.intp], remark: str) -> bytes:
        """Return a FITS file of some events.

        Parameters
        ----------
        chosen
            Indices into the event list.
        remark
            Line of history.
        """
        table = fits.BinTableHDU(self._rows[chosen], self._cleaned(remark), name="EVENTS")
        stream = io.BytesIO()
        fits.HDUList([fits.PrimaryHDU(header=self._primary), table, *self._good_times()]).writeto(
            stream, checksum=True, output_verify="silentfix"
        )
        return stream.getvalue()

    def _cleaned(self, remark: str) -> fits.Header:
        header, known = self._header.copy(), self._events.header
        for name, value in (
            ("ONTIME", known.ontime),
            ("LIVETIME", known.livetime),
            ("EXPOSURE", known.exposure),
        ):
            if value is not None:
                header[name] = value
        header["CREATOR"] = f"srccat {__version__}"
        header.add_history(remark)
        return header

    def _good_times(self) -> list[fits.BinTableHDU]:
        hdus = []
        for number, chip in enumerate(self._events.chips, start=1):
            times = self._events.good_times[chip]
            columns = [
                fits.Column(name, "1D", unit="s", array=values)
                for name, values in (("START", times.start), ("STOP", times.stop))
            ]
            hdu = fits.BinTableHDU.from_columns(columns, name=f"GTI{chip}")
            for name in ("MJDREF", "TIMESYS", "TIMEUNIT", "TIMEZERO", "TELESCOP", "INSTRUME", "OBS_ID"):
                if name in self._header:
                    hdu.header[name] = self._header[name]
            hdu.header["CCD_ID"] = chip
            hdu.header["EXTVER"] = number
            hdu.header["HDUCLASS"], hdu.header["HDUCLAS1"] = "OGIP", "GTI"
            hdus.append(hdu)
        return hdus
