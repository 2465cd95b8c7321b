"""One rival's finds, in its own environment: personal_data.py NAME IN.json OUT.json.

Called by benchmarks/personal_data.py. IN has `labelled` and `sample`, lists of texts; OUT gets the
kinds that the rival knows, its spans on the labelled texts, and its MB/s on the sample.
"""

import json
import sys
import time
from pathlib import Path


def datatrove():
    from datatrove.pipeline.formatters.pii import PIIFormatter

    formatter = PIIFormatter()
    parts = [("email", formatter.emails_replacer), ("ip", formatter.ip_replacer)]

    def find(text):
        spans = []
        for kind, replacer in parts:
            valid = replacer.validator or bool
            found = replacer.regex.finditer(text)
            spans += [(*match.span(), kind) for match in found if valid(match.group(0))]
        return spans

    return ["email", "ip"], find


def presidio():
    from presidio_analyzer import predefined_recognizers as known

    kinds = {
        "EMAIL_ADDRESS": "email", "PHONE_NUMBER": "phone", "IP_ADDRESS": "ip", "IBAN_CODE": "iban",
        "CREDIT_CARD": "card", "US_SSN": "national_id", "UK_NINO": "national_id",
        "ES_NIF": "national_id", "ES_NIE": "national_id", "IT_FISCAL_CODE": "national_id",
        "IN_AADHAAR": "national_id", "CRYPTO": "wallet_key",
    }  # fmt: skip
    names = "Email Phone Ip Iban CreditCard UsSsn UkNino EsNif EsNie ItFiscalCode InAadhaar"
    recognizers = [
        getattr(known, f"{name}Recognizer")()
        for name in names.split()
        if hasattr(known, f"{name}Recognizer")
    ]

    def find(text):
        spans = []
        for recognizer in recognizers:
            found = recognizer.analyze(text, recognizer.supported_entities, None) or ()
            spans += [(f.start, f.end, kinds[f.entity_type]) for f in found if f.score >= 0.4]
        return spans

    return ["email", "phone", "ip", "iban", "card", "national_id"], find


def scrubadub():
    import scrubadub as rival

    kinds = {
        "email": "email", "phone": "phone", "credit_card": "card", "credential": "secret",
        "social_security_number": "national_id", "national_insurance_number": "national_id",
    }  # fmt: skip
    scrubber = rival.Scrubber()

    def find(text):
        found = scrubber.iter_filth(text)
        return [(f.beg, f.end, kinds[f.type]) for f in found if f.type in kinds]

    return ["email", "phone", "card", "national_id"], find


def detect_secrets():
    from detect_secrets.core.scan import scan_line
    from detect_secrets.settings import default_settings

    def find(text):
        spans, start = [], 0
        with default_settings():
            for line in text.split("\n"):
                for secret in scan_line(line):
                    at = line.find(secret.secret_value or "")
                    if at >= 0:
                        kind = KEY_TYPES.get(secret.type, "api_key")
                        spans.append((start + at, start + at + len(secret.secret_value), kind))
                start += len(line) + 1
        return spans

    # Not "secret": one line at a time, it reports every word as a possible high-entropy string.
    return ["api_key", "private_key"], find


KEY_TYPES = {
    "Private Key": "private_key",
    "Secret Keyword": "secret",
    "Base64 High Entropy String": "secret",
    "Hex High Entropy String": "secret",
    "Public IP (ipv4)": "ip",
    "Basic Auth Credentials": "secret",
}
RIVALS = {
    "datatrove": datatrove,
    "presidio": presidio,
    "scrubadub": scrubadub,
    "detect-secrets": detect_secrets,
}


def main(name, given, taken):
    texts = json.loads(Path(given).read_text())
    kinds, find = RIVALS[name]()
    spans = [find(text) for text in texts["labelled"]]
    size, start = 0, time.process_time()
    for text in texts["sample"]:
        find(text)
        size += len(text.encode())
        if time.process_time() - start > 20:
            break
    speed = size / (time.process_time() - start) / 1e6
    Path(taken).write_text(json.dumps({"kinds": kinds, "spans": spans, "speed": speed}))


if __name__ == "__main__":
    main(*sys.argv[1:])
