"""Loggers: what is written for Weights & Biases and MLflow reads back as what the sweep has."""

import sqlite3

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
    norm = {"evaluate": lambda params: {"norm": gradtx.tree.norm(params)}}
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


def test_offline_runs_of_wandb_read_back(result, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2 as proto
    from wandb.sdk.internal import datastore

    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    assert result.wandb(tmp_path / "wandb", project="mine") == tmp_path / "wandb"
    files = sorted((tmp_path / "wandb").rglob("*.wandb"))
    assert len(files) == 2
    found = {}
    for file in files:
        store = datastore.DataStore()
        store.open_for_scan(str(file))
        records = []
        while (data := store.scan_data()) is not None:
            record = proto.Record()
            record.ParseFromString(data)
            records.append(record)
        (run,) = [record.run for record in records if record.WhichOneof("record_type") == "run"][:1]
        rows = [r.history for r in records if r.WhichOneof("record_type") == "history"]
        losses = [float(i.value_json) for row in rows for i in row.item if "loss/training" in (i.key, *i.nested_key)]
        found[run.display_name] = (
            run.project,
            {u.key or u.nested_key[0]: u.value_json for u in run.config.update},
            losses,
        )
    project, config, losses = found["lane-0000"]
    assert project == "mine"
    assert float(config["learning_rate"]) == 0.1
    np.testing.assert_allclose(losses, result.loss[0], rtol=1e-6)
    assert set(found) == {"lane-0000", "lane-0001"}


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
