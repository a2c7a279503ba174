"""Writing one key into ``api_keys_local.yml``, which only its owner may read; everything else in it stays as it is."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from pathlib import Path

from mech_exo.domain.errors import UserError
from mech_exo.utils.config import LOCAL_KEYS_FILE, validated
from mech_exo.utils.durable import flush_file, flush_folder
from mech_exo.utils.log import redact
from mech_exo.utils.settings import ApiKeys
from mech_exo.utils.strict_yaml import read
from mech_exo.utils.yaml_edit import with_key


def keep_key(home: Path, name: str, value: str) -> Path:
    """Set the top-level key ``name`` to ``value`` and return the file: mode 0600, wholly the old one or the new one at every instant.

    Raises ConfigError where the file is none this program reads, UserError where it cannot be written.
    """
    folder = home / "config"
    target = folder / LOCAL_KEYS_FILE
    redact(value)
    try:
        text = target.read_text("utf-8") if target.exists() else ""
        folder.mkdir(parents=True, exist_ok=True)
        handle, made = tempfile.mkstemp(dir=folder, prefix=f".{LOCAL_KEYS_FILE}.", suffix=".partial")
        partial = Path(made)
        try:
            os.fchmod(handle, stat.S_IRUSR | stat.S_IWUSR)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(with_key(text, name, json.dumps(value)))  # JSON's quotes are YAML's
                flush_file(file)
            validated(target, ApiKeys, read(partial, secret=True), secret=True)
            partial.replace(target)
            flush_folder(folder)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        said = f"{target} must be a file that can be written: {error.strerror}"
        raise UserError(said, remedy="look at its rights and at the disk") from error
    return target
