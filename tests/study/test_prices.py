import math

import numpy as np
import pytest

from curation.errors import RecipeError
from curation.study.prices import Range, load_catalogue, parse_range


def test_the_shipped_catalogue_says_source_and_date_of_everything():
    prices = load_catalogue()
    items = [*prices.devices.values(), *prices.storage.values(), *prices.rates.values()]
    assert all(item.source and item.date == "2026-11-22" for item in items)
    assert prices.device("h100").range() == Range(1.99, 3.99, 5.00)
    assert prices.device("H100 SXM") is prices.device("h100")


def test_a_price_that_was_not_read_is_unknown_and_not_zero():
    prices = load_catalogue()
    assert prices.device("l4").range() is None
    assert prices.storage["object"].range() is None
    assert not prices.device("gh200").spread_known


def test_an_unknown_device_names_the_known_ones_and_the_nearest():
    with pytest.raises(RecipeError, match=r"unknown GPU 'h1000'; known: .*l40s.*mean 'h100'"):
        load_catalogue().device("h1000")


@pytest.mark.parametrize(
    ("name", "found"),
    [("NVIDIA H100 80GB HBM3", "NVIDIA H100 SXM 80 GB"), ("NVIDIA L40S", "NVIDIA L40S"),
     ("AMD EPYC 9B14", None)],
)  # fmt: skip
def test_a_driver_name_finds_its_device(name, found):
    item = load_catalogue().device_of(name)
    assert (item and item.name) == found


def test_a_file_replaces_what_it_names_and_keeps_dates_apart(tmp_path):
    path = tmp_path / "ours.toml"
    path.write_text(
        'date = "2026-12-01"\n[devices.h100]\nname = "ours"\nmid = 2.2\nsource = "contract"\n'
        '[devices.tpu]\nname = "TPU"\nmid = 1\nsource = "contract"\ndate = "2026-11-30"\n'
    )
    prices = load_catalogue(path)
    assert prices.device("h100").range() == Range(2.2, 2.2, 2.2)
    assert prices.device("tpu").date == "2026-11-30"
    assert prices.device("h100").date == "2026-12-01"
    assert prices.device("a100").date == "2026-11-22"
    assert prices.rate("training").mid == 0.40


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("mid = -1", "greater than or equal to 0"),
        ("low = 3\nmid = 2\nhigh = 4", "low <= mid <= high"),
        ("low = 3", "without mid"),
        ("mid = nan", "finite"),
        ("mid = 1\nprice = 2", "price"),
    ],
)
def test_a_wrong_entry_is_one_line(tmp_path, entry, message):
    path = tmp_path / "ours.toml"
    path.write_text(
        f'date = "2026-12-01"\n[devices.h100]\nname = "ours"\nsource = "contract"\n{entry}\n'
    )
    with pytest.raises(RecipeError, match=message) as caught:
        load_catalogue(path)
    assert "\n" not in str(caught.value)


def test_an_undated_file_and_a_wrong_table_are_refused(tmp_path):
    path = tmp_path / "ours.toml"
    path.write_text('[devices.h100]\nname = "ours"\nmid = 1\nsource = "x"\n')
    with pytest.raises(RecipeError, match="date"):
        load_catalogue(path)
    path.write_text('date = "2026-12-01"\n[gpus.h100]\nmid = 1\n')
    with pytest.raises(RecipeError, match=r"unknown setting 'gpus'.*known: .*devices"):
        load_catalogue(path)


@pytest.mark.parametrize("text", ["", "a", "1:2", "3:2:1", "-1", "nan", "inf", "1:2:3:4"])
def test_what_is_no_range_is_refused(text):
    with pytest.raises(RecipeError, match="--text-price"):
        parse_range(text, "--text-price")


def test_a_range_runs_through_low_mid_and_high():
    values = parse_range("1:2:8", "x").at(np.array([0.0, 0.25, 0.5, 0.75, 1.0]))
    assert np.allclose(values, [1, math.sqrt(2), 2, 4, 8])
    assert (Range(1, 2, 4) / Range(1, 2, 4)).low == 0.25
