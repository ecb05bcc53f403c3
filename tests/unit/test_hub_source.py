"""The source ``hf``, through the real client of the hub, against a server on this machine that speaks its API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from pydantic import TypeAdapter, ValidationError

from image_spans import config, hub, sources
from image_spans.errors import ConfigError, Unavailable
from image_spans.sources import HubSource, Source
from image_spans.training import byte_bpe

ROOT = Path(__file__).parents[2]
SOURCE = TypeAdapter(Source)
COMMIT = "0123456789abcdef0123456789abcdef01234567"
MARKERS = ("<image>", "</image>", "<pad>")
NOISE = "X-HF-Warning"
FAULTS = {
    # As the hub answers: status, code and message.
    "org/gone": (401, "RepoNotFound", "Invalid username or password."),
    "org/gone-for-members": (404, "RepoNotFound", "Repository not found"),
    "org/no-such-commit": (404, "RevisionNotFound", "Invalid rev id: 0123456"),
    "org/token-refused": (401, None, "Invalid credentials in Authorization header"),
    "org/broken": (500, None, "Internal Error - We're working hard to fix this as soon as possible!"),
    "org/disabled": (403, None, "Access to this resource is disabled."),
}


class Hub(ThreadingHTTPServer):
    """As much of the hub as its client needs to list and fetch files; it notes what it is asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.asked: list[str] = []
        self.agents: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answers(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(f"{self.command} {path}")
        self.server.agents.add(self.headers["User-Agent"])
        for repo, fault in FAULTS.items():
            if f"/{repo}/" in path:
                return self._refuse(*fault)
        for repo, files in self.server.repositories.items():
            if path == f"/api/models/{repo}/tree/{COMMIT}":
                tree = [
                    {"type": "file", "path": name, "size": len(data), "oid": _oid(data)} for name, data in files.items()
                ]
                return self._answer(json.dumps(tree).encode())
            if path == f"/api/models/{repo}/revision/{COMMIT}":  # asked by the client before 1.0
                siblings = [{"rfilename": name} for name in files]
                return self._answer(json.dumps({"id": repo, "sha": COMMIT, "siblings": siblings}).encode())
            name = path.removeprefix(f"/{repo}/resolve/{COMMIT}/")
            if name in files:
                return self._file(repo, name, files[name])
        return self._refuse(404, "RepoNotFound", "Repository not found")

    do_HEAD = do_GET  # noqa: N815

    def _file(self, repo: str, name: str, data: bytes) -> None:
        if repo == "org/gated":
            return self._refuse(403, "GatedRepo", f"Access to model {repo} is restricted")
        if repo == "org/broken-file" and name == "tokenizer.json" and self.command == "GET":
            return self._refuse(503, None, "Service Unavailable")
        headers = {"ETag": f'"{_oid(data)}"', "X-Repo-Commit": COMMIT}
        cut = repo == "org/cut" and name == "tokenizer.json"
        return self._answer(data, headers, sent=len(data) // 2 if cut else len(data))

    def _refuse(self, status: int, code: str | None, message: str) -> None:
        headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
        self._answer(json.dumps({"error": message}).encode(), headers, status=status)

    def _answer(self, data: bytes, headers: dict[str, str] | None = None, *, status: int = 200, sent: int = -1) -> None:
        self.send_response(status)
        told = {"Content-Length": str(len(data)), NOISE: "unauthenticated; You are not logged in.", **(headers or {})}
        for key, value in told.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data if sent < 0 else data[:sent])

    def log_message(self, *args: object) -> None:
        pass


def _oid(data: bytes) -> str:
    return sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> dict[str, bytes]:
    """The files of a repository with a real tokenizer, and with much that no tokenizer needs."""
    folder = tmp_path_factory.mktemp("small")
    byte_bpe.train(special_tokens=MARKERS).save_pretrained(folder)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {"tokenizer.json", "tokenizer_config.json"} <= set(files)
    code = b"raise SystemExit('this is data')\n"
    return {
        **files,
        "README.md": b"# small\n",
        "model.safetensors": bytes(1000),
        "tokenizer-checkpoint.safetensors": bytes(1000),
        "config.json": b"{}",
        "tokenization_small.py": code,
        "modeling_small.py": code,
        "original/tokenizer.model": b"a model in a folder",
        "original/params.json": b"{}",
        "rules/one.txt": b"1",
    }


@pytest.fixture(scope="module")
def server(small) -> Iterator[Hub]:
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        repositories = ("org/small", "org/gated", "org/cut", "org/broken-file")
        server.repositories |= dict.fromkeys(repositories, small)
        server.repositories["org/weights"] = {name: small[name] for name in ("README.md", "config.json")}
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def _nothing_asked_yet(server):
    server.asked.clear()


class Place:
    """A folder with a YAML and an empty cache, and how commands run there."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        self.file = folder / "tokenizers_under_test.yaml"
        kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(("HF_", "PYTEST_"))}
        kept = {name: value for name, value in kept.items() if not name.lower().endswith("_proxy")}
        self.environment = kept | {
            "HF_ENDPOINT": url,
            "HF_HOME": str(folder / "home"),
            "IMAGE_SPANS_CACHE": str(self.cache),
            "PYTHONPATH": str(ROOT / "src"),
        }

    def write(self, **sources: str) -> None:
        lines = ["version: 1", "subjects:"]
        for name, source in sources.items():
            lines += [
                f"  {name.replace('_', '-')}:",
                f"    tokenizer: {{backend: transformers, source: {source}}}",
                "    pipeline: placeholder_run",
                "    contract: {bos: none, images: {grammar: run, placeholder: <pad>, slots: 4}, template: {}}",
            ]
        self.file.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def fetch(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return self._run("-m", "image_spans", "fetch", **environment)

    def fetch_at_once(self, **environment: str) -> subprocess.CompletedProcess[str]:
        """The same without the pauses between the client's attempts, half a minute in all."""
        code = (
            "import sys, time; time.sleep = lambda s: None; from image_spans import __main__ as m; sys.exit(m.main())"
        )
        return self._run("-c", code, "fetch", **environment)

    def pytest(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        options = (
            "-p",
            "image_spans.plugin",
            "-p",
            "no:cacheprovider",
            "--spans-checks",
            "contract,text",
            "-W",
            "error",
        )
        return self._run("-m", "pytest", *options, *arguments, **environment)

    def _run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", *command],
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def kept(self) -> list[str]:
        """All that is in the cache."""
        return sorted(path.relative_to(self.cache).as_posix() for path in self.cache.rglob("*") if path.is_file())


@pytest.fixture
def place(tmp_path, server) -> Place:
    return Place(tmp_path, server.url)


def pinned(repo: str = "org/small", more: str = "") -> str:
    return f"{{hf: {repo}, revision: {COMMIT}{more}}}"


REPO = f"hub/org--small-{COMMIT}"
ONCE = ("tokenizer.json", "tokenizer_config.json", "config.json", "tokenization_small.py", "original/tokenizer.model")


def test_it_is_fetched_once_and_then_there_without_the_hub(place, server, monkeypatch):
    place.write(mine=pinned())

    done = place.pytest()  # a plain run asks for nothing
    assert done.returncode == 4
    reason = "mine: the files of org/small at 0123456 are not in the cache (python -m image_spans fetch)"
    assert reason in done.stderr
    assert server.asked == []

    done = place.fetch()
    assert (done.returncode, done.stdout, done.stderr) == (0, "mine: fetched\n", "")
    files = {line.partition(f"/resolve/{COMMIT}/")[2] for line in server.asked} - {""}
    assert all("/org/small/" in line for line in server.asked), "nothing else is asked for"
    assert all(agent.split("; ")[-1].startswith("python/") for agent in server.agents), "nor told"
    assert not (place.folder / "home").exists()
    assert set(ONCE) <= files
    wanted = {name for name in files if hub.matches(name, hub.PATTERNS) and not hub.matches(name, hub.WEIGHTS)}
    assert files == wanted, "neither weights nor the README nor other code"
    assert place.kept() == sorted(f"{REPO}/{name}" for name in (*files, ".image-spans.json"))

    server.asked.clear()
    place.write(mine=pinned(), same=pinned(more=", file: tokenizer.json"))
    done = place.fetch()
    assert (done.returncode, done.stdout, done.stderr) == (0, "mine: there\nsame: there\n", "")
    down = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    done = place.pytest("--spans-require-all", **down)
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout
    assert server.asked == []

    monkeypatch.setenv("IMAGE_SPANS_CACHE", str(place.cache))
    source = SOURCE.validate_python({"hf": "org/small", "revision": COMMIT})
    assert source.locate(Path()) == place.cache / REPO
    assert source.neighbour(Path(), "config.json").read_text() == "{}"
    with pytest.raises(ConfigError) as refused:
        source.neighbour(Path(), "confg.json")
    assert str(refused.value) == (
        "'confg.json' was not fetched from org/small at 0123456; did you mean 'config.json'?; list it under also"
    )
    one = source.model_copy(update={"file": "original/tokenizer.model"})
    assert one.locate(Path()).read_bytes() == b"a model in a folder"
    other = source.model_copy(update={"file": "tokenizer.jsn"})
    for ask in (lambda: other.locate(Path()), other.fetch):
        with pytest.raises(ConfigError, match=r"'tokenizer.jsn' was not .*; did you mean 'tokenizer.json'\?"):
            ask()
    loaded = [spec.tokenizer.source.locate(spec.folder).name for spec in config.read(place.file)]
    assert loaded == [f"org--small-{COMMIT}", "tokenizer.json"]

    (place.cache / REPO / "tokenizer.json").unlink()
    assert source.missing(Path()) is not None
    with pytest.raises(Unavailable, match=r"^the files of org/small at 0123456 are not in the cache"):
        source.locate(Path())


def test_a_run_that_fetches(place, server, small):
    """pytest is told to fetch; a file that got lost is fetched again, and other wishes have their own folder."""
    half = place.cache / REPO
    half.mkdir(parents=True)
    (half / ".image-spans.json").write_text('["tokenizer.json"]')
    place.write(mine=pinned(), more=pinned(more=", also: [rules/, original/params.json]"), bad=pinned("org/gone"))
    done = place.pytest("--spans-fetch", "-rs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "the hub shows no repository org/gone" in done.stdout
    assert "unclosed" not in done.stdout
    assert (half / "tokenizer.json").read_bytes() == small["tokenizer.json"]
    folders = sorted(path.name for path in half.parent.iterdir())
    assert len(folders) == 2
    assert all(name.startswith(half.name) for name in folders)
    assert (half.parent / folders[1] / "rules" / "one.txt").read_text() == "1"
    assert (half.parent / folders[1] / "original" / "params.json").is_file()
    assert not any("safetensors" in line or "README" in line for line in server.asked)


TOKEN = "set HF_TOKEN or run: hf auth login"


def test_each_fault_is_one_line_and_leaves_nothing(place, server):
    said = {
        **{
            repo: f"the hub shows no repository {repo}: it is misspelt, or private ({TOKEN})"
            for repo in ("org/gone", "org/gone-for-members")
        },
        "org/no-such-commit": f"org/no-such-commit has no commit {COMMIT}"
        " (git ls-remote https://huggingface.co/org/no-such-commit)",
        "org/token-refused": f"the hub refuses the token that it was given for org/token-refused ({TOKEN})",
        "org/broken": "org/broken cannot be fetched: the hub answers 500 Internal Server Error",
        "org/broken-file": "org/broken-file cannot be fetched: the hub answers 503 Service Unavailable",
        "org/disabled": "org/disabled cannot be fetched: the hub answers 403 Forbidden",
        "org/gated": f"org/gated is gated: accept its terms at https://huggingface.co/org/gated, then {TOKEN}",
        "org/cut": "org/cut at 0123456 cannot be fetched: ",
        "org/weights": "org/weights at 0123456 has no tokenizer files (also lists others to fetch)",
    }
    sources = {repo.partition("/")[2]: pinned(repo) for repo in said}
    sources["misspelt"] = pinned(more=", file: original/param.json")
    sources["further"] = pinned(more=", also: [rules/*.json]")
    place.write(**sources)
    done = place.fetch_at_once()
    assert done.returncode == 2
    assert done.stdout == ""
    lines = dict(line.split(": failed: ", 1) for line in done.stderr.splitlines())
    assert list(lines) == list(sources)
    cut = lines.pop("cut")
    for repo, line in said.items():
        if repo != "org/cut":
            assert lines.pop(repo.partition("/")[2]) == line
    assert cut.startswith(said["org/cut"])
    assert "peer closed" in cut or "IncompleteRead" in cut or "incomplete" in cut.lower()
    assert lines["misspelt"] == (
        "org/small at 0123456 has no file 'original/param.json'; did you mean 'original/params.json'?"
    )
    assert lines["further"].startswith("org/small at 0123456 has no file 'rules/*.json'")
    assert list((place.cache / "hub").iterdir()) == []


def test_no_hub_offline_and_no_disk(place, server):
    place.write(mine=pinned())
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as closed:
        port = closed.server_port
    done = place.fetch_at_once(HF_ENDPOINT=f"http://127.0.0.1:{port}")
    assert done.returncode == 2
    assert done.stderr.startswith("mine: failed: org/small at 0123456 cannot be fetched: Connect")
    assert done.stderr.count("\n") == 1
    done = place.fetch(HF_HUB_OFFLINE="1")
    told = "mine: failed: org/small cannot be fetched in the client's offline mode (HF_HUB_OFFLINE)\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", told)
    done = place.fetch(HF_HUB_DOWNLOAD_TIMEOUT="soon")  # read when the client is imported
    assert done.returncode == 2
    assert done.stderr.startswith("mine: failed: org/small at 0123456 cannot be fetched: ValueError: ")
    assert done.stderr.count("\n") == 1
    assert list((place.cache / "hub").iterdir()) == []
    assert server.asked == []


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("IMAGE_SPANS_CACHE", str(tmp_path / "file"))
    source = HubSource(hf="org/small", revision=COMMIT)
    assert source.missing(tmp_path) is not None
    with pytest.raises(Unavailable, match=r"cannot be written \(IMAGE_SPANS_CACHE moves it\)"):
        source.fetch()


def test_what_another_process_has_put_there_stays(tmp_path):
    made, home = tmp_path / "made", tmp_path / "home"
    sources.put_in_place(made, home, lambda: True)  # the rename fails, but what it should bring is there
    with pytest.raises(FileNotFoundError):
        sources.put_in_place(made, home, lambda: False)


@pytest.mark.parametrize("kept", ["", "{", "5", "null", '"x"'])
def test_a_list_of_files_that_is_damaged_is_none(tmp_path, monkeypatch, kept):
    monkeypatch.setenv("IMAGE_SPANS_CACHE", str(tmp_path))
    home = tmp_path / "hub" / f"org--small-{COMMIT}"
    home.mkdir(parents=True)
    (home / ".image-spans.json").write_text(kept)
    assert HubSource(hf="org/small", revision=COMMIT).missing(tmp_path) is not None


def test_what_the_usual_patterns_cover_shares_one_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGE_SPANS_CACHE", str(tmp_path))

    def home(**more):
        return HubSource(hf="org/small", revision=COMMIT, **more)._home

    usual = home()
    assert usual == tmp_path / "hub" / f"org--small-{COMMIT}"
    assert home(file="tokenizer.json") == home(also=("tokenizer_*.json", "vocab.bpe")) == usual
    assert home(also=("a", "b")) == home(also=("b", "a")) == home(file="a", also=("b",)) != usual
    assert HubSource(hf="gpt2", revision=COMMIT)._home.name == f"gpt2-{COMMIT}"


@pytest.mark.parametrize("repo", ["gpt2", "org/name", "a/b", "Org-1/Name_2.5-x", "_x/y_", f"{'o' * 96}/{'n' * 96}"])
def test_names_of_repositories(repo):
    assert SOURCE.validate_python({"hf": repo, "revision": COMMIT}).hf == repo


@pytest.mark.parametrize(
    "repo",
    [
        *("", "/", "org/", "/name", "org/name/", "datasets/org/name", "https://huggingface.co/org/name"),
        *("org/na me", "-org/name", "org/.name", "org/name-", "org/na--me", "org/na..me", "../name", "org/.."),
        *("org/name.git", "org/n\u00e4me", "org/name@main", "org\\name", "o" * 97, "org/name\n"),
    ],
)
def test_what_names_no_repository(repo):
    with pytest.raises(ValidationError) as error:
        SOURCE.validate_python({"hf": repo, "revision": COMMIT})
    [only] = error.value.errors()
    assert only["msg"] == f"{repo!r} cannot name a repository on the hub; expected ORG/NAME"


@pytest.mark.parametrize(
    "revision", [None, "", "main", "v1.0", COMMIT[:7], COMMIT.upper(), f"{COMMIT}\n", f"{COMMIT}0"]
)
def test_only_a_full_commit_pins(revision):
    given = {"hf": "org/name"} if revision is None else {"hf": "org/name", "revision": revision}
    with pytest.raises(ValidationError) as error:
        SOURCE.validate_python(given)
    [only] = error.value.errors()
    url = "https://huggingface.co/org/name"
    assert only["msg"] == (
        f"expected a full commit (40 hex digits), found {repr(revision) if revision else 'nothing'}; a branch or a tag "
        f"moves; find the commit with git ls-remote {url} or at {url}/commits/main"
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"file": ""}, "at least 1 character"),
        ({"file": "../x"}, "'../x' leads out of the repository"),
        ({"file": "C:x"}, "leads out of the repository"),
        ({"file": "/etc/passwd"}, "leads out of the repository"),
        ({"also": ["a/../../x"]}, "leads out of the repository"),
        ({"also": [""]}, "at least 1 character"),
        ({"file": "tokenizer*.json"}, "'tokenizer*.json' is a pattern; expected one file (also takes patterns)"),
        ({"file": "tokenizer/"}, "is a pattern"),
        ({"file": "model.safetensors"}, "'model.safetensors' would be weights; only tokenizers are fetched"),
        ({"also": ["*.bin"]}, "'*.bin' would be weights"),
        ({"sha256": "0" * 64}, "unknown key 'sha256'"),
        ({"path": "x"}, "a source has one of path and hf, not both"),
    ],
)
def test_what_is_no_source_on_the_hub(more, said):
    with pytest.raises(ValidationError) as error:
        SOURCE.validate_python({"hf": "org/name", "revision": COMMIT, **more})
    assert said in str(error.value)


def test_the_yaml_says_where(tmp_path):
    place = Place(tmp_path, "")
    place.write(mine="{hf: org/name, revision: main}")
    with pytest.raises(ConfigError) as error:
        config.read(place.file)
    assert "tokenizers_under_test.yaml:4: subjects.mine.tokenizer.source" in str(error.value)
    assert "found 'main'; a branch or a tag moves; find the commit with git ls-remote" in str(error.value)
    assert "\n" not in str(error.value)


def test_all_kinds_of_sources_are_named():
    with pytest.raises(ValidationError, match=r"a source has one of path, package, wheel, trained, hf; found 'hub'"):
        SOURCE.validate_python({"hub": "org/name"})


def test_a_client_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGE_SPANS_CACHE", str(tmp_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "huggingface_hub"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # which is how Python refuses an import
    with pytest.raises(Unavailable, match=r"^huggingface_hub cannot be imported: ModuleNotFoundError: "):
        HubSource(hf="org/small", revision=COMMIT).fetch()
    assert list((tmp_path / "hub").iterdir()) == []
