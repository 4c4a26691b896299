"""Every format read back by another program's reader: each value, unit, description, UCD and NULL."""

from __future__ import annotations

import csv
import gzip
import re
import sys
from collections import Counter
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from astropy import units
from astropy.io import fits, votable
from astropy.io.votable.ucd import parse_ucd
from astropy.table import MaskedColumn, Table
from regions import Regions

from catalog.errors import MissingFileError, ProjectError, SettingsError, UserError
from catalog.export.selection import select_rows
from catalog.export.table import ExportTable
from catalog.export.writers import FORMATS, export_table, format_of
from catalog.schema.views import VIEW_NAMES, view_columns
from catalog.store.door import Store

KEEPS_ALL = (".fits", ".fits.gz", ".vot", ".xml", ".ecsv", ".parquet")


def read_back(path: Path) -> Table:
    if path.suffix == ".parquet":
        return read_voparquet(path)
    if path.suffix in (".vot", ".xml"):
        document = votable.parse(path, verify="exception")
        return document.get_first_table().to_table(use_names_over_ids=True)
    return Table.read(path, format="ascii.ecsv" if path.suffix == ".ecsv" else "fits")


def read_voparquet(path: Path) -> Table:
    """The values from Parquet itself, all else from the VOTable header it carries."""
    from pyarrow import parquet

    content = parquet.read_table(path)
    header = BytesIO(content.schema.metadata[b"IVOA.VOTable-Parquet.content"])
    described = votable.parse(header, verify="exception").get_first_table().to_table(use_names_over_ids=True)
    result = Table()
    for name in described.colnames:
        plain = content[name].to_pylist()
        null = [cell is None for cell in plain]
        kind = described[name].dtype.kind
        empty = {"f": np.nan, "i": 0, "b": False}.get(kind, "")
        data = np.array([empty if cell is None else cell for cell in plain])
        result[name] = MaskedColumn(data, mask=null, unit=described[name].unit, meta=described[name].meta)
        result[name].description = described[name].description
    return result


def cells(column: Any) -> list[object]:
    """Plain values of a read column, None for whatever stands for no value."""
    found = np.ma.MaskedArray(column).tolist()
    plain = [cell.decode() if isinstance(cell, bytes) else cell for cell in found]
    return [None if cell == "" or cell != cell else cell for cell in plain]


@pytest.mark.parametrize("suffix", KEEPS_ALL)
def test_values_units_descriptions(table: ExportTable, tmp_path: Path, suffix: str) -> None:
    found = read_back(export_table(table, tmp_path / f"out{suffix}"))
    assert found.colnames == [definition.name for definition in table.definitions]
    for definition in table.definitions:
        column = found[definition.name]
        expected = table.values[definition.name].tolist()
        if suffix.startswith(".fits") and definition.kind == "text":
            expected = [text and text.encode("ascii", "backslashreplace").decode() for text in expected]
        assert cells(column) == expected, definition.name
        unit = units.Unit(definition.unit, format="fits") if definition.unit else None
        assert column.unit == unit, definition.name
        if not suffix.startswith(".fits"):
            assert " ".join(column.description.split()) == definition.description
            assert column.meta["ucd"] == definition.ucd


def test_fits_header(table: ExportTable, tmp_path: Path) -> None:
    path = export_table(table, tmp_path / "out.fits")
    with fits.open(path, checksum=True) as files:
        header = files[1].header
        assert files[1].name == table.name.upper()
        assert header["RECIPE"] == "default"
        assert header["CREATOR"].startswith("srccat ")
        assert header["RUN1"] == table.runs[0]
        assert {"CHECKSUM", "DATASUM"} <= set(header)
        for number, definition in enumerate(table.definitions, start=1):
            assert header[f"TTYPE{number}"] == definition.name
            assert header[f"TCOMM{number}"] == definition.description
            assert header[f"TUCD{number}"] == definition.ucd
            assert header.get(f"TUNIT{number}", "") == definition.unit
            assert re.fullmatch(r"[AILFG]\d+(\.\d+)?", header[f"TDISP{number}"])
            if definition.kind in ("int", "bigint"):
                assert header[f"TFORM{number}"] == "K"
                assert (f"TNULL{number}" in header) == bool(definition.null), definition.name


def test_fits_detects_damage(table: ExportTable, tmp_path: Path) -> None:
    path = export_table(table, tmp_path / "out.fits")
    content = bytearray(path.read_bytes())
    content[content.index(b"CXOU J12") + 5] ^= 1
    path.write_bytes(content)
    with (
        pytest.warns(UserWarning, match="verification failed"),
        fits.open(path, checksum=True) as files,
    ):
        files[1].header  # noqa: B018


def test_fits_null_logical(table: ExportTable, tmp_path: Path) -> None:
    definition = next(
        item.definition for item in view_columns("detections") if item.definition.name == "in_fov"
    )
    values = np.ma.MaskedArray([True, False, True], mask=[False, False, True])
    small = ExportTable("detections", "default", [definition], {"in_fov": values})
    path = export_table(small, tmp_path / "out.fits")
    data = path.read_bytes()[-2880:]
    assert data[:3] == b"TF\x00"


def test_gzip_is_the_same_file(table: ExportTable, tmp_path: Path) -> None:
    plain = export_table(table, tmp_path / "a.fits").read_bytes()
    packed = gzip.decompress(export_table(table, tmp_path / "a.fits.gz").read_bytes())
    headers = [fits.getheader(BytesIO(content), 1) for content in (plain, packed)]
    assert headers[0]["DATASUM"] == headers[1]["DATASUM"]


def test_votable_document(table: ExportTable, tmp_path: Path) -> None:
    path = export_table(table, tmp_path / "out.vot")
    root = ElementTree.parse(path).getroot()
    identifiers = Counter(element.get("ID") for element in root.iter() if element.get("ID"))
    assert max(identifiers.values()) == 1
    document = votable.parse(path, verify="exception")
    infos = {info.name: info.value for info in document.infos}
    assert infos["recipe"] == "default"
    assert infos["run1"] == table.runs[0]
    fields = {field.name: field for field in document.get_first_table().fields}
    assert fields["name"].datatype == "char"
    assert fields["flags"].datatype == "long"
    assert fields["ra"].ref == "icrs"


def test_csv_is_plain(table: ExportTable, tmp_path: Path) -> None:
    path = export_table(table, tmp_path / "out.csv")
    rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    assert rows[0] == [definition.name for definition in table.definitions]
    for number, definition in enumerate(table.definitions):
        read = {"float": float, "int": int, "bigint": int, "bool": {"True": True, "False": False}.get}
        convert = read.get(definition.kind, str)
        found = [convert(row[number]) if row[number] else None for row in rows[1:]]
        assert found == table.values[definition.name].tolist(), definition.name


@pytest.mark.parametrize("suffix", [".csv", ".ecsv"])
def test_awkward_text_survives(table: ExportTable, tmp_path: Path, suffix: str) -> None:
    texts = ["# no comment", 'a "quoted", b', " blank ", "two\nlines"] * (len(table) // 4)
    first = next(definition for definition in table.definitions if definition.name == "name")
    small = replace(
        table,
        definitions=[first, *(d for d in table.definitions if d.name == "ra")],
        values={"name": np.ma.MaskedArray(texts, mask=False), "ra": table.values["ra"]},
    )
    path = export_table(small, tmp_path / f"out{suffix}")
    if suffix == ".ecsv":
        # Astropy's reader takes blanks off even quoted text.
        assert read_back(path)["name"].tolist() == [text.strip() for text in texts]
    else:
        with path.open(encoding="utf-8", newline="") as file:
            assert [row[0] for row in csv.reader(file)] == ["name", *texts]


def test_parquet_metadata(table: ExportTable, tmp_path: Path) -> None:
    from pyarrow import parquet

    schema = parquet.read_schema(export_table(table, tmp_path / "out.parquet"))
    for definition in table.definitions:
        metadata = schema.field(definition.name).metadata
        assert metadata[b"ucd"].decode() == definition.ucd
        assert metadata[b"unit"].decode() == definition.unit
    assert schema.metadata[b"IVOA.VOTable-Parquet.version"] == b"1.0"


def test_parquet_without_its_library(
    table: ExportTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"pip install 'srccat\[parquet\]'"):
        export_table(table, tmp_path / "out.parquet")
    assert not list(tmp_path.iterdir())


def test_regions_of_detections(sqlite_store: Store, tmp_path: Path) -> None:
    with sqlite_store.read() as connection:
        table = select_rows(connection, "detections", "default", columns=["band"])
    path = export_table(table, tmp_path / "out.reg")
    found = Regions.read(path, format="ds9")
    rows = {
        (name, obs_id, radius, ra, dec)
        for name, obs_id, radius, ra, dec in zip(
            *(table.support[key].tolist() for key in ("name", "obs_id", "radius_aper", "ra", "dec")),
            strict=True,
        )
    }
    assert len(found) == len(rows) == 8
    for region in found:
        centre = region.center
        name, obs_id = region.meta["text"], region.meta["tag"][0].strip("{}")
        match = [row for row in rows if row[:2] == (name, obs_id)]
        assert len(match) == 1
        _, _, radius, ra, dec = match[0]
        assert abs(centre.dec.deg - dec) < 1e-7
        assert abs((centre.ra.deg - ra + 180) % 360 - 180) < 1e-7
        assert type(region).__name__ == ("PointSkyRegion" if radius is None else "CircleSkyRegion")
        assert radius is None or abs(region.radius.to_value("arcsec") - radius) < 1e-3


def test_regions_of_catalog_are_points(sqlite_store: Store, tmp_path: Path) -> None:
    with sqlite_store.read() as connection:
        table = select_rows(connection, "catalog", "default", columns=["n_obs"])
    found = Regions.read(export_table(table, tmp_path / "out.reg"), format="ds9")
    assert sorted(region.meta["text"] for region in found) == sorted(table.support["name"].tolist())


def test_a_brace_does_not_end_the_name(table: ExportTable, tmp_path: Path) -> None:
    names = np.ma.MaskedArray(["a{b}c"] * len(table), mask=False)
    path = export_table(replace(table, values={**table.values, "name": names}), tmp_path / "out.reg")
    assert {region.meta["text"] for region in Regions.read(path, format="ds9")} == {"a(b)c"}


@pytest.mark.parametrize("suffix", FORMATS)
def test_no_rows(empty_store: Store, tmp_path: Path, suffix: str) -> None:
    with empty_store.read() as connection:
        table = select_rows(connection, "detections")
    path = export_table(table, tmp_path / f"out{suffix}")
    assert path.stat().st_size > 0
    if suffix in KEEPS_ALL:
        assert len(read_back(path)) == 0


@pytest.mark.parametrize("name", ["out", "out.txt", "out.fits.zip", ".fits", "out.gz"])
def test_unknown_suffix(table: ExportTable, tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=r"\.fits .*\.mrt") as caught:
        export_table(table, tmp_path / name)
    assert caught.value.code == "UNKNOWN_FORMAT"


def test_suffix_in_capitals() -> None:
    assert format_of(Path("A.FITS.GZ")) == ".fits.gz"


def test_missing_folder(table: ExportTable, tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="nowhere"):
        export_table(table, tmp_path / "nowhere" / "out.csv")


def test_target_is_a_folder(table: ExportTable, tmp_path: Path) -> None:
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(ProjectError, match=r"out\.csv"):
        export_table(table, tmp_path / "out.csv")


def test_folder_that_refuses(table: ExportTable) -> None:
    # /proc takes no file, not even root's.
    with pytest.raises(ProjectError, match="cannot be written") as caught:
        export_table(table, Path("/proc/srccat.csv"))
    assert "\n" not in str(caught.value)


def test_overwriting(table: ExportTable, tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("mine")
    with pytest.raises(ProjectError) as caught:
        export_table(table, path, overwrite=False)
    assert caught.value.code == "FILE_EXISTS"
    assert path.read_text() == "mine"
    export_table(table, path)
    assert path.read_text().startswith("source_id,")


def test_interrupted_writing_leaves_the_old_file(
    table: ExportTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ProjectError, match="No space left"):
        export_table(table, path)
    assert [item.name for item in tmp_path.iterdir()] == ["out.csv"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("view", VIEW_NAMES)
def test_definitions_are_fit_to_print(view: str) -> None:
    definitions = [item.definition for item in view_columns(view)]
    labels = Counter(definition.label for definition in definitions)
    assert max(labels.values()) == 1
    for definition in definitions:
        assert definition.description
        assert not re.search(r"\s", definition.label), definition.label
        assert definition.label.isascii()
        parse_ucd(definition.ucd, check_controlled_vocabulary=True)
        if definition.unit:
            unit = units.Unit(definition.unit, format="fits")
            assert units.Unit(unit.to_string("cds"), format="cds") == unit
        assert (definition.digits is not None) == (definition.kind == "float"), definition.name
