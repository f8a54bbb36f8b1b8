"""What release/ needs of config.py, where that is installed in its place: an ESP8266 has no memory for all its rules, and
`otactl deploy` has checked the configuration by them."""


def fits(value: object, kinds: tuple, least: int, most: int) -> bool:
    """As config.fits()."""
    if type(value) not in kinds:
        return value in kinds
    return least <= (len(value) if isinstance(value, (str, list, dict)) else value) <= most  # type: ignore
