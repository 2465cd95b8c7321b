"""Words by which `curation.text.facts` knows dates, negations and languages."""

MONTHS = {
    "en": "january february march april may june july august september october november december",
    "de": "januar februar märz april mai juni juli august september oktober november dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre "
    "diciembre",
    "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro "
    "dezembro",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre "
    "dicembre",
    "nl": "januari februari maart april mei juni juli augustus september oktober november december",
}
"""Names of the months, by language; English ones may be cut to three letters, too."""

NEGATIONS = {
    "en": r"not|no|never|none|nobody|nothing|neither|nor|nowhere|without|cannot|\w+n['\u2019]t",
    "de": r"nicht|nichts|nie|niemals|niemand\w*|nirgends|nirgendwo|kein\w*|ohne|weder",
    "fr": r"ne|n(?=['\u2019])|non|jamais|rien|aucune?|sans|ni|nul(?:le)?",
    "es": r"no|nunca|jamás|nada|nadie|ning(?:ún|un[oa])|tampoco|sin|ni",
    "pt": r"não|nunca|jamais|nada|ninguém|nenhu(?:m|ma|ns|mas)|nem|sem|tampouco",
    "it": r"non|mai|niente|nulla|nessun[oa]?|senza|né|neanche|nemmeno|neppure",
    "nl": r"niet|niets|nooit|niemand|nergens|geen|zonder|noch",
}
"""Words that negate, by language, as a pattern; what has other meanings as often is not there."""

NOUNS_HAVE_CAPITALS = frozenset({"de", "lb", "nds", "bar", "als"})
"""Languages in which a capital says nothing about a name."""
