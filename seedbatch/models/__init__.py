"""What models accept, read from `schemas/`, and what they cost, read from the user's price table."""

from seedbatch.models.catalogue import Catalogue, catalogue, manifest_schema, schema_folder
from seedbatch.models.checker import Checker, Fault
from seedbatch.models.prices import price_table
from seedbatch.models.sheet import Parameter, Remark, Sheet, sheet

__all__ = [
    "Catalogue",
    "Checker",
    "Fault",
    "Parameter",
    "Remark",
    "Sheet",
    "catalogue",
    "manifest_schema",
    "price_table",
    "schema_folder",
    "sheet",
]
