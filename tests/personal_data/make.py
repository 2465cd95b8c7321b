"""Writes `generated.jsonl.gz`: sentences with made-up personal data, and with what looks like it.

python -m tests.personal_data.make

Check digits come from python-stdnum and from the formulas here, not from the code under test.
Telephone numbers lie in ranges that are kept for fiction where a country has such ranges.
"""

import base64
import gzip
import json
import random
import string
from itertools import pairwise
from pathlib import Path

from stdnum import iban, luhn, verhoeff
from stdnum.br import cpf
from stdnum.cn import ric
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.it import codicefiscale
from stdnum.nl import bsn

OUT = Path(__file__).parent / "generated.jsonl.gz"
ALNUM = string.ascii_letters + string.digits
NAMES = "ana bob chen dmitri elif farid grace hiro ines jonas kofi lena müller nadia otto".split()
HOSTS = "mail-post kontor uni-nord werkstatt lab7 city-news firma kirche schule".split()
ENDS = "com org net de fr es it nl co.uk com.br co.in cn jp io info museum".split()


class Maker:
    """Draws values; each method gives one value of a kind, some of them in several forms."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def digits(self, count: int, first: str = string.digits) -> str:
        rest = "".join(self.random.choice(string.digits) for _ in range(count - 1))
        return self.random.choice(first) + rest

    def pick(self, *values: str) -> str:
        return self.random.choice(values)

    def until(self, draw, check) -> str:
        return next(value for value in iter(draw, None) if check(value))

    def email(self) -> str:
        first, last = self.random.sample(NAMES, 2)
        name = self.pick(
            f"{first}.{last}", f"{first}{self.digits(2)}", f"{first}_{last}", f"{first}+x"
        )
        host = self.pick(*HOSTS)
        return f"{name}@{self.pick('', 'mx.', 'post.')}{host}.{self.pick(*ENDS)}"

    def phone(self) -> tuple[str, str]:
        d = self.digits
        us = (f"{self.pick('212', '415', '617', '305')}", "555", f"01{d(2)}")
        plus = self.pick(
            f"+1 {us[0]}-{us[1]}-{us[2]}", f"+1 ({us[0]}) {us[1]}-{us[2]}", f"+1{''.join(us)}",
            f"+44 7700 900{d(3)}", f"+44 (0)20 7946 0{d(3)}", f"+49 30 23125 {d(3)}",
            f"+49-171-39200{d(2)}", f"+33 6 39 98 {d(2)} {d(2)}", f"+34 612 {d(3)} {d(3)}",
            f"+55 11 9{d(4)}-{d(4)}", f"+91 98765 {d(5)}", f"+86 138 0013 {d(4)}",
            f"+7 495 {d(3)}-{d(2)}-{d(2)}", f"+81 3-{d(4, '35')}-{d(4)}", f"+61 491 570 {d(3)}",
            f"+31 6 {d(8)}", f"+39 06 {d(4)} {d(4)}", f"+48 {d(3, '56')} {d(3)} {d(3)}",
        )  # fmt: skip
        plain = self.pick(
            "-".join(us), f"({us[0]}) {us[1]}-{us[2]}", ".".join(us), "1-800-555-" + us[2],
            f"(020) 7946 0{d(3)}", f"01 99 00 {d(2)} {d(2)}", f"090-{d(4)}-{d(4)}",
            f"(11) 9{d(4)}-{d(4)}", f"(030) 23125{d(3)}",
        )  # fmt: skip
        announced = self.pick(
            "".join(us), f"{us[1]}-{us[2]}", f"020 7946 0{d(3)}", f"07700 900{d(3)}",
            f"030 / 23125-{d(3)}", f"0171/39200{d(2)}", f"912 {d(3)} {d(3)}", f"612{d(6)}",
            f"138{d(8)}", f"98765 {d(5)}", f"22 {d(2)} {d(2)} {d(2)}", f"06-{d(8)}",
            f"8 (495) {d(3)}-{d(2)}-{d(2)}", f"0{d(1, '23')} {d(4)} {d(4)}",
        )  # fmt: skip
        form = self.random.random()
        return (plus, "") if form < 0.4 else (plain, "") if form < 0.7 else (announced, "word")

    def ip(self) -> str:
        if self.random.random() < 0.7:
            first = self.random.choice([31, 46, 62, 81, 93, 151, 185, 193, 212])
            return f"{first}." + ".".join(str(self.random.randint(1, 254)) for _ in range(3))
        groups = [f"{self.random.randint(1, 65535):x}" for _ in range(7)]
        whole = [self.pick("2a02", "2606", "2001", "2400"), *groups]
        if whole[0] == "2001":
            whole[1] = self.pick("67c", "470", "41d0")
        return (
            ":".join(whole) if self.random.random() < 0.5 else ":".join(whole[:4]) + "::" + whole[7]
        )

    def iban(self) -> str:
        body = self.pick(
            "DE" + "00" + self.digits(18), "FR00" + self.digits(23), "ES00" + self.digits(20),
            "NL00" + self.pick("ABNA", "INGB", "RABO") + self.digits(10),
            "GB00" + self.pick("NWBK", "BARC") + self.digits(14), "CH00" + self.digits(17),
            "AT00" + self.digits(16), "PL00" + self.digits(24), "BE00" + self.digits(12),
        )  # fmt: skip
        value = body[:2] + iban.calc_check_digits(body) + body[4:]
        parts = [value[k : k + 4] for k in range(0, len(value), 4)]
        return self.pick(value, " ".join(parts), " ".join(parts), "\u00a0".join(parts))

    def card(self) -> str:
        body = self.pick(
            "4" + self.digits(14), "5" + self.digits(14, "12345"), "37" + self.digits(12)
        )
        value = body + luhn.calc_check_digit(body)
        cuts = (0, 4, 10, 15) if len(value) == 15 else (0, 4, 8, 12, 16)
        parts = [value[a:b] for a, b in pairwise(cuts)]
        return self.pick(value, " ".join(parts), "-".join(parts))

    def national_id(self) -> tuple[str, str]:
        d = self.digits
        born = f"19{d(1, '5678')}{d(1)}0{d(1, '123456789')}1{d(1)}"
        ric17 = f"{self.pick('110105', '440308')}{born}{d(3)}"
        steuer = self.until(lambda: d(11, "123456789"), idnr.is_valid)
        nir13 = f"{d(1, '12')}{d(2)}0{d(1, '123456789')}75{d(6)}"
        dni8, nie8 = d(8), self.pick("X", "Y", "Z") + d(7)
        cf = "".join(self.random.choice("BCDFGLMNPRST") for _ in range(6)) + f"8{d(1)}C1{d(1)}H501"
        verhoeff11 = "2" + d(10)
        cpf11 = self.until(lambda: d(11), cpf.is_valid)
        nine = self.until(lambda: d(9, "123"), bsn.is_valid)
        return self.pick_pair(
            (f"{d(3, '1234')}-{d(1, '1234')}{d(1)}-{d(3, '1234')}{d(1)}", ""),
            (f"AB {d(2)} {d(2)} {d(2)} C", ""),
            (f"JM{d(6)}A", "NI number"),
            (steuer, "Steuer-ID:"),
            (
                f"{steuer[:2]} {steuer[2:5]} {steuer[5:8]} {steuer[8:]}",
                "Steueridentifikationsnummer",
            ),
            (nir13 + nir.calc_check_digits(nir13), ""),
            (dni8 + dni.calc_check_digit(dni8), "DNI"),
            (nie8 + nie.calc_check_digit(nie8), ""),
            (cf + codicefiscale.calc_check_digit(cf), ""),
            (nine, "BSN"),
            (cpf.format(cpf11), ""),
            (cpf11, "CPF:"),
            (" ".join(self._aadhaar(verhoeff11)), "Aadhaar"),
            (ric17 + ric.calc_check_digit(ric17 + "0"), ""),
        )

    def pick_pair(self, *pairs: tuple[str, str]) -> tuple[str, str]:
        return self.random.choice(pairs)

    def _aadhaar(self, body: str) -> list[str]:
        value = body + verhoeff.calc_check_digit(body)
        return [value[k : k + 4] for k in (0, 4, 8)]

    def chars(self, count: int, alphabet: str = ALNUM) -> str:
        return "".join(self.random.choice(alphabet) for _ in range(count))

    def api_key(self) -> str:
        c = self.chars
        parts = [json.dumps({"alg": "HS256"}), json.dumps({"sub": c(12)})]
        jwt = ".".join(base64.urlsafe_b64encode(p.encode()).decode().rstrip("=") for p in parts)
        return self.pick(
            "AKIA" + c(16, string.ascii_uppercase + "234567"), "ghp_" + c(36), "gho_" + c(36),
            "github_pat_" + c(22) + "_" + c(59), "glpat-" + c(20), "sk_live_" + c(24),
            "xoxb-" + self.digits(12) + "-" + self.digits(12) + "-" + c(24), "AIza" + c(35),
            "sk-" + c(48), "hf_" + c(34), "npm_" + c(36), jwt + "." + c(43),
            f"SG.{c(22)}.{c(43)}", "dop_v1_" + c(64, "0123456789abcdef"),
        )  # fmt: skip

    def private_key(self) -> str:
        kind = self.pick("RSA ", "EC ", "", "OPENSSH ", "ENCRYPTED ")
        lines = [self.chars(64, ALNUM + "+/") for _ in range(self.random.randint(2, 5))]
        body = "\n".join([*lines, self.chars(22) + "=="])
        return f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----"

    def secret(self) -> str:
        return self.chars(self.random.randint(12, 32), ALNUM + "-_") + "7aQ"

    def wallet_key(self) -> str:
        base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
        return self.pick("5" + self.chars(50, base58), "xprv" + self.chars(107, base58))

    def negative(self) -> str:
        d = self.digits
        return self.pick(
            f"Version {d(1, '123')}.{d(2, '12')}.{d(1)}.{d(1, '1234')} of 2023-0{d(1, '123456789')}-1{d(1)}.",
            f"ISBN 978-{d(1, '3')}-{d(2, '12')}-{d(6, '1')}-{d(1)}, pages {d(3, '12')}-{d(3, '34')}.",
            f"Order no. {d(4, '1')}-{d(6)} over {d(1, '12')} {d(3)} {d(3)} EUR.",
            f"At {d(2, '45')}.{d(6)}, {d(1, '1')}{d(1)}.{d(6)} lies the station.",
            f"commit {self.chars(40, '0123456789abcdef')} by the build",
            f"md5 {self.chars(32, '0123456789abcdef')} size {d(9, '123')}",
            f"Between {d(4, '1')} and {d(4, '2')} it grew by {d(2, '12')}.{d(2)} %.",
            f"10.{d(1)}.{d(2, '12')}.{d(1)} and 192.168.{d(1)}.{d(2, '12')} are in the house.",
            f"The sample had {d(7, '1')} reads, {d(8, '1')} bases and {d(10, '3')} k-mers.",
            f"Article {d(2, '123')}.{d(1)}.{d(1)} of 20{d(2, '12')}, item {d(3, '123')}/{d(2)}.",
            f"at 1{d(1)}:{d(1, '12345')}{d(1)}:{d(1, '12345')}{d(1)}, run {d(8, '2')}, id {d(12, '1')}",
            f"Row: {d(2, '123')} {d(2, '123')} {d(2, '123')} {d(2, '123')} {d(3, '123')} {d(4, '1')}",
            f"Values {d(1)}.{d(4)} {d(1)}.{d(4)} {d(1)}.{d(4)} and -{d(1)}.{d(7)}",
            f"@user_{d(3)} wrote: #{d(4, '1')} is fixed in r{d(6, '1')}",
            f"DOI 10.{d(4, '1')}/s{d(5, '1')}-0{d(2)}-{d(5)}-{d(1)}, arXiv {d(4, '2')}.{d(5)}",
            f"US patent {d(1, '56789')},{d(3)},{d(3)}; PMID {d(8, '12')}; NCT0{d(7)}",
            f"EAN 4{d(12)}: the check is another one; LOT {d(8)}A",
            f"GET /item/{d(16, '4')}.html?page={d(2, '123')}&t={d(13, '1')}",
            f"Contact support@example.com or see /etc/{self.pick(*NAMES)}@.service for details.",
            f"{d(4, '3')} {d(4)} {d(4)} {d(4)} {d(4)} {d(4)} are the rows of the table.",
        )


WORDS = {
    "email": ("Write to {}.", "E-mail: {}", "<{}>", "Contact {}, please!", "邮箱：{}。", "Von {} am Montag"),
    "phone": ("Call {} today.", "Reach us at {}, any day.", "Office {}", "{} (24h)", "Dial {} now"),
    "word": ("Tel.: {}", "Telefon {}", "phone: {}.", "Mobile {} or mail", "Fax: {}", "电话：{}", "Тел. {}"),
    "ip": ("Failed login from {} port 22", "[{}] refused", "host {} is down", "{} - - GET /", "bei {}."),
    "iban": ("IBAN: {}", "Konto {}, bitte", "Pay to {}.", "({})"),
    "card": ("Card {} exp 12/29", "paid with {}.", "cc: {}", "Karte {};"),
    "national_id": ("{}", "no. {}.", "({}),", "Person {} is known"),
    "api_key": ("key={}", 'token: "{}"', "export KEY={}", "Authorization: Bearer {}"),
    "private_key": ("{}\n", "key:\n{}\nend", "cat id\n{}"),
    "secret": ('password = "{}"', "SECRET_KEY='{}'", "db_password: {}", "api_key={}"),
    "wallet_key": ("seed {}", "wallet key: {}", "{}"),
}  # fmt: skip
FILL = (
    "The meeting is on Monday.", "Größe und Maß sind egal.", "Merci beaucoup !", "これは例です。",
    "It costs 12.50 EUR.", "See chapter 3.2.", "Все хорошо.", "Nothing more was said.", "🙂 ok", "",
)  # fmt: skip
COUNTS = {
    "email": 160, "phone": 260, "ip": 120, "iban": 100, "card": 100, "national_id": 220,
    "api_key": 140, "private_key": 40, "secret": 60, "wallet_key": 30, "": 400,
}  # fmt: skip


def document(maker: Maker, kind: str) -> dict:
    """One or two sentences around a value (or none), with its place in characters."""
    before = maker.pick(*FILL) + maker.pick(" ", "\n")
    after = maker.pick(" ", "\n") + maker.pick(maker.negative(), *FILL)
    if not kind:
        return {"text": before + maker.negative() + after, "spans": []}
    drawn = getattr(maker, kind)()
    value, said = drawn if isinstance(drawn, tuple) else (drawn, "")
    frame = maker.pick(*WORDS[said if said == "word" else kind])
    if said and said != "word":
        frame = f"{said} {{}}"
    head, _, tail = frame.partition("{}")
    start = len(before) + len(head)
    text = before + head + value + tail + after
    return {"text": text, "spans": [[start, start + len(value), kind]]}


def main() -> None:
    maker = Maker(20261122)
    rows = [document(maker, kind) for kind, count in COUNTS.items() for _ in range(count)]
    maker.random.shuffle(rows)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    OUT.write_bytes(gzip.compress(lines.encode(), mtime=0))


if __name__ == "__main__":
    main()
