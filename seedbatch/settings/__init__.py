"""What a command was told, and by whom: the only reader of the environment and of `seedbatch.toml`.

A flag beats the environment, which beats `seedbatch.toml` in the working directory, which beats the user's own
configuration file, which beats the default. Limits are ceilings: there the strictest named one holds.
"""

from seedbatch.settings.key import KEY_FILE_VARIABLE, KEY_VARIABLE, api_key
from seedbatch.settings.loading import PriceSource, Settings, load

__all__ = ["KEY_FILE_VARIABLE", "KEY_VARIABLE", "PriceSource", "Settings", "api_key", "load"]
