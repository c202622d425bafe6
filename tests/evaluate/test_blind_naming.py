"""``python -m guidance.evaluate naming``: figures by hand, several judges, and bad answers."""

import json
import shlex
from pathlib import Path

import pytest
from pages import commands

from guidance.evaluate.__main__ import main
from guidance.evaluate.blind.scores import kappa, wilson

KEY = """number,prompt,name,accepted,seed,picture
1,a fox at sunrise,fox,red fox|vixen,0,a.png
2,a cow,cow,,0,b.png
3,an owl,owl,,0,c.png
4,a cow,cow,,1,d.png
"""
NAMES = "cow\nfox\nowl\nhorse\ndog\nbat\ncat\nhen\n"
ANNA = "number,name,likeness\n1,The Foxes.,8\n2,horse,3\n3,Owl,6.5\n4,cow,4\n"
# as a spreadsheet of another country saves it, in another order
BEN = "\ufeffNumber;Likeness;Name;Notes\r\n3;5,5;;?\r\n1;9;vixen;\r\n4.0;2;horse;\r\n2;0;dog;\r\n"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A working directory with a key, the names, and the answers of two judges."""
    monkeypatch.chdir(tmp_path)
    Path("sheet/judge").mkdir(parents=True)
    Path("sheet/key.csv").write_text(KEY)
    Path("sheet/judge/names.txt").write_text(NAMES)
    Path("anna.csv").write_text(ANNA)
    Path("ben.csv").write_text(BEN, encoding="utf-8")


def naming(*arguments) -> int:
    return main(["naming", "--key", "sheet/key.csv", *map(str, arguments)])


def test_one_judge(capsys):
    assert naming("--answers", "anna.csv", "--json", "f.json") == 0
    told, err = capsys.readouterr()
    assert err == ""
    assert told.splitlines()[:3] == [
        "named right            right  of  per cent  95 % from     to  likeness",
        "anna.csv                   3   4     75.00      30.06  95.44      5.38",
        "by chance, of 8 names                12.50",
    ]
    found = json.loads(Path("f.json").read_text())
    assert found == {
        "pictures": 4, "names": 8, "by chance, per cent": 12.5,
        "judges": {"anna.csv": {"right": 3, "of": 4, "per cent": 75.0, "95 % from": 30.0642,
                                "to": 95.4413, "likeness": 5.375}},
        "prompts": {
            "a cow": {"right": 1, "of": 2, "likeness": 3.5, "called": "horse, cow"},
            "a fox at sunrise": {"right": 1, "of": 1, "likeness": 8.0, "called": "The Foxes."},
            "an owl": {"right": 1, "of": 1, "likeness": 6.5, "called": "Owl"},
        },
        "confusions": [{"name": "cow", "called": "horse", "times": 1}],
    }  # fmt: skip


def test_several_judges(capsys):
    (command,) = commands("guidance.evaluate naming")
    Path("blind").mkdir()
    Path("sheet").rename("blind/drawings")
    assert main(["naming", *shlex.split(command)]) == 0
    told = capsys.readouterr().out
    found = json.loads(Path("naming.json").read_text())
    assert {name: row["right"] for name, row in found["judges"].items()} == {
        "anna.csv": 3, "ben.csv": 1,
    }  # fmt: skip
    assert found["all"] == {
        "right": 4, "of": 8, "per cent": 50.0, "likeness": 4.75,
        "95 % from": round(100 * wilson(0.5, 4)[0], 4), "to": round(100 * wilson(0.5, 4)[1], 4),
    }  # fmt: skip
    assert found["agreement"] == {"same name, per cent": 25.0, "Fleiss' kappa": 0.0769}
    assert found["prompts"]["a cow"] == {
        "right": 1, "of": 4, "likeness": 2.25, "called": "horse 2 times, cow, dog",
    }  # fmt: skip
    assert found["confusions"] == [
        {"name": "cow", "called": "horse", "times": 2},
        {"name": "cow", "called": "dog", "times": 1},
        {"name": "owl", "called": "nothing", "times": 1},
    ]
    for line in ("all judges ", "cow: horse ", "of the judges "):
        assert f"\n{line}" in told


def test_likeness_and_names_may_be_left_out(capsys):
    Path("sheet/judge/names.txt").unlink()
    Path("few.csv").write_text("number,name\n1,fox\n2,\n3,\n4,\n")
    assert naming("--answers", "few.csv") == 0
    told = capsys.readouterr().out
    assert told.splitlines()[1].split() == ["few.csv", "1", "4", "25.00", "4.56", "69.94"]
    assert "chance" not in told
    assert "\ncow: nothing           2\n" in told
    Path("list.txt").write_text(NAMES)
    assert naming("--answers", "few.csv", "--names", "list.txt") == 0
    assert "by chance, of 8 names" in capsys.readouterr().out


def test_a_slip_of_the_pen_is_told(capsys):
    Path("anna.csv").write_text(ANNA.replace("cow", "cov").replace("Owl", "vixen"))
    assert naming("--answers", "anna.csv") == 0
    assert capsys.readouterr().err == (
        "guidance.evaluate naming: warning: anna.csv: number 4 is called 'cov', which is none of "
        "the 8 names; did you mean cow?\n"
    )


def test_wilson_against_published_values():
    """Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I."""
    for right, count, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605),
                                    (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)):  # fmt: skip
        assert wilson(right / count, count) == pytest.approx((low, high), abs=6e-5)
    assert wilson(1.0, 20)[1] == 1.0


def test_kappa_against_published_values():
    """The example that goes with Fleiss 1971: ten subjects, fourteen raters, five categories."""
    counts = ["0 0 0 0 14", "0 2 6 4 2", "0 0 3 5 6", "0 3 9 2 0", "2 2 8 1 1",
              "7 7 0 0 0", "3 2 6 3 0", "2 5 3 2 2", "6 5 2 1 0", "0 2 2 3 7"]  # fmt: skip
    said = [[str(k) for k, n in enumerate(row.split()) for _ in range(int(n))] for row in counts]
    assert kappa(said) == pytest.approx(0.210, abs=5e-4)
    assert kappa([["a", "a"], ["b", "b"]]) == 1
    assert kappa([["a", "a"], ["a", "a"]]) is None


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (
            ANNA.replace("4,cow,4\n", ""),
            "x.csv lacks the number 4; where no name can be told it stays empty",
        ),
        (ANNA.partition("2,")[0], "x.csv lacks the number 2, 3, 4; where"),
        (ANNA + "5,fox,1\n", "x.csv, line 6: the number 5 is unknown; the key has 1 to 4"),
        (ANNA + "2,fox,1\n", "x.csv, line 6: the number 2 is there twice"),
        (ANNA + "two,fox,1\n", "line 6: the number must be that of a picture but is 'two'"),
        (ANNA.replace("6.5", "11"), "line 4: the likeness must be from 0 to 10 but is '11'"),
        (ANNA.replace("6.5", "-1"), "line 4: the likeness must be from 0 to 10 but is '-1'"),
        (ANNA.replace("6.5", "good"), "line 4: the likeness must be from 0 to 10 but is 'good'"),
        (ANNA.replace("6.5", ""), "x.csv lacks the likeness of 3; give all or none"),
        ("number,name\n1,\n2,\n3,\n4,\n", "x.csv is not filled in: it has no name"),
        ("number,answer\n1,fox\n", "x.csv lacks the column name; it has number, answer"),
        ("", "x.csv lacks the column number, name; it has none"),
    ],
)
def test_bad_answers(answers, said, capsys):
    Path("x.csv").write_text(answers)
    assert naming("--answers", "x.csv") == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--answers must be given"),
        (("--answers", "ana.csv"), "ana.csv does not exist; did you mean anna.csv"),
        (("--answers", "sheet"), "sheet is a folder"),
        (("--answers", "anna.csv", "--answers", "anna.csv"), "anna.csv is given twice"),
        (("--answers", "anna.csv", "--names", "no.txt"), "no.txt does not exist"),
        (("--answers", "anna.csv", "--json", "no/f.json"), "the folder no does not exist"),
        (("--answers", "anna.csv", "--key", "anna.csv"), "anna.csv lacks the column prompt"),
        (("--answers", "latin.csv"), "latin.csv: it is not UTF-8 text (line 2); save it as UTF-8"),
        (("--answers", "anna.csv", "--key", "twice.csv"), "line 6: the number 1 is there twice"),
        (("--answers", "anna.csv", "--key", "nameless.csv"), "line 3: the number 2 has no name"),
        (("--answers", "anna.csv", "--key", "empty.csv"), "empty.csv holds no number"),
    ],
)
def test_bad_input(arguments, said, capsys):
    Path("latin.csv").write_bytes("number,name\n1,héron\n".encode("latin-1"))
    Path("twice.csv").write_text(KEY + "1,a cat,cat,,0,\n")
    Path("nameless.csv").write_text(KEY.replace("cow,cow", "cow,", 1))
    Path("empty.csv").write_text("number,prompt,name\n")
    assert naming(*arguments) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
