"""Whatever lies in an inbox, a manifest or a settings file: an answer, and never a crash."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.parts import manifest_with, row_of
from worker.errors import SettingsError
from worker.intake.plan import missing
from worker.intake.scan import look
from worker.outbox.manifest import MANIFEST, Manifest, read_manifest
from worker.queue.messages import JobMessage, parse
from worker.settings import Settings, read_settings
from worker.shoots import Source, group

NAMES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1),
    st.sampled_from(["..jpg", "-rf", " ", "\n", "a\\b", "é" * 120, "CON", ".ready", "preset.toml"]),
    st.binary(min_size=1, max_size=40).map(lambda raw: os.fsdecode(raw.translate(None, b"/\0"))),
).filter(lambda name: 0 < len(os.fsencode(name)) < 200 and name not in (".", ".."))
FILES = st.lists(
    st.tuples(st.sampled_from(["", "car", "van"]), NAMES, st.sampled_from([".jpg", ".JPG", ""])),
    max_size=8,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(FILES)
def test_every_photo_that_a_look_finds_can_be_queued_and_is_found_in_its_manifest(
    files: list[tuple[str, str, str]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        inbox = Path(folder)
        for shoot, name, suffix in files:
            path = inbox / shoot / (name + suffix)
            path.parent.mkdir(exist_ok=True)
            if not path.exists():
                path.write_bytes(b"photo")
        found = look(inbox)
        shoots = group(found.sources.values())
        assert sum(len(shoot.frames) for shoot in shoots) == len(found.sources)
        for shoot in shoots:
            message = JobMessage.of(shoot)
            assert parse(json.loads(message.model_dump_json())) == message
            rows = [row_of(frame.source, frame.name) for frame in shoot.frames]
            manifest = manifest_with(shoot.name, rows)
            again = Manifest.model_validate_json(manifest.model_dump_json())
            assert missing(shoot, again) == []
        for path in found.problems:
            path.encode()


@settings(max_examples=100, deadline=None)
@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_lies_in_the_place_of_a_manifest_is_one_or_none(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / MANIFEST).write_bytes(data)
        assert read_manifest(Path(folder)) is None


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["shoot", "status", "frames", "preset", "checkpoint", "format", "remarks"]),
    JSON,
)
def test_a_manifest_with_any_value_anywhere_is_one_or_none(key: str, value: object) -> None:
    whole = manifest_with("car", [row_of(Source("car/01.jpg", 1, 1))]).model_dump(mode="json")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / MANIFEST).write_text(json.dumps(whole | {key: value}))
        found = read_manifest(Path(folder))
        assert found is None or isinstance(found, Manifest)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=st.sampled_from(sorted(Settings.model_fields)),
    value=st.text(max_size=30) | st.integers().map(str),
)
def test_a_setting_is_taken_or_refused_by_its_name(
    no_settings: Path, name: str, value: str
) -> None:
    variable = f"CYCLORAMA_{name.upper()}"
    if "\0" in value:
        return  # no environment can hold it
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "umask", lambda mask: None)  # every test after this one would have it
        try:
            patch.setenv(variable, value)
        except UnicodeEncodeError:
            return
        try:
            read_settings()
        except SettingsError as error:
            assert variable in str(error) or repr(name) in str(error)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))
)
def test_a_settings_file_is_read_or_refused_by_its_name(no_settings: Path, data: bytes) -> None:
    Path("cyclorama.toml").write_bytes(data)
    try:
        read_settings()
    except SettingsError as error:
        assert "cyclorama.toml" in str(error) or "setting" in str(error)
