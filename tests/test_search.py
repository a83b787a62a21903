"""Search by Optuna: it finds, it goes on, several processes share it, and what is wrong is said."""

import json
import os
import signal
import subprocess
import sys
import time

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
import optuna
import pytest

import gradtx
from gradtx.sweep import choice, integers, log_uniform, one_minus, uniform
from gradtx.sweep._disk.owners import machine

DATA = {"x": jnp.ones((4, 1))}


def loss(params, batch, shift=0.0):
    """After one step of sgd from 0 this is (rate - 0.3)² + 0.01 + shift²."""
    return jnp.mean(batch["x"]) * ((params + 0.3) ** 2 - params * 1.6) + shift**2


def valley(params, batch, a=0.0, b=0.0):
    """What does not depend on the parameters: a function of two numbers, with its minimum 1 at (0.3, −0.2)."""
    return 1 + 0 * params + (a - 0.3) ** 2 + 10 * (b + 0.2) ** 2 + 0 * jnp.mean(batch["x"])


def searched(**options):
    given = {
        "trials": 48,
        "lanes": 8,
        "steps": 1,
        "space": {"learning_rate": log_uniform(1e-3, 1.0)},
        "numbers": {"a": uniform(-1, 1), "b": uniform(-1, 1)},
        "progress": False,
    }
    return gradtx.sweep.search(gradtx.sgd, valley, jnp.array(0.0), DATA, **{**given, **options})


def test_it_finds_better_points_than_chance_does():
    best = [searched(seed=seed).best_value for seed in range(2)]
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-1, 1, (2, 2000, 48))
    chance = np.min(1 + (a - 0.3) ** 2 + 10 * (b + 0.2) ** 2, axis=1)
    assert np.mean(best) < np.median(chance)
    assert np.mean(best) < 1.05


def test_the_same_seed_searches_the_same_and_nothing_is_compiled_twice():
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: compiled.append(name) if "backend_compile" in name else None
    )
    try:
        first = searched(trials=4, lanes=4)
        compiled.clear()
        again = searched(trials=10, lanes=4)  # the last batch is of two
        assert compiled == []
    finally:
        jax.monitoring.clear_event_listeners()
    assert len(again.study.trials) == 10
    assert [t.params for t in again.study.trials[:4]] == [t.params for t in first.study.trials]


def test_it_goes_on_from_its_file(tmp_path):
    first = searched(trials=6, lanes=4, folder=tmp_path)
    began = [t.params for t in first.study.trials]
    more = searched(trials=10, lanes=4, folder=tmp_path)
    assert len(more.study.trials) == 10
    assert [t.params for t in more.study.trials[:6]] == began
    done = searched(trials=10, lanes=4, storage=f"sqlite:///{tmp_path}/study.db")
    assert len(done.study.trials) == 10
    assert len(searched(trials=5, storage=tmp_path / "study.db", study="another").study.trials) == 5


def test_every_distribution_is_proposed_and_the_table_has_the_points():
    space = {
        "learning_rate": log_uniform(1e-3, 1.0),
        "b1": one_minus(log_uniform(1e-3, 1e-1)),
        "b2": choice([0.99, 0.999]),
        "eps": choice([1e-8, np.float64(1e-4)]),
    }
    found = gradtx.sweep.search(
        gradtx.adam, loss, jnp.array(0.0), DATA, trials=6, lanes=3, steps=2, space=space, seeds=range(2),
        numbers={"shift": integers(-1, 1)}, better="higher", progress=False,
    )  # fmt: skip
    rows = found.table()
    assert list(rows[0]) == ["trial", *space, "shift", "final_loss", "status"]
    assert [row["final_loss"] for row in rows] == sorted((row["final_loss"] for row in rows), reverse=True)
    for row in rows:
        assert 0.9 <= row["b1"] <= 0.999
        assert row["b2"] in (0.99, 0.999)
        assert row["shift"] in (-1, 0, 1)
    assert found.best_value == rows[0]["final_loss"]
    assert found.best_point == {name: rows[0][name] for name in [*space, "shift"]}
    assert found.study.direction.name == "MAXIMIZE"


def test_trials_that_diverge_teach_the_sampler_and_dropped_ones_say_how_far_they_came():
    def steep(params, batch):
        return jnp.mean(batch["x"]) * jnp.exp(params**2)

    space = {"learning_rate": log_uniform(1e-3, 1e3)}
    found = gradtx.sweep.search(
        gradtx.sgd, steep, jnp.array(1.0), DATA, trials=16, lanes=8, steps=30, space=space, progress=False
    )
    lost = [row for row in found.table() if row["status"] == "diverged"]
    assert lost
    assert len(found.table()) == 16
    assert {found.study.trials[row["trial"]].state.name for row in lost} == {"PRUNED"}
    halved = searched(trials=8, steps=9, select=gradtx.sweep.halving(3))
    dropped = [t for t in halved.study.trials if t.state.name == "PRUNED"]
    assert {t.last_step for t in dropped} == {3}
    assert {row["status"] for row in halved.table()} == {"finished", "dropped"}


def test_nothing_but_divergence_is_said():
    space = {"learning_rate": uniform(0.1, 0.5)}
    nowhere = gradtx.sweep.search(
        gradtx.sgd, lambda p, b: jnp.log(p) * jnp.mean(b["x"]), jnp.array(-1.0), DATA, trials=2, lanes=2, steps=1,
        space=space, progress=False,
    )  # fmt: skip
    with pytest.raises(gradtx.TransformationError, match="no trial of 2 ended with a number"):
        nowhere.best_point  # noqa: B018


def test_a_sampler_of_optuna_is_used_as_it_is():
    sampler = optuna.samplers.RandomSampler(seed=3)
    assert searched(trials=4, lanes=2, sampler=sampler).study.sampler is sampler


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"space": {"learning_rat": uniform(0, 1)}}, "search: sgd: .*learning_rat"),
        ({"space": {"learning_rate": 0.1}}, "search: space: learning_rate: expected a distribution"),
        ({"space": {}, "numbers": {}}, "search: space: expected at least one distribution"),
        ({"numbers": {"c": uniform(0, 1)}}, "it takes no number 'c'.*it takes a, b"),
        ({"numbers": {"learning_rate": uniform(0, 1)}}, "learning_rate: given twice"),
        ({"trials": 0}, "search: trials: expected a whole number, 1 or more, found 0"),
        ({"lanes": True}, "search: lanes: expected a whole number"),
        ({"better": "best"}, "search: better: expected 'lower' or 'higher'"),
        ({"metric": "accuracy"}, "metric: expected one of final_loss"),
        ({"select": gradtx.sweep.population_based(3)}, "search: select: a population changes its points"),
        ({"storage": "/no/such/folder/study.db"}, "search: storage: .* there is no folder /no/such/folder"),
        ({"storage": "/"}, "search: storage: / cannot be opened: it is a folder"),
        ({"storage": "nodatabase://x"}, "search: storage: nodatabase://x cannot be opened: "),
        ({"storage": __file__}, "cannot be opened: .*not a database"),
    ],
)
def test_what_is_wrong_is_said(options, says):
    with pytest.raises(gradtx.TransformationError, match=says) as error:
        searched(**options)
    assert len(str(error.value).splitlines()) == 1


def test_a_study_of_another_question_is_refused(tmp_path):
    searched(trials=2, lanes=2, folder=tmp_path)
    for options, says in [
        ({"better": "higher"}, "the study 'gradtx' is there to minimize, not to maximize"),
        ({"steps": 2}, "the study 'gradtx' has steps 1, and this search 2"),
        ({"batch_size": 2}, "the study 'gradtx' has batch_size None, and this search 2"),
        (
            {"space": {"learning_rate": choice([0.1, 0.2])}},
            r"has space learning_rate=log_uniform\(0.001, 1.0\), .* this search learning_rate=choice\(\[0.1, 0.2\]\)",
        ),
    ]:
        with pytest.raises(gradtx.TransformationError, match=says):
            searched(trials=4, lanes=2, folder=tmp_path, **options)


def test_a_study_of_other_data_another_loss_or_another_optimizer_is_refused(tmp_path):
    given = {"trials": 2, "lanes": 2, "steps": 1, "folder": tmp_path, "progress": False}
    given["space"] = {"learning_rate": log_uniform(1e-3, 1.0)}
    first = gradtx.sweep.search(gradtx.sgd, loss, jnp.array(0.0), DATA, **given)
    other = {
        "data": (gradtx.sgd, loss, jnp.array(0.0), {"x": 2 * DATA["x"]}),
        "loss": (gradtx.sgd, valley, jnp.array(0.0), DATA),
        "params": (gradtx.sgd, loss, jnp.array(1.0), DATA),
        "transformation": (gradtx.adam, loss, jnp.array(0.0), DATA),
    }
    for name, call in other.items():
        with pytest.raises(gradtx.TransformationError, match=f"does not have the {name} of this search"):
            gradtx.sweep.search(*call, **given)
    again = gradtx.sweep.search(gradtx.sgd, loss, jnp.array(0.0), DATA, **given, seed=5)  # of the draws alone
    assert again.best_value == first.best_value


def test_a_loss_that_cannot_be_is_said_before_a_trial_is_asked_for(tmp_path):
    with pytest.raises(gradtx.TransformationError, match="loss: expected one real number"):
        gradtx.sweep.search(
            gradtx.sgd, lambda params, batch: params[None], jnp.array(0.0), DATA, trials=4, steps=1, folder=tmp_path,
            progress=False, space={"learning_rate": uniform(0, 1)},
        )  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_what_fails_in_training_leaves_no_trial_running(tmp_path, monkeypatch):
    def broken(request):
        raise RuntimeError("no training")

    def search():
        return gradtx.sweep.search(
            gradtx.sgd, valley, jnp.array(0.0), DATA, trials=4, steps=1, folder=tmp_path, progress=False,
            space={"learning_rate": uniform(0, 1)},
        )  # fmt: skip

    with monkeypatch.context() as patch:
        patch.setattr("gradtx.sweep._search.train", broken)
        with pytest.raises(RuntimeError, match="no training"):
            search()
    study = optuna.load_study(
        study_name="gradtx", storage=gradtx.sweep._disk.study.open_storage(optuna, tmp_path / "study.db")
    )
    assert {t.state.name for t in study.trials} == {"FAIL"}
    assert len(search().table()) == 4


@pytest.mark.parametrize("name", ["a?b.db", "a%20b.db", "a#b.db", "a%2Fb.db", "a?mode=ro.db", "a b.db"])
def test_any_path_is_the_file_of_that_name(tmp_path, name):
    for storage in (tmp_path / name, str(tmp_path / name)):
        assert len(searched(trials=2, lanes=2, storage=storage).table()) == 2
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("folder", ["gs://bucket/x", "s3://bucket", "file:///x"])
def test_a_folder_that_is_not_on_this_machine_is_said_before_any_work(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(gradtx.TransformationError, match="folder: expected one on this machine"):
        searched(folder=folder)
    made = gradtx.sweep.run(
        loss, jnp.array(0.0), gradtx.sweep.grid(gradtx.sgd, learning_rate=[0.1]), DATA, steps=1, progress=False
    )
    with pytest.raises(gradtx.TransformationError, match="save: folder: expected one on this machine"):
        made.save(folder)
    assert not list(tmp_path.iterdir())


def test_a_study_that_is_deleted_meanwhile_is_said_in_a_line(tmp_path):
    class Deletes(optuna.samplers.RandomSampler):
        def sample_independent(self, study, trial, name, distribution):
            if trial.number == 3:
                (tmp_path / "study.db").unlink(missing_ok=True)
            return super().sample_independent(study, trial, name, distribution)

    with pytest.raises(gradtx.TransformationError, match="the study 'gradtx' cannot be read or written") as error:
        searched(trials=8, lanes=2, folder=tmp_path, sampler=Deletes())
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("seed", [-1, 2**32, -(2**40), np.int64(-3)])
def test_any_seed_of_64_bits_is_one(seed):
    assert searched(trials=2, lanes=2, seed=seed).table() == searched(trials=2, lanes=2, seed=seed).table()
    draws = [gradtx.sweep.sample(gradtx.sgd, 2, seed=seed, learning_rate=uniform(0, 1)).points for _ in range(2)]
    assert draws[0] == draws[1]


WORKER = """
import json, sys, time
import jax.numpy as jnp
import gradtx
from gradtx.sweep import _search as search, uniform

folder, slow = sys.argv[1], float(sys.argv[2])

def slowly(*given, **options):  # what trains the trials that have been claimed
    time.sleep(slow)
    return train(*given, **options)

train, search.train = search.train, slowly

def loss(params, batch, a=0.0):
    return (a - 0.3) ** 2 + 0 * params + 0 * jnp.mean(batch)

def evaluate(params):
    return {"same": params}

print("ready", flush=True)
found = gradtx.sweep.search(
    gradtx.sgd, loss, jnp.array(0.0), jnp.ones(4), trials=14, lanes=4, steps=1, folder=folder,
    space={"learning_rate": uniform(0, 1)}, numbers={"a": uniform(0, 1)},
    evaluate=evaluate, metric="final_loss", progress=False,
)
print(json.dumps(found.table()))
"""


def start(folder, slow=0.0):
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder), str(slow)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(folder, asked):
    import sqlite3
    from contextlib import closing

    if not (folder / "study.db").exists():
        return []
    with closing(sqlite3.connect(folder / "study.db", timeout=60)) as opened:
        try:
            return [row[0] for row in opened.execute(asked)]
        except sqlite3.OperationalError:  # the tables are being made
            return []


def owners(folder):
    return told(folder, "select value_json from trial_user_attributes where key = 'process'")


def test_two_processes_share_a_study_and_one_that_is_killed_blocks_nobody(tmp_path):
    killed = start(tmp_path, slow=600.0)
    until = time.monotonic() + 120
    while len(owners(tmp_path)) < 4:
        assert time.monotonic() < until, killed.communicate(timeout=5)
        time.sleep(0.05)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    workers = [start(tmp_path, slow=0.1) for _ in range(2)]
    ends = [worker.communicate(timeout=300) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], ends
    tables = [json.loads(out.splitlines()[-1]) for out, _ in ends]
    found = told(tmp_path, "select state from trials")
    assert found.count("COMPLETE") == 14
    assert found.count("FAIL") >= 4  # those of the process that was killed
    assert found.count("RUNNING") == 0
    assert tables[0] == tables[1]
    assert len({row["a"] for row in tables[0]}) == 14  # no two processes propose the same


def test_what_another_process_has_ended_is_not_told_twice():
    study = optuna.create_study()
    work = gradtx.sweep._disk.study.Work(optuna, study, 4, 2, 0, {}, fixed=False)
    mine, other = work.claim()
    study.tell(mine, state=optuna.trial.TrialState.FAIL)
    work._end(mine, values=1.0)
    work._end(mine, 3, 2.0, state=optuna.trial.TrialState.PRUNED)
    work._end(other, values=1.0)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE"]
    beats = {
        f"process {machine()} 1 00000000": time.time() - 1000,
        f"process {machine()} 999999999 00000000": time.time(),
    }
    for name, at in beats.items():  # one that is silent, and one that is not there
        study.set_user_attr(name, at)
        study.ask().set_user_attr("process", name.removeprefix("process "))
    study.ask().set_user_attr("process", "elsewhere 5 00000000")
    study.set_user_attr("process elsewhere 5 00000000", time.time())
    assert len(work.claim()) == 2  # one is finished and one is elsewhere
    assert [trial.state.name for trial in study.trials[2:5]] == ["FAIL", "FAIL", "RUNNING"]
