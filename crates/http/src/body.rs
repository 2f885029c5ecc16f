//! Parsing of a request body: its size, its media type, and the members of its JSON object.

use std::{collections::HashSet, fmt};

use actix_web::{
    HttpRequest,
    http::header,
    web::{Bytes, BytesMut, Payload},
};
use futures_util::StreamExt;
use order_http_server::read_body;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{error::Category, value::RawValue};

use crate::{
    errors::{ErrorCode, Problem, Violation, Violations, display_name, shorten},
    headers,
    request_context::{self, Stage},
};

/// The size of the largest body, many times what a valid body needs.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// The marks of UTF-8, UTF-16 and UTF-32, in both byte orders. The little-endian mark of UTF-32
/// begins with that of UTF-16.
const BYTE_ORDER_MARKS: [&[u8]; 4] =
    [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff"];

/// Reads the body, which must be one JSON object. Returns nothing if it has violations.
///
/// An encoded body is rejected, so the limit bounds the size of the decoded body, too.
///
/// # Errors
/// When the body is too large, too slow or of another media type, in this order. These errors take
/// precedence over all violations.
pub(crate) async fn read_object(
    request: &HttpRequest,
    payload: Payload,
    violations: &mut Violations,
) -> Result<Option<JsonObject>, Problem> {
    let declared = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: usize| length > MAX_BODY_BYTES) {
        return Err(ErrorCode::PayloadTooLarge.into());
    }
    request_context::set_stage(Stage::Body);
    let body = read_body(request, read_to_limit(payload)).await;
    let body = body.map_err(|_| ErrorCode::RequestTimeout)??;
    request_context::set_stage(Stage::Work);
    if !is_plain_json(request) {
        return Err(ErrorCode::UnsupportedMediaType.into());
    }
    match body.map_err(|violation| vec![violation]).and_then(|body| JsonObject::parse(&body)) {
        Ok(object) => Ok(Some(object)),
        Err(found) => {
            violations.extend(found);
            Ok(None)
        }
    }
}

async fn read_to_limit(mut payload: Payload) -> Result<Result<Bytes, Violation>, ErrorCode> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let Ok(chunk) = chunk else {
            return Ok(Err(Violation::in_body("", "the body is incomplete")));
        };
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(ErrorCode::PayloadTooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Ok(body.freeze()))
}

/// Whether the media type is JSON, in any case and with any parameters, and the encoding
/// `identity`.
fn is_plain_json(request: &HttpRequest) -> bool {
    let mut types = request.headers().get_all(header::CONTENT_TYPE).map(headers::to_ascii);
    let is_json = |value: String| {
        let essence = value.split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case("application/json")
    };
    let encodings = headers::list_elements(request.headers(), &header::CONTENT_ENCODING);
    types.next().is_some_and(is_json)
        && types.next().is_none()
        && encodings.iter().all(|encoding| encoding.eq_ignore_ascii_case("identity"))
}

/// A JSON object whose values are not parsed, so that a value which is too large or too deep can
/// be reported by its name. `serde_json::Map` would keep only the last of two equal names.
#[derive(Debug)]
pub(crate) struct JsonObject {
    members: Vec<(String, Box<RawValue>)>,
    /// The names of repeated members.
    duplicates: Vec<String>,
}

impl JsonObject {
    /// Parses an object. If the body is not JSON, not an object, or has duplicate members, it has
    /// no other violations.
    fn parse(body: &[u8]) -> Result<Self, Vec<Violation>> {
        if body.is_empty() {
            let detail = "the body is empty; it must be one JSON object";
            return Err(vec![Violation::in_body("", detail)]);
        }
        if BYTE_ORDER_MARKS.iter().any(|mark| body.starts_with(mark)) {
            let detail = "the body begins with a byte order mark; send JSON in UTF-8 without one";
            return Err(vec![Violation::in_body("", detail)]);
        }
        let object: Self = serde_json::from_slice(body).map_err(|error| {
            let detail = match error.classify() {
                Category::Data => "the body must be one JSON object".to_owned(),
                Category::Syntax | Category::Eof | Category::Io => format!(
                    "the body is not valid JSON, at line {} column {}",
                    error.line(),
                    error.column()
                ),
            };
            vec![Violation::in_body("", detail)]
        })?;
        if object.duplicates.is_empty() {
            return Ok(object);
        }
        let duplicates = object.duplicates.iter();
        Err(duplicates.map(|name| unexpected_member(name, "occurs more than once")).collect())
    }

    /// Removes a member and returns its value.
    pub(crate) fn take(&mut self, name: &str) -> Option<Box<RawValue>> {
        let index = self.members.iter().position(|(known, _)| known == name)?;
        Some(self.members.remove(index).1)
    }

    /// Adds a violation for each member that has not been taken.
    pub(crate) fn reject_unknown(self, violations: &mut Violations) {
        let names = self.members.iter().map(|(name, _)| name);
        violations.extend(names.map(|name| unexpected_member(name, "is not a known member")));
    }
}

/// The value of a JSON string; none for another type.
pub(crate) fn string(value: &RawValue) -> Option<String> {
    // The first character is checked, because the error of a failed parse is expensive.
    if value.get().starts_with('"') { serde_json::from_str(value.get()).ok() } else { None }
}

/// The elements of a JSON array; none for another type. An element that is not a string is none.
pub(crate) fn strings(value: &RawValue) -> Option<Vec<Option<String>>> {
    if !value.get().starts_with('[') {
        return None;
    }
    let elements = serde_json::from_str::<Vec<&RawValue>>(value.get()).ok()?;
    Some(elements.into_iter().map(string).collect())
}

/// The violation for a member whose name the client chose.
fn unexpected_member(name: &str, fault: &str) -> Violation {
    let name = shorten(name);
    Violation::in_body(pointer(&name), format!("{} {fault}", display_name(&name)))
}

/// The JSON pointer of a member of the body (RFC 6901, section 3).
fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;

        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = JsonObject;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonObject, A::Error> {
                let mut object = JsonObject { members: vec![], duplicates: vec![] };
                let mut seen = HashSet::new();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    if !seen.insert(name.clone()) && !object.duplicates.contains(&name) {
                        object.duplicates.push(name.clone());
                    }
                    object.members.push((name, value));
                }
                Ok(object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn violation(body: &str) -> (String, String) {
        let Err(mut violations) = JsonObject::parse(body.as_bytes()) else {
            panic!("{body} was read")
        };
        let violation = violations.pop().unwrap();
        assert_eq!(violations, []);
        let Violation::Body(violation) = violation else { panic!("{violation:?}") };
        (violation.pointer, violation.detail)
    }

    #[rstest]
    #[case("", "the body is empty; it must be one JSON object")]
    #[case("[]", "the body must be one JSON object")]
    #[case("null", "the body must be one JSON object")]
    #[case("\"TAKEN\"", "the body must be one JSON object")]
    #[case("{", "the body is not valid JSON, at line 1 column 1")]
    #[case("{}{}", "the body is not valid JSON, at line 1 column 3")]
    #[case("{\n'a':1}", "the body is not valid JSON, at line 2 column 1")]
    #[case("{\"a\":1,\"a\":2", "the body is not valid JSON, at line 1 column 12")]
    fn other_body_than_one_object_has_one_violation(#[case] body: &str, #[case] detail: &str) {
        assert_eq!(violation(body), (String::new(), detail.to_owned()));
    }

    #[rstest]
    #[case::utf_8(b"\xef\xbb\xbf{}")]
    #[case::alone(b"\xef\xbb\xbf")]
    #[case::utf_16_big_endian(b"\xfe\xff\0{\0}")]
    #[case::utf_16_little_endian(b"\xff\xfe{\0}\0")]
    #[case::utf_32_big_endian(b"\0\0\xfe\xff\0\0\0{\0\0\0}")]
    #[case::utf_32_little_endian(b"\xff\xfe\0\0{\0\0\0}\0\0\0")]
    fn byte_order_mark_is_named(#[case] body: &[u8]) {
        let violations = JsonObject::parse(body).unwrap_err();
        let details: Vec<_> = violations.iter().map(Violation::detail).collect();
        let detail = "the body begins with a byte order mark; send JSON in UTF-8 without one";
        assert_eq!(details, [detail]);
    }

    #[test]
    fn duplicate_member_is_named_even_if_escaped() {
        let (pointer, detail) = violation(r#"{"status":"TAKEN","st\u0061tus":"TAKEN"}"#);
        assert_eq!(pointer, "/status");
        assert_eq!(detail, "status occurs more than once");
    }

    #[test]
    fn every_duplicate_member_is_named_once() {
        let violations = JsonObject::parse(br#"{"a":1,"":2,"a":3,"b":4,"":5,"a":6}"#).unwrap_err();
        let details: Vec<_> = violations.iter().map(Violation::detail).collect();
        assert_eq!(details, ["a occurs more than once", "\"\" occurs more than once"]);
    }

    #[rstest]
    #[case("[", "]")]
    #[case("{\"a\":", "}")]
    #[case("[{\"a\":", "}]")]
    fn deep_nesting_is_rejected_without_stack_overflow(#[case] open: &str, #[case] close: &str) {
        let depth = MAX_BODY_BYTES / (open.len() + close.len());
        let deep =
            |closed| format!("{{\"origin\":{}1{}}}", open.repeat(depth), close.repeat(closed));
        let mut members = JsonObject::parse(deep(depth).as_bytes()).unwrap();
        let origin = members.take("origin").unwrap();
        assert_eq!(string(&origin), None, "{origin:?}");
        assert!(violation(&deep(depth - 1)).1.starts_with("the body is not valid JSON"));
    }

    #[rstest]
    #[case("\"1\"", Some("1"), None)]
    #[case("[\"1\",\"\\u0032\"]", None, Some(vec![Some("1"), Some("2")]))]
    #[case("[1e400,\"\\ud800\",null,[[]],{}]", None, Some(vec![None; 5]))]
    #[case("1e400", None, None)]
    #[case("{\"0\":\"1\"}", None, None)]
    fn value_is_a_string_an_array_or_neither(
        #[case] json: &str,
        #[case] text: Option<&str>,
        #[case] elements: Option<Vec<Option<&str>>>,
    ) {
        let mut members = JsonObject::parse(format!("{{\"a\":{json}}}").as_bytes()).unwrap();
        let value = members.take("a").unwrap();
        assert_eq!(string(&value).as_deref(), text);
        let found = strings(&value);
        let found = found.as_ref().map(|it| it.iter().map(Option::as_deref).collect());
        assert_eq!(found, elements);
    }

    #[test]
    fn pointer_is_escaped() {
        assert_eq!(pointer("a/b~c"), "/a~1b~0c");
    }

    proptest! {
        #[test]
        fn parser_never_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = JsonObject::parse(&body);
        }
    }
}
