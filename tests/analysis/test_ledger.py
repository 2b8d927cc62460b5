"""The ledgers of openings: they bind a run and a split, and what was done to them shows."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from drawing import tiny_dataset
from made_run import Made, make_run

from analysis import load_run
from analysis.heldout.opening import run_test
from analysis.report.form.rendering import as_markdown
from analysis.report.sections.whole import describe
from analysis.report.telling.facts import gather
from analysis.report.telling.findings import standing
from analysis.run import ledger
from analysis.run.openings import openings_of, split_ledger
from analysis.run.split_ledger import FILE, SplitLedger
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.errors import UserError


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """A refitted run on a dataset, and on a machine, of its own."""
    monkeypatch.setenv("FER_TUNE_CACHE", str(tmp_path / "machine"))
    card = tiny_dataset(tmp_path / "data", n_train=14, n_val=7, n_test=35)
    made = make_run(tmp_path / "run", (tmp_path / "data", card))
    made.refit([[0.6, 0.61], [0.4, 0.4], [0.3, 0.3]], published=2)
    return made


def another(made: Made, name: str) -> Made:
    """Return another refitted run on the same dataset."""
    other = make_run(made.path.parent / name, (made.data, made.card))
    other.refit([[0.6, 0.61]])
    return other


def faults(made: Made) -> list[str]:
    return openings_of(made.run, split_ledger(made.run)).faults


def report_of(made: Made) -> str:
    """Return the words of the report, without the time that its figures take."""
    run = made.run
    return as_markdown(describe(gather(run, standing(run), []), []))


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_chain_shows_what_was_changed_taken_out_and_put_in(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    for number in range(4):
        ledger.append(file, {"kind": "opening", "opening": number})
    lines = file.read_text().splitlines()
    assert ledger.read(file).faults == []
    assert [entry["opening"] for entry in ledger.read(file).entries] == [0, 1, 2, 3]
    changed = [lines[0], lines[1].replace('"opening": 1', '"opening": 7'), *lines[2:]]
    put_in = [*lines[:2], ledger.chained({"kind": "opening"}, "1" * 64), *lines[2:]]
    assert ledger.parse(changed).faults == ["line 3 does not follow from those before it"]
    assert ledger.parse([lines[0], *lines[2:]]).faults == ["line 2 does not follow from those before it"]
    assert ledger.parse(lines[1:]).faults == ["line 1 does not follow from those before it"]
    assert ledger.parse(put_in).faults == ["line 3 does not follow from those before it"]
    assert ledger.parse([*lines[:2], "{", *lines[2:]]).faults == ["line 3 cannot be read"]


def test_a_line_that_was_cut_short_does_not_swallow_the_next(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    ledger.append(file, {"kind": "opening", "opening": 1})
    with file.open("a") as stream:
        stream.write('{"kind": "open')
    ledger.append(file, {"kind": "opening", "opening": 2})
    found = ledger.read(file)
    assert [entry["opening"] for entry in found.openings] == [1, 2]
    assert found.faults == ["line 2 cannot be read"]


def test_two_openings_side_by_side_on_two_machines_are_no_fault(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    ledger.append(file, {"kind": "opening", "opening": 1})
    last = ledger.read(file).last
    both = [*file.read_text().splitlines(), *(ledger.chained({"kind": "opening", "by": by}, last) for by in "ab")]
    assert ledger.parse(both).faults == []


def test_runs_on_the_same_split_know_of_each_other(own, models) -> None:
    run_test(own.run, **models)
    other = another(own, "later")
    assert "read by" not in report_of(own)
    run_test(other.run, **models)
    assert "The same held-out images were read by 1 other run too: run (20" in report_of(other)
    assert "The same held-out images were read by 1 other run too: later (20" in report_of(own)
    assert [entry["before_by_others"] for entry in own.run.openings] == [[]]
    assert other.run.openings[0]["before_by_others"][0].startswith("run (20")
    assert faults(own) == faults(other) == []


def test_another_split_is_another_ledger(own, models, tmp_path: Path) -> None:
    run_test(own.run, **models)
    card = tiny_dataset(tmp_path / "others", n_train=14, n_val=7, n_test=35, seed=5)
    other = make_run(tmp_path / "elsewhere", (tmp_path / "others", card))
    other.refit([[0.6, 0.61]])
    assert openings_of(other.run, split_ledger(other.run)).others == []


@pytest.mark.parametrize("gone", ["ledger.jsonl", "."])
def test_a_ledger_that_was_deleted_is_no_first_opening(own, models, gone: str) -> None:
    run_test(own.run, **models)
    place = own.path / "test" / gone
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    with pytest.raises(UserError, match=r"(?s)opened once.*records of openings do not hold"):
        run_test(own.run, **models)
    assert "The records of the held-out split do not hold" in report_of(own)
    assert run_test(own.run, again=True, why="the disk died", **models).opening == 2
    assert own.run.openings[0]["faults"]  # what was found is on record with the opening that went on all the same


def test_results_without_any_ledger_are_told(own, models, monkeypatch, tmp_path: Path) -> None:
    run_test(own.run, **models)
    own.run.folder.ledger_file.unlink()
    (own.data / FILE).unlink()
    monkeypatch.setenv("FER_TUNE_CACHE", str(tmp_path / "another machine"))
    assert faults(own) == ["test/ledger.jsonl is missing, but there are results that an opening gave"]
    with pytest.raises(UserError, match="is missing, but there are results"):
        run_test(own.run, **models)


def test_a_copy_of_a_run_is_the_same_run(own, models) -> None:
    copy = own.path.parent / "copy"
    shutil.copytree(own.path, copy)
    run_test(own.run, **models)
    with pytest.raises(UserError, match="opened for this run, or a copy of it"):
        run_test(load_run(copy), **models)


def test_what_an_opening_gave_cannot_be_changed_unseen(own, models) -> None:
    result = run_test(own.run, **models)
    file = own.run.folder.test(result.config_id, 1) / "metrics.json"
    whole = file.read_text()
    file.write_text(whole.replace(str(result.accuracy.value), "0.99", 1))
    told = (
        f"test/opening_1/{result.config_id}/metrics.json is not what its opening wrote: its hash on record is another"
    )
    assert faults(own) == [told]
    assert told in report_of(own).replace("\\", "")
    file.write_text(whole)
    assert faults(own) == []
    file.unlink()
    assert faults(own) == [f"test/opening_1/{result.config_id}/metrics.json is on record and is gone"]


def test_a_line_of_a_runs_ledger_cannot_be_changed_unseen(own, models) -> None:
    run_test(own.run, **models)
    file = own.run.folder.ledger_file
    file.write_text(file.read_text().replace("first reading", "a rehearsal"))
    assert faults(own) == ["test/ledger.jsonl was altered: line 2 does not follow from those before it"]
    with pytest.raises(UserError, match="was altered"):
        run_test(own.run, **models)


def test_again_keeps_what_was_there(own, models) -> None:
    first = run_test(own.run, views=("flip",), **models)
    before = content(own.path / "test" / "opening_1")
    assert {Path(name).name for name in before} >= {"metrics.json", "predictions.parquet", "comparison.json"}
    second = run_test(own.run, again=True, **models)
    assert content(own.path / "test" / "opening_1") == before
    assert [test.opening for test in own.run.tests] == [2, 2, 2]
    assert own.run.all_tests[-1].opening == own.run.all_tests[-2].opening == 1
    assert (first.opening, second.opening, own.run.comparison.opening) == (1, 2, 2)
    assert faults(own) == []


def test_an_opening_that_left_nothing_costs_no_earlier_result(own, models, monkeypatch) -> None:
    first = run_test(own.run, **models)

    def crash(self: Any) -> Any:
        raise OSError("the disk died")

    monkeypatch.setattr(PreparedDataset, "open_test", crash)
    with pytest.raises(OSError, match="disk"):
        run_test(own.run, again=True, **models)
    assert own.run.tests[0] == first
    assert len(own.run.openings) == 2


def test_of_two_at_once_one_opens(own, models, monkeypatch) -> None:
    opened, refused = [], []
    together = threading.Barrier(2, timeout=30)
    begin = ledger.append

    def slowly(file: Path, entry: dict[str, Any]) -> None:
        threading.Event().wait(0.2)  # as long as the other needs to come between check and append, if it could
        begin(file, entry)

    def test() -> None:
        run = own.run
        together.wait()
        try:
            opened.append(run_test(run, **models))
        except UserError as error:
            refused.append(str(error))

    monkeypatch.setattr(ledger, "append", slowly)
    threads = [threading.Thread(target=test) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(opened), len(refused)) == (1, 1)
    assert "opened once" in refused[0]
    assert len(own.run.openings) == 1


def test_the_ledger_goes_with_the_dataset_to_another_machine(own, models, monkeypatch, tmp_path: Path) -> None:
    run_test(own.run, **models)
    shutil.copytree(own.data, tmp_path / "there")
    monkeypatch.setenv("FER_TUNE_CACHE", str(tmp_path / "another machine"))
    other = make_run(tmp_path / "later", (tmp_path / "there", own.card))
    other.refit([[0.6, 0.61]])
    run_test(other.run, **models)
    assert openings_of(other.run, split_ledger(other.run)).other_runs[0].startswith("run (20")


def test_a_dataset_that_cannot_be_written_is_known_on_the_machine(own, models) -> None:
    (own.data / FILE).mkdir()  # nothing can be appended to it, by root neither
    run_test(own.run, **models)
    assert ledger.read(own.run.folder.ledger_file).results[0]["not_noted"] == ["beside the dataset"]
    told = "A reading by this run could not be noted beside the dataset, where its folder cannot be written: other runs"
    assert told in report_of(own)
    shutil.rmtree(own.path / "test")
    with pytest.raises(UserError, match="opened once"):
        run_test(own.run, **models)


def test_what_is_noted_everywhere_is_not_worth_a_word(own, models) -> None:
    run_test(own.run, **models)
    assert openings_of(own.run, split_ledger(own.run)).not_noted == []
    assert "could not be noted" not in report_of(own)


def test_without_a_home_the_dataset_alone_knows(own, models, monkeypatch) -> None:
    monkeypatch.delenv("FER_TUNE_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def homeless(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    with monkeypatch.context() as unknown:
        unknown.setattr(Path, "expanduser", homeless)
        found = SplitLedger(own.card.split_hashes["test"], SplitLedger.of("0" * 64, "s3://a/b").machine, own.data)
    assert found.machine is None
    assert found.append({"kind": "opening", "id": "a", "when": "2026"}) == ["on this machine"]
    assert [entry["id"] for entry in found.read().openings] == ["a"]


def test_in_a_store_each_line_is_an_object(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FER_TUNE_CACHE", str(tmp_path / "one"))
    uri = f"memory://{tmp_path.name}/data"
    one = SplitLedger.of("a" * 64, f"{uri}#{'b' * 64}")
    assert one.append({"kind": "opening", "id": "1", "when": "2026-01-02T03:04:05"}) == []
    monkeypatch.setenv("FER_TUNE_CACHE", str(tmp_path / "two"))
    two = SplitLedger.of("a" * 64, uri)
    assert [entry["id"] for entry in two.read().openings] == ["1"]
    two.append({"kind": "opening", "id": "2", "when": "2026-01-02T03:04:04"})  # its clock is behind
    assert [entry["id"] for entry in one.read().openings] == ["2", "1"]
    assert one.read().faults == two.read().faults == []


def test_the_hashes_are_those_of_the_files(own, models) -> None:
    run_test(own.run, **models)
    [entry] = ledger.read(own.run.folder.ledger_file).results
    here = content(own.path / "test" / "opening_1")
    assert {name.removeprefix("test/opening_1/") for name in entry["files"]} == set(here)
    assert all(entry["files"][f"test/opening_1/{name}"] == ledger.digest(held) for name, held in here.items())
    assert json.loads((own.data / FILE).read_text().splitlines()[1])["files"] == entry["files"]
