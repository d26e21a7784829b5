import json

import pytest

from perennial.agent.artifact.digest import content_digest
from perennial.agent.drift.data.reference import read_reference
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.commands import RunReference
from perennial.api.contract.manifest import InputManifest
from perennial.core.failures import DATA_INVALID, DIGEST_MISMATCH, MANIFEST_INVALID, OBJECT_NOT_FOUND, REFERENCE_CHANGED
from tests.unit.agent.drift.store import MemoryStore, csv, entry, manifest

VERSION = "s3://models/churn/versions/abc/"
TRAIN = "s3://data/churn/train/"
A, B = csv({"x": [1, 2]}), csv({"x": [3]})


def trained_on(listed: bool = True, **inputs: dict[str, bytes]):
    """Return storage after a run with these inputs, and the reference to it."""
    made = []
    store = MemoryStore()
    for name, files in inputs.items():
        uri = f"s3://data/churn/{name}/"
        entries = tuple(entry(path, content) for path, content in files.items())
        made.append(InputManifest(name=name, uri=uri, digest=content_digest(entries), files=entries if listed else ()))
        store.objects.update({uri + path: content for path, content in files.items()})
    document = manifest(*made)
    store.objects[f"{VERSION}manifest.json"] = json.dumps(document.dump()).encode()
    return store, RunReference(uri=VERSION, digest=document.digest)


def failure(store, reference, tmp_path, pinned=None):
    with pytest.raises(AgentError) as caught:
        read_reference(store, reference, tmp_path, set(), pinned)
    return caught.value.failure, str(caught.value)


def test_a_prefix_of_the_users_own(tmp_path):
    store = MemoryStore({TRAIN + "a.csv": A, TRAIN + "deep/b.csv": B})
    assert read_reference(store, TRAIN, tmp_path, set()).table.column("x").to_list() == [1, 2, 3]


def test_the_digest_depends_on_names_and_contents_alone(tmp_path):
    first, other = {"a.csv": A, "deep/b.csv": B}, csv({"x": [4]})
    same = {"deep/b.csv": B, "_SUCCESS": b"", "a.csv": A}
    digests = []
    for number, files in enumerate((first, same, {"a.csv": A, "b.csv": B}, {**first, "a.csv": other})):
        store = MemoryStore({TRAIN + name: content for name, content in files.items()})
        (tmp_path / str(number)).mkdir()
        digests.append(read_reference(store, TRAIN, tmp_path / str(number), set()).digest)
    assert digests[0] == digests[1] == content_digest((entry("a.csv", A), entry("deep/b.csv", B)))
    assert len(set(digests)) == 3


@pytest.mark.parametrize("uri", [TRAIN, TRAIN.rstrip("/"), f"{TRAIN}a.csv"])
def test_a_pinned_reference_is_read_as_long_as_it_is_the_same(tmp_path, uri):
    pinned = content_digest((entry("a.csv", A),))
    read = read_reference(MemoryStore({TRAIN + "a.csv": A}), uri, tmp_path, set(), pinned)
    assert (read.digest, read.table.rows) == (pinned, 2)


@pytest.mark.parametrize("files", [{"a.csv": B}, {"a.csv": A, "b.csv": B}, {"b.csv": A}])
def test_a_pinned_reference_that_has_changed_is_not_compared(tmp_path, files):
    pinned = content_digest((entry("a.csv", A),))
    found = content_digest(entry(name, content) for name, content in files.items())
    store = MemoryStore({TRAIN + name: content for name, content in files.items()})
    kind, text = failure(store, TRAIN, tmp_path, pinned)
    assert kind is REFERENCE_CHANGED
    assert f"under reference.uri {TRAIN} have the digest {found}, but reference.digest is {pinned}" in text


def test_the_digest_of_a_runs_input_is_that_of_its_manifest(tmp_path):
    store, reference = trained_on(train={"a.csv": A, "notes.txt": b"not a table"})
    read = read_reference(store, reference, tmp_path, set())
    assert read.digest == content_digest((entry("a.csv", A), entry("notes.txt", b"not a table")))


def test_nothing_there_is_told_with_the_uri(tmp_path):
    kind, text = failure(MemoryStore(), TRAIN, tmp_path)
    assert kind is OBJECT_NOT_FOUND
    assert TRAIN in text


@pytest.mark.parametrize("listed", [True, False])
def test_the_files_that_the_run_learned_from(tmp_path, listed):
    store, reference = trained_on(listed, train={"a.csv": A, "deep/b.csv": B, "notes.txt": b"not a table"})
    assert sorted(read_reference(store, reference, tmp_path, set()).table.column("x").to_list()) == [1, 2, 3]


def test_files_that_came_later_are_not_read(tmp_path):
    store, reference = trained_on(train={"a.csv": A})
    store.objects[TRAIN + "later.csv"] = B
    assert read_reference(store, reference, tmp_path, set()).table.rows == 2
    assert store.downloaded == [TRAIN + "a.csv"]


def test_a_single_object_as_input(tmp_path):
    store = MemoryStore({"s3://data/all.csv": A})
    entries = (entry("all.csv", A),)
    item = InputManifest(name="train", uri="s3://data/all.csv", digest=content_digest(entries), files=entries)
    document = manifest(item)
    store.objects[f"{VERSION}manifest.json"] = json.dumps(document.dump()).encode()
    reference = RunReference(uri=VERSION.rstrip("/"), digest=document.digest)
    assert read_reference(store, reference, tmp_path, set()).table.rows == 2


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("change", ["flipped", "longer", "gone"])
def test_a_reference_that_changed_since_the_training_is_refused(tmp_path, change, listed):
    store, reference = trained_on(listed, train={"a.csv": A, "b.csv": B})
    match change:
        case "flipped":
            store.objects[TRAIN + "b.csv"] = B.replace(b"3", b"4")
        case "longer":
            store.objects[TRAIN + "b.csv"] += b"4\n"
        case _:
            del store.objects[TRAIN + "b.csv"]
    kind, text = failure(store, reference, tmp_path)
    assert kind is DIGEST_MISMATCH
    assert "the reference has changed since training" in text
    assert "train again" in text


def test_one_input_of_several_must_be_named(tmp_path):
    store, reference = trained_on(train={"a.csv": A}, labels={"b.csv": B})
    kind, text = failure(store, reference, tmp_path)
    assert kind is OBJECT_NOT_FOUND
    assert "set reference.input to one of train, labels" in text
    chosen = reference.model_copy(update={"input": "labels"})
    assert read_reference(store, chosen, tmp_path, set()).table.column("x").to_list() == [3]
    kind, text = failure(store, reference.model_copy(update={"input": "nope"}), tmp_path)
    assert "no input nope: set reference.input to one of train, labels" in text


def test_a_run_without_inputs_says_what_to_set(tmp_path):
    kind, text = failure(*trained_on(), tmp_path)
    assert kind is OBJECT_NOT_FOUND
    assert "set reference.uri instead" in text


def test_hidden_folders_of_an_input_hold_no_rows_and_are_named(tmp_path):
    store, reference = trained_on(train={"a.csv": A, "_temporary/0/a.csv": A, "_SUCCESS": b""})
    table = read_reference(store, reference, tmp_path, set()).table
    assert table.column("x").to_list() == [1, 2]
    assert table.passed_over == ("_SUCCESS", "_temporary/0/a.csv")


def test_an_input_without_tables_is_told(tmp_path):
    kind, text = failure(*trained_on(train={"a.png": b"?"}), tmp_path)
    assert kind is DATA_INVALID
    assert "input train" in text


def test_the_manifest_must_be_that_of_the_served_version(tmp_path):
    store, reference = trained_on(train={"a.csv": A})
    kind, text = failure(store, reference.model_copy(update={"digest": "sha256:" + "0" * 64}), tmp_path)
    assert kind is DIGEST_MISMATCH
    assert "manifest.json" in text


def test_a_manifest_whose_files_do_not_make_its_digest_is_refused(tmp_path):
    store, reference = trained_on(train={"a.csv": A})
    uri = f"{VERSION}manifest.json"
    document = json.loads(store.objects[uri])
    document["files"][0]["size"] += 1
    store.objects[uri] = json.dumps(document).encode()
    assert failure(store, reference, tmp_path)[0] is DIGEST_MISMATCH


@pytest.mark.parametrize("content", [b"{}", b"not json", b'{"schemaVersion": 2}'])
def test_something_else_in_its_place_is_no_manifest(tmp_path, content):
    store, reference = trained_on(train={"a.csv": A})
    store.objects[f"{VERSION}manifest.json"] = content
    kind, text = failure(store, reference, tmp_path)
    assert kind is MANIFEST_INVALID
    assert f"{VERSION}manifest.json is not a valid manifest" in text
