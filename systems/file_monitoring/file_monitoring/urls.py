"""Where the page, the trigger and the probes are."""

from __future__ import annotations

from django.urls import path

from file_monitoring import pages, views

urlpatterns = [
    path("", pages.files, name="files"),
    path("files/<int:number>/", pages.history, name="history"),
    path("api/trigger-ingestion/", views.trigger_ingestion, name="trigger"),
    path("healthz", views.healthz),
    path("readyz", views.readyz),
]
handler400 = views.bad_request
handler404 = views.not_found
handler500 = views.failed
