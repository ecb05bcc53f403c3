"""A cluster of Ray: the same report as one process gives, also where a worker or a machine is lost in the middle."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import planted_samples
import toy_folder
from image_spans.errors import ConfigError, Unavailable
from image_spans.scan import cluster, loop
from image_spans.scan.judge import Options
from image_spans.scan.loop import parts
from image_spans.scan.tally import Tally
from image_spans.scan.workers import Recipe
from toy_folder import lines

pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray's own

MACHINES = """\
import logging, sys
from ray.cluster_utils import Cluster

machines = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
second = machines.add_node(num_cpus=1)
machines.wait_for_nodes()
print(machines.address, flush=True)
for line in sys.stdin:
    machines.remove_node(second, allow_graceful=False)
    print("removed", flush=True)
machines.shutdown()
"""


@pytest.fixture(scope="module")
def machines():
    """A cluster of two machines, each with room for one worker; a line removes one of them."""
    command = [sys.executable, "-c", MACHINES]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        process.address = process.stdout.readline().strip()
        yield process
        process.stdin.close()
        process.wait()


def command(*arguments):
    return [sys.executable, "-m", "image_spans", "scan", *arguments]


def scan(*arguments, cwd):
    every = command(*arguments, "--limit-findings", "0", "--format", "json")
    done = subprocess.run(every, cwd=cwd, capture_output=True, text=True)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


OWN_OF_RAY = """
import time


def encode_on_ray(tokenizer, conversation):
    if "lose the worker once" in repr(conversation) and not (HERE / "lost").exists():
        (HERE / "lost").touch()
        os.kill(os.getppid(), signal.SIGKILL)
    if (HERE / "slow").exists():
        time.sleep(0.05)
    return encode(tokenizer, conversation)
"""


@pytest.fixture
def folder(tmp_path):
    toy_folder.write(tmp_path, more=OWN_OF_RAY, encode="encode_on_ray")
    return tmp_path


def test_what_a_reader_gives_a_judge_takes(folder, monkeypatch):
    """The two that Ray calls, called here: rows keep their numbers, and what cannot be read is told."""
    monkeypatch.chdir(folder)
    lines(folder / "b.jsonl", [f"add {number}" for number in range(40)])
    files = parts([folder / "b.jsonl"], Tally())
    lost = loop.Part(folder / "lost.jsonl", 7)
    read = cluster._Reader(str(folder))
    items = [*read({"part": pickle.dumps((3, files[0], None))}), *read({"part": pickle.dumps((4, lost, None))})]
    judge = cluster._Judge(str(folder), Recipe("toy", Path("tokenizers_under_test.yaml"), Options()), True)
    done = [pickle.loads(judge({"given": [item["given"]]})["done"][0]) for item in items]
    judge._pool.close()
    assert [len(one.verdicts) for one in done] == [32, 8, 0]
    assert [one.part for one in done] == [3, 3, 4]
    assert 0 < done[0].position < done[1].position <= files[0].size
    assert [problem.row for one in done for verdict in one.verdicts for problem in verdict.problems] == list(range(40))
    assert [[file for file, _ in one.unread] for one in done] == [[], [], [str(folder / "lost.jsonl")]]
    broken = cluster._Judge(str(folder), Recipe("tiy", Path("tokenizers_under_test.yaml"), Options()), True)
    assert "did you mean 'toy'" in pickle.loads(broken({"given": [items[0]["given"]]})["done"][0]).error


def test_a_worker_that_is_killed_loses_and_doubles_nothing(folder, machines):
    """Nor does a row that ends each process which judges it; files of every kind, and one that is missing."""
    names = ["none.jsonl"]
    planted_samples.pictures(folder)
    for name, form in (("a.json", "minicpm"), ("a.parquet", "sharegpt"), ("a.jsonl.zst", "parts")):
        causes = planted_samples.COLUMN_CAUSES if form == "sharegpt" else planted_samples.CAUSES
        planted_samples.write(folder / name, planted_samples.corpus(form, 100, causes))
        names.append(name)
    texts = [f"{'add' if number % 7 == 0 else 'right'} {number}" for number in range(300)]
    texts[5], texts[150] = "end the process", "lose the worker once"
    lines(folder / "b.jsonl", texts)
    (folder / "lost").touch()
    here = scan(*names, "b.jsonl", "--subject", "toy", "--workers", "2", cwd=folder)
    (folder / "lost").unlink()
    there = scan(*names, "b.jsonl", "--subject", "toy", "--ray", machines.address, cwd=folder)
    assert (folder / "lost").exists()
    assert there[:2] == here[:2]  # of what was lost Ray tells on stderr
    code, told, _ = here
    assert code == 2
    assert told["summary"]["rows"] == 3 * 100 + 300
    assert "row-ended-process" in told["summary"]["causes"]


def test_readers_take_the_rows_that_are_wanted(folder, machines):
    """A sample of two files is the same on a cluster, and one judge is enough."""
    for name in ("a.jsonl", "b.jsonl"):
        lines(folder / name, [f"add {name} {number}" for number in range(40)])
    arguments = ("a.jsonl", "b.jsonl", "--subject", "toy", "--sample", "10", "--seed", "3")
    here = scan(*arguments, cwd=folder)
    assert len(here[1]["findings"]) == 10
    assert scan(*arguments, "--ray", machines.address, "--workers", "1", cwd=folder) == here


def test_a_subject_that_cannot_be_loaded_there(folder, machines):
    """Here it can be: a machine lacks a file."""
    lines(folder / "a.jsonl", ["right"])
    with pytest.raises(ConfigError, match="there is no subject 'tiy'; did you mean 'toy'"):
        next(judging(machines.address, folder / "a.jsonl", "tiy"))


def test_a_machine_that_is_lost_takes_nothing_with_it(folder, machines):
    """The last test of these machines."""
    lines(folder / "b.jsonl", [f"{'add' if number % 7 == 0 else 'right'} {number}" for number in range(300)])
    arguments = ("b.jsonl", "--subject", "toy", "--format", "jsonl", "--limit-findings", "0")
    here = subprocess.run(command(*arguments), cwd=folder, capture_output=True, text=True).stdout
    (folder / "slow").touch()
    there = subprocess.Popen(
        command(*arguments, "--ray", machines.address), cwd=folder, stdout=subprocess.PIPE, text=True
    )
    with there:
        first = there.stdout.readline()
        machines.stdin.write("remove\n")
        machines.stdin.flush()
        assert machines.stdout.readline() == "removed\n"
        (folder / "slow").unlink()
        told = first + there.stdout.read()
    assert [json.loads(line) for line in told.splitlines()] == [json.loads(line) for line in here.splitlines()]
    assert here.count("\n") == 43 + 1


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere at all", "ray://127.0.0.1:1"])
def test_no_cluster(address, tmp_path, capsys):
    (tmp_path / "a.jsonl").write_text("{}\n")
    with pytest.raises(ConfigError, match=f"--ray {address}: no cluster answers there"):
        next(judging(address, tmp_path / "a.jsonl"))


def test_ray_is_not_installed(tmp_path, monkeypatch):
    (tmp_path / "a.jsonl").write_text("{}\n")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(Unavailable, match=r"pip install 'pytest-image-spans\[ray\]'"):
        next(judging("local", tmp_path / "a.jsonl"))


def judging(address, path, subject="toy"):
    tally = Tally()
    recipe = Recipe(subject, path.parent / "tokenizers_under_test.yaml", Options())
    return cluster.Cluster(address, recipe, None, with_checks=True).judge(parts([path], tally), tally)
