"""What gunicorn serves: gunicorn file_monitoring.wsgi."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "file_monitoring.settings")

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from file_monitoring.logs import log_as_json

application = get_wsgi_application()
log_as_json(settings.MONITOR.log_level, settings.SECRETS)
