"""A folder of an S3-compatible bucket, through s3fs."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import s3fs
from botocore.exceptions import (
    BotoCoreError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
)

from hearth.core.errors import UploadError, choices

# Files from twice this size go in parts, a few at a time: what is sent at once fits in memory.
PART_BYTES = 8 * 2**20
_PARTS_AT_ONCE = 4
_BLOCK_BYTES = 2**20
# Of the object's own metadata. S3 keeps it with the object and never looks at it.
_DIGEST = "sha256"


@dataclass(frozen=True)
class Stored:
    """An object of the bucket as a listing shows it: bytes, and the ETag without its quotes."""

    size: int
    etag: str


@dataclass(frozen=True)
class Digests:
    """Hexadecimal digests of a file's content."""

    md5: str
    sha256: str


class Bucket:
    """The objects below ``s3://<bucket>/<prefix>``; several threads may use it.

    Credentials are found as by AWS's own tools: environment, ``~/.aws``, the role of the machine.
    """

    def __init__(self, bucket: str, prefix: str, endpoint_url: str | None) -> None:
        self._root = f"{bucket}/{prefix}".rstrip("/")
        self._bucket, self._endpoint = bucket, endpoint_url
        # An instance of its own: s3fs would hand out an older one with older credentials.
        self._files: Any = s3fs.S3FileSystem(
            endpoint_url=endpoint_url, use_listings_cache=False, skip_instance_cache=True
        )

    @classmethod
    def of(cls, url: str, endpoint_url: str | None = None) -> Bucket:
        """The bucket that a URL names.

        Raises:
            UploadError: it is none of S3, or the endpoint is no URL of a server.
        """
        parts = urlsplit(url)
        if parts.scheme != "s3":
            raise UploadError(
                f"--to '{url}' has the scheme '{parts.scheme}': {choices(parts.scheme, ['s3'])}, "
                "e.g. s3://bucket/prefix"
            )
        if not parts.netloc:
            raise UploadError(f"--to '{url}' names no bucket; write s3://bucket/prefix")
        if endpoint_url is not None:
            server = urlsplit(endpoint_url)
            if server.scheme not in ("http", "https") or not server.netloc:
                raise UploadError(
                    f"--endpoint-url '{endpoint_url}' is no URL of a server; write "
                    "https://s3.example.org or http://127.0.0.1:9000"
                )
        return cls(parts.netloc, parts.path.strip("/"), endpoint_url)

    @property
    def url(self) -> str:
        return f"s3://{self._root}"

    def listing(self) -> dict[str, Stored]:
        """All objects by their name below the prefix: a request per thousand.

        Raises:
            UploadError: no such bucket, no credentials or no right to list, no server.
        """
        with self._named_errors("list"):
            found = self._files.find(self._root, detail=True)
        start = f"{self._root}/"
        return {
            key.removeprefix(start): Stored(entry["size"], entry.get("ETag", "").strip('"'))
            for key, entry in found.items()
            if key.startswith(start)
        }

    def holds(self, name: str, stored: Stored, digests: Digests) -> bool:
        """Whether the object of the same size has this content.

        The ETag is the MD5 of what was sent in one piece, and the listing has it. Of an object
        that came in parts it is a digest of the parts' digests and a dash, and with keys of KMS
        it means nothing. There the SHA-256 decides that `send` left in the object's metadata,
        for one more request. An object with neither counts as another one: sending a file once
        too often does no harm.
        """
        if stored.etag == digests.md5:
            return True
        with self._named_errors(f"look at {name} in"):
            return self._files.metadata(f"{self._root}/{name}").get(_DIGEST) == digests.sha256

    def send(self, name: str, path: Path, digests: Digests) -> None:
        """Send a file. Its object appears when all of it has arrived, as S3 has it.

        Raises:
            UploadError: naming what the server or the file system says.
        """
        with self._named_errors(f"send {path} to"):
            self._files.put_file(
                str(path), f"{self._root}/{name}", chunksize=PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE, Metadata={_DIGEST: digests.sha256},
            )  # fmt: skip

    @contextlib.contextmanager
    def _named_errors(self, attempt: str) -> Iterator[None]:
        try:
            yield
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise UploadError(
                f"no credentials for {self.url} ({error}); set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE of ~/.aws/credentials"
            ) from error
        except EndpointConnectionError as error:
            raise UploadError(
                f"cannot reach the server of {self.url}: {error}; check --endpoint-url"
            ) from error
        except OSError as error:
            raise UploadError(self._refusal(attempt, error)) from error
        except (BotoCoreError, ValueError) as error:
            raise UploadError(f"cannot {attempt} {self.url}: {error}") from error

    def _refusal(self, attempt: str, error: OSError) -> str:
        """What went wrong: s3fs makes the server's answers errors of the operating system."""
        if error.filename is not None:  # only those of this machine name a file
            return f"cannot read {error.filename}: {error.strerror}"
        if isinstance(error, FileNotFoundError):
            place = self._endpoint or "the default server"
            return (
                f"there is no bucket '{self._bucket}' at {place} ({error}); create it first, or "
                "check --to"
            )
        if isinstance(error, PermissionError):
            return f"the server does not let these credentials {attempt} {self.url}: {error}"
        return f"cannot {attempt} {self.url}: {error}"


def digests_of(path: Path) -> Digests:
    """MD5 and SHA-256 of a file, from one pass over it.

    Raises:
        UploadError: it cannot be read.
    """
    # The MD5 is for comparing with S3's, not for safety: machines that forbid the latter allow it.
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    try:
        with path.open("rb") as handle:
            while block := handle.read(_BLOCK_BYTES):
                md5.update(block)
                sha256.update(block)
    except OSError as error:
        raise UploadError(f"cannot read {path}: {error.strerror}") from error
    return Digests(md5.hexdigest(), sha256.hexdigest())
