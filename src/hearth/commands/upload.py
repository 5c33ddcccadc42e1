"""``hearth upload``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from hearth.commands.options import add_command, settings_of


def _add_upload(subparsers: Any) -> None:
    parser = add_command(
        subparsers, "upload", "send results and page to an S3-compatible bucket", _upload
    )
    parser.add_argument(
        "--to", required=True, metavar="s3://BUCKET/PREFIX", help="where the results go"
    )
    parser.add_argument(
        "--endpoint-url", metavar="URL",
        help="the server, e.g. https://s3.example.org:9000 (default: as AWS's tools find it)",
    )  # fmt: skip
    parser.add_argument(
        "--submission", type=Path, action="append", default=[], metavar="FOLDER",
        help="a folder that `hearth submission` wrote (may be repeated)",
    )  # fmt: skip
    parser.add_argument(
        "--dry-run", action="store_true", help="list what would be sent, and send nothing"
    )


def _upload(options: argparse.Namespace) -> int:
    from hearth.core.results import Results
    from hearth.reporting.bucket import Bucket
    from hearth.reporting.upload import files_to_send, upload

    settings, _ = settings_of(options)
    steps = files_to_send(Results.of(settings), options.submission)
    bucket = Bucket.of(options.to, options.endpoint_url)
    uploaded = upload(bucket, steps, dry_run=options.dry_run)
    if options.dry_run:
        for name in uploaded.sent:
            print(f"would send {name}")
    size = f"{uploaded.bytes_sent / 1e6:.1f} MB"
    verb = "to send" if options.dry_run else "sent"
    print(f"{len(uploaded.sent)} files {verb} ({size}), {uploaded.unchanged} there already")
    print(f"page: {bucket.url}/leaderboard/index.html")
    return 0


COMMANDS = (_add_upload,)
