//! FHIR `Patient`.

use salus_record::model::*;

use crate::ids::is_id;
use crate::json::{Bad, Object};
use crate::read::datatypes::{HumanName, human_name, identifier, optional_concept};
use crate::read::own_extension;
use crate::urls;

/// Reads a Patient. Of names, addresses and telephone numbers the record holds one each: the one that is used
/// most officially.
pub(crate) fn patient(o: &mut Object<'_, '_>) -> Result<Patient, Bad> {
    let source_id = o.string("id")?.filter(|id| is_id(id));
    let source_id = match source_id {
        None => own_extension(o, urls::EXT_SOURCE_ID, |e| e.string("valueString"))?,
        id => id,
    };
    let name = name(o)?;
    let (mrn, identifiers) = identifiers(o)?;
    let (phone, email) = telecom(o)?;
    let sex = match o.str("gender")? {
        None => Sex::Unknown,
        Some(code) => code.parse().unwrap_or_else(|()| {
            o.unmodelled("gender");
            Sex::Unknown
        }),
    };
    let deceased = match o.date_time("deceasedDateTime")? {
        Some(at) => Some(at),
        None => o
            .boolean("deceasedBoolean")?
            .filter(|dead| *dead)
            .map(|_| "true".to_owned()),
    };
    Ok(Patient {
        mrn,
        source_id,
        family: name.family,
        given: name.given,
        prefix: name.prefix,
        suffix: name.suffix,
        birth_date: o.date("birthDate")?,
        sex,
        deceased,
        phone,
        email,
        address: address(o)?,
        marital_status: optional_concept(o, "maritalStatus")?,
        language: language(o)?,
        identifiers,
    })
}

fn name(o: &mut Object<'_, '_>) -> Result<HumanName, Bad> {
    let mut names = o.list("name", human_name)?;
    let rank = |name: &HumanName| match name.usage.as_deref() {
        Some("official") => 0,
        Some("usual") => 1,
        None => 2,
        _ => 3,
    };
    // The first of those with the best rank.
    let best = (0..names.len()).min_by_key(|&i| rank(&names[i]));
    for _ in 1..names.len() {
        o.unmodelled("name");
    }
    Ok(best.map(|i| names.swap_remove(i)).unwrap_or_default())
}

/// The medical record number (HL7 v2-0203 `MR`) and all other identifiers.
fn identifiers(o: &mut Object<'_, '_>) -> Result<(Option<String>, Vec<Identifier>), Bad> {
    let mut mrn = None;
    let mut others = Vec::new();
    for identifier in o.list("identifier", identifier)? {
        let is_mrn = identifier
            .kind
            .as_ref()
            .is_some_and(|k| k.has(urls::IDENTIFIER_TYPE, "MR"));
        if is_mrn && mrn.is_none() && identifier.value.is_some() {
            if identifier.system.is_some() {
                o.unmodelled("identifier.system");
            }
            mrn = identifier.value;
        } else if identifier != Identifier::default() {
            others.push(identifier);
        }
    }
    Ok((mrn, others))
}

fn telecom(o: &mut Object<'_, '_>) -> Result<(Option<String>, Option<String>), Bad> {
    let (mut phone, mut email) = (None, None);
    let points = o.list("telecom", |t| {
        t.skip("use");
        t.skip("rank");
        Ok((t.string("system")?, t.string("value")?))
    })?;
    for (system, value) in points {
        match system.as_deref() {
            Some("phone") if phone.is_none() => phone = value,
            Some("email") if email.is_none() => email = value,
            _ => o.unmodelled("telecom"),
        }
    }
    Ok((phone, email))
}

fn address(o: &mut Object<'_, '_>) -> Result<Option<Address>, Bad> {
    let mut addresses = o.list("address", |a| {
        a.skip("type");
        let home = a.str("use")?.is_some_and(|u| u == "home");
        let text = a.string("text")?;
        let mut address = Address {
            line: a.strings("line")?,
            city: a.string("city")?,
            state: a.string("state")?,
            postal_code: a.string("postalCode")?,
            country: a.string("country")?,
        };
        if address == Address::default() {
            address.line.extend(text);
        }
        Ok((home, address))
    })?;
    addresses.retain(|(_, address)| *address != Address::default());
    for _ in 1..addresses.len() {
        o.unmodelled("address");
    }
    let best = addresses.iter().position(|(home, _)| *home).unwrap_or(0);
    Ok((best < addresses.len()).then(|| addresses.swap_remove(best).1))
}

fn language(o: &mut Object<'_, '_>) -> Result<Option<CodeableConcept>, Bad> {
    let mut languages = o.list("communication", |c| {
        Ok((
            c.boolean("preferred")?.unwrap_or(false),
            optional_concept(c, "language")?,
        ))
    })?;
    for _ in 1..languages.len() {
        o.unmodelled("communication");
    }
    let best = languages
        .iter()
        .position(|(preferred, _)| *preferred)
        .unwrap_or(0);
    Ok((best < languages.len())
        .then(|| languages.swap_remove(best).1)
        .flatten())
}
