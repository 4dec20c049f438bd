"""RxNorm of our own making, in the layout that NLM ships, and the two services that it comes from.

Names and codes are invented. A release has the same files twice, in `rrf` and in `prescribe/rrf`, as the real one has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from urllib.parse import urlencode

from warehouse.sample_sources.drugs import eleven_digits, zipped
from warehouse.sample_sources.server import SampleSources

RELEASE_TYPE = "rxnorm-full-monthly-release"
RELEASES, DOWNLOAD = "/releases", "/download"
_DOWNLOADS = "https://download.nlm.example/umls/kss/rxnorm"


@dataclass
class RxNorm:
    """A release: so many clinical drugs, each with two drug codes; lines that are put beside them."""

    day: date
    concepts: int = 100
    extra_lines: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By table."""
    missing: tuple[str, ...] = ()
    """Tables that the archive lacks."""

    @property
    def file_name(self) -> str:
        """Return the archive's name."""
        return f"RxNorm_full_{self.day:%m%d%Y}.zip"

    def archive(self) -> bytes:
        """Return the release."""
        tables = {
            "RXNCONSO": self._concepts(), "RXNREL": self._relations(), "RXNSAT": self._attributes(),
            "RXNSTY": self._types(), "RXNCUI": iter(["999|01APR05|02MAY05|1|1000|"]),
            "RXNATOMARCHIVE": self._archived(),
        }  # fmt: skip
        members = {f"Readme_Full_{self.day:%m%d%Y}.txt": b"Invented.\n"}
        for name, lines in tables.items():
            if name not in self.missing:
                text = "".join(f"{line}\n" for line in (*lines, *self.extra_lines.get(name, ())))
                members[f"rrf/{name}.RRF"] = text.encode()
        members["prescribe/rrf/RXNCONSO.RRF"] = b"1|ENG|another file of the same name|\n"
        return zipped(members)

    def _concepts(self) -> Iterator[str]:
        """Yield RXNCONSO's lines."""
        for n in range(self.concepts):
            cui, atom = 1000 + n, 50_000 + n
            yield f"{cui}|ENG||||||{atom}||{cui}||RXNORM|SCD|{cui}|solvarin {n} MG Oral Tablet||N|4096|"

    def _relations(self) -> Iterator[str]:
        """Yield RXNREL's lines."""
        for n in range(1, self.concepts):
            yield f"{1000 + n}||CUI|RN|1000||CUI|isa|{n}||RXNORM||||N|4096|"

    def _attributes(self) -> Iterator[str]:
        """Yield RXNSAT's lines: two codes a concept, and what the mappings must leave out."""
        for n in range(self.concepts):
            start = f"{1000 + n}|||{50_000 + n}|AUI|{1000 + n}"
            yield f"{start}|AT{n}a||NDC|RXNORM|{eleven_digits(n)}|N|4096|"
            yield f"{start}|AT{n}b||NDC|RXNORM|{eleven_digits(n)[:-2]}02|N|4096|"
            yield f"{start}|AT{n}c||RXN_AVAILABLE_STRENGTH|RXNORM|{n} MG|N|4096|"
        yield "1000|||50000|AUI|1000|ATx||NDC|MTHSPL|00002143380|N|4096|"
        yield "1000|||50000|AUI|1000|ATy||NDC|RXNORM|00002143380|O|4096|"
        yield "1000|||50000|AUI|1000|ATz||NDC|RXNORM|00002143380|N||"

    def _types(self) -> Iterator[str]:
        """Yield RXNSTY's lines."""
        for n in range(self.concepts):
            yield f"{1000 + n}|T200|A1.3.3|Clinical Drug|AT{n}|4096|"

    def _archived(self) -> Iterator[str]:
        """Yield RXNATOMARCHIVE's lines; a name holds a quote, which is a letter like others."""
        yield '1||5" wide bandage|10/06/2025|||X|||10_2025||RXNORM_2025|999|RXNORM|SCD|1000|'


def put_release(sources: SampleSources, release: RxNorm, key: str, *, is_current: bool = True) -> None:
    """Let the services list a release, alone, and give it to whoever has the key."""
    url = f"{_DOWNLOADS}/{release.file_name}"
    told = {
        "fileName": release.file_name, "releaseVersion": f"{release.day:%m-%d-%Y}",
        "releaseDate": release.day.isoformat(), "downloadUrl": url, "releaseType": "RxNorm Full Monthly Release",
        "product": "RxNorm", "current": is_current,
    }  # fmt: skip
    listed = json.dumps([told]).encode()
    sources.put(f"{RELEASES}?releaseType={RELEASE_TYPE}", listed)
    if is_current:
        sources.put(f"{RELEASES}?releaseType={RELEASE_TYPE}&current=true", listed)
    sources.put(download_path(release, key), release.archive())


def download_path(release: RxNorm, key: str) -> str:
    """Return where the download service gives a release."""
    return f"{DOWNLOAD}?" + urlencode({"url": f"{_DOWNLOADS}/{release.file_name}", "apiKey": key})
