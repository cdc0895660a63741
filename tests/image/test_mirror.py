from __future__ import annotations

from infra.image.mirror import choose_mirror, find_apt_options, find_sources, official_sources
from infra.image.model import ImageError
from infra.image.recipe import Recipe

APT = ["http://mirror.lan/debian/|Debian", "http://mirror.lan/sec/|Debian-Security", "https://x/|Node"]
CONFIG = """APT "";
Acquire::http::Proxy "http://proxy.lan:3128";
Acquire::http::Proxy::archive.lan "DIRECT";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
Acquire::Retries "3";
Dir::State "var/lib/apt";
"""


def test_apt_s_own_mirror_is_used() -> None:
    assert choose_mirror({}, APT) == ("http://mirror.lan/debian", "http://mirror.lan/sec")


def test_without_apt_s_lists_it_is_debian_s_servers() -> None:
    main, security = choose_mirror({}, [])
    assert (main, security) == ("http://deb.debian.org/debian", "http://deb.debian.org/debian-security")


def test_the_user_s_variable_wins() -> None:
    variable = {"AZLOCAL_DEBIAN_MIRROR": "http://a/debian http://a/security"}
    assert choose_mirror(variable, APT) == ("http://a/debian", "http://a/security")
    assert choose_mirror({"AZLOCAL_DEBIAN_MIRROR": "http://a/debian"}, APT) == ("http://a/debian", None)


def test_sources_are_the_recipe_s_suite(recipe: Recipe) -> None:
    def apt(argv: object, **_: object) -> str:
        return "\n".join(APT)

    assert find_sources(recipe.suite, {}, apt).splitlines() == [
        "deb http://mirror.lan/debian bookworm main",
        "deb http://mirror.lan/debian bookworm-updates main",
        "deb http://mirror.lan/sec bookworm-security main",
    ]
    assert "mirror.lan" not in official_sources("bookworm")


def test_a_proxy_reaches_mmdebstrap_and_unrelated_options_do_not() -> None:
    assert find_apt_options(lambda argv, **_: CONFIG) == [
        'Acquire::http::Proxy "http://proxy.lan:3128";',
        'Acquire::http::Proxy::archive.lan "DIRECT";',
        'Acquire::Check-Valid-Until "false";',
        'Acquire::Retries "3";',
    ]


def test_a_machine_without_apt_can_still_build(recipe: Recipe) -> None:
    def no_apt(argv: object, **_: object) -> str:
        raise ImageError("apt-get can't be started", "")

    assert "deb.debian.org" in find_sources(recipe.suite, {}, no_apt)
    assert find_apt_options(no_apt) == []
