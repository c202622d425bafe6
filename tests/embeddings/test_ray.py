"""Embedding on a real Ray cluster of two nodes, whose workers may be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from systems import posix

from guidance.clip.scorer import ClipScorer
from guidance.embeddings.embed import embed, embed_all, store_for
from guidance.embeddings.ray_engine import _Actor, _place, _results
from guidance.errors import GuidanceError, InputError
from guidance.score.ranking import RankOptions, rank

pytest.importorskip("ray.data", exc_type=ImportError)
pytestmark = pytest.mark.filterwarnings("ignore")  # those of Ray are not ours to mend


@pytest.fixture(scope="module")
def scorer(tiny_clip_path):
    return ClipScorer(str(tiny_clip_path), device="cpu")


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> list[Path]:
    """Two hundred small pictures, all different."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for n in range(200):
        pixels = random.integers(0, 256, (6, 7, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((70, 60)).save(folder / f"{n:03}.png")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def cluster():
    """Return the address of a cluster of two nodes with two cores each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        from ray.cluster_utils import Cluster

        cluster = start(Cluster)
        yield cluster.address
        cluster.shutdown()


def start(kind: type, attempts: int = 3):
    """Start a cluster, again if a node needs more than Ray's 30 seconds on a busy machine."""
    node = {"num_cpus": 2, "object_store_memory": 100 << 20}
    for left in reversed(range(attempts)):
        cluster = kind()
        try:
            cluster.add_node(**node, include_dashboard=False)
            cluster.add_node(**node)
            return cluster
        except Exception as error:  # Ray raises plain ones
            with contextlib.suppress(Exception):
                cluster.shutdown()
            if not left:
                pytest.skip(f"Ray does not start here: {error}")


def actors() -> set[int]:
    """Return the processes of Ray that hold a model, among the descendants of this one."""
    parents, names = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                status = (folder / "status").read_text()
                parents[int(folder.name)] = int(status.split("PPid:")[1].split()[0])
                names[int(folder.name)] = (folder / "cmdline").read_text()

    def ours(pid: int) -> bool:
        while pid > 1 and pid != os.getpid():
            pid = parents.get(pid, 0)
        return pid == os.getpid()

    return {pid for pid, name in names.items() if name.startswith("ray::") and "Actor" in name
            and ours(pid)}  # fmt: skip


def rows_of(folder: Path) -> list[bytes]:
    """Return the keys in all files of a store, as often as they are there."""
    import pyarrow.parquet

    files = sorted(folder.rglob("part-*.parquet"))
    return [k for f in files for k in pyarrow.parquet.read_table(f)["key"].to_pylist()]


def test_a_cluster_gives_what_this_machine_gives(cluster, scorer, photos, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_text("no")
    files = [*photos[:20], bad, tmp_path / "none.png", *photos[20:40]]
    here = RankOptions(on_error="skip", batch=8)
    there = replace(here, engine="ray", address=cluster)
    expected = rank(files, "a fox", scorer=scorer, options=here)
    got = rank(files, "a fox", scorer=scorer, store=tmp_path / "s", options=there)
    assert [(r.index, r.source) for r in got] == [(r.index, r.source) for r in expected]
    assert [r.score for r in got] == pytest.approx([r.score for r in expected], abs=1e-5)
    assert got.skipped == expected.skipped
    assert [s.source for s in got.skipped] == [bad, tmp_path / "none.png"]
    assert len(store_for(tmp_path / "s", scorer)) == len(rows_of(tmp_path / "s")) == 40


@posix
def test_a_killed_worker_loses_nothing(cluster, scorer, photos, tmp_path):
    store = store_for(tmp_path / "s", scorer)
    # each file several times, so that the work is not over before the blow
    files = photos * 5
    killed = None
    found = []
    for part in embed(files, scorer, batch=2, store=store, engine="ray", address=cluster):
        found += [e.index for e in part]
        if killed is None:
            assert len(found) < len(files) / 2
            killed = min(actors())
            os.kill(killed, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while killed in actors() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert killed not in actors()
    assert sorted(found) == list(range(len(files)))
    keys = rows_of(tmp_path / "s")
    assert len(store) == len(set(keys)) == len(photos)
    vectors, sources, _ = embed_all(photos, scorer)
    kept = {s: v for b in store.batches() for s, v in zip(b.sources, b.vectors, strict=True)}
    for source, vector in zip(sources, vectors, strict=True):
        torch.testing.assert_close(kept[str(source)], vector, atol=1e-5, rtol=0)


def test_errors_of_actors_are_told_in_a_line(scorer, photos, tmp_path):
    store = store_for(tmp_path / "s", scorer)
    actor = _Actor(scorer, 8, 0, _place(store))
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / store.fingerprint).touch()
    names = np.array([os.fsencode(p) for p in photos[:4]], dtype=object)
    rows = actor({"index": np.arange(4), "path": names})
    with pytest.raises(GuidanceError, match=r"^cannot read .*: Not a directory$"):
        _results(rows, photos)


def test_arguments_are_checked(scorer, photos, monkeypatch):
    with pytest.raises(InputError, match="takes files only but got a Tensor"):
        embed(torch.rand(2, 3, 8, 8), scorer, engine="ray")
    with pytest.raises(InputError, match="unknown engine 'rai'; did you mean ray"):
        embed(photos, scorer, engine="rai")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"--engine ray needs Ray: pip install 'clip-guidance\[ray"
    ):
        embed(photos, scorer, engine="ray")
