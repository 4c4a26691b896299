"""Recipes: the presets, what makes two recipes the same, inheritance, and one line for each mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from catalog.band import CSC_BANDS
from catalog.errors import InputFileError, MissingFileError, SettingsError, UserError
from catalog.recipes.recipe import Recipe, merge_choices, read_recipe, recipe_from_content
from catalog.recipes.shipped import DEFAULT, shipped_recipes

PRESETS = Path(__file__).parents[2] / "catalog" / "recipes" / "presets"


def leaves(content: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    found: list[tuple[tuple[str, ...], Any]] = []
    for name, value in content.items():
        found += leaves(value, (*path, name)) if isinstance(value, dict) else [((*path, name), value)]
    return found


def changed(content: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(content))
    inner = copy
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return copy


# --- presets ----------------------------------------------------------------------------------------------


def test_every_preset_is_loaded_under_its_name() -> None:
    files = sorted(path.stem for path in PRESETS.glob("*.toml"))
    assert set(files) >= {"default", "srcflux"}
    assert list(shipped_recipes()) == files


def test_the_default_preset_says_what_the_model_assumes() -> None:
    assert shipped_recipes()[DEFAULT].content() == Recipe(name="x").content()


def test_the_faithful_choices_of_srcflux() -> None:
    recipe = shipped_recipes()["srcflux"]
    assert [band.name for band in recipe.energy_bands] == ["broad"]
    assert recipe.confidence == 0.9
    assert recipe.aperture.fraction == 0.9
    assert recipe.aperture.energy == 1.0
    assert recipe.exposure.psf_fraction == "ideal"
    assert recipe.exposure.weighting == "effective_energy"


def test_presets_differ() -> None:
    hashes = [recipe.content_hash for recipe in shipped_recipes().values()]
    assert len(set(hashes)) == len(hashes)


def test_presets_survive_the_database() -> None:
    for name, recipe in shipped_recipes().items():
        stored = json.loads(json.dumps(recipe.content()))
        again = recipe_from_content(stored | {"name": name}, "database")
        assert again.content_hash == recipe.content_hash


# --- the hash ---------------------------------------------------------------------------------------------

OTHER: dict[str, Any] = {
    "bands": ["soft"],
    "confidence": 0.9,
    "aperture.kind": "contour",
    "aperture.fraction": 0.8,
    "aperture.energy": 1.5,
    "aperture.neighbour_exclusion": 1.3,
    "background.kind": "matched",
    "background.inner": 2.0,
    "background.outer": 6.0,
    "background.neighbour_exclusion": 1.8,
    "background.follows": "exposure",
    "background.cross_chip_kinds": True,
    "background.mask_fraction": 0.99,
    "background.mask_factor": 1.1,
    "background.mask_bright": True,
    "background.ratio_low": 10.0,
    "background.ratio_goal": 35.0,
    "background.ratio_high": 50.0,
    "background.min_counts": 8,
    "background.tuned_counts": 100,
    "background.counts": 80,
    "crowding.method": "exclude",
    "crowding.seed": 2,
    "crowding.psf_error": 0.1,
    "exposure.weighting": "effective_energy",
    "exposure.psf_fraction": "ideal",
    "limit.alpha": 0.01,
    "limit.power": 0.9,
    "model.kind": "bremsstrahlung",
    "model.parameter": 2.5,
    "model.absorber": "wabs",
    "model.abundances": "wilm",
    "merging.edge": "drop",
    "merging.edge_fraction": 0.3,
    "merging.validity_counts": 8,
    "merging.overlap_limit": 0.2,
    "timing.pvalues": "asymptotic",
    "timing.bin": 250.0,
    "timing.light_curves": "all",
    "timing.area_error": 0.05,
    "spectra.bkg_response": True,
    "spectra.combine": "time",
    "spectral_fit.models": ["powerlaw", "blackbody"],
    "spectral_fit.scope": "merged",
    "spectral_fit.statistic": "wstat",
    "spectral_fit.lo": 0.3,
    "spectral_fit.hi": 8.0,
    "spectral_fit.counts_for_shape": 20.0,
    "spectral_fit.counts_for_nh": 80.0,
    "spectral_fit.counts_for_second": 200.0,
    "spectral_fit.timeout": 5.0,
    "spectral_fit.seed": 2,
}


@pytest.mark.parametrize("path", [path for path, _ in leaves(Recipe(name="x").content())], ids=".".join)
def test_each_choice_changes_the_hash(path: tuple[str, ...]) -> None:
    base = Recipe(name="x")
    value = OTHER[".".join(path)]
    if value is None:  # one option so far: nothing else is accepted
        with pytest.raises(SettingsError):
            recipe_from_content(changed(base.content(), path, "other") | {"name": "x"}, "here")
        return
    other = recipe_from_content(changed(base.content(), path, value) | {"name": "x"}, "here")
    assert other.content_hash != base.content_hash


def test_name_and_description_do_not() -> None:
    assert Recipe(name="a").content_hash == Recipe(name="b", description="words").content_hash


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"bands": ["broad"]}, {"bands": ["Broad "]}),
        ({"bands": ["0.5:2:1.49"]}, {"bands": ["0.50:2.0:1.490"]}),
        ({"bands": ["0.5:2:1.49"]}, {"bands": ["0.5-2-1.49=0.5:2:1.49"]}),
        ({"bands": ["soft"]}, {"bands": ["soft=0.5:1.2:0.92"]}),
        ({"aperture": {}}, {"aperture": {"fraction": 0.9}}),
        ({"background": {"outer": 5}}, {"background": {"outer": 5.0}}),
    ],
)
def test_one_content_has_one_hash(first: dict[str, Any], second: dict[str, Any]) -> None:
    one, two = (recipe_from_content({"name": "x"} | item, "here") for item in (first, second))
    assert one.content_hash == two.content_hash
    assert one.energy_bands == two.energy_bands


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_hash_is_equal_where_values_are(first: float, second: float) -> None:
    one, two = Recipe(name="a", confidence=first), Recipe(name="b", confidence=second)
    assert (one.content_hash == two.content_hash) == (first == second)


def test_hash_in_another_process() -> None:
    code = (
        "from catalog.recipes.shipped import shipped_recipes;print(shipped_recipes()['default'].content_hash)"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    root = Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == shipped_recipes()[DEFAULT].content_hash


def test_a_recipe_is_frozen() -> None:
    recipe = Recipe(name="x")
    with pytest.raises(ValidationError):
        recipe.confidence = 0.5  # type: ignore[misc]
    with pytest.raises(ValidationError):
        recipe.aperture.fraction = 0.5  # type: ignore[misc]


@given(
    st.lists(
        st.one_of(
            st.sampled_from(sorted(CSC_BANDS)),
            st.tuples(st.floats(0.1, 5), st.floats(0.1, 5)).map(
                lambda pair: f"{pair[0]!r}:{pair[0] + pair[1]!r}:{pair[0] + pair[1] / 2!r}"
            ),
        ),
        min_size=1,
        max_size=1,
    )
)
def test_bands_keep_their_limits(names: list[str]) -> None:
    bands = Recipe(name="x", bands=tuple(names)).energy_bands
    stored = Recipe(name="x", bands=tuple(names)).content()["bands"]
    assert Recipe(name="x", bands=tuple(stored)).energy_bands == bands
    if ":" in names[0]:
        assert [bands[0].lo, bands[0].hi, bands[0].eff] == [float(part) for part in names[0].split(":")]


# --- files and inheritance --------------------------------------------------------------------------------


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_inheritance_changes_only_what_is_named(tmp_path: Path) -> None:
    path = written(
        tmp_path, 'inherits = "srcflux"\nname = "mine"\nconfidence = 0.95\n[background]\nouter = 7.5\n'
    )
    mine, parent = read_recipe(path, shipped_recipes()), shipped_recipes()["srcflux"]
    expected = parent.content()
    expected["confidence"] = 0.95
    expected["background"]["outer"] = 7.5
    assert mine.content() == expected
    assert (mine.name, mine.description) == ("mine", "")
    assert parent.content() == shipped_recipes()["srcflux"].content() != expected


def test_an_heir_that_changes_nothing_has_the_same_hash(tmp_path: Path) -> None:
    path = written(tmp_path, 'inherits = "default"\nname = "twin"\n')
    assert read_recipe(path, shipped_recipes()).content_hash == shipped_recipes()[DEFAULT].content_hash


def test_a_recipe_of_its_own(tmp_path: Path) -> None:
    path = written(tmp_path, 'name = "own"\nbands = ["0.3:8:2"]\n')
    assert [(band.lo, band.hi, band.eff) for band in read_recipe(path, {}).energy_bands] == [(0.3, 8.0, 2.0)]


def test_merging_choices_leaves_its_arguments_alone() -> None:
    base, change = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"c": 5}, "e": 6}
    assert merge_choices(base, change) == {"a": {"b": 1, "c": 5}, "d": 3, "e": 6}
    assert base == {"a": {"b": 1, "c": 2}, "d": 3}


MISTAKES = [
    ('name = "x"\nconfidense = 0.9', "confidense"),
    ('name = "x"\n[aperture]\nfractoin = 0.9', "aperture.fractoin"),
    ('name = "x"\n[aperture]\nfraction = 1.5', "aperture.fraction"),
    ('name = "x"\n[aperture]\nfraction = "big"', "aperture.fraction"),
    ('name = "x"\n[aperture]\nkind = "hexagon"', "aperture.kind"),
    ('name = "x"\n[background]\ninner = 6.0', "background"),
    ('name = "x"\n[background]\nouter = inf', "background.outer"),
    ('name = "x"\n[background]\nouter = nan', "background.outer"),
    ('name = "x"\nbackground = 3', "background"),
    ('name = "x"\nconfidence = 1', "confidence"),
    ('name = "x"\nconfidence = nan', "confidence"),
    ('name = "x"\nbands = []', "bands"),
    ('name = "x"\nbands = "soft"', "bands"),
    ('name = "x"\nbands = ["brood"]', "brood"),
    ('name = "x"\nbands = ["2:1:1.5"]', "bands"),
    ('name = "x"\nbands = ["soft=0.5:2:1"]', "soft"),
    ('name = "x"\nbands = ["soft", "soft"]', "twice"),
    ('name = "two words"', "name"),
    ('name = ""', "name"),
    ("confidence = 0.9", "name"),
    ('name = "x"\ninherits = "nobody"', "known: acis-extract, default"),
    ('name = "x"\ninherits = ["default"]', "known: acis-extract, default"),
    ('name = "x"\ninherits = 3', "known: acis-extract, default"),
]


@pytest.mark.parametrize(("text", "word"), MISTAKES)
def test_mistakes_are_told_in_one_line(tmp_path: Path, text: str, word: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        read_recipe(path, shipped_recipes())
    message = str(caught.value)
    assert word in message
    assert str(path) in message
    assert "\n" not in message
    assert "pydantic" not in message


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe\x00", b"[a\nb"])
def test_files_that_are_no_recipes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(InputFileError) as caught:
        read_recipe(path, {})
    assert caught.value.code == "RECIPE_FILE"
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError):
        read_recipe(tmp_path / "none.toml", {})
    with pytest.raises(UserError, match="cannot be read"):
        read_recipe(tmp_path, {})


def test_words_for_several_bands() -> None:
    from catalog.band import ACIS_EXTRACT_BANDS

    def limits(*words: str) -> list[tuple[float, float]]:
        recipe = recipe_from_content({"name": "mine", "bands": list(words)}, "here")
        return [(band.lo, band.hi) for band in recipe.energy_bands]

    assert limits("tsh") == [(0.5, 8.0), (0.5, 2.0), (2.0, 8.0)]
    assert limits("csc", "broad") == [(0.5, 1.2), (1.2, 2.0), (2.0, 7.0), (0.5, 7.0)]
    # acis-extract.md 0.4, in its order.
    text = "0.5-8 0.5-2 2-8 0.5-1.7 1.7-2.8 2.8-8 0.5-1.5 1.5-2.5 2.5-8 0.5-1 1-2 2-4 4-6 6-8 0.5-7 2-7"
    assert [f"{lo:g}-{hi:g}" for lo, hi in limits("acis-extract")] == text.split()
    assert all(band.name == f"{band.lo:g}-{band.hi:g}" for band in ACIS_EXTRACT_BANDS)
    with pytest.raises(SettingsError, match="twice"):
        limits("tsh", "acis-extract")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ({"model": {"kind": "mekal"}}, "powerlaw"),
        ({"model": {"kind": "blackbody", "parameter": 0.0}}, "kT"),
        ({"model": {"absorber": "tbabs"}}, "phabs"),
        ({"model": {"abundances": "lodd"}}, "angr"),
        ({"merging": {"edge": "maybe"}}, "keep"),
        ({"confidence": 1.0}, "confidence"),
        ({"bands": ["2:1:1.5"]}, "lower < upper"),
    ],
)
def test_choices_out_of_range_are_refused(content: dict[str, object], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        recipe_from_content({"name": "mine", **content}, "here")
