"""Drug files of our own making, in the layouts that FDA ships: names, codes and dates are invented, the dirt is real.

The same number always gives the same rows, so that two days differ only where they are asked to.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

PRODUCT_COLUMNS = (
    "PRODUCTID", "PRODUCTNDC", "PRODUCTTYPENAME", "PROPRIETARYNAME", "PROPRIETARYNAMESUFFIX", "NONPROPRIETARYNAME",
    "DOSAGEFORMNAME", "ROUTENAME", "STARTMARKETINGDATE", "ENDMARKETINGDATE", "MARKETINGCATEGORYNAME",
    "APPLICATIONNUMBER",
    "LABELERNAME", "SUBSTANCENAME", "ACTIVE_NUMERATOR_STRENGTH", "ACTIVE_INGRED_UNIT", "PHARM_CLASSES", "DEASCHEDULE",
    "NDC_EXCLUDE_FLAG", "LISTING_RECORD_CERTIFIED_THROUGH",
)  # fmt: skip
PACKAGE_COLUMNS = (
    "PRODUCTID", "PRODUCTNDC", "NDCPACKAGECODE", "PACKAGEDESCRIPTION", "STARTMARKETINGDATE", "ENDMARKETINGDATE",
    "NDC_EXCLUDE_FLAG", "SAMPLE_PACKAGE",
)  # fmt: skip
UNFINISHED_COLUMNS = tuple(
    name
    for name in PRODUCT_COLUMNS
    if name
    not in (
        "PROPRIETARYNAME", "PROPRIETARYNAMESUFFIX", "ROUTENAME", "APPLICATIONNUMBER", "PHARM_CLASSES",
        "NDC_EXCLUDE_FLAG",
    )
)  # fmt: skip
NSDE_COLUMNS = (
    "Item Code", "NDC11", "Proprietary Name", "Dosage Form", "Marketing Category", "Application Number or Monograph ID",
    "Product Type", "Marketing Start Date", "Marketing End Date", "Billing Unit", "Inactivation Date",
    "Reactivation Date",
)  # fmt: skip
_NAMES = (
    "Solvarin",
    "Café au Lait Balm",
    "Guang’an Tonic",
    "Ärztin’s Choice",
    "Plain Relief",
    'Rub "Extra"',
    "Nachtruhe",
)
_FORMS = ("TABLET, FILM COATED", "INJECTION, SOLUTION", "CREAM", "CAPSULE")
_LABELERS = ("Müller & Söhne", "Northwind Labs", "O’Hara Remedies", "Contoso Pharma, Inc.")
_FIRST_DAY = date(1892, 3, 1)


@dataclass
class Drugs:
    """A day's drugs: so many products, each with two packages; cells and lines that are put in their place."""

    products: int = 200
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Header names that are written otherwise."""
    cells: Mapping[tuple[int, str], str] = field(default_factory=dict)
    """By product and column, what stands there instead."""
    extra_product_lines: tuple[bytes, ...] = ()
    label: str = ""
    """How the ids of all labels begin, which every release renews."""

    def cder(self) -> bytes:
        """Return a zip such as FDA's directory: two members, and two of another kind with the same bytes."""
        product = self._table(PRODUCT_COLUMNS, (self._product(n) for n in range(self.products)))
        product += b"".join(line + b"\r\n" for line in self.extra_product_lines)
        package = self._table(PACKAGE_COLUMNS, (row for n in range(self.products) for row in self._packages(n)))
        members = {"product.txt": product, "product.xls": product, "package.txt": package, "package.xls": package}
        return zipped(members)

    def unfinished(self) -> bytes:
        """Return a zip such as FDA's unfinished drugs."""
        product = self._table(UNFINISHED_COLUMNS, (self._product(n) for n in range(self.products)))
        package = self._table(PACKAGE_COLUMNS[:4], (row for n in range(self.products) for row in self._packages(n)))
        return zipped({"unfinished_product.txt": product, "unfinished_package.txt": package})

    def nsde(self) -> bytes:
        """Return a zip such as openFDA's: one CSV, quoted where it must be; the first NDC11 has lost its zeros."""
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow([self.renamed.get(name, name) for name in NSDE_COLUMNS])
        for number in range(self.products):
            code = _code(number)
            row = {
                "Item Code": f"{code}-01",
                "NDC11": str(int(eleven_digits(number))) if number == 0 else eleven_digits(number),
                "Proprietary Name": _NAMES[number % len(_NAMES)],
                "Dosage Form": _FORMS[number % len(_FORMS)],
                "Marketing Category": "NDA",
                "Application Number or Monograph ID": f"NDA{number:06}",
                "Product Type": "HUMAN PRESCRIPTION DRUG",
                "Marketing Start Date": _day(number),
                "Billing Unit": "EA",
            }
            writer.writerow([self.cells.get((number, name), row.get(name, "")) for name in NSDE_COLUMNS])
        return zipped({"Comprehensive_NDC_SPL_Data_Elements_File.csv": text.getvalue().encode()})

    def _table(self, columns: tuple[str, ...], rows: Iterator[Mapping[str, str]]) -> bytes:
        """Return rows as FDA writes them: tabs, no quotes, Windows-1252."""
        lines = ["\t".join(self.renamed.get(name, name) for name in columns)]
        lines += ["\t".join(row.get(name, "") for name in columns) for row in rows]
        return ("\r\n".join(lines) + "\r\n").encode("cp1252")

    def _product(self, number: int) -> dict[str, str]:
        """Return one product."""
        row = {
            "PRODUCTID": f"{_code(number)}_{self.label}{number:08x}",
            "PRODUCTNDC": _code(number),
            "PRODUCTTYPENAME": "HUMAN PRESCRIPTION DRUG",
            "PROPRIETARYNAME": _NAMES[number % len(_NAMES)],
            "NONPROPRIETARYNAME": "solvarin",
            "DOSAGEFORMNAME": _FORMS[number % len(_FORMS)],
            "ROUTENAME": "ORAL",
            "STARTMARKETINGDATE": _day(number),
            "MARKETINGCATEGORYNAME": "NDA",
            "APPLICATIONNUMBER": f"NDA{number:06}",
            "LABELERNAME": _LABELERS[number % len(_LABELERS)],
            "SUBSTANCENAME": "SOLVARIN; WATER",
            "ACTIVE_NUMERATOR_STRENGTH": "1; 2",
            "ACTIVE_INGRED_UNIT": "mg/mL; mg/mL",
            "NDC_EXCLUDE_FLAG": "N",
            "LISTING_RECORD_CERTIFIED_THROUGH": "20261231",
        }
        return row | {column: value for (place, column), value in self.cells.items() if place == number}

    def _packages(self, number: int) -> Iterator[dict[str, str]]:
        """Yield the packages of a product."""
        for package in ("01", "02"):
            yield {
                "PRODUCTID": f"{_code(number)}_{self.label}{number:08x}",
                "PRODUCTNDC": _code(number),
                "NDCPACKAGECODE": "02" if (number, package) == (1, "02") else f"{_code(number)}-{package}",
                "PACKAGEDESCRIPTION": f"{number + 1} TABLET in 1 BOTTLE ({_code(number)}-{package})",
                "STARTMARKETINGDATE": _day(number),
                "NDC_EXCLUDE_FLAG": "N",
                "SAMPLE_PACKAGE": "N",
            }


def zipped(members: Mapping[str, bytes]) -> bytes:
    """Return files as a zip that is the same every time."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 11, 27, 6, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _code(number: int) -> str:
    """Return a product's code, in one of the three shapes."""
    labeler, product = 1000 + number // 1000, number % 1000
    shapes = (
        f"{labeler:04}-{product:04}",
        f"{labeler + 50_000:05}-{product:03}",
        f"{labeler + 60_000:05}-{product:03}",
    )
    return shapes[number % len(shapes)]


def eleven_digits(number: int) -> str:
    """Return the eleven digits of a product's first package."""
    labeler, product = _code(number).split("-")
    return labeler.zfill(5) + product.zfill(4) + "01"


def _day(number: int) -> str:
    """Return a day; the first one is of a drug that is sold since 1892."""
    return (_FIRST_DAY + timedelta(days=311 * (number % 150))).strftime("%Y%m%d")
