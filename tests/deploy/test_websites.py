"""Sample websites are chosen by the Host header, and nothing else of the disk is served."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from deploy.websites import application


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    site = tmp_path / "sdr" / "sample" / "websites" / "northwind"
    (site / "about").mkdir(parents=True)
    (site / "index.html").write_text("<h1>Northwind</h1>")
    (site / "about" / "index.html").write_text("<h1>About</h1>")
    (tmp_path / "sdr" / "secret.txt").write_text("secret")
    return TestClient(application(tmp_path), base_url="http://northwind.localhost:8480")


def test_pages_of_the_named_site(client: TestClient) -> None:
    assert "Northwind" in client.get("/").text
    assert "About" in client.get("/about").text
    assert client.get("/").headers["content-type"].startswith("text/html")


def test_an_unknown_site_or_page_is_not_found(client: TestClient) -> None:
    assert client.get("/", headers={"host": "other.localhost:8480"}).status_code == 404
    assert client.get("/none").status_code == 404


def test_a_page_is_not_sent_again_to_who_has_it(client: TestClient) -> None:
    first = client.get("/")
    known = {"if-none-match": first.headers["etag"]}
    assert (again := client.get("/", headers=known)).status_code == 304 and not again.content


@pytest.mark.parametrize("path", ["/../../../secret.txt", "/..%2f..%2f..%2fsecret.txt"])
def test_no_way_out_of_the_folder(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_health_counts_the_sites(client: TestClient) -> None:
    assert client.get("/.health").text == "1 sample websites"
