"""Files are read from folders that a person allowed, and from nowhere else."""

import os
from pathlib import Path

import pytest

from connectors import folders
from connectors.folders import FolderRefused, allow, allowed, content, listing, locate, stamp


@pytest.fixture
def docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with documents beside one with secrets; nothing is allowed yet."""
    monkeypatch.setenv("TIDEMILL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TIDEMILL_FOLDERS", raising=False)
    docs = tmp_path / "my docs"
    (docs / "deep" / "er").mkdir(parents=True)
    (docs / "a.md").write_text("# A")
    (docs / "deep" / "er" / "b.html").write_text("<p>b")
    (docs / "picture.png").write_bytes(b"\x89PNG")
    (docs / ".env").write_text("PASSWORD=x")
    (docs / ".git").mkdir()
    (docs / ".git" / "c.md").write_text("hidden")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "key.txt").write_text("secret")
    (docs / "link.txt").symlink_to(tmp_path / "secrets" / "key.txt")
    (docs / "linked").symlink_to(tmp_path / "secrets")
    (docs / "loop").symlink_to(docs / "loop")
    return docs


def refused(url: str) -> str:
    with pytest.raises(FolderRefused) as raised:
        locate(url)
    return raised.value.reason


def test_nothing_may_be_read_until_somebody_says_so(docs: Path) -> None:
    url = docs.as_uri()
    assert refused(url) == "folder_not_allowed"
    assert allow(docs) == url
    assert locate(url) == docs
    assert locate(f"{url}/a.md") == docs / "a.md"


def test_a_folder_is_allowed_once_and_remembered(docs: Path) -> None:
    allow(docs)
    allow(docs)
    assert allowed() == [docs]


def test_the_settings_name_folders_too(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMILL_FOLDERS", os.pathsep.join(["relative", "/", str(docs)]))
    assert allowed() == [docs]
    assert locate(f"{docs.as_uri()}/a.md")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("../secrets/key.txt", "folder_not_allowed"),
        ("deep/../../secrets/key.txt", "folder_not_allowed"),
        ("%2e%2e/secrets/key.txt", "folder_not_allowed"),
        ("link.txt", "folder_not_allowed"),
        ("linked/key.txt", "folder_not_allowed"),
        (".env", "hidden"),
        (".git/c.md", "hidden"),
        ("none.md", "not_found"),
        ("a.md%00.txt", "odd_url"),
        ("x" * 2_000, "odd_url"),
        ("loop", "odd_url"),
    ],
)
def test_no_way_out_of_the_folder(docs: Path, path: str, reason: str) -> None:
    assert refused(f"{allow(docs)}/{path}") == reason


@pytest.mark.parametrize(
    "url", ["file://host/etc/passwd", "file:a.md", "https://a/", "file:///", "file://["]
)
def test_what_is_no_path_of_this_machine_is_refused(docs: Path, url: str) -> None:
    allow(docs)
    assert refused(url) in ("odd_url", "folder_not_allowed")


def test_a_folder_lists_its_documents_at_every_level(docs: Path) -> None:
    found = listing(docs)
    assert [e.title for e in found.entries] == ["a.md", "deep/er/b.html"]
    assert found.entries[0].url == f"{docs.as_uri()}/a.md"
    assert (found.title, found.total) == ("my docs", 2)


def test_a_folder_of_ten_thousand_files_is_counted_and_cut(docs: Path) -> None:
    (docs / "many").mkdir()
    for number in range(3_000):
        (docs / "many" / f"{number}.txt").touch()
    found = listing(docs)
    assert (len(found.entries), found.total) == (folders.ENTRIES_MAX, 3_002)


def test_a_file_that_is_changed_has_another_stamp(docs: Path) -> None:
    before = stamp(docs / "a.md")
    assert content(docs / "a.md") == (b"# A", before)
    (docs / "a.md").write_text("# A, longer")
    assert stamp(docs / "a.md") != before


def test_what_is_no_ordinary_file_is_not_opened_for_long(docs: Path) -> None:
    os.mkfifo(docs / "pipe.txt")
    for read in (stamp, content):
        with pytest.raises(FolderRefused):
            read(docs / "pipe.txt")


def test_a_file_that_is_too_large_is_refused(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "FILE_BYTES", 2)
    with pytest.raises(FolderRefused, match="larger"):
        content(docs / "a.md")
