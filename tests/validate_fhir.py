#!/usr/bin/env python3
"""Checks FHIR R4 Bundles with somebody else's eyes: python3 tests/validate_fhir.py FILE...

Each file goes through the models of `fhir.resources` 6.x (pip install 'fhir.resources<7' 'pydantic<2'; 6.5 has the
models of R4B, which for the resources here are R4's), and then through rules that those models do not know: some
invariants of R4, and for documents what the International Patient Summary (IPS 1.1 and 2.0) asks of a document.

Exit status: 0 all valid, 1 something is not, 2 wrong use or a mistake of this script, 77 `fhir.resources` 6.x is not installed.
Findings name files, resources by number, and rules; never what a resource says.
"""

import json
import re
import sys
import traceback
import xml.etree.ElementTree as xml

LOINC = "http://loinc.org"
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
XHTML = "{http://www.w3.org/1999/xhtml}"

# R4 value set data-absent-reason.
ABSENT_CODES = {
    "unknown", "asked-unknown", "temp-unknown", "not-asked", "asked-declined", "masked", "not-applicable",
    "unsupported", "as-text", "error", "not-a-number", "negative-infinity", "positive-infinity",
    "not-performed", "not-permitted",
}

# Sections of Composition-uv-ips by LOINC code, and what each may hold.
MEDICATION = {"MedicationStatement", "MedicationRequest", "MedicationAdministration", "MedicationDispense"}
SECTIONS = {
    "10160-0": MEDICATION,
    "48765-2": {"AllergyIntolerance"},
    "11450-4": {"Condition"},
    "47519-4": {"Procedure"},
    "11369-6": {"Immunization"},
    "46264-8": {"DeviceUseStatement"},
    "30954-2": {"Observation", "DiagnosticReport", "Media"},
    "8716-3": {"Observation"},
    "11348-0": {"Condition"},
    "47420-5": {"Condition", "ClinicalImpression"},
    "18776-5": {"CarePlan"},
    "29762-2": {"Observation"},
    "10162-6": {"Observation"},
    "42348-3": {"Consent"},
    "104605-1": {"Flag"},
    "81338-6": {"DocumentReference"},
}
REQUIRED_SECTIONS = ("10160-0", "48765-2", "11450-4")

# What the IPS profiles require beyond R4, by type. A name that ends in [x] has any of several endings.
REQUIRED = {
    "AllergyIntolerance": ("code", "patient"),
    "Condition": ("code", "subject"),
    "MedicationStatement": ("medication[x]", "subject", "effective[x]"),
    "MedicationRequest": ("medication[x]", "subject"),
    "Immunization": ("status", "vaccineCode", "patient", "occurrence[x]"),
    "Procedure": ("code", "subject", "performed[x]"),
    "Observation": ("status", "code", "subject", "effective[x]"),
    "DiagnosticReport": ("status", "category", "code", "subject", "effective[x]"),
    "Organization": ("name",),
    "Practitioner": ("name",),
    "Patient": ("name", "birthDate"),
}

# R4 section 2.24.1.7: what a narrative may be made of (the part of it that is likely here).
TAGS = {
    "div", "p", "table", "thead", "tbody", "tr", "th", "td", "ul", "ol", "li", "b", "i", "span", "br", "h1", "h2",
    "h3", "h4", "h5", "h6", "a", "caption", "col", "colgroup", "strong", "em", "pre", "code", "hr", "dl", "dt", "dd",
    "blockquote", "small", "sub", "sup", "tfoot", "img", "tt", "u",
}


def walk(value, name=""):
    """Every object below a value, with the name of the element that it is in."""
    if isinstance(value, dict):
        yield name, value
        for key, part in value.items():
            yield from walk(part, key)
    elif isinstance(value, list):
        for part in value:
            yield from walk(part, name)


def has(resource, name):
    """Whether an element is there, or a reason why it is not."""
    if name.endswith("[x]"):
        base = name[:-3]
        return any(k.lstrip("_").startswith(base) and k.lstrip("_")[len(base):][:1].isupper() for k in resource)
    return name in resource or "_" + name in resource


def codes(concept, system=None):
    """The codes of a CodeableConcept, of one system or of all."""
    codings = (concept or {}).get("coding", [])
    return {c.get("code") for c in codings if system is None or c.get("system") == system}


def invariants(number, resource):
    """Invariants of R4 that the models do not check."""
    kind = resource.get("resourceType")
    where = f"resource {number} ({kind})"
    if kind in ("AllergyIntolerance", "Condition"):
        entered = "entered-in-error" in codes(resource.get("verificationStatus"))
        status = "clinicalStatus" in resource
        rules = ("ait-1", "ait-2") if kind == "AllergyIntolerance" else ("con-3", "con-5")
        if not entered and not status:
            yield f"{where}: {rules[0]}: no clinicalStatus"
        if entered and status:
            yield f"{where}: {rules[1]}: a clinicalStatus although entered in error"
    if kind == "Condition" and any(k.startswith("abatement") for k in resource):
        if not codes(resource.get("clinicalStatus")) & {"inactive", "resolved", "remission"}:
            yield f"{where}: con-4: it ended, and its clinicalStatus does not say so"
    if kind == "Observation":
        value = any(k.startswith("value") for k in resource)
        if value and "dataAbsentReason" in resource:
            yield f"{where}: obs-6: a value and a reason for having none"
    for name, part in walk(resource):
        if part.get("url") == ABSENT and part.get("valueCode") not in ABSENT_CODES:
            yield f"{where}: {name}: no code of data-absent-reason"


def narrative(where, text):
    """A narrative is well-formed XHTML of few elements, with something in it."""
    if not text or text.get("status") not in ("generated", "extensions", "additional", "empty"):
        yield f"{where}: no narrative"
        return
    try:
        root = xml.fromstring(text.get("div", ""))
    except xml.ParseError as error:
        yield f"{where}: the narrative is not XML ({error})"
        return
    if root.tag != XHTML + "div":
        yield f"{where}: the narrative is no XHTML div"
    for part in root.iter():
        if not part.tag.startswith(XHTML) or part.tag[len(XHTML):] not in TAGS:
            yield f"{where}: txt-1: element not allowed in a narrative"
    if not "".join(root.itertext()).strip():
        yield f"{where}: txt-2: nothing in the narrative"


def section_rules(section, by_url):
    """Rules for one section of the Composition."""
    found = codes(section.get("code"), LOINC)
    where = "section " + ",".join(sorted(c or "" for c in found))
    entries = section.get("entry", [])
    if not section.get("title"):
        yield f"{where}: no title"
    if "section" in section:
        yield f"{where}: a section in a section"
    yield from narrative(where, section.get("text"))
    if found & set(REQUIRED_SECTIONS) and not entries and "emptyReason" not in section:
        yield f"{where}: ips-comp-1: neither entry nor emptyReason"
    if entries and "emptyReason" in section:
        yield f"{where}: cmp-2: entry and emptyReason"
    allowed = set().union(*(SECTIONS.get(code, set()) for code in found)) | {"DocumentReference"}
    for entry in entries:
        target = by_url.get(entry.get("reference"))
        if target and found & set(SECTIONS) and target["resourceType"] not in allowed:
            yield f"{where}: holds a {target['resourceType']}"


def document(bundle):
    """Rules of a patient summary."""
    entries = bundle.get("entry", [])
    resources = [e.get("resource", {}) for e in entries]
    urls = [e.get("fullUrl") for e in entries]
    kinds = [r.get("resourceType") for r in resources]
    for name in ("identifier", "timestamp"):
        if name not in bundle:
            yield f"Bundle-uv-ips: no {name}"
    if not all(bundle.get("identifier", {}).get(k) for k in ("system", "value")):
        yield "bdl-9: the identifier has no system or no value"
    if kinds[:1] != ["Composition"] or kinds.count("Composition") != 1:
        yield "bdl-11: the first entry, and only it, must be a Composition"
        return
    if kinds.count("Patient") != 1:
        yield "Bundle-uv-ips: not one Patient"
    if None in urls or len(set(urls)) != len(urls):
        yield "bdl-7: a fullUrl is missing or is there twice"
    by_url = dict(zip(urls, resources))
    reached, ahead = {urls[0]}, [resources[0]]
    while ahead:
        for _, part in walk(ahead.pop()):
            target = part.get("reference")
            if not isinstance(target, str):
                continue
            if target not in by_url:
                yield "a reference leads nowhere"
            elif target not in reached:
                reached.add(target)
                ahead.append(by_url[target])
    for number, url in enumerate(urls, 1):
        if url not in reached:
            yield f"resource {number} ({kinds[number - 1]}): nothing in the document refers to it"
    composition = resources[0]
    if "60591-5" not in codes(composition.get("type"), LOINC):
        yield "Composition-uv-ips: type is not 60591-5"
    for name in ("status", "date", "author", "title", "subject"):
        if not has(composition, name):
            yield f"Composition-uv-ips: no {name}"
    subject = by_url.get(composition.get("subject", {}).get("reference"), {})
    if subject.get("resourceType") != "Patient":
        yield "Composition-uv-ips: its subject is no Patient of the document"
    if composition.get("text"):
        yield from narrative("Composition", composition["text"])
    sections = composition.get("section", [])
    titles = [code for s in sections for code in codes(s.get("code"), LOINC)]
    for code in REQUIRED_SECTIONS:
        if titles.count(code) != 1:
            yield f"Composition-uv-ips: not one section {code}"
    if len(set(titles)) != len(titles):
        yield "Composition-uv-ips: a section twice"
    for section in sections:
        yield from section_rules(section, by_url)
    for number, resource in enumerate(resources, 1):
        yield from profile(number, resource)


def profile(number, resource):
    """What the IPS profiles ask of a resource beyond R4."""
    kind = resource.get("resourceType")
    where = f"resource {number} ({kind})"
    for name in REQUIRED.get(kind, ()):
        if not has(resource, name):
            yield f"{where}: no {name}"
    for name in ("subject", "patient"):
        if name in REQUIRED.get(kind, ()) and not resource.get(name, {}).get("reference"):
            yield f"{where}: {name} has no reference"
    if "entered-in-error" in {resource.get("status")} | codes(resource.get("verificationStatus")):
        yield f"{where}: entered in error"
    if kind == "Patient":
        for name in resource.get("name", []):
            if not any(has(name, part) for part in ("text", "family", "given")):
                yield f"{where}: ips-pat-1: a name without a name"
    if kind == "Observation":
        of = set().union(*(codes(c) for c in resource.get("category", [])), set())
        if "laboratory" in of and "performer" not in resource:
            yield f"{where}: a laboratory result without a performer"
        parts = ("component", "hasMember", "dataAbsentReason")
        value = any(k.startswith("value") for k in resource)
        if "vital-signs" in of and not value and not any(p in resource for p in parts):
            yield f"{where}: vs-2: neither a value nor a reason"


def explained(bundle, finding):
    """Whether the models miss a choice of types for which a reason of absence is given.

    A primitive that has only an extension is there (R4 section 2.6.2.3), and the IPS wants it written so; the models
    of a single required element know that, those of a required choice do not.
    """
    match = re.search(r"Expect any of field value from this list \[(.*)\]", finding["msg"])
    loc = finding["loc"]
    if not match or len(loc) < 2 or loc[0] != "entry" or not isinstance(loc[1], int):
        return False
    resource = bundle["entry"][loc[1]].get("resource", {})
    names = re.findall(r"\w+", match[1])
    reasons = (e for n in names for e in resource.get("_" + n, {}).get("extension", []))
    return any(e.get("url") == ABSENT and e.get("valueCode") in ABSENT_CODES for e in reasons)


def check(path, model, accepted):
    """All findings about one file. Those of the models that are `explained` are counted in `accepted`."""
    with open(path, "rb") as file:
        text = file.read()
    try:
        bundle = json.loads(text)
    except ValueError:
        yield "not JSON"
        return
    try:
        model.parse_obj(bundle)
    except ValueError as error:
        found = error.errors() if hasattr(error, "errors") else [{"loc": (), "msg": type(error).__name__}]
        others = [one for one in found if not explained(bundle, one)]
        accepted.extend(one for one in found if one not in others)
        for one in others:
            yield f"model: {'.'.join(str(p) for p in one['loc'])}: {one['msg']}"
        # The rules below may rely on the models.
        if others:
            return
    for number, entry in enumerate(bundle.get("entry", []), 1):
        yield from invariants(number, entry.get("resource", {}))
    if bundle.get("type") == "document":
        yield from document(bundle)


def main(paths):
    if not paths:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        from importlib.metadata import version

        found = version("fhir.resources")
        if int(found.split(".")[0]) != 6:
            raise ImportError(f"fhir.resources {found} is not 6.x")
        from fhir.resources.bundle import Bundle
    except ImportError as error:
        print(f"cannot validate: {error}", file=sys.stderr)
        return 77
    invalid, accepted = 0, []
    for path in paths:
        findings = list(check(path, Bundle, accepted))
        invalid += bool(findings)
        for finding in findings:
            print(f"{path}: {finding}")
    print(
        f"{len(paths)} files, {len(paths) - invalid} valid, {invalid} not (fhir.resources {found}; "
        f"{len(accepted)} times a required choice of types has only a reason of absence)"
    )
    return 1 if invalid else 0


if __name__ == "__main__":
    try:
        status = main(sys.argv[1:])
    except Exception:  # a mistake of this script is not a finding
        traceback.print_exc()
        status = 2
    sys.exit(status)
