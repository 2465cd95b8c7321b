"""How a rule or a setting of a finished dataset is addressed, and which documents that is about."""

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from curation.errors import RecipeError, unknown_name
from curation.manifest import Manifest
from curation.scopes import FOR_LANGUAGE, FOR_SOURCE

Scope = dict[str, list[str] | None]
"""`sources`, `languages`, `except_languages`, as `curation.audit.scope` reads them."""


class Address(NamedTuple):
    """What stands before the equals sign."""

    text: str
    """The whole, for messages: `--set first.few_words=3`."""
    stage: str
    source: str | None
    language: str | None
    rule: str
    """A reason, a reason and a side, a setting, or a setting and a name in its table."""

    @property
    def setting(self) -> str:
        """What it is where it is a setting."""
        return self.rule.partition(".")[0]

    def given(self, old: Any, value: Any) -> Any:
        """Returns the value of the setting, given its old one: a table with one value changed."""
        _, dot, name = self.rule.partition(".")
        return {**(old if isinstance(old, Mapping) else {}), name: value} if dot else value

    @property
    def path(self) -> str:
        """The address as a recipe has it, without what the user left out."""
        scopes = ((FOR_SOURCE, self.source), (FOR_LANGUAGE, self.language))
        named = [f"{table}.{name}" for table, name in scopes if name is not None]
        return ".".join([self.stage, *named, self.rule])


def parse_address(setting: str, manifest: Manifest) -> tuple[Address, Any]:
    """Returns the address and the value of `stage.rule=value`.

    Raises:
        RecipeError: It has another form, or names an unknown stage or source.
    """
    text = f"--set {setting}"
    key, equals, value = setting.partition("=")
    key = key.strip().removeprefix("stages.")
    if not equals or "." not in key:
        raise RecipeError(f"{text}: expected stage.rule=value, e.g. gopher_quality.min_words=40")
    known = [stage.name for stage in manifest.stages]
    stage = max((name for name in known if key.startswith(f"{name}.")), key=len, default=None)
    if stage is None:
        raise RecipeError(f"{text}: {unknown_name('stage', key.partition('.')[0], known)}")
    rest, source = _scoped(key.removeprefix(f"{stage}."), FOR_SOURCE, list(manifest.sources), text)
    rest, language = _scoped(rest, FOR_LANGUAGE, None, text)
    return Address(text, stage, source, language, rest), _value(value.strip())


def _scoped(
    rest: str, table: str, known: Sequence[str] | None, text: str
) -> tuple[str, str | None]:
    """Splits `for_source.web.min_words` into the rule and the name of the scope."""
    if not rest.startswith(f"{table}."):
        return rest, None
    rest = rest.removeprefix(f"{table}.")
    names = [name for name in known or () if rest.startswith(f"{name}.")]
    name = max(names, key=len) if names else rest.partition(".")[0]
    if known is not None and not names:
        raise RecipeError(f"{text}: {unknown_name('source', name, known)}")
    return rest.removeprefix(f"{name}."), name


def _value(text: str) -> Any:
    if text.lower() in ("none", "off"):
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        pass
    try:
        return float(text)  # .9 is a number to everyone but TOML
    except ValueError:
        return text


def narrowed(scope: Mapping[str, list[str] | None], address: Address) -> Scope | None:
    """Returns the part of a scope that an address is about; None where there is none."""
    new = dict(scope)
    if address.source is not None:
        if address.source not in (scope["sources"] or [address.source]):
            return None
        new["sources"] = [address.source]
    if address.language is not None:
        allowed = address.language in (scope["languages"] or [address.language])
        if not allowed or address.language in (scope["except_languages"] or ()):
            return None
        new |= {"languages": [address.language], "except_languages": None}
    return new


def covers(scope: Scope, other: Scope) -> bool:
    """Says whether all documents of another scope are of this one, as far as that is plain."""
    for limit in ("sources", "languages"):
        mine, theirs = scope[limit], other[limit]
        if mine and not (theirs and set(theirs) <= set(mine)):
            return False
    excluded = set(scope["except_languages"] or ())
    return excluded <= set(other["except_languages"] or ()) or bool(
        other["languages"] and not excluded & set(other["languages"])
    )
