//! A document as it was read, turned into a record. Knows the two shapes in which connect-mongo
//! keeps a session: its JSON text, and (`stringify: false`) the session itself as a sub-document, which
//! is told here as the JSON text that it would have been.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use mongodb::bson::{Bson, DateTime, RawArray, RawBsonRef, RawDocument};

use super::statements::LAST;
use crate::{
    error::{Error, Kind, Result},
    record::{Millis, NEVER, Record, UNTOLD},
};

/// What one document says.
pub struct Found {
    /// The record; `None` where it is over.
    pub record: Option<Record>,
    /// The `session` field as the server compares it, where that is not its text.
    pub raw: Option<Bson>,
}

/// The `_id` of a document, as bytes; `None` where it is neither text nor bytes, so none of ours.
pub fn id(document: &RawDocument) -> Result<Option<&[u8]>> {
    Ok(match document.get("_id").map_err(unreadable)? {
        Some(RawBsonRef::String(text)) => Some(text.as_bytes()),
        Some(RawBsonRef::Binary(binary)) => Some(binary.bytes),
        _ => None,
    })
}

/// Reads the record of a document, if it is not over at `now`.
pub fn read(document: &RawDocument, now: Millis) -> Result<Found> {
    let expires = match document.get("expires").map_err(unreadable)? {
        None => NEVER,
        Some(RawBsonRef::DateTime(at)) => match at.timestamp_millis().max(0) as Millis {
            LAST.. => NEVER,
            at => at,
        },
        Some(_) => 0,
    };
    if expires <= now {
        return Ok(Found { record: None, raw: None });
    }
    let session = document.get("session").map_err(unreadable)?.unwrap_or(RawBsonRef::Null);
    let (payload, raw) = match session {
        RawBsonRef::String(text) => (Bytes::copy_from_slice(text.as_bytes()), None),
        RawBsonRef::Binary(binary) => (Bytes::copy_from_slice(binary.bytes), None),
        other => {
            let mut json = String::new();
            write_value(&mut json, other)?;
            (json.into(), Some(Bson::try_from(other).map_err(unreadable)?))
        }
    };
    // What the text says of the expiry is not known here, so the real one is always told. A record
    // that never ends has none to tell: what its text says may be long over, and is no news of it.
    let moved = expires < NEVER;
    let expires = if moved { expires } else { UNTOLD };
    let record = Record { payload, expires, moved, version: 0, spot: 0 };
    Ok(Found { record: Some(record), raw })
}

/// The fields that [`id`] and [`read`] need.
pub fn projection() -> mongodb::bson::Document {
    mongodb::bson::doc! { "_id": 1, "expires": 1, "session": 1 }
}

fn unreadable(error: mongodb::bson::error::Error) -> Error {
    Error::new(Kind::Decode, "a document in the collection cannot be read").because(error)
}

/// Writes what `JSON.stringify` makes of a value as the Node.js driver reads it.
fn write_value(json: &mut String, value: RawBsonRef<'_>) -> Result<()> {
    match value {
        RawBsonRef::String(text) | RawBsonRef::Symbol(text) => write_text(json, text),
        RawBsonRef::Document(document) => write_object(json, document)?,
        RawBsonRef::Array(array) => write_array(json, array)?,
        RawBsonRef::Boolean(value) => json.push_str(if value { "true" } else { "false" }),
        RawBsonRef::Int32(number) => json.push_str(&number.to_string()),
        RawBsonRef::Int64(number) => json.push_str(&number.to_string()),
        RawBsonRef::Double(number) => write_number(json, number),
        RawBsonRef::DateTime(at) => write_date(json, at),
        RawBsonRef::ObjectId(id) => write_text(json, &id.to_hex()),
        RawBsonRef::Binary(binary) => write_text(json, &STANDARD.encode(binary.bytes)),
        RawBsonRef::Decimal128(number) => {
            json.push_str("{\"$numberDecimal\":");
            write_text(json, &number.to_string());
            json.push('}');
        }
        RawBsonRef::RegularExpression(_) => json.push_str("{}"),
        // Undefined, null, and what no session holds.
        _ => json.push_str("null"),
    }
    Ok(())
}

fn write_object(json: &mut String, document: &RawDocument) -> Result<()> {
    json.push('{');
    let mut first = true;
    for member in document {
        let (key, value) = member.map_err(unreadable)?;
        if matches!(value, RawBsonRef::Undefined) {
            continue;
        }
        if !std::mem::take(&mut first) {
            json.push(',');
        }
        write_text(json, key.as_str());
        json.push(':');
        write_value(json, value)?;
    }
    json.push('}');
    Ok(())
}

fn write_array(json: &mut String, array: &RawArray) -> Result<()> {
    json.push('[');
    for (at, value) in array.into_iter().enumerate() {
        if at > 0 {
            json.push(',');
        }
        write_value(json, value.map_err(unreadable)?)?;
    }
    json.push(']');
    Ok(())
}

fn write_text(json: &mut String, text: &str) {
    json.push_str(&serde_json::Value::from(text).to_string());
}

/// Whole numbers as JavaScript writes them; JSON has no NaN and no infinity.
fn write_number(json: &mut String, number: f64) {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if !number.is_finite() {
        json.push_str("null");
    } else if number.fract() == 0.0 && number.abs() < EXACT {
        json.push_str(&(number as i64).to_string());
    } else {
        json.push_str(&serde_json::Value::from(number).to_string());
    }
}

/// As `Date.prototype.toJSON`: always with three digits of ms.
fn write_date(json: &mut String, at: DateTime) {
    let Ok(text) = at.try_to_rfc3339_string() else { return json.push_str("null") };
    let (seconds, fraction) = match text.trim_end_matches('Z').split_once('.') {
        Some((seconds, fraction)) => (seconds.to_owned(), fraction.to_owned()),
        None => (text.trim_end_matches('Z').to_owned(), String::new()),
    };
    write_text(json, &format!("{seconds}.{fraction:0<3}Z"));
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{RawDocumentBuf, oid::ObjectId, rawdoc};

    use super::*;

    fn found(document: RawDocumentBuf, now: Millis) -> Option<Record> {
        read(&document, now).unwrap().record
    }

    #[test]
    fn expiry_is_exact_and_what_has_none_never_ends() {
        let ends = rawdoc! { "_id": "a", "expires": DateTime::from_millis(100), "session": "{}" };
        assert!(found(ends.clone(), 100).is_none());
        let record = found(ends, 99).unwrap();
        assert_eq!((&*record.payload, record.expires, record.moved), (&b"{}"[..], 100, true));
        let never = found(rawdoc! { "_id": "a", "session": "{}" }, 99).unwrap();
        assert_eq!((never.expires, never.moved), (UNTOLD, false));
        for expires in [RawBsonRef::Null, RawBsonRef::String("2100-01-01"), RawBsonRef::Int32(7)] {
            let mut odd = rawdoc! { "_id": "a", "session": "{}" };
            odd.append(mongodb::bson::cstr!("expires"), expires);
            assert!(found(odd, 1).is_none(), "connect-mongo does not find it either");
        }
    }

    #[test]
    fn a_session_kept_as_a_document_reads_as_its_text() {
        let id = ObjectId::parse_str("507f1f77bcf86cd799439011").unwrap();
        let session = rawdoc! {
            "cookie": { "originalMaxAge": 5000, "expires": DateTime::from_millis(1_000_000_000_120) },
            "number": 1.0, "half": 0.5, "big": 9_007_199_254_740_993_i64, "none": RawBsonRef::Null,
            "nan": f64::NAN, "list": ["a\"b", true, { "x": 1 }], "id": id, "plain": DateTime::from_millis(0),
            "gone": RawBsonRef::Undefined, "bytes": RawBsonRef::Binary(mongodb::bson::RawBinaryRef {
                subtype: mongodb::bson::spec::BinarySubtype::Generic, bytes: b"hi" }),
        };
        let record = found(rawdoc! { "_id": "a", "session": session }, 0).unwrap();
        assert_eq!(
            std::str::from_utf8(&record.payload).unwrap(),
            concat!(
                r#"{"cookie":{"originalMaxAge":5000,"expires":"2001-09-09T01:46:40.120Z"},"number":1,"#,
                r#""half":0.5,"big":9007199254740993,"none":null,"nan":null,"list":["a\"b",true,{"x":1}],"#,
                r#""id":"507f1f77bcf86cd799439011","plain":"1970-01-01T00:00:00.000Z","bytes":"aGk="}"#
            )
        );
    }
}
