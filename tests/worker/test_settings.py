from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from worker.errors import SettingsError
from worker.settings import read_settings

pytestmark = pytest.mark.usefixtures("no_settings")


def test_without_any_source_the_defaults_hold() -> None:
    settings = read_settings()
    assert (settings.inbox, settings.preset) == (Path("inbox"), "studio-grey")
    assert settings.model_store == Path(".cyclorama/models")


def test_each_source_wins_over_the_one_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("cyclorama.toml").write_text("jobs = 3\n")
    assert read_settings().jobs == 3
    Path(".env").write_text("CYCLORAMA_JOBS=4\n")
    assert read_settings().jobs == 4
    monkeypatch.setenv("CYCLORAMA_JOBS", "5")
    assert read_settings().jobs == 5
    assert read_settings(jobs=6).jobs == 6
    assert read_settings(jobs=None).jobs == 5


def test_the_toml_file_is_the_one_that_cyclorama_config_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("cyclorama.toml").write_text("jobs = 3\n")
    Path("other.toml").write_text("jobs = 7\n")
    monkeypatch.setenv("CYCLORAMA_CONFIG", "other.toml")
    assert read_settings().jobs == 7


def test_a_config_file_that_is_not_there_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CYCLORAMA_CONFIG", "gone.toml")
    with pytest.raises(SettingsError, match=r"CYCLORAMA_CONFIG names gone\.toml"):
        read_settings()


@pytest.mark.parametrize("file", [".env", "cyclorama.toml"])
def test_a_folder_that_may_not_be_entered_is_said(
    monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    there = Path.is_file

    def refused(path: Path) -> bool:
        if path.name == file:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return there(path)

    monkeypatch.setattr(Path, "is_file", refused)
    with pytest.raises(SettingsError, match=rf"{re.escape(file)} in .* cannot be read \(Perm"):
        read_settings()


def test_an_unknown_variable_is_refused_with_its_near_miss(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CYCLORAMA_INBX", "x")
    with pytest.raises(SettingsError, match=r"CYCLORAMA_INBX.*Did you mean CYCLORAMA_INBOX"):
        read_settings()


@pytest.mark.parametrize(
    ("file", "text"), [(".env", "CYCLORAMA_OUTBX=x\n"), ("cyclorama.toml", 'outbx = "x"\n')]
)
def test_an_unknown_name_in_a_file_is_refused_with_the_file_and_its_near_miss(
    file: str, text: str
) -> None:
    Path(file).write_text(text)
    with pytest.raises(SettingsError, match=rf"outbx' in {file}\. Did you mean outbox\?"):
        read_settings()


def test_a_name_that_begins_with_what_was_typed_is_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("cyclorama.toml").write_text("quiet = 60\n")
    with pytest.raises(SettingsError, match=r"Did you mean quiet_seconds\?"):
        read_settings()
    monkeypatch.setenv("CYCLORAMA_SETTLE", "3")
    with pytest.raises(SettingsError, match=r"Did you mean CYCLORAMA_SETTLE_SECONDS\?"):
        read_settings()


@pytest.mark.parametrize("name", ["gpu", "CPU", "cuda:", "cuda:x"])
def test_a_name_that_no_device_has_is_refused_with_those_to_choose_from(name: str) -> None:
    with pytest.raises(SettingsError, match=f"is '{name}': choose auto, cpu, cuda, cuda:N or mps"):
        read_settings(device=name)


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_a_device_need_not_be_there_for_its_name_to_be_right(name: str) -> None:
    assert read_settings(device=name).device == name


@pytest.mark.parametrize(
    ("name", "value"),
    [("JOBS", "none"), ("JOBS", "0"), ("SETTLE_SECONDS", "-1"), ("LOG", "xml"), ("BATCH", "257")],
)
def test_an_impossible_value_is_refused_with_setting_and_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"CYCLORAMA_{name}", value)
    with pytest.raises(SettingsError, match=f"CYCLORAMA_{name}.*{value}"):
        read_settings()


def test_all_mistakes_are_told_at_once() -> None:
    Path("cyclorama.toml").write_text("jobs = 0\nbatch = -1\n")
    with pytest.raises(SettingsError, match=r"jobs.*batch|batch.*jobs"):
        read_settings()


@pytest.mark.parametrize(
    ("content", "words"), [(b"jobs = \n", "not valid TOML"), (b'inbox = "\xff"\n', "not UTF-8")]
)
def test_a_toml_file_that_cannot_be_read_is_refused_by_name(content: bytes, words: str) -> None:
    Path("cyclorama.toml").write_bytes(content)
    with pytest.raises(SettingsError, match=rf"cyclorama\.toml.*{words}"):
        read_settings()


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYCLORAMA_JOBS", "")
    assert read_settings().jobs == 2


def test_the_variable_of_the_tests_own_photos_is_no_unknown_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CYCLORAMA_REAL_PHOTOS", "/photos")
    assert read_settings().jobs == 2


def test_names_of_other_programs_in_env_are_passed_over() -> None:
    Path(".env").write_text("POSTGRES_PASSWORD=x\nCYCLORAMA_JOBS=4\n")
    assert read_settings().jobs == 4


def test_a_bucket_becomes_a_folder_in_the_state_folder_and_its_url() -> None:
    settings = read_settings(inbox="s3://shop/in/", outbox="memory://out", state="/srv/state")
    assert settings.inbox == Path("/srv/state/spool/inbox")
    assert settings.outbox == Path("/srv/state/spool/outbox")
    assert settings.corrections_folder == Path("/srv/state/spool/corrections")
    named = settings.inbox_bucket, settings.outbox_bucket, settings.corrections_bucket
    assert named == ("s3://shop/in", "memory://out", "")


def test_a_bucket_from_any_source_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("cyclorama.toml").write_text('corrections = "s3://shop/masks"\n')
    monkeypatch.setenv("CYCLORAMA_INBOX", "s3://shop/in")
    settings = read_settings()
    assert (settings.inbox_bucket, settings.corrections_bucket) == (
        "s3://shop/in",
        "s3://shop/masks",
    )
    assert settings.corrections_folder == Path(".cyclorama/spool/corrections")


def test_folder_and_bucket_can_be_named_each_for_itself() -> None:
    settings = read_settings(inbox=Path("copy"), inbox_bucket="s3://shop/in")
    assert (settings.inbox, settings.inbox_bucket) == (Path("copy"), "s3://shop/in")


def test_what_another_process_is_started_with_means_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from worker.crew import environment

    settings = read_settings(inbox="s3://shop/in", outbox="s3://shop/out", broker_url="redis://r")
    for name, value in environment(settings, "redis://r").items():
        monkeypatch.setenv(name, value)
    assert read_settings() == settings


@pytest.mark.parametrize("url", ["s3://key:geheim@shop/in", "shop/in", "s3://"])
def test_a_bucket_with_a_password_or_without_a_name_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SettingsError, match="without key or password") as caught:
        read_settings(inbox_bucket=url)
    assert "geheim" not in str(caught.value)
