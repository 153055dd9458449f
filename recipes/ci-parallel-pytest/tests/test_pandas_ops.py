"""Tables: grouping, joining, reshaping, time."""
import io

import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def sales():
    rng = np.random.default_rng(7)
    n = 3000
    return pd.DataFrame(
        {
            "shop": rng.choice(["north", "south", "west"], size=n),
            "item": rng.choice(list("abcdef"), size=n),
            "units": rng.integers(1, 9, size=n),
            "price": rng.uniform(1, 20, size=n).round(2),
        }
    )


def test_groups_add_up_to_the_whole(sales):
    grouped = sales.groupby("shop")["units"].agg(["sum", "mean", "size"])
    assert grouped["sum"].sum() == sales["units"].sum()
    assert grouped["size"].sum() == len(sales)


def test_pivot_table_agrees_with_grouping(sales):
    pivot = sales.pivot_table(index="shop", columns="item", values="units", aggfunc="sum")
    grouped = sales.groupby(["shop", "item"])["units"].sum().unstack()
    pd.testing.assert_frame_equal(pivot, grouped, check_dtype=False)


def test_left_join_keeps_every_row_of_the_left(sales):
    prices = pd.DataFrame({"item": list("abcd"), "supplier": ["P", "Q", "R", "S"]})
    joined = sales.merge(prices, on="item", how="left")
    assert len(joined) == len(sales)
    assert joined["supplier"].isna().sum() == sales["item"].isin(["e", "f"]).sum()


def test_missing_values_are_filled_by_group_mean():
    frame = pd.DataFrame({"g": ["x", "x", "y", "y"], "v": [1.0, np.nan, 4.0, np.nan]})
    filled = frame.groupby("g")["v"].transform(lambda part: part.fillna(part.mean()))
    assert filled.tolist() == [1.0, 1.0, 4.0, 4.0]


def test_resampling_hours_to_days_keeps_the_sum():
    hours = pd.date_range("2024-02-27", periods=96, freq="H")
    series = pd.Series(np.arange(96), index=hours)
    days = series.resample("D").sum()
    assert list(days.index.day) == [27, 28, 29, 1]
    assert days.sum() == series.sum()


def test_rolling_mean_matches_convolution():
    values = np.random.default_rng(1).normal(size=500)
    rolled = pd.Series(values).rolling(5).mean().dropna().to_numpy()
    np.testing.assert_allclose(rolled, np.convolve(values, np.ones(5) / 5, mode="valid"))


def test_csv_round_trip_keeps_values_and_types(sales):
    text = sales.to_csv(index=False)
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(text)), sales)
