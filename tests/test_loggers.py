"""Loggers: what is written for Weights & Biases and MLflow reads back as what the sweep has."""

import json
import sqlite3
import time

import numpy as np
import pytest

import gradtx
from gradtx import sweep
from gradtx._report.runs import runs

from .test_fit import START, line, squares

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def result():
    population = sweep.grid(gradtx.sgd, learning_rate=[0.1, 1e30], momentum=[0.9])
    norm = {"evaluate": lambda params: {"norm": gradtx.tree.norm(params)}, "metric": "final_loss"}
    return sweep.run(squares, START, population, line(), steps=9, record_every=2, stop_diverged=True, **norm)


def test_a_run_is_what_its_lane_did(result):
    one, lost = runs(result)
    assert (one.name, one.steps, one.status) == ("lane-0000", 9, "finished")
    assert one.point == {"learning_rate": 0.1, "momentum": 0.9}
    assert [step for step, _ in one.losses] == [2, 4, 6, 8, 9]
    np.testing.assert_allclose([x for _, x in one.losses], result.loss[0], rtol=1e-6)
    assert one.ended == {
        "final_loss": pytest.approx(result.final_loss[0]),
        "norm": pytest.approx(result.metrics["norm"][0]),
    }
    assert lost.status == "diverged"
    assert len(lost.losses) < 5


def records_of(file):
    """The records of a .wandb file, a log as LevelDB writes it: blocks of 32 KiB; checksum, length, kind of a part."""
    data, parts, place = file.read_bytes(), b"", 7  # a header of 7 bytes
    assert data[:4] == b":W&B"
    while place + 7 <= len(data):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield parts
            parts = b""


def test_offline_runs_of_wandb_read_back(result, tmp_path):
    pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2 as proto

    assert result.wandb(tmp_path / "runs", project="mine") == tmp_path / "runs"
    found = {}
    for file in (tmp_path / "runs").rglob("*.wandb"):
        records, until = [], time.monotonic() + 60
        while not records or records[-1].WhichOneof("record_type") != "exit":  # another process writes the file
            assert time.monotonic() < until
            time.sleep(0.05)
            records = [proto.Record.FromString(data) for data in records_of(file)]
        run = next(record.run for record in records if record.WhichOneof("record_type") == "run")
        rows = [record.history for record in records if record.WhichOneof("record_type") == "history"]
        key = lambda item: item.key or "/".join(item.nested_key)  # noqa: E731
        history = [{key(item): json.loads(item.value_json) for item in row.item} for row in rows]
        assert run.project == "mine"
        found[run.display_name] = {key(item): json.loads(item.value_json) for item in run.config.update}, history
    assert set(found) == {"lane-0000", "lane-0001"}
    config, history = found["lane-0000"]
    assert (config["learning_rate"], config["momentum"]) == (0.1, 0.9)
    own = [row for row in history if "loss/training" in row]
    assert [row["_step"] for row in own] == [2, 4, 6, 8, 9]
    np.testing.assert_allclose([row["loss/training"] for row in own], result.loss[0], rtol=1e-6)


def test_runs_of_mlflow_read_back(result, tmp_path):
    pytest.importorskip("mlflow")
    pytest.importorskip("alembic")
    for _ in range(2):  # the second time the first runs are replaced
        assert result.mlflow(tmp_path / "mlflow") == tmp_path / "mlflow"
    with sqlite3.connect(tmp_path / "mlflow" / "mlflow.db") as base:
        named = dict(base.execute("select name, run_uuid from runs where lifecycle_stage = 'active'").fetchall())
        assert set(named) == {"lane-0000", "lane-0001"}
        assert base.execute("select count(*) from runs").fetchone() == (4,)
        own = (named["lane-0000"],)
        losses = base.execute(
            "select step, value from metrics where run_uuid = ? and key = 'loss/training' order by step", own
        ).fetchall()
        params = dict(base.execute("select key, value from params where run_uuid = ?", own).fetchall())
        final = base.execute(
            "select step, value from metrics where run_uuid = ? and key = 'final_loss'", own
        ).fetchall()
    base.close()
    assert [step for step, _ in losses] == [2, 4, 6, 8, 9]
    np.testing.assert_allclose([x for _, x in losses], result.loss[0], rtol=1e-6)
    assert params == {"learning_rate": "0.1", "momentum": "0.9"}
    assert final == [(9, pytest.approx(float(result.final_loss[0])))]


@pytest.mark.parametrize(("module", "extra"), [("wandb", "wandb"), ("mlflow", "mlflow")])
def test_without_the_library_the_error_names_the_extra(module, extra, result, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(ImportError, match=rf"pip install 'gradtx\[{extra}\]'"):
        getattr(result, module)(tmp_path)
