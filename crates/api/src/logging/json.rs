//! Log lines as JSON objects, with the members that `tracing-subscriber` gives them.
//!
//! Its own formatter parses the fields of the span and serializes them again for each event, which
//! is most of its cost. This one copies them. Decision 015 has the measurement.

use std::{
    error::Error,
    fmt::{self, Write},
    time::SystemTime,
};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serializer, ser::SerializeMap};
use tracing::{Event, Subscriber, field::Visit};
use tracing_log::NormalizeEvent;
use tracing_serde::SerdeMapVisitor;
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, format::Writer},
    registry::LookupSpan,
};

/// Formats an event as one line: its time, level, fields and target, and the span it occurred in.
pub(super) struct JsonEvent;

/// Formats the fields of a span as members of an object, each with a comma after it.
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
        let time = DateTime::<Utc>::from(SystemTime::now());
        let time = time.to_rfc3339_opts(SecondsFormat::Micros, true);
        // Events of the crate `log` have their level and target in fields.
        let metadata = event.normalized_metadata();
        let metadata = metadata.as_ref().unwrap_or_else(|| event.metadata());
        let before = [("timestamp", &*time), ("level", metadata.level().as_str())];
        let after = [("target", metadata.target())];
        let mut line =
            object(&before, |visitor| event.record(visitor), &after).map_err(|_| fmt::Error)?;
        if let Some(span) = context.lookup_current() {
            let extensions = span.extensions();
            let members = extensions.get::<FormattedFields<JsonMembers>>();
            let members = members.map_or("", |members| members);
            line.pop();
            write!(line, ",\"span\":{{{members}\"name\":\"{}\"}}}}", span.name())?;
        }
        line.push('\n');
        writer.write_str(&line)
    }
}

impl<'writer> FormatFields<'writer> for JsonMembers {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let object = object(&[], |visitor| fields.record(visitor), &[]).map_err(|_| fmt::Error)?;
        match object.trim_matches(['{', '}']) {
            "" => Ok(()),
            members => write!(writer, "{members},"),
        }
    }
}

/// Serializes an object: the members before, those that `record` passes to a visitor, and the
/// members after.
fn object(
    before: &[(&str, &str)],
    record: impl FnOnce(&mut dyn Visit),
    after: &[(&str, &str)],
) -> Result<String, Box<dyn Error>> {
    // Most lines are shorter.
    let mut text = Vec::with_capacity(512);
    let mut serializer = serde_json::Serializer::new(&mut text);
    let mut object = serializer.serialize_map(None)?;
    for (name, value) in before {
        object.serialize_entry(name, value)?;
    }
    let mut visitor = SerdeMapVisitor::new(object);
    record(&mut visitor);
    let mut object = visitor.take_serializer()?;
    for (name, value) in after {
        object.serialize_entry(name, value)?;
    }
    object.end()?;
    Ok(String::from_utf8(text)?)
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

        /// Each line as JSON, without its timestamp.
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

    /// Lines of these events in our format and in that of `tracing-subscriber`.
    fn format(events: impl FnOnce()) -> (Lines, Lines) {
        let (ours, theirs) = (Lines::default(), Lines::default());
        let (our_writer, their_writer) = (ours.clone(), theirs.clone());
        let subscriber = tracing_subscriber::registry()
            .with(
                layer()
                    .fmt_fields(JsonMembers)
                    .event_format(JsonEvent)
                    .with_writer(move || our_writer.clone())
                    .boxed(),
            )
            .with(
                layer()
                    .json()
                    .flatten_event(true)
                    .with_span_list(false)
                    .with_writer(move || their_writer.clone())
                    .boxed(),
            );
        tracing::subscriber::with_default(subscriber, events);
        (ours, theirs)
    }

    #[test]
    fn line_equals_that_of_tracing_subscriber() {
        let (ours, theirs) = format(|| {
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
    fn line_starts_with_its_time_and_ends_with_its_span() {
        let (ours, _) = format(|| {
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
