"""`hearth upload` against a real S3 server: resuming, order, changed files, errors by name."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.parse import urljoin

import pytest
import s3fs
from s3_server import S3Server
from synthetic_film import write_film
from synthetic_results import episode, merged, write, write_scores

from hearth.cli import main
from hearth.core.files import write_json, write_text
from hearth.core.results import Results
from hearth.core.sections import ReportSettings
from hearth.reporting import bucket as bucket_module
from hearth.reporting.tables import write_leaderboard

PAGE = "leaderboard/index.html"
_names = itertools.count()


@pytest.fixture(scope="module")
def server():
    server = S3Server()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of the test alone: none of the person who runs it, and no asking of a cloud's machine."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an experiment with a leaderboard, and what must not be sent."""
    root = tmp_path_factory.mktemp("finished") / "demo"
    lines = []
    for instance, q in enumerate([0.0, 1.0]):
        video = f"evaluation/trained/episodes/radio_{instance}_0.mp4"
        write_film(root / video, frames=3, size=32)
        write_json(Results(root).episode("trained", "radio", instance, 0), {"task": "radio"})
        lines.append(episode(instance, q, video=video))
    write(root, merged("trained", "radio", lines))
    write_scores(root, "untrained", "radio", [0.0, 0.0], policy="untrained")
    for scheme in ("light", "dark"):
        write_text(root / "statistics" / "figures" / f"correlation-{scheme}.svg", "<svg/>")
    for private in (
        "dataset/a.parquet", "episodes/radio.h5", "runs/main/checkpoints/3/parameters",
        "runs/main/policy/parameters.npz", "statistics.h5", "logs/train.log",
        "evaluation/trained/claims/radio_0_0.json", "evaluation/trained/logs/radio_worker0.log",
        "evaluation/trained/episodes/.radio_9_0.json.x.tmp", "evaluation/official/running/a/log",
        "evaluation/trained/official/running/a/log",
    ):  # fmt: skip
        write_text(root / private, "private")
    (root / "evaluation/official/running/a/log").unlink()
    report = ReportSettings(baseline="untrained", bootstrap_samples=200)
    write_leaderboard(root, ["untrained", "trained"], ["radio"], report, seed=0)
    # People name their labels as they like.
    write_text(root / "evaluation/trained/labels/Bö & 1+2 #3 50%20 of?.json", "{}")
    return root


@pytest.fixture
def root(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "results" / "demo"))


@pytest.fixture
def bucket(server: S3Server) -> str:
    """The name of an empty bucket."""
    name = f"robots-{next(_names)}"
    files_of(server).mkdir(name)
    server.clear()
    return name


def files_of(server: S3Server) -> s3fs.S3FileSystem:
    return s3fs.S3FileSystem(
        endpoint_url=server.url, key="test", secret="test", use_listings_cache=False
    )


def arguments(root: Path, server: S3Server, bucket: str, *more: str) -> list[str]:
    return [
        "upload", "--config", "config/demo.yaml", "--set", f"results={root.parent}",
        "--set", f"experiment={root.name}", "--to", f"s3://{bucket}/board",
        "--endpoint-url", server.url, *more,
    ]  # fmt: skip


def stored(server: S3Server, bucket: str) -> set[str]:
    return {key.removeprefix(f"{bucket}/board/") for key in files_of(server).find(bucket)}


def due(root: Path) -> set[str]:
    """What is to be sent, counted independently: no hidden file, nothing private."""
    found = {path.relative_to(root) for path in root.rglob("*") if path.is_file()}
    return {
        path.as_posix()
        for path in found
        if path.parts[0] in ("leaderboard", "evaluation") or path.parts[1:2] == ("figures",)
        if not path.name.startswith(".") and not {"claims", "logs", "running"} & set(path.parts)
    }


def test_the_page_opened_from_the_bucket_finds_all_it_refers_to(root, server, bucket, capsys):
    policy = f'{{"Statement": [{{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", \
"Resource": "arn:aws:s3:::{bucket}/*"}}]}}'
    files_of(server).call_s3("put_bucket_policy", Bucket=bucket, Policy=policy)
    assert main(arguments(root, server, bucket)) == 0
    assert stored(server, bucket) == due(root)
    assert f"{len(due(root))} files sent" in capsys.readouterr().out
    place = f"{server.url}/{bucket}/board/{PAGE}"
    with urllib.request.urlopen(place) as page:
        assert page.headers["Content-Type"].startswith("text/html")
        text = page.read().decode()
    for name in ("episodes-trained", "episodes-untrained", "comparisons"):
        with urllib.request.urlopen(urljoin(place, f"data/{name}.js")) as script:
            text += script.read().decode()
    links = set(re.findall(r'"((?:\.\./|figures/)[^"$]+)"', text))
    assert {Path(link).suffix for link in links} >= {".mp4", ".json", ".svg", ".jpg"}
    for link in links:
        with urllib.request.urlopen(urljoin(place, link)) as answer:
            assert answer.status == 200


def test_a_second_run_sends_nothing_and_a_changed_file_is_sent_again(root, server, bucket, capsys):
    assert main(arguments(root, server, bucket)) == 0
    server.requests.clear()
    assert main(arguments(root, server, bucket)) == 0
    assert {method for method, _ in server.requests} == {"GET"}
    assert f"0 files sent (0.0 MB), {len(due(root))} there already" in capsys.readouterr().out
    changed = Results(root).episode("trained", "radio", 1, 0)
    size = changed.stat().st_size
    write_json(changed, {"task": "oidar"})
    assert changed.stat().st_size == size
    write_text(root / "leaderboard" / "tasks.csv", "longer than before")
    server.requests.clear()
    assert main(arguments(root, server, bucket)) == 0
    assert server.puts(bucket) == [
        "board/evaluation/trained/episodes/radio_1_0.json", "board/leaderboard/tasks.csv"
    ]  # fmt: skip


def test_a_file_sent_in_parts_is_known_again_by_its_own_digest(
    root, server, bucket, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bucket_module, "PART_BYTES", 5 * 2**20)  # the least that S3 allows
    film = root / "evaluation" / "trained" / "episodes" / "radio_0_0.mp4"
    film.write_bytes(bytes(10 * 2**20) + b"end")
    assert main(arguments(root, server, bucket)) == 0
    key = f"{bucket}/board/{film.relative_to(root)}"
    assert "-3" in files_of(server).info(key)["ETag"]
    server.requests.clear()
    assert main(arguments(root, server, bucket)) == 0
    assert server.puts(bucket) == []
    film.write_bytes(bytes(10 * 2**20) + b"END")
    assert main(arguments(root, server, bucket)) == 0
    assert set(server.puts(bucket)) == {f"board/{film.relative_to(root)}"}
    assert files_of(server).tail(key, 3) == b"END"


def test_the_page_goes_last_and_other_objects_stay(root, server, bucket):
    files_of(server).pipe_file(f"{bucket}/board/leaderboard/notes.txt", b"of somebody else")
    server.requests.clear()
    assert main(arguments(root, server, bucket)) == 0
    sent = server.puts(bucket)
    assert sent[-1] == f"board/{PAGE}"
    beside = [name.startswith("board/leaderboard/") for name in sent]
    assert beside == sorted(beside)
    assert stored(server, bucket) == due(root) | {"leaderboard/notes.txt"}
    assert "DELETE" not in {method for method, _ in server.requests}


def test_an_upload_killed_in_the_middle_goes_on(root, server, bucket):
    server.hold_after(6)
    command = [sys.executable, "-m", "hearth", *arguments(root, server, bucket)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert server.held.wait(60)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        server.release()
    before = stored(server, bucket)
    assert len(before) == 6
    assert PAGE not in before
    server.requests.clear()
    assert main(arguments(root, server, bucket)) == 0
    sent = {name.removeprefix("board/") for name in server.puts(bucket)}
    assert sent == due(root) - before
    assert stored(server, bucket) == due(root)


def test_a_refused_file_keeps_the_page_back(root, server, bucket, capsys):
    server.refused = "radio_0_0.mp4"
    assert main(arguments(root, server, bucket)) == 1
    assert PAGE not in stored(server, bucket)
    text = capsys.readouterr().err
    assert "does not let these credentials send" in text and "radio_0_0.mp4" in text
    server.refused = ""
    assert main(arguments(root, server, bucket)) == 0
    assert stored(server, bucket) == due(root)


def test_a_dry_run_lists_and_sends_nothing(root, server, bucket, capsys):
    assert main(arguments(root, server, bucket, "--dry-run")) == 0
    assert stored(server, bucket) == set()
    listed = re.findall(r"^would send (.+)$", capsys.readouterr().out, re.M)
    assert set(listed) == due(root)


def test_a_submission_lies_beside_the_results(root, server, bucket, tmp_path):
    folder = tmp_path / "standard.public.Team.Here.20260101"
    write_json(folder / "json" / "radio_0_0.json", {"q_score": {"final": 1.0}})
    assert main(arguments(root, server, bucket, "--submission", str(folder))) == 0
    extra = stored(server, bucket) - due(root)
    assert extra == {f"submission/{folder.name}/json/radio_0_0.json"}


@pytest.mark.parametrize(
    ("target", "more", "parts"),
    [
        ("gs://robots/board", [], ["scheme 'gs'", "Valid: s3"]),
        ("/tmp/board", [], ["scheme ''", "Valid: s3"]),
        ("s3:///board", [], ["names no bucket"]),
        ("s3://robots", ["--endpoint-url", "127.0.0.1:9000"], ["'127.0.0.1:9000' is no URL"]),
        ("s3://absent/board", [], ["no bucket 'absent'", "create it first"]),
        ("s3://No_Such!/board", [], ["No_Such!"]),
        ("s3://robots", ["--endpoint-url", "http://127.0.0.1:9"], ["cannot reach", ":9/"]),
        ("s3://robots", ["--submission", "nowhere"], ["cannot read the folder nowhere"]),
    ],
)
def test_a_wrong_target_is_named(root, server, capsys, target, more, parts):
    assert main([*arguments(root, server, "robots", "--to", target), *more]) == 1
    text = capsys.readouterr().err
    for part in parts:
        assert part in text


def test_without_credentials_it_says_where_they_are_looked_for(
    root, server, bucket, capsys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert main(arguments(root, server, bucket)) == 1
    assert "no credentials for s3://" in capsys.readouterr().err


def test_what_cannot_be_sent_is_named_before_anything_is_sent(
    root, server, bucket, capsys, monkeypatch: pytest.MonkeyPatch
):
    lost = root / "evaluation" / "trained" / "episodes" / "radio_7_0.mp4"
    lost.symlink_to("/nowhere/radio_7_0.mp4")
    assert main(arguments(root, server, bucket)) == 1
    assert f"cannot read {lost}" in capsys.readouterr().err
    lost.unlink()
    scandir = os.scandir

    def denied(place: str):
        if str(place).endswith("episodes"):
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", denied)
    assert main(arguments(root, server, bucket)) == 1
    assert f"cannot read the folder {lost.parent}: Permission denied" in capsys.readouterr().err
    monkeypatch.undo()
    (root / PAGE).unlink()
    assert main(arguments(root, server, bucket)) == 1
    assert "no leaderboard at" in capsys.readouterr().err
    assert server.requests == []
