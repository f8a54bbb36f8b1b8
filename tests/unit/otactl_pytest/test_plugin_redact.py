"""No password in anything that the plugin writes or shows."""

import base64
import json
import textwrap
from collections.abc import Callable, Iterator

import pytest
from otactl_pytest import redact


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(redact, "_secrets", set())
    return


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ('{"wifi": {"ssid": "home", "password": "geheim1"}}', '{"wifi": {"ssid": "home", "password": "***"}}'),
        ("password = 'geheim1'", "password = '***'"),
        ('{\\"password\\": \\"geheim1\\"}', '{\\"password\\": \\"***\\"}'),
        ("wlan.connect('home', 'geheim1')", "wlan.connect('home', '***')"),
        ('WLAN().connect(b"home", b"geheim1")', 'WLAN().connect(b"home", b"***")'),
        ("http://admin:geheim1@plug/on", "http://admin:***@plug/on"),
        ("api_token: 'geheim1'", "api_token: '***'"),
        ("""{"password": "geh'e\\"im\\\\1"}""", '{"password": "***"}'),
        ("""password = 'geh"e\\'im1'""", "password = '***'"),
        ("external:relay --password geheim1 --port 2", "external:relay --password *** --port 2"),
        ("BOARD_WIFI_PASSWORD=geheim1 pytest", "BOARD_WIFI_PASSWORD=*** pytest"),
        ("GET /on?token=geheim1&port=2", "GET /on?token=***&port=2"),
        ("passphrase = b'geheim1'", "passphrase = b'***'"),
        ("otactl publish --passphrase-file geheim1.txt", "otactl publish --passphrase-file ***"),
        ('{"rsa3072": [' + "12" * 40 + ", " + "3" * 200 + "]}", '{"rsa3072": [***, ***]}'),
        (
            "-----BEGIN PRIVATE KEY-----\nMIGH\nAgEA\n-----END PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----***-----END PRIVATE KEY-----",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nMIGH\n-----END CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----\nMIGH\n-----END CERTIFICATE-----",
        ),
        ("ssid = 'home'", "ssid = 'home'"),
        ("https://plug:8443/on and user@host", "https://plug:8443/on and user@host"),
        ("password wrong: 'check-wifi'", "password wrong: 'check-wifi'"),
    ],
)
def test_what_looks_like_a_password_is_hidden(text: str, clean: str) -> None:
    assert redact.clean(text) == clean


def test_a_known_secret_is_hidden_wherever_it_stands() -> None:
    redact.register_secret("geheim")
    redact.register_secret("geheim1234")
    assert redact.clean("it said geheim1234, then geheim") == "it said ***, then ***"


def test_the_secrets_of_a_configuration_are_known() -> None:
    redact.register_from({"wifi": {"networks": [{"ssid": "home", "password": "geheim1"}]}, "ddi": {"token": "abcdef"}})
    assert redact.clean("home geheim1 abcdef") == "home *** ***"


def test_a_key_is_hidden_however_a_program_prints_it() -> None:
    key = bytes(range(30, 168))
    coded = base64.b64encode(key).decode()
    redact.register_key(key)
    for said in (repr(key), str(bytearray(key)), key.hex(), key.hex().upper(), coded, textwrap.fill(coded, 64)):
        assert set(redact.clean(said)) <= set("bytearray(b'***')\n"), said


def test_passphrases_of_the_environment_are_known_and_no_other_variable() -> None:
    redact.register_environment({"OTACTL_KEY_PASSPHRASE": "geheim1", "OTACTL_LOG": "logfile", "MY_TOKEN": "theirs"})
    assert redact.clean("geheim1 logfile theirs") == "*** logfile theirs"


def test_a_short_secret_is_hidden_where_it_stands_alone_and_takes_no_word_apart() -> None:
    redact.register_secret("pin")
    assert redact.clean("spinning with 'pin', pin") == "spinning with '***', ***"


@pytest.mark.parametrize(
    "spelt",
    [
        'a"b\\c\u00fcd/',
        r"a\"b\\c\u00fcd/",
        'a\\"b\\\\c\u00fcd/',
        repr('a"b\\c\u00fcd/'.encode()),
        "'a\"b\\\\c\u00fcd/'",
        "a%22b%5Cc%C3%BCd%2F",
    ],
    ids=["itself", "json", "json in utf-8", "bytes", "repr", "url"],
)
def test_a_secret_is_hidden_in_every_spelling(spelt: str) -> None:
    redact.register_secret('a"b\\c\u00fcd/')
    assert redact.clean(spelt).strip("b'") == "***"


@pytest.mark.parametrize("found", ["geheim1 is wrong", ("test_app.py", 3, "geheim1 is wrong")])
def test_a_report_that_is_a_text_or_a_place_is_cleaned_too(found: object) -> None:
    redact.register_secret("geheim1")
    assert "geheim1" not in str(redact.cleaned(found))


def test_all_texts_of_a_report_are_cleaned() -> None:
    redact.register_secret("geheim1")
    with pytest.raises(ValueError) as caught:
        raise ValueError("geheim1 is wrong")
    longrepr = caught.getrepr(style="long", showlocals=True)
    assert "geheim1" in str(longrepr)
    longrepr = redact.cleaned(longrepr)
    assert "geheim1" not in str(longrepr)
    assert "*** is wrong" in str(longrepr)


@pytest.mark.parametrize("secret", ['pass"word', "pass\\word", "pässwörd", "it's it"])
@pytest.mark.parametrize("written", [str, repr, ascii, json.dumps], ids=["as it is", "repr", "ascii", "JSON"])
def test_a_known_secret_is_hidden_however_it_is_written(secret: str, written: Callable[[str], str]) -> None:
    redact.register_secret(secret)
    assert "word" not in (said := redact.clean(f"joined by {written(secret)}")) and "it" not in said and "***" in said
