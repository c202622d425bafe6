"""The embedding store: what is put in comes out, whatever happens to its files."""

import os
import signal
import time

import pyarrow.parquet as pq
import pytest
import torch
from store_processes import (
    DIM,
    add_many,
    assert_holds,
    compact_many,
    content,
    die_before_the_move,
    files,
    parts_by_age,
    start,
    store,
)
from systems import posix
from tiny_clip import unit

from guidance.embeddings import parts
from guidance.embeddings import store as store_module
from guidance.embeddings.store import EmbeddingStore, content_key
from guidance.embeddings.topk import search, top
from guidance.errors import FileError, InputError


def test_what_is_added_is_found_by_content(tmp_path):
    shared = store(tmp_path)
    keys, vectors, sources = content(0, 50)
    shared.add(keys, vectors, sources)
    unknown = content_key(b"something else")
    places, found = shared.find([keys[7], unknown, keys[3], keys[7]])
    assert places == [0, 2, 3]
    assert torch.equal(found, vectors[[7, 3, 7]])
    assert_holds(store(tmp_path), 50)  # a new one reads the disk alone


def test_nothing_is_created_before_the_first_add(tmp_path):
    shared = store(tmp_path / "new")
    places, found = shared.find(content(0, 3)[0])
    assert places == []
    assert found.shape == (0, DIM)
    assert len(shared) == len(list(shared.batches())) == 0
    shared.compact()
    shared.add([], torch.empty(0, DIM), [])
    assert list(tmp_path.iterdir()) == []


def test_the_same_content_makes_the_same_file(tmp_path):
    keys, vectors, sources = content(0, 20)
    one, other = store(tmp_path / "one"), store(tmp_path / "other")
    one.add(keys, vectors, sources)
    other.add(keys[::-1], vectors.flip(0), sources[::-1])
    assert files(one)[0].name == files(other)[0].name
    assert files(one)[0].read_bytes() == files(other)[0].read_bytes()
    one.add(keys, vectors, sources)
    assert len(files(one)) == 1
    changed = store(tmp_path / "changed")
    changed.add(keys, vectors + 1, sources)
    assert files(changed)[0].name != files(one)[0].name


def test_known_images_stay_as_they_are(tmp_path):
    shared = store(tmp_path)
    shared.add(*content(0, 10))
    keys, vectors, sources = content(5, 15)
    shared.add(keys * 2, torch.cat([vectors, -vectors]), sources * 2)  # each twice
    shared.add(keys, vectors * 2, sources)
    assert_holds(shared, 15)


@pytest.mark.parametrize("end", [b"\0", b"\0\0\0", b"\xff", b" \0"])
def test_keys_are_compared_in_all_their_bytes(tmp_path, end):
    keys = [bytes(16), b"a".ljust(16, b"\0"), b"b" * (16 - len(end)) + end, b"b" * 15 + b"\1"]
    shared = store(tmp_path)
    shared.add(keys, torch.arange(4.0)[:, None].expand(4, DIM), list("abcd"))
    batch = next(shared.batches())
    assert dict(zip(batch.keys, batch.sources, strict=True)) == dict(zip(keys, "abcd", strict=True))
    assert shared.find(keys)[1][:, 0].tolist() == [0, 1, 2, 3]


def test_any_file_name_is_kept(tmp_path):
    names = ["a\nb.jpg", "日本.png", os.fsdecode(b"\xff\xfe.jpg"), "\ud800", "x\0y", ""]
    shared = store(tmp_path)
    shared.add(content(0, len(names))[0], torch.zeros(len(names), DIM), names)
    kept = {s for batch in shared.batches() for s in batch.sources}
    assert {"a\nb.jpg", "日本.png", "x\0y", "", "\\udcff\\udcfe.jpg", "\\ud800"} == kept


def test_other_programs_can_read_the_files(tmp_path):
    store(tmp_path).add(*content(0, 5))
    table = pq.read_table(files(store(tmp_path))[0])
    rows = {r["source"]: (r["key"], r["vector"]) for r in table.to_pylist()}
    keys, vectors, sources = content(0, 5)
    assert rows[sources[3]] == (keys[3], vectors[3].tolist())


def test_content_keys(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    (tmp_path / "b").write_bytes(b"x" * 2_999_999)
    assert content_key(tmp_path / "a") == content_key(b"x" * 3_000_000)
    assert content_key(str(tmp_path / "b")) != content_key(tmp_path / "a")
    assert len(content_key(b"")) == 16
    for path in ("none", ".", "a\0b"):
        with pytest.raises(FileError, match="cannot read"):
            content_key(tmp_path / path)


def test_compaction_changes_nothing_but_the_files(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "PART_BYTES", 4 * DIM * 300)
    shared, beside = store(tmp_path), store(tmp_path)
    add_many(tmp_path, 0, 1000, 90)
    assert_holds(beside, 1000)
    shared.compact()
    assert [len(parts.keys(f, DIM)) for f in parts_by_age(shared)] == [300, 300, 300, 100]
    for each in (shared, beside, store(tmp_path)):
        assert_holds(each, 1000)
    large = set(files(shared))
    shared.add(*content(1000, 1040))
    shared.compact()
    assert len(files(shared)) == 4
    assert len(large & set(files(shared))) == 3  # large files are left alone
    before = files(shared)
    shared.compact()
    assert files(shared) == before
    assert_holds(beside, 1040)


def test_a_reader_goes_on_when_the_files_are_compacted_under_it(tmp_path):
    add_many(tmp_path, 0, 400, 40)
    shared = store(tmp_path)
    stream = shared.batches(25)
    given = [next(stream)]
    beside = store(tmp_path)
    beside.add(*content(400, 500))  # after the start: may be left out, but never given twice
    beside.compact()
    given += stream
    keys = [key for batch in given for key in batch.keys]
    assert sorted(keys) == sorted(content(0, 400)[0])
    assert [len(batch.keys) for batch in given] == [25] * 16
    assert_holds(shared, 500)


def test_processes_add_and_compact_at_once(tmp_path):
    writers = [start(add_many, tmp_path, first, first + 200, 7) for first in (0, 100, 200)]
    writers.append(start(compact_many, tmp_path, 8))
    shared = store(tmp_path)
    sizes = []
    while any(w.is_alive() for w in writers):
        sizes.append(len(shared))
        keys = [key for batch in shared.batches(64) for key in batch.keys]
        assert len(set(keys)) == len(keys) >= sizes[-1]
        places, found = shared.find(content(0, 400)[0])
        assert torch.equal(found, content(0, 400)[1][places])
        assert len(places) >= len(keys)
    assert [w.exitcode for w in writers] == [0] * 4
    assert sizes == sorted(sizes)  # nothing that was there is ever missing
    assert not shared.damaged
    assert_holds(shared, 400)
    shared.compact()
    assert len(files(shared)) == 1
    assert_holds(store(tmp_path), 400)


@posix
def test_a_process_killed_before_the_move_leaves_nothing_half_done(tmp_path):
    store(tmp_path).add(*content(0, 10))
    process = start(die_before_the_move, tmp_path, 10, 20)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    shared = store(tmp_path)
    rests = list(shared.folder.glob(".tmp-*"))
    assert len(rests) == 1
    assert_holds(shared, 10)
    shared.add(*content(10, 20))
    shared.compact()
    assert rests[0].exists()  # it may belong to a process that lives
    os.utime(rests[0], (time.time() - 4000,) * 2)
    shared.compact()
    assert not rests[0].exists()
    assert_holds(store(tmp_path), 20)


@posix
def test_a_process_killed_at_any_moment_leaves_whole_files(tmp_path):
    for round_ in range(2):
        process = start(add_many, tmp_path, 0, 100_000, 11)
        deadline = time.monotonic() + 60
        while len(store(tmp_path)) < 150 * (round_ + 1) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        shared = store(tmp_path)
        count = len(shared)
        assert count >= 150 * (round_ + 1)
        assert count % 11 == 0
        assert_holds(shared, count)
        assert not shared.damaged


def test_open_finds_the_model_or_names_those_there_are(tmp_path):
    for number, name in enumerate(["mini", "ViT-B-32/openai"]):
        made = EmbeddingStore(tmp_path, fingerprint=f"{number}abc" * 8, dim=4 + number, model=name)
        made.add([content_key(b"x")], torch.zeros(1, 4 + number), ["x"])
    for wanted in ("1abc", "1abc" * 8, "ViT-B-32/openai"):
        opened = EmbeddingStore.open(tmp_path, wanted)
        assert (opened.dim, opened.model, len(opened)) == (5, "ViT-B-32/openai", 1)
    with pytest.raises(InputError, match=r"several models; name one of mini \(0abc.*, ViT-B-32"):
        EmbeddingStore.open(tmp_path)
    with pytest.raises(InputError, match=r"unknown model 'minni'; did you mean mini\?"):
        EmbeddingStore.open(tmp_path, "minni")
    with pytest.raises(InputError, match="holds no embeddings"):
        EmbeddingStore.open(tmp_path / "nothing")
    with pytest.raises(InputError, match="holds no embeddings"):
        EmbeddingStore.open(files(opened)[0])


def test_arguments_are_checked_first(tmp_path):
    shared = store(tmp_path / "new")
    keys, vectors, sources = content(0, 3)
    for call, message in [
        (lambda: shared.add(keys[:2], vectors, sources), "vectors must have shape"),
        (lambda: shared.add(keys, vectors[:, :5], sources), "vectors must have shape"),
        (lambda: shared.add(keys, vectors, sources[:2]), "sources must be 3 texts"),
        (lambda: shared.add(keys, vectors, "abc"), "sources must be 3 texts"),
        (lambda: shared.add(keys, vectors / 0, sources), "must be finite"),
        (lambda: shared.add(["a"] * 3, vectors, sources), "keys must be of 16 bytes"),
        (lambda: shared.find([b"short"]), "keys must be of 16 bytes"),
        (lambda: next(shared.batches(0)), "size must be at least 1"),
        (lambda: EmbeddingStore(tmp_path, fingerprint="../x", dim=3), "fingerprint must be"),
        (lambda: EmbeddingStore(tmp_path, fingerprint="x", dim=0), "dim must be at least 1"),
    ]:
        with pytest.raises(InputError, match=message):
            call()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileError, match="is a file, not a folder"):
        store(tmp_path / "file")
    shared.add(keys, vectors, sources)
    with pytest.raises(FileError, match=f"holds embeddings of length {DIM}, not 7"):
        EmbeddingStore(shared.root, fingerprint=shared.fingerprint, dim=7)


def test_ranking_reads_the_store(tmp_path):
    shared = EmbeddingStore(tmp_path, fingerprint="a", dim=16)
    vectors, queries = unit(500, 16), unit(3, 16, seed=1)
    keys = [content_key(str(n).encode()) for n in range(500)]
    for part in torch.arange(500).split(60):
        numbers = part.tolist()
        shared.add([keys[n] for n in numbers], vectors[part], [str(n) for n in numbers])
    expected_scores, expected = top(vectors, queries, 9)
    scores, found = search(shared, queries, 9)
    assert torch.allclose(scores, expected_scores, atol=1e-6)
    assert [[int(source) for _, source in row] for row in found] == expected.tolist()
    assert [[key for key, _ in row] for row in found] == [
        [keys[n] for n in row] for row in expected.tolist()
    ]
    streamed, _ = top(shared.batches(77), queries, 9)
    assert torch.allclose(streamed, expected_scores, atol=1e-6)
