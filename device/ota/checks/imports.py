"""import: a module imports. call: a function of the user's; true passes, false is asked again."""


def passes(config: dict, check: dict, limit_ms: int) -> bool:
    module, _, function = (check.get("module") or check["function"]).partition(":")
    found = __import__(module, None, None, (function,))  # the last part of a dotted name
    return not function or bool(getattr(found, function)())
