"""Who may connect, and which connections belong to one evaluator."""

from __future__ import annotations

import hmac
import stat
from pathlib import Path

import yaml
from pydantic import Field, SecretStr, ValidationError, model_validator
from websockets.http11 import Request

from hearth.core.errors import SettingsError
from hearth.core.sections import Name, Section

_SHORTEST_KEY = 16  # characters
_SCHEME = "Api-Key "  # what the official and the openpi clients send


class Keys(Section):
    """API keys. A key of `evaluators` also tells its one evaluator from all others."""

    shared: SecretStr | None = None
    evaluators: dict[Name, SecretStr] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_keys(self) -> Keys:
        values = [key.get_secret_value() for key in self.evaluators.values()]
        if self.shared is not None:
            values.append(self.shared.get_secret_value())
        if not values:
            raise ValueError("give a key as 'shared', or keys by name below 'evaluators'")
        # The keys themselves stay out of messages.
        if any(len(value) < _SHORTEST_KEY or not value.isascii() for value in values):
            raise ValueError(f"keys must be at least {_SHORTEST_KEY} ASCII characters long")
        if len(set(values)) < len(values):
            raise ValueError("two keys are equal; each evaluator needs its own")
        return self


def read_keys(path: Path) -> Keys:
    """Keys from a YAML file that only its owner may read.

    Raises:
        SettingsError: it cannot be read, others may read it, or a key is not valid.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise SettingsError(
                f"{path} holds API keys and has mode {mode:o}, so that others may read it; "
                f"chmod 600 {path}"
            )
        return Keys.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:  # its text would show the keys
        found = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'file'}: {one['msg']}"
            for one in error.errors(include_input=False, include_url=False)
        )
        raise SettingsError(f"{path} is not a file of API keys: {found}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        kind = getattr(error, "strerror", None) or type(error).__name__
        raise SettingsError(f"API keys cannot be read from {path}: {kind}") from None


class Access:
    """Checks keys and gives connections their identity."""

    def __init__(self, keys: Keys | None, one_evaluator_per_port: bool) -> None:
        """
        Args:
            keys: None: everybody who reaches the port may connect.
            one_evaluator_per_port: connections to one port are one evaluator's, one after another.
        """
        self._keys, self._one_per_port = keys, one_evaluator_per_port

    def allows(self, request: Request) -> bool:
        """Whether the request carries a valid key, or needs none."""
        return self._keys is None or self._owner(self._keys, request) is not None

    def identity(self, request: Request, port: int) -> str | None:
        """The evaluator behind a connection; None where connections of several may arrive."""
        owner = "" if self._keys is None else self._owner(self._keys, request)
        if owner:
            return f"key '{owner}'"
        return f"port {port}" if self._one_per_port else None

    @staticmethod
    def _owner(keys: Keys, request: Request) -> str | None:
        """The evaluator whose key it is, "" for the shared key, None for no valid key."""
        values = request.headers.get_all("Authorization")
        if len(values) != 1 or not values[0].startswith(_SCHEME):
            return None
        sent = values[0].removeprefix(_SCHEME).encode("utf-8", "surrogateescape")
        owners = {name: key for name, key in keys.evaluators.items()}
        if keys.shared is not None:
            owners[""] = keys.shared
        matching = [
            name for name, key in owners.items()
            if hmac.compare_digest(key.get_secret_value().encode(), sent)
        ]  # fmt: skip
        return matching[0] if matching else None
