from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from catalog.errors import InputFileError, MissingFileError
from catalog.events.observation_files import find_observations

Writer = Callable[..., Path]


def touch(path: Path, obs_id: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    hdu = fits.PrimaryHDU()
    if obs_id:
        hdu.header["OBS_ID"] = obs_id
    hdu.writeto(path)
    return path


def test_archive_layout(write_events: Writer, tmp_path: Path) -> None:
    keywords = {"ASOLFILE": "pcadf123456789N001_asol1.fits", "BPIXFILE": "acisf00777_000N001_bpix1.fits"}
    events = write_events("777/primary/acisf00777N001_evt2.fits.gz", keywords=keywords)
    asol = touch(tmp_path / "777/primary/pcadf123456789N001_asol1.fits.gz")
    bpix = touch(tmp_path / "777/primary/acisf00777_000N001_bpix1.fits.gz")
    mask = touch(tmp_path / "777/secondary/acisf00777_000N001_msk1.fits.gz")
    fov = touch(tmp_path / "777/primary/acisf00777_000N001_fov1.fits.gz")
    touch(tmp_path / "777/secondary/acisf00777_000N001_evt1.fits.gz")
    for path in (tmp_path / "777", tmp_path / "777/primary", events):
        (found,) = find_observations([path])
        assert (found.events, found.obs_id, found.problem) == (events, "777", None)
        assert (found.aspect, found.bad_pixels, found.mask, found.field_of_view) == ((asol,), bpix, mask, fov)
        assert found.missing == {}
        assert pickle.loads(pickle.dumps(found)) == found


def test_repro_wins(write_events: Writer, tmp_path: Path) -> None:
    write_events("777/primary/acisf00777N001_evt2.fits")
    repro = write_events("777/repro/acisf00777_repro_evt2.fits")
    asol = touch(tmp_path / "777/primary/pcadf00777_000N001_asol1.fits")
    bpix = touch(tmp_path / "777/repro/acisf00777_repro_bpix1.fits")
    (found,) = find_observations([tmp_path / "777"])
    assert (found.events, found.aspect, found.bad_pixels) == (repro, (asol,), bpix)
    assert [item.events for item in find_observations([tmp_path / "777/repro"])] == [repro]


def test_folder_of_observations_and_globs(write_events: Writer, tmp_path: Path) -> None:
    first = write_events("all/777/primary/acisf00777_evt2.fits")
    second = write_events("all/888/repro/acisf00888_repro_evt2.fits", keywords={"OBS_ID": "888"})
    assert [item.obs_id for item in find_observations([tmp_path / "all"])] == ["777", "888"]
    pattern = str(tmp_path / "all/*/*/*evt2.fits")
    assert [item.events for item in find_observations([pattern, first])] == [first, second]


def test_interleaved_frames_are_two_lists(write_events: Writer, tmp_path: Path) -> None:
    write_events("777/primary/acisf00777_000N001_e1_evt2.fits", keywords={"CYCLE": "P"})
    write_events("777/primary/acisf00777_000N001_e2_evt2.fits", keywords={"CYCLE": "S"})
    assert len(find_observations([tmp_path / "777"])) == 2


def test_event_lists_by_content(write_events: Writer, tmp_path: Path) -> None:
    events = write_events("mine/cleaned.fits")
    touch(tmp_path / "mine/image.fits")
    (tmp_path / "mine/notes.txt").write_text("x")
    assert [item.events for item in find_observations([tmp_path / "mine"])] == [events]


def test_missing_companions_say_what_follows(write_events: Writer) -> None:
    (found,) = find_observations([write_events(keywords={"ASOLFILE": "a_asol1.fits"})])
    assert found.aspect == ()
    assert found.missing["aspect solution"] == "rebuilt from the events"
    assert set(found.missing) == {"aspect solution", "bad pixels", "mask", "field of view"}


def test_partly_found_solution(write_events: Writer, tmp_path: Path) -> None:
    events = write_events(keywords={"ASOLFILE": "one_asol1.fits,two_asol1.fits"})
    one = touch(tmp_path / "one_asol1.fits")
    (found,) = find_observations([events])
    assert found.aspect == (one,)
    assert "two_asol1.fits" in found.missing["aspect solution"]


def test_solution_by_header_when_names_hold_times(write_events: Writer, tmp_path: Path) -> None:
    events = write_events()
    own = touch(tmp_path / "pcadf111111111N001_asol1.fits", "777")
    touch(tmp_path / "pcadf222222222N001_asol1.fits", "778")
    # Another ObsID whose digits end alike.
    touch(tmp_path / "acisf10777_000N001_bpix1.fits")
    (found,) = find_observations([events])
    assert found.aspect == (own,)
    assert found.bad_pixels is None


def test_nothing_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFileError) as caught:
        find_observations([tmp_path / "empty"])
    assert caught.value.code == "NO_EVENT_FILES"
    for path in (tmp_path / "nowhere", str(tmp_path / "*.fits")):
        with pytest.raises(MissingFileError) as caught:
            find_observations([path])
        assert caught.value.code == "MISSING_FILE"


def test_broken_file(tmp_path: Path, write_events: Writer) -> None:
    good = write_events("some/acisf00777_evt2.fits")
    bad = tmp_path / "some/acisf00001_evt2.fits"
    bad.write_text("no")
    found = find_observations([tmp_path / "some"])
    assert [item.events for item in found] == [bad, good]
    assert found[0].problem is not None
    assert found[0].problem.code == "NOT_FITS"
    with pytest.raises(InputFileError):
        find_observations([bad])


def test_simulated_folders(data_dir: Path) -> None:
    found = find_observations([data_dir / "simulated/collinder", data_dir / "simulated/aciss"])
    assert [item.obs_id for item in found] == ["90001", "90002", "90003", "90040", "90041"]
    for item in found:
        assert [path.name for path in item.aspect] == [f"pcadf{item.obs_id}_asol1.fits.gz"]
        assert "aspect solution" not in item.missing


def test_archive_folder(data_dir: Path, tmp_path: Path) -> None:
    for file in (data_dir / "real/acis").glob("acisf*evt2.fits.gz"):
        shutil.copy(file, tmp_path)
    found = find_observations([tmp_path])
    assert len(found) == 9
    assert {"4600", "5341", "15365"} <= {item.obs_id for item in found}
    assert np.all([item.missing["aspect solution"] == "rebuilt from the events" for item in found])
