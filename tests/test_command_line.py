"""The command line: what it prints and writes, and what it says of wrong words."""

import subprocess
import sys

import pytest

import gradtx


def run(*args, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "gradtx", *args], capture_output=True, text=True, cwd=cwd, timeout=300, check=False
    )


def test_list_has_every_factory():
    listed = run("list")
    assert listed.returncode == 0
    words = set(listed.stdout.split())
    assert {name for name in gradtx.__all__ if hasattr(getattr(gradtx, name), "call")} <= words


def test_show_prints_the_formula_and_the_links():
    shown = run("show", "adam")
    assert shown.returncode == 0
    for part in ("adam(learning_rate, b1=0.9", "θ ← θ − ε m̂/", "scale_by_ewma(decay=b1)", "bias_correction(decay=b1)",
                 "scale_by_rms(decay=b2, eps=eps", "u ← −ε · uₜ"):  # fmt: skip
        assert part in shown.stdout


def test_every_name_can_be_shown():
    from gradtx import _catalogue as catalogue

    for names in catalogue.catalogue().values():
        for name in names:
            assert catalogue.explain(name).startswith(f"{name}(")


def test_sweep_digits_prints_a_table_and_writes_its_files(tmp_path):
    swept = run("sweep", "digits", "--steps", "30", "--out", "found", cwd=tmp_path)
    assert swept.returncode == 0, swept.stderr
    assert "128 Adams, 30 steps" in swept.stdout
    assert "held-out accuracy" in swept.stdout
    assert "128 lanes: 3,840/3,840 steps" in swept.stderr  # 128 times 30
    written = {file.name for file in (tmp_path / "found").iterdir()}
    assert written == {"table.csv", "sweep.json", "loss.npz", "curves.png", "heatmap.png", "report.html"}
    assert len((tmp_path / "found" / "table.csv").read_text().splitlines()) == 129
    for name in written:
        assert f"found/{name}" in swept.stdout


def test_race_draws_a_figure_and_a_film(tmp_path):
    raced = run("race", "sgd(0.01, momentum=0.9)", "chain(clip(1.0), adam(0.1))", "--surface", "ravine", cwd=tmp_path)
    assert raced.returncode == 0, raced.stderr
    assert "chain(clip(1.0), adam(0.1))" in raced.stdout
    assert (tmp_path / "gradtx-race" / "ravine.png").read_bytes().startswith(b"\x89PNG")
    film = (tmp_path / "gradtx-race" / "ravine.gif").read_bytes()
    assert film.startswith(b"GIF89a")
    assert film.count(b"\x21\xf9\x04") > 30  # frames


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["sweep", "digitz"], "no problem 'digitz'; did you mean 'digits'?"),
        (["show", "adm"], "no transformation or schedule 'adm'; did you mean 'adam'?"),
        (["show", "zzzzzz"], "no transformation or schedule 'zzzzzz'; there are: "),
        (["sweep", "digits", "--steps", "0"], "Invalid value for '--steps': 0 is not in the range x>=1."),
        (["sweep", "digits", "--steps", "many"], "Invalid value for '--steps': 'many' is not a valid integer range."),
        (["sweep", "digits", "--batch-size", "9999"], "--batch-size 9999: digits has 1437 rows to train on"),
        (["sweep", "digits", "--out", __file__], "is a file"),
        (["sweep", "digits", "--stesp", "3"], "--stesp"),
        (["race", "adm(0.1)"], "no transformation or schedule 'adm' (did you mean 'adam'?)"),
        (["race", "adam(0.1"], "'adam(0.1' is no call"),
        (["race", "adam(__import__('os'))"], "no transformation or schedule '__import__'"),
        (["race", "adam(-1)"], "adam: learning_rate: expected a number in [0, inf), found -1.0"),
        (["race", "--surface", "beal"], "no surface 'beal'; did you mean 'beale'?"),
        (["swep"], "swep"),
    ],
)
def test_wrong_words_get_one_line_and_status_2(args, says):
    answer = run(*args)
    assert answer.returncode == 2
    assert says in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    assert answer.stderr.startswith("gradtx: ")
