from dataclasses import replace

import pytest

from perennial.agent.tables.dialect import Dialect, UnknownDialect, dialect_of


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ("a,b\n1,2\n", Dialect(",")),
        ("a;b\n1;2\n", Dialect(";")),
        ("a\tb\n1\t2\n", Dialect("\t")),
        ("a|b\n1|2\n", Dialect("|")),
        ("a;b\n1,5;2,25\n3;4\n", Dialect(";", decimal_comma=True)),
        ("a;b\n1,5;2.25\n", Dialect(";")),
        ('a;b\n"x, y";1\n', Dialect(";")),
        ("a,tags\n1,x|y\n2,z\n", Dialect(",")),
        ("a|b,c\n1,2\n", Dialect(",")),
        ('"a;b",c\n1,2\n', Dialect(",")),
        ("a\n1\n2\n", Dialect(",")),
        ("a\n", Dialect(",")),
        ("", Dialect(",")),
        ("0,1,2\n5,6,7\n", Dialect(",")),
        (",0,1,2\n0,5,6,7\n", Dialect(",")),
        ("id,2019,2020,2021\n1,2,3,4\n", Dialect(",")),
        ("plan,country\nbasic,DE\nplus,DE\n", Dialect(",")),
        ("plan,country\nbasic,DE\nplan,country\nplus,DE\n", Dialect(",")),
        ("name,plan,age\nname,basic,1\n", Dialect(",")),
        ('a,b\n1,"two\nlines"\n', Dialect(",")),
        ("a,b\r\n1,2\r\n", Dialect(",")),
        ("ragged,b\n1\n1,2,3\n", Dialect(",")),
    ],
)
def test_what_can_be_told(text, dialect):
    assert replace(dialect_of(text), names=()) == dialect


def test_names_have_no_spaces_around_them():
    assert dialect_of("age, plan \n1,2\n").names == ("age", "plan")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0,1,0.5\n1,0,0.7\n", "looks like values"),
        ("34,5100,1\n35,4200,0\n", "looks like values"),
        ("0,1\n1,0\n", "looks like values"),
        ("5\n6\n", "looks like values"),
        ("basic,DE\nplus,DE\nbasic,FR\n", "looks like values"),
        ("alice,34,true\nbob,35,false\n", "looks like values"),
        ("2026-01-01,basic\n2026-01-02,basic\n", "looks like values"),
        ("34,,basic\n35,1,plus\n", "looks like values"),
        ("basic;1,5\nplus;2,5\n", "comma or semicolon"),
        ("a,b,a\n1,2,3\n", "two columns are named a"),
        ("a,b, a\n1,2,3\n", "two columns are named a"),
        ("a,b|c\n1,2|3\n", "comma or vertical bar"),
        ("Export of 3 May\na;b\n1;2\n", "first line has one column"),
        ("sep\na,b\n1,2\n", "first line has one column"),
        ("a^b\n1^2\n", "seems to be '^'"),
        ("a b\n1 2\n3 4\n", "seems to be a space"),
    ],
)
def test_what_cannot_be_told_is_refused(text, reason):
    with pytest.raises(UnknownDialect, match=reason.replace("^", r"\^")):
        dialect_of(text)
