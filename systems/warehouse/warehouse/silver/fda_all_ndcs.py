"""All drug codes of FDA: in come NSDE and the NDC directory, out goes one row for each NDC-11 that either of them has.

NSDE's value stands where it has one, else the directory's. Which row wins where a code is repeated is written here and
nowhere else:

- a product that repeats a PRODUCTID, and a package that repeats an NDC-11: not excluded before excluded, then certified
  longest, then started last, then by product id;
- a row of NSDE that repeats an NDC-11: not inactivated before inactivated, then started last, then by item code.

PRODUCTNDC is no key: the directory of 2026-08-28 repeats 1,904 of them (open.fda.gov issue 317). `spl_id` names the
label, which every release renews; it is no fact about the drug.
"""

from __future__ import annotations

import ibis
from ibis.expr import types as ir

from warehouse.silver.snapshot import REASON, Snapshot, SnapshotRule, Tables, latest, ranked

NSDE, PRODUCTS, PACKAGES = ("fda-nsde", "fda-nsde"), ("fda-cder", "products"), ("fda-cder", "packages")
NO_CODE = "no valid NDC-11"
REPEATED_CODE = "repeats an NDC-11"
REPEATED_PRODUCT = "repeats a product id"
NO_PACKAGE = "a product without a package has no NDC-11"
READS = {
    NSDE: (
        "item_code", "ndc_11", "proprietary_name", "dosage_form", "marketing_category", "application_number",
        "product_type", "marketing_start_date", "marketing_end_date", "billing_unit", "inactivation_date",
        "reactivation_date",
    ),
    PRODUCTS: (
        "product_id", "product_type_name", "proprietary_name", "dosage_form_name", "start_marketing_date",
        "marketing_category_name", "application_number", "active_numerator_strength", "active_ingred_unit",
        "dea_schedule", "ndc_exclude_flag", "listing_record_certified_through",
    ),
    PACKAGES: (
        "product_id", "ndc_package_code", "ndc_11", "package_description", "start_marketing_date",
        "end_marketing_date", "ndc_exclude_flag",
    ),
}  # fmt: skip
DATES = (
    "marketing_start_date", "marketing_end_date", "inactivation_date", "reactivation_date", "start_marketing_date",
    "end_marketing_date", "listing_record_certified_through",
)  # fmt: skip
COLUMNS = (
    "ndc_11", "marketing_category", "product_type", "proprietary_name", "dosage_form", "application_number",
    "dea_schedule", "package_description", "active_numerator_strength", "active_ingredient_unit", "spl_id",
    "marketing_start_date", "marketing_end_date", "billing_unit", "nsde_flag", "source", "nsde_run_id", "cder_run_id",
)  # fmt: skip
_OF_PRODUCT = "product_"
_THEIRS = "cder_"


def snapshot(tables: Tables) -> Snapshot:
    """Return one row for each NDC-11."""
    nsde = _of_nsde(tables[NSDE])
    products = _products(tables[PRODUCTS], tables[PACKAGES])
    packages = _packages(tables[PACKAGES], products)
    of_packages = packages.filter(packages[REASON].isnull())
    theirs = of_packages.rename({_THEIRS + name: name for name in of_packages.columns})
    mine = nsde.filter(nsde[REASON].isnull())
    pairs = mine.outer_join(theirs, mine["ndc_11"] == theirs[f"{_THEIRS}ndc_11"])
    sides = {NSDE: nsde, PRODUCTS: products, PACKAGES: packages.select(*tables[PACKAGES].columns, REASON)}
    return Snapshot(_merged(pairs), sides)


def _of_nsde(nsde: ir.Table) -> ir.Table:
    """Return all rows of NSDE with the reason for which one is left out."""
    gone, back = nsde["inactivation_date"], nsde["reactivation_date"]
    is_inactive = gone.notnull() & (back.isnull() | (back < gone))
    order = [is_inactive.asc(), latest(nsde["marketing_start_date"]), nsde["item_code"].asc(nulls_first=False)]
    return nsde.mutate(**{REASON: _reason(nsde["ndc_11"].isnull(), ranked(nsde, ["ndc_11"], order))})


def _products(products: ir.Table, packages: ir.Table) -> ir.Table:
    """Return all products with the reason for which one is left out."""
    order = [
        _is_excluded(products["ndc_exclude_flag"]).asc(),
        latest(products["listing_record_certified_through"]),
        latest(products["start_marketing_date"]),
    ]
    place = ranked(products, ["product_id"], order)
    packed = packages.select(packed_id=packages["product_id"]).distinct()
    placed = products.mutate(place=place)
    known = placed.left_join(packed, placed["product_id"] == packed["packed_id"])
    reason = ibis.cases(
        (known["packed_id"].isnull(), ibis.literal(NO_PACKAGE)), (known["place"] > 0, ibis.literal(REPEATED_PRODUCT))
    )
    return known.select(*products.columns, **{REASON: reason})


def _packages(packages: ir.Table, products: ir.Table) -> ir.Table:
    """Return all packages with what is known of their products, and the reason for which one is left out."""
    kept = products.filter(products[REASON].isnull()).drop(REASON)
    of_product = kept.rename({_OF_PRODUCT + name: name for name in kept.columns})
    whole = packages.left_join(of_product, packages["product_id"] == of_product[f"{_OF_PRODUCT}product_id"])
    is_excluded = _is_excluded(whole["ndc_exclude_flag"]) | _is_excluded(whole[f"{_OF_PRODUCT}ndc_exclude_flag"])
    started = ibis.coalesce(whole["start_marketing_date"], whole[f"{_OF_PRODUCT}start_marketing_date"])
    order = [
        is_excluded.asc(),
        latest(whole[f"{_OF_PRODUCT}listing_record_certified_through"]),
        latest(started),
        whole["product_id"].asc(nulls_first=False),
    ]
    place = ranked(whole, ["ndc_11"], order)
    return whole.mutate(started=started, **{REASON: _reason(whole["ndc_11"].isnull(), place)})


def _reason(has_no_code: ir.BooleanValue, place: ir.IntegerValue) -> ir.StringValue:
    """Return why a row with a code is left out."""
    return ibis.cases((has_no_code, ibis.literal(NO_CODE)), (place > 0, ibis.literal(REPEATED_CODE)))


def _is_excluded(flag: ir.StringValue) -> ir.BooleanValue:
    """Tell whether FDA leaves a record out: for a mistake (Y), no certification (E) or inactivation (I)."""
    return flag.isin(["Y", "E", "I"]).fill_null(False)


def _merged(pairs: ir.Table) -> ir.Table:
    """Return the rows of the snapshot from those of both sides."""

    def of(mine: str, theirs: str) -> ir.Value:
        return ibis.coalesce(pairs[mine], pairs[_THEIRS + theirs])

    has_nsde, has_cder = pairs["ndc_11"].notnull(), pairs[f"{_THEIRS}ndc_11"].notnull()
    product = _OF_PRODUCT
    values = {
        "ndc_11": of("ndc_11", "ndc_11"),
        "marketing_category": of("marketing_category", f"{product}marketing_category_name"),
        "product_type": of("product_type", f"{product}product_type_name"),
        "proprietary_name": of("proprietary_name", f"{product}proprietary_name"),
        "dosage_form": of("dosage_form", f"{product}dosage_form_name"),
        "application_number": of("application_number", f"{product}application_number"),
        "dea_schedule": pairs[f"{_THEIRS}{product}dea_schedule"],
        "package_description": pairs[f"{_THEIRS}package_description"],
        "active_numerator_strength": pairs[f"{_THEIRS}{product}active_numerator_strength"],
        "active_ingredient_unit": pairs[f"{_THEIRS}{product}active_ingred_unit"],
        "spl_id": pairs[f"{_THEIRS}product_id"].split("_")[1],
        "marketing_start_date": of("marketing_start_date", "started"),
        "marketing_end_date": of("marketing_end_date", "end_marketing_date"),
        "billing_unit": pairs["billing_unit"],
        "nsde_flag": has_nsde,
        "source": ibis.cases((has_nsde & has_cder, "both"), (has_nsde, "nsde"), else_="cder"),
        "nsde_run_id": pairs["meta_run_id"],
        "cder_run_id": pairs[f"{_THEIRS}meta_run_id"],
    }
    return pairs.select(*(values[name].name(name) for name in COLUMNS))


RULE = SnapshotRule(READS, DATES, COLUMNS, snapshot)
