"""The first manifest that `seedbatch init` writes."""

from __future__ import annotations

from typing import Final

_TEXT: Final = """\
# yaml-language-server: $schema={schema}
version: 1
batch: {batch}

# What every job starts from. seedbatch schema seedance-2.0-fast tells what is allowed.
defaults:
  model: seedance-2.0-fast
  input: {{resolution: 480p, ratio: "16:9", duration: 5}}

# Values for templates.
vars:
  style: 35 mm film, soft light

jobs:
  - key: river
    prompt: "A river winding through a birch forest at dawn, aerial view, {{{{ style }}}}"

  # A job for every season: river-seasons[season=spring], river-seasons[season=autumn]
  - key: river-seasons
    prompt: "A river winding through a birch forest in {{{{ season }}}}, aerial view, {{{{ style }}}}"
    matrix: {{season: [spring, autumn]}}

  # The same request twice, to choose from: market#1, market#2
  - key: market
    prompt: "A night market in the rain, hand-held, neon reflections, {{{{ style }}}}"
    input: {{ratio: "9:16"}}
    takes: 2
"""


def starter(batch: str, *, schema: str = "manifest.schema.json") -> str:
    """A first manifest for the batch of that name; `schema` is the path of the schema as seen from it."""
    return _TEXT.format(batch=batch, schema=schema)
