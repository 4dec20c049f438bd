"""Exports the assets of bridge_person_project."""

from binge_works.assets.bridge_person_project.bridge_person_project import bridge_person_project

__all__ = ["bridge_person_project"]
