from __future__ import annotations

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


def test_an_unknown_variable_is_refused_with_its_near_miss(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CYCLORAMA_INBX", "x")
    with pytest.raises(SettingsError, match=r"CYCLORAMA_INBX.*Did you mean CYCLORAMA_INBOX"):
        read_settings()


@pytest.mark.parametrize(
    ("file", "text"), [(".env", "CYCLORAMA_OUTBX=x\n"), ("cyclorama.toml", 'outbx = "x"\n')]
)
def test_an_unknown_name_in_a_file_is_refused_with_its_near_miss(file: str, text: str) -> None:
    Path(file).write_text(text)
    with pytest.raises(SettingsError, match=r"(?i)unknown setting.*outbx.*Did you mean outbox"):
        read_settings()


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
