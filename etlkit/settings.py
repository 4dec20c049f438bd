"""Typed settings from flags, the environment and `.env`, in that order of precedence, read once.

A system declares its settings as classes derived from `Settings`; `load_settings` builds several of them and reports
every missing or wrong name of all of them in one message. A variable of the environment that is set to nothing hides
the one in `.env`, and leaves the default. A secret NAME that stands nowhere else may stand in a file: the one that
NAME_FILE names, or NAME in systemd's credentials directory.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from dotenv.parser import parse_stream
from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from etlkit.errors import ConfigError

EMBEDDED_HOST = "embedded"
BOTO3_LOGIN = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")
NEAR = 0.85
"""How like a known name a name must be to be taken for a slip of it."""
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


class Settings(BaseSettings):
    """A group of settings; a field `db_host` is the variable `DB_HOST`, an empty one counts as absent."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True)
    prefers_env_file: ClassVar[bool] = False
    """Whether `.env` wins over the environment, where the system may have set a name for somebody else."""


class AwsSettings(Settings):
    """The login to AWS; without the two keys boto3's own chain is used, whose variables may stand in `.env` too."""

    aws_access_key: SecretStr | None = None
    aws_secret_key: SecretStr | None = None
    aws_session_token: SecretStr | None = None
    aws_secret_access_key: SecretStr | None = None
    """Boto3's own name of the secret key, read by boto3 itself; here so that logs can blank it out."""

    @model_validator(mode="after")
    def _both_keys_or_none(self) -> AwsSettings:
        """Refuse half a login."""
        if bool(self.aws_access_key) != bool(self.aws_secret_key):
            raise ValueError(
                "only one of AWS_ACCESS_KEY and AWS_SECRET_KEY is set: set both, or neither for boto3's own chain"
            )
        return self


class DatabaseSettings(AwsSettings):
    """Where the Postgres is; host `embedded` means the suite's own private server.

    With `db_secret_id` user and password are those of an AWS secret, read anew for every connection, since it rotates.
    """

    told_name: ClassVar[str] = "DB_NAME"
    told_login: ClassVar[str] = "DB_NAME, DB_USER and DB_PASSWORD"
    told_place: ClassVar[str] = "DB_HOST, DB_PORT, DB_SSLMODE"
    told_authority: ClassVar[str] = "DB_SSLROOTCERT"
    """What errors call the settings; a system with another one for the whole database names that."""
    embedded_database: ClassVar[str | None] = None
    """The database on the private server that a system's subclass names, where DB_NAME does not."""
    db_host: str
    db_port: int = Field(default=5432, ge=1, le=65535, description="a number from 1 to 65535")
    db_name: str
    db_user: str
    db_password: SecretStr
    db_sslmode: str | None = Field(
        default=None, pattern="^(" + "|".join(SSL_MODES) + ")$", description="one of " + ", ".join(SSL_MODES)
    )
    db_sslrootcert: Path | None = None
    db_secret_id: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _fill_what_the_host_implies(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Let a socket need no password, a secret neither user nor password, and the embedded server nothing at all."""
        host = str(values.get("db_host", ""))
        if values.get("db_secret_id") and host != EMBEDDED_HOST:
            return {**values, "db_user": "", "db_password": ""}
        if host == EMBEDDED_HOST:
            own = {} if cls.embedded_database is None else {"db_name": cls.embedded_database}
            return {**own, **values, "db_user": "etl", "db_password": ""}
        if host.startswith("/"):
            return {"db_password": "", **values}
        return values

    @property
    def is_embedded(self) -> bool:
        """Tell whether the private server was asked for."""
        return self.db_host == EMBEDDED_HOST

    @property
    def is_local(self) -> bool:
        """Tell whether the host is a socket folder or loopback, where TLS adds nothing."""
        return self.is_embedded or self.db_host.startswith("/") or is_loopback(self.db_host)

    @property
    def sslmode(self) -> str:
        """Return the TLS mode: `DB_SSLMODE`, else `verify-full` with `DB_SSLROOTCERT`, else `require` unless local."""
        implied = "verify-full" if self.db_sslrootcert else "require"
        return self.db_sslmode or ("prefer" if self.is_local else implied)


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def secret_values(groups: Iterable[Settings | None]) -> list[str]:
    """Return every secret value of some settings, for the logs to blank out."""
    values = [value for group in groups if group for value in dict(group).values()]
    return [value.get_secret_value() for value in values if isinstance(value, SecretStr) and value]


def warning_of_readers(env_file: Path) -> str | None:
    """Return what to warn of where others may read or change the file; None where root or its owner keeps it close.

    A group may see it that is one of the program's own, or that root gave it to.
    """
    try:
        found = env_file.stat()
    except OSError:
        return None
    is_foreign = found.st_uid != 0 and found.st_gid not in {os.getegid(), *os.getgroups()}
    if not found.st_mode & (stat.S_IRWXO | (stat.S_IRWXG if is_foreign else 0)):
        return None
    return f"others on this machine may read or change {env_file}, where passwords are kept: chmod 600 {env_file}"


def load_settings(
    classes: tuple[type[Settings], ...], flags: Mapping[str, Any], env_file: Path | None
) -> tuple[Any, ...]:
    """Return one frozen instance per class; a flag that is None or empty counts as not given.

    The file's AWS_* are given to the process's environment, where boto3 looks for them. Raises ConfigError that names
    every missing and every wrong setting of all the classes in one line.
    """
    given = {name: value for name, value in flags.items() if value not in (None, "")}
    in_files = _read_files(classes, env_file)
    missing: list[str] = []
    wrong: list[str] = []
    loaded: list[Settings] = []
    for settings_class in classes:
        own = {name: value for name, value in given.items() if name in settings_class.model_fields}
        if "db_user" in own:
            own.setdefault("db_secret_id", None)  # a login by flag is nearer than a secret of the environment
        try:
            loaded.append(settings_class(_env_file=None, **{**in_files[settings_class], **own}))
        except SettingsError as error:
            wrong.append(str(error))
        except ValidationError as error:
            for problem in error.errors():
                name = "_".join(str(part) for part in problem["loc"]).upper() or settings_class.__name__
                if problem["type"] == "missing":
                    missing.append(name)
                else:
                    wrong.append(_explain(settings_class, name, problem))
    if missing or wrong:
        raise _config_error(missing, wrong, env_file)
    _share_with_boto3(env_file)
    return tuple(loaded)


def _share_with_boto3(env_file: Path | None) -> None:
    """Give boto3's own variables of a file to the environment, which wins; a login is taken whole or not at all."""
    has_login = any(os.environ.get(name) for name in BOTO3_LOGIN)
    for name, value in read_env_file(env_file).items():
        if name.startswith("aws_") and not (has_login and name.upper() in BOTO3_LOGIN):
            os.environ.setdefault(name.upper(), value)


def read_env_file(path: Path | None) -> dict[str, str]:
    """Return what a `.env` sets to something, by lower-case names and to the letter: a dollar sign is one.

    Raises ConfigError for a file that cannot be read, and for lines that are no settings.
    """
    if path is None or not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8-sig") as file:
            found = list(parse_stream(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}. Nothing was touched.") from error
    if bad := [str(binding.original.line) for binding in found if binding.error]:
        raise ConfigError(f"{path} is not understood in line {', '.join(bad)}.", "Correct it. Nothing was touched.")
    return {binding.key.lower(): binding.value for binding in found if binding.key and binding.value}


def setting_names(classes: Iterable[type[Settings]]) -> set[str]:
    """Return the names of every setting, and of the files that secrets may stand in."""
    known = {name.upper() for settings_class in classes for name in settings_class.model_fields}
    return known | {f"{name.upper()}_FILE" for one in classes for name in one.model_fields if _is_secret(one, name)}


def unknown_settings(known: set[str], prefixes: Sequence[str], env_file: Path | None) -> list[str]:
    """Return a sentence for every variable that looks like a setting of a system and is none of the known ones.

    It looks like one with one of the system's prefixes, and in `.env` also when it is nearly the name of one.
    """
    in_file = {name.upper() for name in read_env_file(env_file)}
    sentences = []
    of_system = {name for name in map(str.upper, os.environ) if name.startswith(tuple(prefixes))}
    for name in sorted((in_file | of_system) - known):
        near = difflib.get_close_matches(name, known, n=1, cutoff=NEAR)
        if near or name.startswith(tuple(prefixes)):
            where = env_file.name if env_file and name in in_file else "the environment"
            sentences.append(f"unknown setting {name} in {where}" + (f"; did you mean {near[0]}?" if near else ""))
    return sentences


def stand_alone(known: set[str], prefixes: Sequence[str]) -> None:
    """Let nothing of the user's settings, `.env`, AWS login or proxies reach this process and those it starts."""
    for name in list(os.environ):
        if name.upper().startswith((*prefixes, "AWS_")) or name.upper().endswith(("_PROXY", "CREDENTIALS_DIRECTORY")):
            del os.environ[name]
    os.environ.update(dict.fromkeys(known, ""))  # set to nothing, it hides `.env` and leaves the default


def _read_files(classes: Iterable[type[Settings]], env_file: Path | None) -> dict[type[Settings], dict[str, str]]:
    """Return what the files say of each class's settings, where the environment does not say it already."""
    in_file, environment = read_env_file(env_file), {name.lower(): value for name, value in os.environ.items()}
    found: dict[type[Settings], dict[str, str]] = {}
    for settings_class in classes:
        names = settings_class.model_fields.keys()
        hidden = set() if settings_class.prefers_env_file else environment.keys()
        own = {name: in_file[name] for name in names & in_file.keys() - hidden}
        for name in sorted(names - own.keys()):
            if _is_secret(settings_class, name) and not environment.get(name):
                own |= _read_secret_file(name, {**in_file, **environment})
        found[settings_class] = own
    return found


def _read_secret_file(name: str, written: Mapping[str, str]) -> dict[str, str]:
    """Return a secret that stands in a file of its own; ConfigError for one that is named and cannot be read."""
    named, folder = written.get(f"{name}_file"), written.get("credentials_directory")
    if not named and not folder:
        return {}
    path = Path(named) if named else Path(folder or "") / name.upper()
    try:
        return {name: path.read_text(encoding="utf-8").strip()}
    except (OSError, UnicodeDecodeError) as error:
        if not named:
            return {}
        raise ConfigError(
            f"{name.upper()}_FILE names a file that cannot be read: {error}. Nothing was touched."
        ) from error


def _is_secret(settings_class: type[Settings], name: str) -> bool:
    """Tell whether a field holds a secret."""
    return SecretStr.__name__ in str(settings_class.model_fields[name].annotation)


def _explain(settings_class: type[Settings], name: str, problem: Mapping[str, Any]) -> str:
    """Return one clause for a wrong setting, with the offending value unless it may be a secret."""
    field = settings_class.model_fields.get(name.lower())
    is_secret = field is None or _is_secret(settings_class, name.lower())
    value = "" if is_secret else f" is {str(problem.get('input'))!r}"
    if field is not None and field.description:
        return f"{name}{value}, expected {field.description}"
    if field is None:
        return str(problem["msg"]).removeprefix("Value error, ")
    return f"{name}{value or ' is wrong'}: {str(problem['msg']).removeprefix('Value error, ')}"


def _config_error(missing: list[str], wrong: list[str], env_file: Path | None) -> ConfigError:
    """Return all complaints as the one line that a user sees."""
    parts = [f"missing settings: {', '.join(dict.fromkeys(missing))}"] if missing else []
    parts.extend(dict.fromkeys(wrong))
    where = f"the environment or {env_file}" if env_file else "the environment"
    if env_file and not env_file.exists():
        where += " (there is none yet: copy .env.example)"
    advice = f"Set them in {where}, or by a flag where --help shows one. Nothing was touched."
    if hiding := [name for name in dict.fromkeys(missing) if os.environ.get(name) == ""]:
        advice = f"In the environment {', '.join(hiding)} is set to nothing. {advice}"
    return ConfigError(f"{'; '.join(parts)}.", advice)
