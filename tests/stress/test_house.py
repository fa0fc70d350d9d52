"""Members and their groups, from the tables `members` and `accounts`."""

import numpy as np
import pytest
from stress.stress_books import CRASH, HOLDINGS, RESOURCES, file_of, house, stressed

from gpu_var.market.checks import load
from gpu_var.stress.house import house_of, notes_of
from gpu_var.tables.findings import InputError
from gpu_var.tables.load import read_book


def test_members_without_a_row_and_accounts_without_a_member(tmp_path):
    """`beta` has no row; `lone` and `alpha` have no member, and there is a member named alpha already."""
    holdings = {**HOLDINGS, "lone": ("", "client", 3), "alpha": ("", "house", -4)}
    members = {"alpha": ("north", 150.0), "gamma": ("", 120.0), "idle": ("north", 10.0)}
    book = read_book(house(tmp_path / "book", holdings, members))
    out = house_of(book)
    assert out.name == ("alpha", "alpha'", "beta", "gamma", "idle", "lone")
    assert [out.group_name[g] for g in out.group] == ["north", "alpha'", "beta", "gamma", "north", "lone"]
    assert out.contribution.tolist() == [150.0, 0.0, 0.0, 120.0, 10.0, 0.0]
    owner = dict(zip(book.accounts.name.to_pylist(), [out.name[m] for m in out.member_of], strict=True))
    assert owner == {a: m or {"lone": "lone", "alpha": "alpha'"}[a] for a, (m, _, _) in holdings.items()}
    assert out.positions.tolist() == [True, True, True, True, False, True]
    assert out.obliged.all()
    assert notes_of(book, out) == [
        "accounts without a member, each a member of its own: alpha', lone",
        "members without a row of members, with no contribution and no group (members.csv): beta",
    ]
    assert out.members_of(["north"]).tolist() == [True, False, False, False, True, False]
    assert out.members_of(["idle", "beta"]).tolist() == [False, False, True, False, True, False]


def test_without_a_table(tmp_path):
    book = read_book(house(tmp_path / "book", members={}))
    out = house_of(book)
    assert out.name == out.group_name == ("alpha", "beta", "gamma")
    assert not out.contribution.any()
    assert "the book has no table members" in notes_of(book, out)[0]


def test_a_group_named_like_a_member_of_another_group(tmp_path):
    members = {"alpha": ("beta", 150.0), "beta": ("gamma", 360.0), "gamma": ("gamma", 120.0)}
    book = read_book(house(tmp_path / "book", members=members))
    out = house_of(book)
    assert out.members_of(["beta"]).tolist() == [True, False, False]  # the group goes first
    assert any(
        "named like a member of another group" in note and note.endswith(": beta") for note in notes_of(book, out)
    )


def test_wrong_members(tmp_path):
    folder = house(tmp_path / "book")
    (folder / "members.csv").write_text("member,group,contribution\nalpha,,-1\nalpha,,1e6\n,north,x\n")
    with pytest.raises(InputError) as error:
        read_book(folder)
    lines = str(error.value).splitlines()
    assert any("line 2, column contribution: -1 is negative; expected a contribution" in line for line in lines)
    assert any("line 3, column member: 'alpha' stands on line 2 already" in line for line in lines)
    assert any("line 4, column member: empty; expected the member's name" in line for line in lines)
    assert any("line 4, column contribution: 'x' is not a number" in line for line in lines)


def test_a_misspelt_table_and_column(tmp_path):
    folder = house(tmp_path / "book")
    (folder / "members.csv").rename(folder / "member.csv")
    with pytest.raises(InputError, match="did you mean members"):
        read_book(folder)
    (folder / "member.csv").rename(folder / "members.csv")
    text = (folder / "members.csv").read_text()
    (folder / "members.csv").write_text(text.replace("contribution", "contributions"))
    with pytest.raises(InputError, match="did you mean contribution"):
        read_book(folder)


def test_members_change_no_margin(tmp_path):
    plain, told = house(tmp_path / "plain", members={}), house(tmp_path / "told")
    files = file_of(CRASH, resources=RESOURCES)
    np.testing.assert_array_equal(stressed(plain, files).exposure.margin, stressed(told, files).exposure.margin)


def test_an_account_that_fails_does_not_stop_the_others(tmp_path):
    """gamma's client holds 1e15 contracts of 1e300 shares: what that loses is beyond any float64."""
    folder = house(tmp_path / "book", {**HOLDINGS, "gamma-1": ("gamma", "client", 1)})
    with (folder / "instruments.csv").open("w") as file:
        file.write("instrument,kind,underlying,multiplier\nX,spot,X,1\nhuge,spot,X,1e300\n")
    with (folder / "positions.csv").open("a") as file:
        file.write("gamma-1,huge,1e15\n")
    test = stressed(folder)
    book, *_ = load(folder)
    (row,) = test.failed
    assert book.accounts.name[row].as_py() == "gamma-1"
    assert "not finite" in test.failed[row]
    assert test.shortfall.member[:, 0] == pytest.approx([600, 240, 0])
    assert np.isnan(test.exposure.loss[row]).all()
    assert np.isnan(test.exposure.margin[row])
    assert all(np.isfinite(values).all() for values in (test.waterfall.used, test.cover.amount, test.fund.allocated))
