"""What models accept, read from `schemas/`."""

from seedbatch.models.catalogue import Catalogue, catalogue, manifest_schema, schema_folder
from seedbatch.models.checker import Checker, Fault

__all__ = ["Catalogue", "Checker", "Fault", "catalogue", "manifest_schema", "schema_folder"]
