"""The address of a run is understood once, where a command begins; below, a run folder goes from hand to hand."""

from __future__ import annotations

import re
from contextlib import contextmanager

import pytest
from drawing import tiny_dataset
from fake_run import FakeRun

from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.errors import UserError
from fer_tune.filing import uris
from fer_tune.run_folder import RunFolder
from fer_tune.search.options import SearchOptions
from fer_tune.search.running import engine
from fer_tune.storage import runs
from fer_tune.storage.mirror import Mirror


class Counting:
    """Stands for the pattern that every address is compared with."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern
        self.seen: list[str] = []

    def fullmatch(self, text: str) -> re.Match[str] | None:
        self.seen.append(text)
        return self._pattern.fullmatch(text)


@pytest.fixture
def counted(monkeypatch):
    """What is asked of an address while something runs: whether it is a URI, whether it is the copy of a run."""
    pattern, copies = Counting(uris._URI), []
    uri_of_copy = runs.uri_of_copy
    monkeypatch.setattr(uris, "_URI", pattern)
    monkeypatch.setattr(runs, "uri_of_copy", lambda folder: (copies.append(folder), uri_of_copy(folder))[1])
    return pattern.seen, copies


@pytest.fixture
def resumed(monkeypatch):
    """Resumes a search up to where Ray would train; the rest is as it is, the store and what Tune restores too."""
    met: list[RunFolder] = []

    @contextmanager
    def no_ray(**options):
        yield False

    def fit(tuner, run, settings):
        met.append(run)
        run.report.mkdir(exist_ok=True)
        (run.report / "report.md").write_text("while it runs")
        return engine.Ended(run, finished=True, interrupted=False)

    monkeypatch.setattr(engine, "ray_session", no_ray)
    monkeypatch.setattr(engine, "_fit", fit)
    return met


def a_run(folder, tmp_path) -> None:
    card = tiny_dataset(tmp_path / "data", n_train=7, n_val=7, n_test=7)
    run = FakeRun(folder, tmp_path / "data", card.content_hash, backbones=("cnn_simpler",)).write()
    run.write_settings(run.settings().model_copy(update={"published": {}, "concurrent": 1}))


@pytest.mark.parametrize("by_its_copy", [False, True])
def test_a_resume_in_a_store_understands_its_address_once(bucket, tmp_path, counted, resumed, by_its_copy):
    uri = f"{bucket}/runs/r"
    there = Mirror(uri)
    a_run(there.folder, tmp_path)
    there.push()
    there.place.put("tune/tuner.pkl", there.folder / "tune/tuner.pkl")  # Tune writes its state into the store itself
    address = str(there.folder) if by_its_copy else uri
    texts, copies = counted
    ended = engine.resume(address)
    assert (ended.run.place, resumed) == (uri, [ended.run])
    assert "report/report.md" in there.place.listing()
    assert copies == ([there.folder] if by_its_copy else [])
    assert texts.count(uri) == (0 if by_its_copy else 1)


def test_a_resume_in_a_folder_understands_its_address_once(tmp_path, counted, resumed):
    a_run(tmp_path / "r", tmp_path)
    ended = engine.resume(tmp_path / "r")
    assert (ended.run.place, ended.run.uri, resumed) == (str(tmp_path / "r"), "", [ended.run])
    assert counted[1] == [tmp_path / "r"]


@pytest.mark.parametrize("address", ["s3://", "gs:", "s3:/"])
def test_a_store_without_anything_in_it_is_no_folder_of_that_name(address):
    with pytest.raises(UserError, match=rf"{address}: names a store and nothing in it; write \w+://BUCKET/FOLDER"):
        uris.as_uri(address)
    assert uris.as_uri("file://") == uris.as_uri("a:b") == ""


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a/b", "take the slashes out"),
        ("..", "take the slashes out"),
        (" first", "take spaces at its ends and breaks out"),
        ("a\nb", "take spaces at its ends and breaks out"),
        ("x" * 300, "200 bytes at most"),
        ("喜" * 100, "200 bytes at most"),
    ],
)
def test_a_run_has_the_name_of_a_folder(tmp_path, name, told):
    tiny_dataset(tmp_path / "data", n_train=7, n_val=7, n_test=7)
    options = SearchOptions(data=tmp_path / "data", backbones=["cnn_simpler"], name=name, storage=tmp_path / "runs")
    with pytest.raises(UserError, match=f"--name .*{told}"):
        engine._new_run_folder(options, PreparedDataset.open(tmp_path / "data"))
