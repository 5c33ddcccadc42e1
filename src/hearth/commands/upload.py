"""``hearth upload``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from hearth.commands.options import add_command, settings_of
from hearth.core.errors import SettingsError, UploadError
from hearth.core.files import read_json, write_json
from hearth.core.results import Results


def _add_upload(subparsers: Any) -> None:
    parser = add_command(
        subparsers, "upload", "send results and page to an S3-compatible bucket", _upload
    )
    parser.add_argument(
        "--to", metavar="s3://BUCKET/PREFIX",
        help="where the results go (default: the section 'upload' of the experiment)",
    )  # fmt: skip
    parser.add_argument(
        "--endpoint-url", metavar="URL",
        help="the server, e.g. https://s3.example.org:9000 (default: the section's, or as AWS's "
        "tools find it)",
    )  # fmt: skip
    parser.add_argument(
        "--submission", type=Path, action="append", default=[], metavar="FOLDER",
        help="a folder that `hearth submission` wrote (may be repeated)",
    )  # fmt: skip
    parser.add_argument(
        "--dry-run", action="store_true", help="list what would be sent, and send nothing"
    )


def _upload(options: argparse.Namespace) -> int:
    from hearth.reporting.bucket import Bucket
    from hearth.reporting.upload import files_to_send, upload

    settings, _ = settings_of(options)
    results, section = Results.of(settings), settings.upload
    to, endpoint = options.to, options.endpoint_url
    if section is not None:
        to, endpoint = to or section.to, endpoint or section.endpoint_url
    elif to is None:
        raise SettingsError(
            f"give --to s3://BUCKET/PREFIX, or a section 'upload' with 'to' in {options.config}"
        )
    # What the workflow waits for says that the section's bucket has everything.
    awaited = section is not None and (to, endpoint) == (section.to, section.endpoint_url)
    submissions = list(options.submission)
    if section is not None and section.submission and awaited:
        submissions.append(_submission_of(results))
    steps = files_to_send(results, submissions)
    bucket = Bucket.of(to, endpoint)
    uploaded = upload(bucket, steps, dry_run=options.dry_run)
    if options.dry_run:
        for name in uploaded.sent:
            print(f"would send {name}")
    size = f"{uploaded.bytes_sent / 1e6:.1f} MB"
    verb = "to send" if options.dry_run else "sent"
    print(f"{len(uploaded.sent)} files {verb} ({size}), {uploaded.unchanged} there already")
    print(f"page: {bucket.url}/leaderboard/index.html")
    if awaited and not options.dry_run:
        there = len(uploaded.sent) + uploaded.unchanged
        write_json(results.uploaded, {"to": to, "endpoint_url": endpoint, "files": there})
    return 0


def _submission_of(results: Results) -> Path:
    """The folder of the section 'submission'.

    Raises:
        UploadError: it is not complete.
    """
    if not results.submitted.is_file():
        raise UploadError(
            f"no complete submission (no {results.submitted}): run the target 'submission', or "
            "`hearth submission`, first"
        )
    return results.submission / read_json(results.submitted)["folder"]


COMMANDS = (_add_upload,)
