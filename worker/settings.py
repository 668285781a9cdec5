"""Every setting of the program, read once: environment, ``.env``, a TOML file, defaults.

Order of precedence: command line, ``CYCLORAMA_*``, ``.env``, the TOML file (``cyclorama.toml``
in the working folder, or the one that ``CYCLORAMA_CONFIG`` names), defaults. An unknown name or
an impossible value is refused by name.

``inbox``, ``outbox`` and ``corrections`` are folders that this machine sees, always. One that is
set to the URL of a bucket becomes a folder in ``spool/`` of the state folder, and the URL its
``…_bucket``.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from worker.errors import SettingsError

PREFIX = "CYCLORAMA_"
CONFIG = "CYCLORAMA_CONFIG"
_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^@?#\s]+")
"""Of a bucket. Nothing before an ``@``: a URL is shown in messages, so it may hold no password."""
_DEVICE = re.compile(r"auto|(cpu|cuda|mps)(:\d+)?")
NOT_SETTINGS = {CONFIG, "CYCLORAMA_REAL_PHOTOS"}
"""Variables of the same prefix that are no settings: the file's name; the tests' real photos."""


class Settings(BaseSettings):
    """See README for the same list with its defaults."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", extra="forbid", frozen=True, env_ignore_empty=True
    )

    inbox: Path = Field(
        Path("inbox"), description="folder that is watched, or a bucket: `s3://name/folder`"
    )
    outbox: Path = Field(
        Path("outbox"), description="folder or bucket in which finished shoots appear"
    )
    corrections: Path | None = Field(
        None,
        description="folder or bucket of corrected masks; default: corrections beside the inbox",
    )
    inbox_bucket: str = Field("", description="bucket that is copied into the folder `inbox`")
    outbox_bucket: str = Field("", description="bucket that finished shoots are carried to")
    corrections_bucket: str = Field("", description="bucket that corrected masks come from")
    spool_hours: float = Field(
        72.0,
        ge=0,
        le=87600,
        description="hours after delivery until copies of what lies in buckets go; 0: never",
    )
    state: Path = Field(Path(".cyclorama"), description="embedded Redis, model store, logs")
    preset: str = Field("studio-grey", description="default preset: a name or a .toml file")
    presets: Path = Field(Path("presets"), description="folder of the studio's own presets")
    models: Path | None = Field(
        None, description="model store; default: models in the state folder"
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:N or mps")
    runtime: Literal["torch", "openvino"] = Field(
        "torch", description="what runs the network; openvino: faster on many CPUs, an extra"
    )
    broker_url: str = Field("", description="shared Redis; empty starts an embedded one")
    polling: bool = Field(False, description="poll instead of file events (network shares)")
    rescan_seconds: float = Field(
        5.0, gt=0, le=3600, description="seconds between two full looks at the inbox"
    )
    settle_seconds: float = Field(2.0, ge=0, le=3600, description="a file is whole after this rest")
    quiet_seconds: float = Field(
        30.0, ge=0, le=86400, description="a shoot short of frames starts after this rest"
    )
    lease_seconds: float = Field(
        10.0, ge=1, le=3600, description="a dead worker is noticed by then"
    )
    max_attempts: int = Field(5, ge=1, le=100, description="crashes after which a shoot rests")
    jobs: int = Field(2, ge=1, le=64, description="shoots at once in one worker")
    batch: int = Field(
        0,
        ge=0,
        le=256,
        description="pictures in a batch at most; 0: by device, 1 on a processor",
    )
    frames_in_flight: int = Field(
        0, ge=0, le=1024, description="frames in memory at most; 0: by device"
    )
    max_megapixels: float = Field(200.0, gt=0, le=2000, description="larger photos are refused")
    max_frames: int = Field(
        1000, ge=1, le=10_000, description="a shoot with more photos is not taken up"
    )
    frame_seconds: float = Field(
        300.0, ge=1, le=86400, description="a frame that takes longer hangs, and is set aside"
    )
    memory_mb: int = Field(
        0, ge=0, description="a worker that holds more ends and is replaced; 0: no limit"
    )
    model_check_seconds: float = Field(10.0, gt=0, le=3600, description="look for a new champion")
    umask: str = Field(
        "",
        pattern="^[0-7]{0,4}$",
        description="umask of new files, such as 0027: closed to others; empty: as it is",
    )
    metrics_port: int = Field(
        0, ge=0, le=65535, description="figures for Prometheus are served there; 0: nowhere"
    )
    metrics_host: str = Field("127.0.0.1", description="address for them; `0.0.0.0`: every one")
    webhook_url: str = Field("", description="who is told of each finished shoot; empty: nobody")
    webhook_secret: SecretStr | None = Field(
        None, description="what those messages are signed with"
    )
    retrain_cron: str = Field(
        "", description='when to retrain: "30 3 * * *" is every night at 3:30; empty: never'
    )
    retrain_minutes: float = Field(
        60.0, gt=0, le=1440, description="training time of a night, in minutes"
    )
    retrain_data: Path | None = Field(
        None, description="labelled folder: the holdout, and what must not be forgotten"
    )
    retrain_corrections: int = Field(
        6, ge=1, le=10000, description="new corrections that are worth a night"
    )
    log: Literal["text", "json"] = Field("text", description="form of the log lines")

    @property
    def model_store(self) -> Path:
        """The folder of checkpoints."""
        return self.models or self.state / "models"

    @property
    def corrections_folder(self) -> Path:
        """The folder into which corrected masks are dropped."""
        return self.corrections or self.inbox.parent / "corrections"

    @model_validator(mode="before")
    @classmethod
    def _buckets_are_copied(cls, values: dict[str, Any]) -> dict[str, Any]:
        values = dict(values)
        spool = Path(values.get("state") or cls.model_fields["state"].default) / "spool"
        for name in ("inbox", "outbox", "corrections"):
            if "://" in str(values.get(name, "")):
                values[f"{name}_bucket"], values[name] = str(values[name]), spool / name
        return values

    @field_validator("inbox_bucket", "outbox_bucket", "corrections_bucket")
    @classmethod
    def _is_a_url(cls, url: str) -> str:
        if url and not _URL.fullmatch(url):
            raise ValueError("a bucket is named like s3://name/folder, without key or password")
        return url.rstrip("/")

    @field_validator("device")
    @classmethod
    def _is_a_device(cls, name: str) -> str:
        if not _DEVICE.fullmatch(name):
            raise ValueError("choose auto, cpu, cuda, cuda:N or mps")
        return name

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        toml = TomlConfigSettingsSource(settings_cls, config_file())
        return init_settings, env_settings, OwnDotEnv(settings_cls), toml


class OwnDotEnv(DotEnvSettingsSource):
    """``.env`` without the names of other programs, which share the file."""

    def __call__(self) -> dict[str, Any]:
        known = Settings.model_fields.keys()
        return {
            name: value
            for name, value in super().__call__().items()
            if name in known or name.lower().startswith(PREFIX.lower())
        }


def config_file() -> Path:
    """The TOML file that is read when it is there."""
    return Path(os.environ.get(CONFIG) or "cyclorama.toml")


def read_settings(**overrides: Any) -> Settings:
    """The settings; ``overrides`` that are not ``None`` win over every other source. From now on
    this process heeds their umask.

    Raises :class:`SettingsError` that names each unknown or impossible setting.
    """
    _refuse_unknown_variables()
    try:
        if os.environ.get(CONFIG) and not config_file().is_file():
            raise SettingsError(f"{CONFIG} names {config_file()}, which is not there")
        settings = Settings(**{n: value for n, value in overrides.items() if value is not None})
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(dict(row)) for row in error.errors())) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{config_file()} is not valid TOML: {error}") from error
    except OSError as error:
        raise SettingsError(
            f"{error.filename} in {Path.cwd()} cannot be read ({error.strerror})",
            cure="Give this user the right to, or go to another folder first: settings are looked "
            "for in the working folder",
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{config_file()} or .env is not UTF-8 text ({error.reason})", cure="Save it as UTF-8"
        ) from error
    if settings.umask:
        os.umask(int(settings.umask, 8))
    return settings


def _refuse_unknown_variables() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known | NOT_SETTINGS:
            raise SettingsError(
                f"the environment sets {name}, which is no setting", cure=near(name, known)
            )


def near(name: str, known: set[str]) -> str:
    """A cure for a misspelt name."""
    begun = [each for each in known if each.startswith(name)]
    close = difflib.get_close_matches(name, begun or known, 1, 0 if begun else 0.6)
    return f"Did you mean {close[0]}?" if close else f"Known are {', '.join(sorted(known))}"


def _sentence(row: dict[str, Any]) -> str:
    name = ".".join(str(part) for part in row["loc"])
    plain = name.lower().removeprefix(PREFIX.lower())
    message = row["msg"].removeprefix("Value error, ")
    if name.endswith("_bucket"):  # what was given may hold a password
        return f"setting {plain!r} ({PREFIX}{plain.upper()}): {message}"
    if row["type"] == "extra_forbidden":
        cure = near(plain, set(Settings.model_fields))
        return f"unknown setting {name!r} in {_file_with(name)}. {cure}"
    return f"setting {plain!r} ({PREFIX}{plain.upper()}) is {row['input']!r}: {message}"


def _file_with(name: str) -> Path:
    toml = TomlConfigSettingsSource(Settings, config_file())()
    return config_file() if name in toml else Path(".env")
