"""The formats of personal data and secrets, in the order in which they are tried.

A *kind* is what a user decides about (e-mail, card ...); a *format* is one way to write it, with
its own rules ("us_ssn" is a national_id). Numbers of formats are places in `FORMATS`.
"""

from typing import NamedTuple


class Format(NamedTuple):
    """One way to write a kind of personal data."""

    name: str
    kind: str
    about: str


FORMATS = (
    Format("pem", "private_key", "PEM and OpenPGP blocks of private keys, RFC 7468"),
    Format("age", "private_key", "secret keys of age, AGE-SECRET-KEY-1..."),
    Format("aws", "api_key", "AWS access key ids, AKIA... and ASIA..."),
    Format("github", "api_key", "GitHub tokens, ghp_ gho_ ghu_ ghs_ ghr_ github_pat_"),
    Format("gitlab", "api_key", "GitLab tokens, glpat-"),
    Format("slack", "api_key", "Slack tokens and webhooks, xoxb- ... hooks.slack.com/services/"),
    Format("stripe", "api_key", "Stripe keys, sk_live_ rk_live_ sk_test_ rk_test_ whsec_"),
    Format("google", "api_key", "Google keys and tokens, AIza GOCSPX- ya29."),
    Format("openai", "api_key", "OpenAI, Anthropic and keys of their form, sk-"),
    Format("hugging_face", "api_key", "Hugging Face tokens, hf_"),
    Format("npm", "api_key", "npm tokens, npm_"),
    Format("pypi", "api_key", "PyPI tokens, pypi-AgE"),
    Format("sendgrid", "api_key", "SendGrid keys, SG."),
    Format("digitalocean", "api_key", "DigitalOcean tokens, dop_v1_"),
    Format("shopify", "api_key", "Shopify tokens, shpat_ shpss_ shppa_"),
    Format("jwt", "api_key", "JSON Web Tokens, RFC 7519"),
    Format("assignment", "secret", "password = ... and the like, with a value that looks random"),
    Format("wif", "wallet_key", "Bitcoin private keys in wallet import format"),
    Format("xprv", "wallet_key", "extended private keys, BIP 32"),
    Format("hex_key", "wallet_key", "64 hexadecimal digits after words such as private key"),
    Format("email", "email", "addr-spec of RFC 5322 without quotes and comments"),
    Format("iban", "iban", "ISO 13616, with check digits and each country's length"),
    Format("card", "card", "ISO/IEC 7812 payment cards, with issuer and Luhn's check digit"),
    Format("us_ssn", "national_id", "US social security number; has ranges, no check digit"),
    Format("uk_nino", "national_id", "UK national insurance number; has prefixes, no check digit"),
    Format("de_tax_id", "national_id", "German Steuer-ID, ISO 7064 mod 11, 10"),
    Format("fr_nir", "national_id", "French NIR (sécurité sociale), mod 97"),
    Format("es_dni", "national_id", "Spanish DNI, mod 23"),
    Format("es_nie", "national_id", "Spanish NIE, mod 23"),
    Format("it_codice_fiscale", "national_id", "Italian codice fiscale, mod 26"),
    Format("nl_bsn", "national_id", "Dutch BSN, mod 11"),
    Format("br_cpf", "national_id", "Brazilian CPF, two digits mod 11"),
    Format("in_aadhaar", "national_id", "Indian Aadhaar, Verhoeff"),
    Format("cn_resident_id", "national_id", "Chinese resident id, date and ISO 7064 mod 11, 2"),
    Format("ipv4", "ip", "IPv4 addresses in dotted decimals"),
    Format("ipv6", "ip", "IPv6 addresses, RFC 4291"),
    Format("phone_international", "phone", "+ and a country's calling code, E.164"),
    Format("phone_national", "phone", "numbers in a national form, or after a word like telephone"),
)
"""Where two formats could start at the same place, the earlier one wins."""

KINDS = tuple(dict.fromkeys(format_.kind for format_ in FORMATS))
"""The kinds, in the order of their first formats."""

NUMBER = {format_.name: number for number, format_ in enumerate(FORMATS)}
"""The number of each format."""
