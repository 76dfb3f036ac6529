"""Environment variables in, one typed `Settings` out. Read when called, never at import.

The same names serve the client and the workers. A variable that is not set is `None`: the local
stack fills it in (`deploy.stack.environment`), a cluster's image or deployment sets it.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def default_home() -> Path:
    """`.tidemill` in the checkout, or in the user's home where Tidemill came as a wheel."""
    root = Path(__file__).resolve().parent.parent
    return (root if (root / "pyproject.toml").is_file() else Path.home()) / ".tidemill"


class Settings(BaseSettings):
    """Addresses and switches; each field names its variable in `validation_alias`."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True)

    kafka_bootstrap_servers: str | None = Field(None, validation_alias="KAFKA_BOOTSTRAP_SERVERS")
    mongodb_uri: str | None = Field(None, validation_alias="MONGODB_URI")
    mongodb_database: str = Field("tidemill", validation_alias="MONGODB_DATABASE")
    openai_base_url: str | None = Field(None, validation_alias="OPENAI_BASE_URL")
    openai_api_key: SecretStr | None = Field(None, validation_alias="OPENAI_API_KEY")
    openai_model: str = Field("gpt-4o-mini", validation_alias="OPENAI_MODEL")
    embedding_model: str = Field("all-MiniLM-L6-v2", validation_alias="TIDEMILL_EMBEDDING_MODEL")
    smtp_url: SecretStr | None = Field(None, validation_alias="SMTP_URL")
    mail_from: str = Field("agents@tidemill.example", validation_alias="TIDEMILL_MAIL_FROM")
    flink_rest_url: str | None = Field(None, validation_alias="FLINK_REST_URL")
    flink_scheduler: Literal["default", "adaptive"] = Field(
        "default", validation_alias="TIDEMILL_FLINK_SCHEDULER"
    )
    allow_local_web: bool = Field(False, validation_alias="TIDEMILL_ALLOW_LOCAL_WEB")
    folders: str | None = Field(None, validation_alias="TIDEMILL_FOLDERS")
    transcription_url: str | None = Field(None, validation_alias="TIDEMILL_TRANSCRIPTION_URL")
    transcription_model: str = Field("whisper-1", validation_alias="TIDEMILL_TRANSCRIPTION_MODEL")
    clock_speed: float = Field(1.0, gt=0, validation_alias="TIDEMILL_CLOCK_SPEED")
    trace_content: bool = Field(False, validation_alias="TIDEMILL_TRACE_CONTENT")
    home: Path = Field(default_factory=default_home, validation_alias="TIDEMILL_HOME")


def settings() -> Settings:
    """The settings as the environment has them now.

    Raises `pydantic.ValidationError` where a variable's value is not of its type.
    """
    return Settings()
