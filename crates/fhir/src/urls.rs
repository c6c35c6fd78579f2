//! Code systems and URLs, each once.

/// LOINC.
pub(crate) const LOINC: &str = "http://loinc.org";

/// SNOMED CT.
pub(crate) const SNOMED: &str = "http://snomed.info/sct";

/// Codes of the International Patient Summary (1.0 and 1.1) for what is known to be absent, or not known.
pub(crate) const IPS_ABSENT: &str = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips";

/// The International Patient Summary's profiles, to which their names are added.
pub(crate) const IPS_PROFILE: &str = "http://hl7.org/fhir/uv/ips/StructureDefinition/";

/// System of an identifier that is a URI (RFC 3986).
pub(crate) const URI: &str = "urn:ietf:rfc:3986";

/// XHTML, the language of narratives.
pub(crate) const XHTML: &str = "http://www.w3.org/1999/xhtml";

/// LOINC: "Note", the type of a note's DocumentReference.
pub(crate) const LOINC_NOTE: &str = "34109-9";

/// HL7 v2 table 0203, identifier types (code `MR` is a medical record number).
pub(crate) const IDENTIFIER_TYPE: &str = "http://terminology.hl7.org/CodeSystem/v2-0203";

/// Clinical status of an AllergyIntolerance.
pub(crate) const ALLERGY_CLINICAL: &str =
    "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical";

/// Verification status of an AllergyIntolerance.
pub(crate) const ALLERGY_VERIFICATION: &str =
    "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification";

/// Clinical status of a Condition.
pub(crate) const CONDITION_CLINICAL: &str =
    "http://terminology.hl7.org/CodeSystem/condition-clinical";

/// Verification status of a Condition.
pub(crate) const CONDITION_VERIFICATION: &str =
    "http://terminology.hl7.org/CodeSystem/condition-ver-status";

/// HL7's extension that says why a required element has no value.
pub(crate) const DATA_ABSENT: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";

/// System of the identifier by which an export names an item that the record refers to and does not hold.
pub(crate) const ITEM: &str = "urn:salus:fhir:item";

/// Prefix of our own extensions: what a record can say and FHIR R4 has no element for. Each is listed in
/// `docs/formats.md`.
pub(crate) const EXTENSION: &str = "urn:salus:fhir:extension:";

/// A time in a form that its element cannot have, for instance the period of a MedicationRequest.
pub(crate) const EXT_TIMING: &str = "urn:salus:fhir:extension:timing";

/// The intent of a MedicationStatement.
pub(crate) const EXT_INTENT: &str = "urn:salus:fhir:extension:intent";

/// Which resource type a medicine of the record has that a patient summary writes as a statement.
pub(crate) const EXT_MEDICATION_KIND: &str = "urn:salus:fhir:extension:medication-kind";

/// The clinical status of an item that was entered in error, where R4 forbids to write it (`ait-2`, `con-5`).
pub(crate) const EXT_CLINICAL_STATUS: &str = "urn:salus:fhir:extension:clinical-status";

/// A patient's source id that is no FHIR id.
pub(crate) const EXT_SOURCE_ID: &str = "urn:salus:fhir:extension:source-id";
