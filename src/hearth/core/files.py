"""Atomic files: a reader never sees half a file, and what was written survives a power cut."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hearth.core.errors import DataError, StorageError

# Of a file system without hard links.
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


@contextlib.contextmanager
def atomic_path(
    path: Path | str,
    publish: Callable[[Path, Path], object] = os.replace,
    *,
    private: bool = False,
) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it is renamed to `path`.

    On an error the temporary file is removed and `path` is left as it was.

    Args:
        path: the file to write.
        publish: called with the temporary path and `path`, instead of renaming.
        private: only its owner may read it (mode 600).

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    path = Path(path)
    with storing(path):
        handle, temporary = _create(path, private)
        os.close(handle)
        try:
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            publish(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write `path` into an error that names it.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def _create(path: Path, private: bool) -> tuple[int, Path]:
    """A new empty file beside `path`, open for writing: its handle and its name."""
    # Results are meant to be read by the group, as far as the user's umask lets it.
    mode, flags = 0o600 if private else 0o666, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            return os.open(temporary, flags, mode), temporary
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            continue


def write_text(path: Path | str, text: str) -> None:
    """Write `text` atomically as UTF-8."""
    write_bytes(path, text.encode())


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write `content` atomically; as `atomic_path`, and quicker for thousands of small files.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    path = Path(path)
    with storing(path):
        handle, temporary = _create(path, private=False)
        try:
            with os.fdopen(handle, "wb", buffering=0) as file:
                left = memoryview(content)
                while left:
                    left = left[file.write(left) :]
                # Without it a power cut can leave an empty file under the new name, which a
                # workflow takes for a result.
                os.fsync(handle)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` atomically as sorted, indented JSON; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def write_private_json(path: Path | str, value: Any) -> None:
    """Write `value` as `write_json` does, for its owner's eyes alone (mode 600)."""
    with atomic_path(path, private=True) as temporary:
        temporary.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def publish_json(path: Path | str, value: Any, superseded: Callable[[], bool]) -> bool:
    """Write `value` as `write_json` does, unless another process was first.

    Args:
        path: the file to write.
        value: its content.
        superseded: asked when `path` exists: whether what it holds may be replaced.

    Returns:
        Whether `path` now holds `value`.
    """
    published = True

    def publish(temporary: Path, target: Path) -> None:
        nonlocal published
        try:
            os.link(temporary, target)
        except FileExistsError:
            published = superseded()
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            published = not target.exists() or superseded()
        else:
            return
        if published:
            temporary.replace(target)

    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"
    with atomic_path(path, publish) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return published


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        DataError: the file is missing or is not valid JSON.
    """
    try:
        with Path(path).open("rb", buffering=0) as file:
            return json.loads(file.read().decode("utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not valid JSON ({error}); delete it and run again") from error


def hash_json(value: Any) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the canonical JSON of `value`."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def hash_file(path: Path | str) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a file's content."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:16]


def hash_directory(path: Path | str) -> str:
    """A hash over the relative names and contents of all regular files below `path`."""
    root = Path(path)
    files = sorted(item for item in root.rglob("*") if item.is_file())
    return hash_json([[item.relative_to(root).as_posix(), hash_file(item)] for item in files])
