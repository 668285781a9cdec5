from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.parts import manifest_with, row_of
from worker.outbox.manifest import (
    MANIFEST,
    Manifest,
    read_manifest,
)
from worker.shoots import Source

GOOD, BAD = Source("car/01.jpg", 10, 5), Source("car/02.jpg", 0, 6)


def manifest() -> Manifest:
    return manifest_with(
        "car",
        [
            row_of(GOOD, "01", mask_area=0.25, seconds={"decode": 0.1}),
            row_of(BAD, "02", error={"code": "empty-file", "message": "It is empty."}),
        ],
        status="incomplete",
    )


def write(folder: Path, text: str) -> None:
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write(tmp_path, manifest().model_dump_json())
    assert read_manifest(tmp_path) == manifest()


def test_a_manifest_knows_the_photos_that_it_answers_for_and_what_failed() -> None:
    assert manifest().sources() == {GOOD, BAD}
    assert [row.name for row in manifest().failed()] == ["02"]


def test_a_manifest_is_json_with_its_format_in_it() -> None:
    found = json.loads(manifest().model_dump_json())
    assert (found["format"], found["status"]) == (1, "incomplete")
    assert found["frames"][1]["error"]["code"] == "empty-file"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', "\0"])
def test_a_file_that_is_no_manifest_counts_as_none(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    assert read_manifest(tmp_path) is None


@pytest.mark.parametrize("changes", [{"format": 2}, {"status": "good"}])
def test_a_manifest_of_another_form_counts_as_none(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    write(tmp_path, json.dumps(manifest().model_dump(mode="json") | changes))
    assert read_manifest(tmp_path) is None


def test_a_folder_without_a_manifest_has_none(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None
    assert read_manifest(tmp_path / "gone") is None


def test_a_field_of_a_newer_program_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, json.dumps(manifest().model_dump(mode="json") | {"colour": "red"}))
    assert read_manifest(tmp_path) == manifest()


def test_a_lean_manifest_is_the_same_but_for_the_views_of_the_booth() -> None:
    rows = [row_of(Source("car/01.jpg", 1, 1), booth="a view", mask_area=0.2)]
    lean = manifest_with("car", rows).lean()
    assert lean == manifest_with("car", [rows[0].model_copy(update={"booth": None})])
    assert lean.frames[0].mask_area == 0.2
