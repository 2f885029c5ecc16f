//! Reads a body: its size, its media type, and the members of its one JSON object.

use std::{collections::HashSet, fmt};

use actix_web::{
    HttpRequest,
    dev::Payload,
    http::header,
    web::{Bytes, BytesMut},
};
use futures_util::StreamExt;
use order_http_server::read_body;
use serde::{
    Serialize,
    de::{Deserialize, Deserializer, MapAccess, Visitor},
};
use serde_json::{Value, error::Category, value::RawValue};
use validator::{ValidationErrors, ValidationErrorsKind};

use super::{Faults, shortened, shown};
use crate::{
    code::Code,
    headers,
    problem::{Fault, Problem},
    progress::{self, Stage},
};

/// Many times what a valid body needs.
const MAX_BYTES: usize = 16 * 1024;

/// Of UTF-8, UTF-16 and UTF-32, in both byte orders. The little-endian mark of UTF-32 begins with
/// that of UTF-16.
const BYTE_ORDER_MARKS: [&[u8]; 4] =
    [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff"];

/// The bytes of a body that is small enough and says it is JSON, or that it did not arrive whole.
/// The size is looked at first, the media type next.
///
/// Nothing is unpacked: an encoded body is refused, so that 16 KiB are 16 KiB.
pub(super) async fn read(
    request: &HttpRequest,
    payload: Payload,
) -> Result<Result<Bytes, Fault>, Problem> {
    let declared = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: usize| length > MAX_BYTES) {
        return Err(Code::PayloadTooLarge.into());
    }
    progress::reached(Stage::Body);
    let arrived = read_body(request, gather(payload)).await;
    let body = arrived.map_err(|_| Code::RequestTimeout)??;
    progress::reached(Stage::Work);
    if is_plain_json(request) { Ok(body) } else { Err(Code::UnsupportedMediaType.into()) }
}

/// What arrives, if it is not too much.
async fn gather(mut payload: Payload) -> Result<Result<Bytes, Fault>, Code> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let Ok(chunk) = chunk else {
            return Ok(Err(Fault::in_body("", "the body did not arrive whole")));
        };
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(Code::PayloadTooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Ok(body.freeze()))
}

/// The media type in any case with any parameters, and no encoding but `identity`.
fn is_plain_json(request: &HttpRequest) -> bool {
    let mut types = request.headers().get_all(header::CONTENT_TYPE).map(headers::text);
    let is_json = |value: String| {
        let essence = value.split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case("application/json")
    };
    let encodings = headers::elements(request.headers(), &header::CONTENT_ENCODING);
    types.next().is_some_and(is_json)
        && types.next().is_none()
        && encodings.iter().all(|encoding| encoding.eq_ignore_ascii_case("identity"))
}

/// The value of a member, as far as any request needs to know it. What is deeper stays text, so
/// that no value is too large or too deep to be named.
///
/// Serialized, because `validator` keeps what is wrong beside the error.
#[derive(Debug, Serialize)]
pub(super) enum Untyped {
    /// A string.
    Text(String),
    /// An array, with nothing where an element is no string.
    Array(Vec<Option<String>>),
    /// Anything else.
    Other,
}

impl Untyped {
    fn read(value: &RawValue) -> Self {
        // By the first character, because the error of who tries the wrong type costs more than
        // reading the right one.
        if let Some(text) = text(value) {
            return Self::Text(text);
        }
        if !value.get().starts_with('[') {
            return Self::Other;
        }
        match serde_json::from_str::<Vec<&RawValue>>(value.get()) {
            Ok(elements) => Self::Array(elements.into_iter().map(text).collect()),
            Err(_) => Self::Other,
        }
    }
}

/// What a string says; nothing where it is no string.
fn text(value: &RawValue) -> Option<String> {
    if value.get().starts_with('"') { serde_json::from_str(value.get()).ok() } else { None }
}

/// The members of a JSON object, not yet looked at.
#[derive(Debug)]
pub(super) struct Members(Vec<(String, Box<RawValue>)>);

impl Members {
    /// The members of the one object that a body must be. A body that cannot be read, is no
    /// object or has members twice has those faults alone.
    pub(super) fn read(body: &[u8]) -> Result<Self, Vec<Fault>> {
        if body.is_empty() {
            return Err(vec![Fault::in_body("", "the body is empty; it must be one JSON object")]);
        }
        if BYTE_ORDER_MARKS.iter().any(|mark| body.starts_with(mark)) {
            let detail = "the body begins with a byte order mark; send JSON in UTF-8 without one";
            return Err(vec![Fault::in_body("", detail)]);
        }
        let object: Object = serde_json::from_slice(body).map_err(|error| {
            let detail = match error.classify() {
                Category::Data => "the body must be one JSON object".to_owned(),
                Category::Syntax | Category::Eof | Category::Io => format!(
                    "the body cannot be read as JSON, at line {} column {}",
                    error.line(),
                    error.column()
                ),
            };
            vec![Fault::in_body("", detail)]
        })?;
        if object.duplicates.is_empty() {
            return Ok(Self(object.members));
        }
        let duplicates = object.duplicates.iter();
        Err(duplicates.map(|name| member_fault(name, "is there more than once")).collect())
    }

    /// Takes a member out.
    pub(super) fn take(&mut self, name: &str) -> Option<Untyped> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(Untyped::read(&self.0.remove(at).1))
    }

    /// What is left after all known members were taken.
    pub(super) fn refuse_unknown(self, faults: &mut Faults) {
        for (name, _) in self.0 {
            faults.add(member_fault(&name, "is not a known member"));
        }
    }
}

/// Says what is wrong with a member that a client made up.
fn member_fault(name: &str, what: &str) -> Fault {
    let name = shortened(name);
    Fault::in_body(pointer(&name), format!("{} {what}", shown(&name)))
}

/// A JSON pointer to a member of the body (RFC 6901, section 3).
fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The name of the parameter of a `ValidationError` that says which elements of an array are
/// meant. Without it the whole member is.
pub(super) const ELEMENTS: &str = "elements";

/// What `validator` found in the shape of a body, in the order of `members`.
pub(super) fn shape_faults(errors: &ValidationErrors, members: &[&str], faults: &mut Faults) {
    for member in members {
        let Some(ValidationErrorsKind::Field(errors)) = errors.errors().get(*member) else {
            continue;
        };
        for error in errors {
            let detail = error.message.as_deref().unwrap_or("is invalid");
            match error.params.get(ELEMENTS).and_then(Value::as_array) {
                None => {
                    faults.add(Fault::in_body(pointer(member), format!("{member} {detail}")));
                }
                Some(elements) => {
                    for at in elements {
                        let pointer = format!("{}/{at}", pointer(member));
                        faults.add(Fault::in_body(pointer, format!("{member}[{at}] {detail}")));
                    }
                }
            }
        }
    }
}

/// An object as it was sent. `serde_json::Map` would keep only the last of two equal names.
struct Object {
    members: Vec<(String, Box<RawValue>)>,
    /// Names that are there more than once.
    duplicates: Vec<String>,
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;

        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut object = Object { members: vec![], duplicates: vec![] };
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

    fn fault(body: &str) -> (String, String) {
        let Err(mut faults) = Members::read(body.as_bytes()) else { panic!("{body} was read") };
        let fault = faults.pop().unwrap();
        assert_eq!(faults, []);
        let Fault::Body(fault) = fault else { panic!("{fault:?}") };
        (fault.pointer, fault.detail)
    }

    #[rstest]
    #[case("", "the body is empty; it must be one JSON object")]
    #[case("[]", "the body must be one JSON object")]
    #[case("null", "the body must be one JSON object")]
    #[case("\"TAKEN\"", "the body must be one JSON object")]
    #[case("{", "the body cannot be read as JSON, at line 1 column 1")]
    #[case("{}{}", "the body cannot be read as JSON, at line 1 column 3")]
    #[case("{\n'a':1}", "the body cannot be read as JSON, at line 2 column 1")]
    #[case("{\"a\":1,\"a\":2", "the body cannot be read as JSON, at line 1 column 12")]
    fn what_is_not_one_object_has_one_fault(#[case] body: &str, #[case] detail: &str) {
        assert_eq!(fault(body), (String::new(), detail.to_owned()));
    }

    #[rstest]
    #[case::utf_8(b"\xef\xbb\xbf{}")]
    #[case::alone(b"\xef\xbb\xbf")]
    #[case::utf_16_big_endian(b"\xfe\xff\0{\0}")]
    #[case::utf_16_little_endian(b"\xff\xfe{\0}\0")]
    #[case::utf_32_big_endian(b"\0\0\xfe\xff\0\0\0{\0\0\0}")]
    #[case::utf_32_little_endian(b"\xff\xfe\0\0{\0\0\0}\0\0\0")]
    fn byte_order_mark_is_named(#[case] body: &[u8]) {
        let faults = Members::read(body).unwrap_err();
        let details: Vec<_> = faults.iter().map(Fault::detail).collect();
        let detail = "the body begins with a byte order mark; send JSON in UTF-8 without one";
        assert_eq!(details, [detail]);
    }

    #[test]
    fn a_duplicate_member_is_named_also_when_it_is_escaped() {
        let (pointer, detail) = fault(r#"{"status":"TAKEN","st\u0061tus":"TAKEN"}"#);
        assert_eq!(pointer, "/status");
        assert_eq!(detail, "status is there more than once");
    }

    #[test]
    fn every_duplicate_member_is_named_once() {
        let faults = Members::read(br#"{"a":1,"":2,"a":3,"b":4,"":5,"a":6}"#).unwrap_err();
        let details: Vec<_> = faults.iter().map(Fault::detail).collect();
        assert_eq!(details, ["a is there more than once", "\"\" is there more than once"]);
    }

    #[rstest]
    #[case("[", "]")]
    #[case("{\"a\":", "}")]
    #[case("[{\"a\":", "}]")]
    fn deep_nesting_is_refused_and_does_not_overflow_the_stack(
        #[case] open: &str,
        #[case] close: &str,
    ) {
        let depth = MAX_BYTES / (open.len() + close.len());
        let deep =
            |closed| format!("{{\"origin\":{}1{}}}", open.repeat(depth), close.repeat(closed));
        let mut members = Members::read(deep(depth).as_bytes()).unwrap();
        let origin = members.take("origin").unwrap();
        assert!(!matches!(origin, Untyped::Text(_)), "{origin:?}");
        assert!(fault(&deep(depth - 1)).1.starts_with("the body cannot be read as JSON"));
    }

    #[rstest]
    #[case("\"1\"", "Text(\"1\")")]
    #[case("[\"1\",\"\\u0032\"]", "Array([Some(\"1\"), Some(\"2\")])")]
    #[case("[1e400,\"\\ud800\",null,[[]],{}]", "Array([None, None, None, None, None])")]
    #[case("1e400", "Other")]
    #[case("{\"0\":\"1\"}", "Other")]
    fn a_value_is_known_as_far_as_it_has_a_meaning(#[case] json: &str, #[case] known: &str) {
        let mut members = Members::read(format!("{{\"a\":{json}}}").as_bytes()).unwrap();
        assert_eq!(format!("{:?}", members.take("a").unwrap()), known);
    }

    #[test]
    fn a_pointer_is_escaped() {
        assert_eq!(pointer("a/b~c"), "/a~1b~0c");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Members::read(&body);
        }
    }
}
