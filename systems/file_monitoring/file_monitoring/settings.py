"""Django's settings: models, commands, a page and one trigger; no table of Django's own anywhere.

Everything comes from `monitor_settings`. Without a database in the settings Django has none: what needs one says so,
and `process_file --local` works.
"""

from __future__ import annotations

import secrets
from typing import Any

from etlkit.embedded import EmbeddedServer, default_home
from etlkit.errors import ConfigError
from etlkit.settings import AwsSettings, DatabaseSettings, load_settings, secret_values
from file_monitoring.monitor_settings import ENV_FILE, PROJECT_DIR, MonitorSettings

MONITOR, AWS = load_settings((MonitorSettings, AwsSettings), {}, ENV_FILE)
DATABASE: DatabaseSettings | None = None
DATABASE_COMPLAINT: ConfigError | None = None
try:
    (DATABASE,) = load_settings((DatabaseSettings,), {}, ENV_FILE)
except ConfigError as error:
    DATABASE_COMPLAINT = error
if DATABASE and DATABASE.is_embedded:
    DATABASE = EmbeddedServer(default_home(PROJECT_DIR.parents[1])).ensure_database(DATABASE.db_name)
SECRETS = secret_values((MONITOR, DATABASE, AWS))

DEBUG = False
SECRET_KEY = MONITOR.django_secret_key.get_secret_value() if MONITOR.django_secret_key else secrets.token_urlsafe(50)
"""Nothing here is signed for longer than a process lives, so one of its own will do."""
ALLOWED_HOSTS = list(MONITOR.allowed_hosts)
ROOT_URLCONF = "file_monitoring.urls"
WSGI_APPLICATION = "file_monitoring.wsgi.application"
INSTALLED_APPS = ["file_monitoring"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
MIDDLEWARE = [
    "file_monitoring.views.SafeAnswers",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
APPEND_SLASH = False
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    },
]
DATABASE_ROUTERS = ["file_monitoring.models.NoMigrations"]
LOGGING_CONFIG = None  # the commands and the server begin logging themselves
"""What Django would configure; `file_monitoring.logs` does."""


def _database(found: DatabaseSettings) -> dict[str, Any]:
    """Return Django's form of a database."""
    options: dict[str, Any] = {
        "sslmode": found.sslmode,
        "application_name": "file_monitoring",
        "connect_timeout": 10,
        "options": "-c statement_timeout=60000 -c lock_timeout=30000",
    }
    if found.db_sslrootcert:
        options["sslrootcert"] = str(found.db_sslrootcert)
    return {
        "ENGINE": "file_monitoring.secret_login" if found.db_secret_id else "django.db.backends.postgresql",
        "HOST": found.db_host,
        "PORT": found.db_port,
        "NAME": found.db_name,
        "USER": found.db_user,
        "PASSWORD": found.db_password.get_secret_value(),
        "CONN_MAX_AGE": 300,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }


DATABASES = {"default": _database(DATABASE)} if DATABASE else {}
