//! One event as one JSON object, as `tracing-subscriber` formats it, in a third of the time.
//!
//! A line is written for each request, so its cost shows: the library's own formatter reads the fields
//! of the span as JSON and writes them again for each event, and checks each piece that it writes.

use std::fmt::{self, Debug, Write};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

/// Most lines are shorter.
const LINE: usize = 512;

/// Writes events: the time, the level, the event's fields, where it comes from, and the span that it
/// happened in.
pub(super) struct JsonEvent;

/// Keeps the fields of spans as members of a JSON object, each with a comma behind it.
pub(super) struct JsonMembers;

impl<S> FormatEvent<S, JsonMembers> for JsonEvent
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonMembers>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::with_capacity(LINE);
        line.push_str("{\"timestamp\":\"");
        SystemTime.format_time(&mut Writer::new(&mut line))?;
        line.push_str("\",\"level\":\"");
        line.push_str(event.metadata().level().as_str());
        line.push_str("\",");
        let mut members = Members { line: &mut line, target: None };
        event.record(&mut members);
        let target = members.target;
        member(&mut line, "target", target.as_deref().unwrap_or(event.metadata().target()));
        if let Some(span) = context.lookup_current() {
            line.push_str("\"span\":{");
            if let Some(fields) = span.extensions().get::<FormattedFields<JsonMembers>>() {
                line.push_str(fields);
            }
            member(&mut line, "name", span.name());
            line.pop();
            line.push_str("},");
        }
        line.pop();
        line.push_str("}\n");
        writer.write_str(&line)
    }
}

impl<'writer> FormatFields<'writer> for JsonMembers {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut line = String::new();
        fields.record(&mut Members { line: &mut line, target: None });
        writer.write_str(&line)
    }
}

/// Appends fields as members.
struct Members<'a> {
    line: &'a mut String,
    /// Where an event comes from that was logged by the crate `log`: that is a field then.
    target: Option<String>,
}

/// Appends `"name":"text",`.
fn member(line: &mut String, name: &str, text: &str) {
    string(line, name);
    line.push(':');
    string(line, text);
    line.push(',');
}

/// Appends a JSON string. Most need no escapes.
fn string(line: &mut String, text: &str) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        line.push('"');
        line.push_str(text);
        line.push('"');
    } else {
        line.push_str(&serde_json::to_string(text).expect("a text is a JSON string"));
    }
}

impl Members<'_> {
    /// Appends a value that is JSON as it is shown.
    fn plain(&mut self, field: &Field, value: impl fmt::Display) {
        string(self.line, field.name());
        write!(self.line, ":{value},").expect("a string takes all");
    }
}

impl Visit for Members<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "log.target" {
            self.target = Some(value.to_owned());
        }
        member(self.line, field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, value);
    }

    /// JSON has no words for what is no number.
    fn record_f64(&mut self, field: &Field, value: f64) {
        let value = serde_json::to_string(&value).expect("a double is a JSON value");
        self.plain(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        member(self.line, field.name(), &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use serde_json::Value;
    use tracing_subscriber::{Layer, fmt::layer, layer::SubscriberExt};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }

        /// Each line as JSON, without its time.
        fn values(&self) -> Vec<Value> {
            let text = self.text();
            let values = text.lines().map(|line| {
                let mut value: Value = serde_json::from_str(line).unwrap();
                assert!(value["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
                value["timestamp"].take();
                value
            });
            values.collect()
        }
    }

    /// What we write of these events, and what the library does.
    fn written(events: impl FnOnce()) -> (Lines, Lines) {
        let (ours, theirs) = (Lines::default(), Lines::default());
        let (one, other) = (ours.clone(), theirs.clone());
        let subscriber = tracing_subscriber::registry()
            .with(
                layer()
                    .fmt_fields(JsonMembers)
                    .event_format(JsonEvent)
                    .with_writer(move || one.clone())
                    .boxed(),
            )
            .with(
                layer()
                    .json()
                    .flatten_event(true)
                    .with_span_list(false)
                    .with_writer(move || other.clone())
                    .boxed(),
            );
        tracing::subscriber::with_default(subscriber, events);
        (ours, theirs)
    }

    #[test]
    fn a_line_says_what_the_librarys_own_says() {
        let (ours, theirs) = written(|| {
            tracing::info!("plain");
            tracing::warn!(
                a.text = "with \"quotes\", \\ and a\nline",
                "escaped \u{1}\u{7f}\u{2028}é"
            );
            tracing::error!(
                {
                    truth = true,
                    signed = i64::MIN,
                    unsigned = u64::MAX,
                    double = 0.25,
                    large = 1e300,
                    none = Option::<&str>::None,
                    some = Some("it"),
                    debug = ?vec!["a", "b"],
                    display = %"shown",
                    nothing = "",
                },
                "values"
            );
            let error: &(dyn std::error::Error + 'static) = &fmt::Error;
            tracing::error!(target: "elsewhere", error, "an error");
            tracing::error!(no_number = f64::NAN);
            let span = tracing::error_span!(
                "request",
                request.id = "it's \"7\"",
                later = tracing::field::Empty
            );
            span.in_scope(|| tracing::info!("inside"));
            span.record("later", 8);
            span.in_scope(|| {
                tracing::info!("inside again");
                tracing::info_span!("inner").in_scope(|| tracing::info!("deeper"));
            });
        });
        assert_eq!(ours.values(), theirs.values());
        assert_eq!(ours.values().len(), 8);
    }

    #[test]
    fn a_line_begins_with_its_time_and_ends_with_its_span() {
        let (ours, _) = written(|| {
            tracing::error_span!("request", request.id = "7").in_scope(|| {
                tracing::info!(target: "here", n = 1, "done");
            });
        });
        let line = ours.text();
        let rest = line.split_once("Z\"").unwrap().1;
        let expected = ",\"level\":\"INFO\",\"message\":\"done\",\"n\":1,\"target\":\"here\",\
                        \"span\":{\"request.id\":\"7\",\"name\":\"request\"}}\n";
        assert_eq!(rest, expected);
        assert!(line.starts_with("{\"timestamp\":\"2"), "{line}");
    }
}
