"""What models accept, read from `schemas/`, and what they cost, read from the user's price table."""

from seedbatch.models.catalogue import Catalogue, catalogue, manifest_schema, schema_folder
from seedbatch.models.checker import Checker, Fault
from seedbatch.models.prices import price_table

__all__ = ["Catalogue", "Checker", "Fault", "catalogue", "manifest_schema", "price_table", "schema_folder"]
