"""Which RxNorm concept a drug code stands for: in come RxNorm's attributes, out goes one row for each pair of both.

Of RXNSAT those attributes count that are RxNorm's own (SAB RXNORM), of current content (CVF 4096), not suppressed and
of the name NDC. A pair that stands there several times is one fact: the one with the lowest atom wins. The release in
which a pair was seen is lineage, no fact about it.
"""

from __future__ import annotations

import ibis

from warehouse.silver.snapshot import REASON, Snapshot, SnapshotRule, Tables, ranked

ATTRIBUTES = ("rxnorm", "rxnsat")
NO_CODE = "no valid NDC-11"
REPEATED = "repeats a pair of concept and NDC-11"
READS = {ATTRIBUTES: ("rxcui", "rxaui", "atui", "atn", "sab", "atv", "suppress", "cvf", "meta_release_date")}
COLUMNS = ("rxcui", "ndc_11", "rxaui", "atui", "release_date", "rxnorm_run_id")
_SUPPRESSED = ("O", "Y", "E")


def snapshot(tables: Tables) -> Snapshot:
    """Return one row for each pair of concept and NDC-11."""
    attributes = tables[ATTRIBUTES]
    is_meant = (
        (attributes["atn"] == "NDC") & (attributes["sab"] == "RXNORM") & (attributes["cvf"] == "4096")
    ).fill_null(False) & ~attributes["suppress"].isin(_SUPPRESSED).fill_null(False)
    side = attributes.filter(is_meant)
    code = side["atv"].re_search(r"^[0-9]{11}\z").ifelse(side["atv"], ibis.null("string"))
    side = side.mutate(code=code)
    has_none = side["code"].isnull() | side["rxcui"].isnull()
    place = ranked(side, ["rxcui", "code"], [side["rxaui"].asc(nulls_first=False)])
    side = side.mutate(**{REASON: ibis.cases((has_none, ibis.literal(NO_CODE)), (place > 0, ibis.literal(REPEATED)))})
    kept = side.filter(side[REASON].isnull())
    rows = kept.select(
        "rxcui", kept["code"].name("ndc_11"), "rxaui", "atui",
        kept["meta_release_date"].name("release_date"), kept["meta_run_id"].name("rxnorm_run_id"),
    )  # fmt: skip
    return Snapshot(rows.select(*COLUMNS), {ATTRIBUTES: side.select(*attributes.columns, REASON)})


RULE = SnapshotRule(READS, ("meta_release_date",), COLUMNS, snapshot)
